//! The documents that a credential points to: controller, public key, MOSIP's context.

use openssl::error::ErrorStack;
use serde_json::{Map, Value, json};

use super::MosipConfig;

/// Members of the context that are plain texts.
const PLAIN: [&str; 8] = [
    "vcVer",
    "UIN",
    "VID",
    "dateOfBirth",
    "email",
    "phone",
    "postalCode",
    "biometrics",
];
/// Members that are `{value, lang}`.
const SPOKEN: [&str; 9] = [
    "addressLine1",
    "addressLine2",
    "addressLine3",
    "city",
    "gender",
    "residenceStatus",
    "fullName",
    "province",
    "region",
];

/// The key that proofs are verified with.
///
/// # Errors
/// When OpenSSL cannot write the key.
pub fn public_key(config: &MosipConfig) -> Result<Value, ErrorStack> {
    let pem = config.credential_key.public_key_to_pem()?;
    Ok(json!({
        "@context": "https://w3id.org/security/v2", "type": "RsaVerificationKey2018",
        "id": url(config, "public-key.json"), "controller": url(config, "controller.json"),
        "publicKeyPem": String::from_utf8_lossy(&pem),
    }))
}

/// Whose key that is and what for.
pub fn controller(config: &MosipConfig) -> Value {
    json!({
        "@context": "https://w3id.org/security/v2", "id": url(config, "controller.json"),
        "assertionMethod": [url(config, "public-key.json")],
    })
}

/// MOSIP's context: the terms of the reference (1.10) and no `birthCertificateNumber`.
pub fn context(config: &MosipConfig) -> Value {
    let base = format!("https://{}/mosip#", config.host);
    let mut terms = Map::new();
    terms.insert("mosip".to_owned(), json!(base));
    terms.insert("schema".to_owned(), json!("http://schema.org/"));
    terms.insert(
        "rdf".to_owned(),
        json!("http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
    );
    for name in PLAIN {
        terms.insert(name.to_owned(), json!(format!("mosip:{name}")));
    }
    for name in SPOKEN {
        terms.insert(
            name.to_owned(),
            json!({"@id": format!("{base}{name}"), "@context": {"value": "rdf:value", "lang": "@language"}}),
        );
    }
    terms.insert(
        "bestTwoFingers".to_owned(),
        json!({
            "@id": format!("{base}bestTwoFingers"),
            "@context": {"id": "@id", "type": "@type", "subType": format!("{base}subType"), "rank": format!("{base}rank")},
        }),
    );
    json!({"@context": [{"@version": 1.1}, "https://www.w3.org/ns/odrl.jsonld", terms]})
}

fn url(config: &MosipConfig, name: &str) -> String {
    format!("https://{}/.well-known/{name}", config.host)
}
