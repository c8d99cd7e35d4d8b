//! The terms that MOSIP ships in `https://{host}/.well-known/mosip-context.json`, for a host that keeps them.
//!
//! Every term is in the vocabulary `https://{host}/mosip#`. A deployment that changed the file pins its own.

use serde_json::{Value, json};

const PATH: &str = "/.well-known/mosip-context.json";

/// A value by itself.
const PLAIN: &[&str] = &[
    "vcVer",
    "UIN",
    "VID",
    "dateOfBirth",
    "email",
    "phone",
    "postalCode",
    "biometrics",
    "dob",
    "em",
    "ph",
    "poc",
    "cph",
];

/// A value in a language.
const IN_LANGUAGE: &[&str] = &[
    "addressLine1",
    "addressLine2",
    "addressLine3",
    "city",
    "gender",
    "residenceStatus",
    "fullName",
    "province",
    "region",
    "fln",
    "ad1",
    "ad2",
    "ad3",
    "cit",
    "gen",
    "pro",
    "reg",
];

/// The URL of a host's context.
pub fn context_url(host: &str) -> String {
    format!("https://{host}{PATH}")
}

/// The document behind [`context_url`]; `None` when the URL is no such one.
pub fn context_document(url: &str) -> Option<Vec<u8>> {
    let host = url.strip_prefix("https://")?.strip_suffix(PATH)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-:".contains(&b);
    if host.is_empty() || !host.bytes().all(allowed) {
        return None;
    }
    let vocabulary = |term: &str| format!("https://{host}/mosip#{term}");
    let mut terms = serde_json::Map::new();
    terms.insert("mosip".to_owned(), vocabulary("").into());
    terms.insert("schema".to_owned(), "http://schema.org/".into());
    terms.insert(
        "rdf".to_owned(),
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#".into(),
    );
    for term in PLAIN {
        terms.insert((*term).to_owned(), vocabulary(term).into());
    }
    for term in IN_LANGUAGE {
        let inside = json!({"value": "rdf:value", "lang": "@language"});
        terms.insert(
            (*term).to_owned(),
            json!({"@id": vocabulary(term), "@context": inside}),
        );
    }
    let fingers = json!({
        "id": "@id", "type": "@type", "subType": vocabulary("subType"), "rank": vocabulary("rank"),
    });
    terms.insert(
        "bestTwoFingers".to_owned(),
        json!({"@id": vocabulary("bestTwoFingers"), "@context": fingers}),
    );
    let context = json!({"@context": [
        {"@version": 1.1}, "https://www.w3.org/ns/odrl.jsonld", Value::Object(terms),
    ]});
    Some(context.to_string().into_bytes())
}
