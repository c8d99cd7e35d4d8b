//! Credentials and PyLD: what it issues is believed here, what is signed here it verifies, and both write the same quads.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use triseal::{
    clock::Moment,
    config::Algorithm,
    credential::{
        CREDENTIALS_V1, Contexts, Issuer, Recipe, SECURITY_V2, Verifier, canonical_n_quads,
        context_url,
    },
    keys::{PublicKey, SigningKey},
};

use crate::python;

const HOST: &str = "mosip.example";
const ISSUER: &str = "https://mosip.example/.well-known/controller.json";
const METHOD: &str = "https://mosip.example/.well-known/public-key.json";

fn contexts() -> Contexts {
    let mut contexts = Contexts::built_in();
    contexts.pin_mosip(&context_url(HOST)).unwrap();
    contexts
}

/// The same documents for PyLD.
fn documents() -> Value {
    let contexts = contexts();
    let urls = [
        CREDENTIALS_V1.to_owned(),
        SECURITY_V2.to_owned(),
        "https://w3id.org/security/v1".to_owned(),
        "https://www.w3.org/ns/odrl.jsonld".to_owned(),
        context_url(HOST),
    ];
    let read = |url: &String| -> Value {
        serde_json::from_slice(contexts.document(url).unwrap()).unwrap()
    };
    urls.iter().map(|url| (url.clone(), read(url))).collect()
}

fn document(subject: &Value) -> Value {
    json!({
        "@context": [CREDENTIALS_V1, context_url(HOST), {"sec": "https://w3id.org/security#"}],
        "type": ["VerifiableCredential", "MOSIPVerifiableCredential"],
        "id": "http://credential.idrepo/credentials/0b5f3d3e-2f6a-4f5e-9df3-3d6ff0f1a111",
        "issuer": ISSUER,
        "issuanceDate": "2025-11-20T10:00:00.000Z",
        "credentialSubject": subject,
    })
}

/// Subjects of births, deaths and full profiles, and some that are meant to be awkward.
fn subjects() -> Vec<Value> {
    let id = "http://credential.idrepo/credentials/10001100010000120251120100000";
    vec![
        json!({"id": id, "vcVer": "VC-V1"}),
        json!({"id": id, "vcVer": "VC-V1", "VID": "1234567890", "birthCertificateNumber": "B-17"}),
        json!({
            "id": id, "vcVer": "VC-V1", "UIN": "1234567890", "dateOfBirth": "2000/01/02", "email": "a@b.example",
            "fullName": [{"language": "eng", "value": "Ada"}, {"language": "fra", "value": "Ada"}],
            "gender": [{"language": "eng", "value": "Female"}, {"language": "fra", "value": "Femme"}],
            "addressLine1": [{"language": "eng", "value": "1, \"The\" Street\nBack\\side"}],
            "postalCode": 14022, "biometrics": "ab".repeat(4000),
        }),
        json!({"id": id, "fullName": {"value": "Zoë \u{1f600} \u{10ffff}"}, "city": [["a"], [], null, "a"], "VID": true}),
        json!({"id": id, "fullName": [{"value": "same"}, {"value": "same"}], "bestTwoFingers": [
            {"subType": "Left", "rank": 1}, {"subType": "Right", "rank": 2},
        ]}),
        json!({"id": id, "fullName": {"value": {"fullName": {"value": {"gender": {"value": "deep"}}}}}}),
    ]
}

fn options() -> Value {
    json!({
        "type": "RsaSignature2018", "created": "2025-11-20T10:00:00Z", "proofPurpose": "assertionMethod",
        "verificationMethod": METHOD,
    })
}

fn verifier(key: &[u8]) -> Verifier {
    let key = PublicKey::from_spki(key).unwrap();
    let pinned = vec![context_url(HOST)];
    let issuer = Issuer::new(ISSUER, METHOD, pinned, Recipe::Mosip, &key).unwrap();
    Verifier::new(vec![issuer], contexts())
}

fn now() -> Moment {
    Moment::from_s(1_763_800_000)
}

#[test]
fn what_pyld_issues_is_believed_and_the_quads_are_the_same() {
    let documents_made: Vec<Value> = subjects().iter().map(document).collect();
    let issue: Vec<Value> = documents_made
        .iter()
        .map(|document| json!({"document": document, "options": options()}))
        .collect();
    let job = json!({"contexts": documents(), "issue": issue});
    let issued = python::lines("credential_proofs.py", &job);
    assert_eq!(issued.len(), documents_made.len());
    for (document, issued) in documents_made.iter().zip(&issued) {
        let quads = canonical_n_quads(document.to_string().as_bytes(), &contexts()).unwrap();
        assert_eq!(quads, issued["quads"].as_str().unwrap());
        let key = STANDARD.decode(issued["key"].as_str().unwrap()).unwrap();
        let text = issued["credential"].to_string();
        let read = verifier(&key).verify(text.as_bytes(), now()).unwrap();
        assert!(read.subject_segment().is_some());
        // What is kept as proven gives the same quads by itself.
        let mut kept = Value::Object(read.proven().clone());
        kept["@context"] = document["@context"].clone();
        let again = canonical_n_quads(kept.to_string().as_bytes(), &contexts()).unwrap();
        assert_eq!(again, quads);
        let altered = text.replace(
            "10001100010000120251120100000",
            "10001100010000120251120100001",
        );
        assert!(verifier(&key).verify(altered.as_bytes(), now()).is_err());
    }
}

#[test]
fn what_is_signed_here_pyld_verifies() {
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let key = SigningKey::from_pkcs8_der(made.serialized_der()).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
    let hash = |document: &Value| {
        let quads = canonical_n_quads(document.to_string().as_bytes(), &contexts()).unwrap();
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, quads.as_bytes())
            .as_ref()
            .to_vec()
    };
    let mut verify = Vec::new();
    for subject in subjects() {
        let mut whole = document(&subject);
        let mut proof = options();
        proof["@context"] = SECURITY_V2.into();
        let header = URL_SAFE_NO_PAD.encode(r#"{"b64":false,"crit":["b64"],"alg":"PS256"}"#);
        let signed = [header.as_bytes(), b".", &hash(&proof), &hash(&whole)].concat();
        let signature = key.sign(Algorithm::PS256, &signed).unwrap();
        whole["proof"] = options();
        whole["proof"]["jws"] = format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature)).into();
        assert!(
            verifier(&spki)
                .verify(whole.to_string().as_bytes(), now())
                .is_ok()
        );
        verify.push(json!({"credential": whole.clone(), "key": STANDARD.encode(&spki)}));
        whole["credentialSubject"]["vcVer"] = "VC-V2".into();
        verify.push(json!({"credential": whole, "key": STANDARD.encode(&spki)}));
    }
    let answers = python::lines(
        "credential_proofs.py",
        &json!({"contexts": documents(), "verify": verify}),
    );
    for pair in answers.chunks(2) {
        assert_eq!(pair[0], json!({"verified": true}));
        assert_eq!(pair[1], json!({"verified": false}));
    }
}
