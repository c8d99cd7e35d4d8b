//! Credentials made here with the issuer's key; what code that is not ours makes of them is in `tests/it/credential.rs`.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Moment,
    config::Algorithm,
    envelope::sha256,
    keys::{PublicKey, SigningKey},
};

const HOST: &str = "mosip.example";
const ISSUER: &str = "https://mosip.example/.well-known/controller.json";
const METHOD: &str = "https://mosip.example/.well-known/public-key.json";

struct Key {
    signing: SigningKey,
    public: PublicKey,
}

fn key() -> Key {
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
    Key {
        signing: SigningKey::from_pkcs8_der(made.serialized_der()).unwrap(),
        public: PublicKey::from_spki(&spki).unwrap(),
    }
}

static MOSIP: LazyLock<Key> = LazyLock::new(key);
static STRANGER: LazyLock<Key> = LazyLock::new(key);

fn now() -> Moment {
    Moment::from_s(1_763_800_000) // 2025-11-22
}

fn contexts() -> Contexts {
    let mut contexts = Contexts::built_in();
    contexts.pin_mosip(&context_url(HOST)).unwrap();
    contexts
}

fn verifier(recipe: Recipe) -> Verifier {
    let pin = |key: &Key, issuer| {
        Issuer::new(issuer, METHOD, vec![context_url(HOST)], recipe, &key.public).unwrap()
    };
    let issuers = vec![
        pin(&MOSIP, ISSUER),
        pin(&STRANGER, "https://other.example/c.json"),
    ];
    Verifier::new(issuers, contexts())
}

fn document() -> Value {
    json!({
        "@context": [CREDENTIALS_V1, context_url(HOST), {"sec": "https://w3id.org/security#"}],
        "type": ["VerifiableCredential", "MOSIPVerifiableCredential"],
        "id": "http://credential.idrepo/credentials/0b5f3d3e-2f6a-4f5e-9df3-3d6ff0f1a111",
        "issuer": ISSUER,
        "issuanceDate": "2025-11-20T10:00:00.000Z",
        "credentialSubject": {
            "id": "http://credential.idrepo/credentials/1234567890",
            "vcVer": "VC-V1",
            "VID": "1234567890",
            "birthCertificateNumber": "B-17",
            "fullName": [{"language": "eng", "value": "Ada"}, {"language": "fra", "value": "Ada"}],
        }
    })
}

const HEADER: &str = r#"{"b64":false,"crit":["b64"],"kid":"k","alg":"PS256"}"#;

fn sign(document: &Value, header: &str, signed: &[u8], key: &Key) -> Value {
    let protected = crate::envelope::to_base64url(header.as_bytes());
    let input = [protected.as_bytes(), b".", signed].concat();
    let signature = key.signing.sign(Algorithm::PS256, &input).unwrap();
    let mut whole = document.clone();
    whole["proof"] = json!({
        "type": "RsaSignature2018", "created": "2025-11-20T10:00:00Z",
        "proofPurpose": "assertionMethod", "verificationMethod": METHOD,
        "jws": format!("{protected}..{}", crate::envelope::to_base64url(&signature)),
    });
    whole
}

fn hashes(document: &Value) -> Vec<u8> {
    let options = json!({
        "@context": SECURITY_V2, "type": "RsaSignature2018", "created": "2025-11-20T10:00:00Z",
        "proofPurpose": "assertionMethod", "verificationMethod": METHOD,
    });
    [&options, document]
        .map(|one| {
            sha256(
                canonical_n_quads(one.to_string().as_bytes(), &contexts())
                    .unwrap()
                    .as_bytes(),
            )
        })
        .concat()
}

fn issued(document: &Value) -> Value {
    sign(document, HEADER, &hashes(document), &MOSIP)
}

fn verify(credential: &Value) -> Result<Verified, CredentialError> {
    verifier(Recipe::Mosip).verify(credential.to_string().as_bytes(), now())
}

fn refused(credential: &Value) -> &'static str {
    verify(credential).expect_err("it was believed").reason()
}

#[test]
fn the_proof_options_are_mosips_four_statements() {
    let options = json!({
        "@context": SECURITY_V2, "type": "RsaSignature2018", "created": "2025-11-20T10:00:00Z",
        "proofPurpose": "assertionMethod", "verificationMethod": METHOD,
    });
    let quads = canonical_n_quads(options.to_string().as_bytes(), &contexts()).unwrap();
    assert_eq!(
        quads,
        format!(
            "_:c14n0 <http://purl.org/dc/terms/created> \"2025-11-20T10:00:00Z\"^^<http://www.w3.org/2001/XMLSchema#dateTime> .\n\
             _:c14n0 <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://w3id.org/security#RsaSignature2018> .\n\
             _:c14n0 <https://w3id.org/security#proofPurpose> <https://w3id.org/security#assertionMethod> .\n\
             _:c14n0 <https://w3id.org/security#verificationMethod> <{METHOD}> .\n"
        )
    );
}

#[test]
fn a_credential_is_believed_and_what_no_context_defines_is_not() {
    let read = verify(&issued(&document())).unwrap();
    assert_eq!(read.subject("VID"), Some("1234567890"));
    assert_eq!(read.subject("vcVer"), Some("VC-V1"));
    assert_eq!(read.subject_segment(), Some("1234567890"));
    // Not in MOSIP's context, so anybody could have written it.
    assert_eq!(read.subject("birthCertificateNumber"), None);
    assert_eq!(
        read.unproven_subject("birthCertificateNumber"),
        Some("B-17")
    );
    // ODRL, which MOSIP's context leans on, defines `language`.
    assert_eq!(
        read.proven()["credentialSubject"]["fullName"],
        document()["credentialSubject"]["fullName"]
    );
    assert_eq!(
        read.unproven(),
        json!({
            "credentialSubject": {"birthCertificateNumber": "B-17"},
            "type": ["MOSIPVerifiableCredential"],
        })
        .as_object()
        .unwrap()
    );
}

#[test]
fn what_is_proven_does_not_depend_on_the_order_in_which_members_stand() {
    let credential = issued(&document());
    let members: Vec<(String, Value)> = (credential.as_object().unwrap().iter())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut sides = Vec::new();
    for turned in 0..members.len() {
        let texts: Vec<String> = (members.iter().cycle().skip(turned).take(members.len()))
            .map(|(name, value)| format!("{}:{value}", json!(name)))
            .collect();
        let text = format!("{{{}}}", texts.join(","));
        let read = verifier(Recipe::Mosip)
            .verify(text.as_bytes(), now())
            .unwrap();
        sides.push((read.proven().clone(), read.unproven().clone()));
    }
    assert!(sides.iter().all(|side| *side == sides[0]));
    assert_eq!(sides[0].1["type"], json!(["MOSIPVerifiableCredential"]));
}

#[test]
fn an_unproven_member_may_be_changed_by_anybody_and_stays_unproven() {
    let mut credential = issued(&document());
    credential["credentialSubject"]["birthCertificateNumber"] = "B-18".into();
    credential["credentialSubject"]["role"] = "admin".into();
    let read = verify(&credential).unwrap();
    assert_eq!(read.subject("birthCertificateNumber"), None);
    assert_eq!(read.subject("role"), None);
    assert_eq!(read.unproven_subject("role"), Some("admin"));
}

#[test]
fn a_proven_member_that_was_changed_taken_added_or_moved_is_refused() {
    type Change = fn(&mut Value);
    let changes: [Change; 12] = [
        |c| c["credentialSubject"]["VID"] = "1234567891".into(),
        |c| c["credentialSubject"]["id"] = "http://credential.idrepo/credentials/1".into(),
        |c| c["id"] = "http://credential.idrepo/credentials/1".into(),
        |c| c["issuanceDate"] = "2025-11-20T10:00:00.001Z".into(),
        |c| {
            drop(
                c["credentialSubject"]
                    .as_object_mut()
                    .unwrap()
                    .remove("VID"),
            )
        },
        |c| c["credentialSubject"]["UIN"] = "1".into(),
        |c| c["credentialSubject"]["fullName"][0]["value"] = "Eve".into(),
        |c| {
            let vid = c["credentialSubject"]
                .as_object_mut()
                .unwrap()
                .remove("VID")
                .unwrap();
            c["VID"] = vid;
        },
        |c| {
            let vid = c["credentialSubject"]
                .as_object_mut()
                .unwrap()
                .remove("VID")
                .unwrap();
            c["credentialSubject"]["UIN"] = vid;
        },
        |c| c["credentialSubject"]["VID"] = json!(1_234_567_890),
        |c| c["proof"]["created"] = "2025-11-20T10:00:01Z".into(),
        |c| c["type"] = json!(["VerifiableCredential", "VerifiablePresentation"]),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut credential = issued(&document());
        change(&mut credential);
        assert_eq!(refused(&credential), "credential-signature", "{n}");
    }
}

#[test]
fn a_context_that_would_give_signed_values_other_names_is_refused() {
    let swap =
        json!({"VID": "https://mosip.example/mosip#UIN", "UIN": "https://mosip.example/mosip#VID"});
    let sec = json!({"sec": "https://w3id.org/security#"});
    let url = context_url(HOST);
    for contexts in [
        json!([CREDENTIALS_V1, url, swap]),
        json!([CREDENTIALS_V1, url, sec, swap]),
        json!([CREDENTIALS_V1, url, {"sec": "https://w3id.org/security#", "VID": "x:y"}]),
        json!([CREDENTIALS_V1, swap, url]),
        json!([url, CREDENTIALS_V1]),
        json!([CREDENTIALS_V1, url, SECURITY_V2]),
        json!([CREDENTIALS_V1, "https://elsewhere.example/c.json", sec]),
        json!([CREDENTIALS_V1]),
        json!(CREDENTIALS_V1),
        json!([]),
        Value::Null,
    ] {
        let mut credential = issued(&document());
        credential["@context"] = contexts.clone();
        assert_eq!(refused(&credential), "credential-context", "{contexts}");
    }
    let mut inner = issued(&document());
    inner["credentialSubject"]["@context"] = swap;
    assert_eq!(refused(&inner), "credential-form");
}

#[test]
fn contexts_that_are_not_pinned_are_not_loaded() {
    let read = canonical_n_quads(
        br#"{"@context":"https://elsewhere.example/c","a":1}"#,
        &contexts(),
    );
    assert_eq!(read, Err(RdfError::JsonLd));
}

#[test]
fn another_key_and_another_pin_are_refused() {
    let document = document();
    assert_eq!(
        refused(&sign(&document, HEADER, &hashes(&document), &STRANGER)),
        "credential-signature"
    );
    // The stranger's pin is for its own issuer.
    let mut theirs = document.clone();
    theirs["issuer"] = "https://other.example/c.json".into();
    let signed = sign(&theirs, HEADER, &hashes(&theirs), &STRANGER);
    assert!(verify(&signed).is_ok());
    assert_eq!(
        refused(&sign(&theirs, HEADER, &hashes(&theirs), &MOSIP)),
        "credential-signature"
    );
    let mut unknown = issued(&document);
    unknown["issuer"] = "https://unknown.example/c.json".into();
    assert_eq!(refused(&unknown), "credential-issuer");
    let mut method = issued(&document);
    method["proof"]["verificationMethod"] = "https://mosip.example/.well-known/other.json".into();
    assert_eq!(refused(&method), "credential-issuer");
}

#[test]
fn the_header_of_the_signature_is_exactly_mosips() {
    let document = document();
    for (header, reason) in [
        (r#"{"b64":false,"crit":["b64"],"alg":"PS256"}"#, None),
        (
            r#"{"b64":false,"crit":["b64"],"alg":"RS256"}"#,
            Some("credential-algorithm"),
        ),
        (
            r#"{"b64":false,"crit":["b64"],"alg":"none"}"#,
            Some("credential-algorithm"),
        ),
        (
            r#"{"b64":false,"crit":["b64"],"alg":"HS256"}"#,
            Some("credential-algorithm"),
        ),
        (
            r#"{"b64":false,"alg":"PS256"}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"crit":["b64"],"alg":"PS256"}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"b64":true,"crit":["b64"],"alg":"PS256"}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"b64":false,"crit":["b64","x"],"alg":"PS256"}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"b64":false,"crit":[],"alg":"PS256"}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"b64":false,"crit":["b64"]}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"b64":false,"crit":["b64"],"alg":"PS256","jwk":{}}"#,
            Some("credential-proof-form"),
        ),
        (
            r#"{"b64":false,"crit":["b64"],"alg":"RS256","alg":"PS256"}"#,
            Some("credential-proof-form"),
        ),
    ] {
        let read = verify(&sign(&document, header, &hashes(&document), &MOSIP));
        assert_eq!(read.err().map(|e| e.reason()), reason, "{header}");
    }
}

#[test]
fn an_attached_payload_a_missing_part_and_a_padded_one_are_refused() {
    let credential = issued(&document());
    let jws = credential["proof"]["jws"].as_str().unwrap().to_owned();
    for bad in [
        jws.replace("..", ".e30."),
        jws.replace("..", "."),
        format!("{jws}."),
        format!("{jws}="),
        format!("{jws} "),
        jws.split("..").next().unwrap().to_owned() + "..",
        String::new(),
    ] {
        let mut altered = credential.clone();
        altered["proof"]["jws"] = bad.clone().into();
        let reason = refused(&altered);
        assert!(
            ["credential-proof-form", "credential-signature"].contains(&reason),
            "{bad} {reason}"
        );
    }
}

#[test]
fn a_proof_of_another_kind_is_refused() {
    for (member, value) in [
        ("type", json!("Ed25519Signature2018")),
        ("type", json!(["RsaSignature2018"])),
        ("proofPurpose", json!("authentication")),
        ("domain", json!("x")),
        ("jws", json!(null)),
    ] {
        let mut credential = issued(&document());
        credential["proof"][member] = value;
        assert_eq!(refused(&credential), "credential-proof-form", "{member}");
    }
    let mut several = issued(&document());
    several["proof"] = json!([several["proof"].clone()]);
    assert_eq!(refused(&several), "credential-proof-form");
    assert_eq!(refused(&document()), "credential-proof-form");
}

#[test]
fn json_with_two_readings_is_refused() {
    let text = issued(&document()).to_string();
    for twice in [
        text.replacen("\"VID\":", "\"VID\":\"1\",\"VID\":", 1),
        text.replacen(
            "\"issuer\":",
            "\"issuer\":\"https://x.example/\",\"issuer\":",
            1,
        ),
        format!("{text}{{}}"),
    ] {
        let error = verifier(Recipe::Mosip)
            .verify(twice.as_bytes(), now())
            .unwrap_err();
        assert_eq!(error.reason(), "credential-json");
    }
}

#[test]
fn what_canonical_forms_disagree_about_is_refused() {
    for value in [
        json!(1.5),
        json!(1e30),
        json!(9_007_199_254_740_993_u64),
        json!("a\u{7}b"),
        json!("a\tb"),
    ] {
        let mut document = document();
        document["credentialSubject"]["VID"] = value.clone();
        assert_eq!(
            refused(&sign(&document, HEADER, &[0; 64], &MOSIP)),
            "credential-form",
            "{value}"
        );
    }
}

#[test]
fn size_depth_values_and_unnamed_nodes_are_bounded() {
    let with = |value: Value| {
        let mut document = document();
        document["credentialSubject"]["VID"] = value;
        refused(&sign(&document, HEADER, &[0; 64], &MOSIP))
    };
    assert_eq!(with(json!("x".repeat(CREDENTIAL_MAX))), "credential-json");
    assert_eq!(with(json!(vec!["x"; 1001])), "credential-form");
    assert_eq!(
        with((0..20).fold(json!(1), |inner, _| json!([inner]))),
        "credential-form"
    );
    // A ring of unnamed nodes, each linked to all others: canonicalising it would take for ever.
    let poison: Vec<Value> = (0..20)
        .map(|a| json!({"id": format!("_:n{a}"), "VID": (0..20).map(|b| json!({"id": format!("_:n{b}")})).collect::<Vec<_>>()}))
        .collect();
    assert_eq!(with(json!(poison)), "credential-rdf");
}

#[test]
fn dates_are_looked_at() {
    let dated = |member: &str, value: &str| {
        let mut document = document();
        document[member] = value.into();
        refused(&issued(&document))
    };
    assert_eq!(
        dated("issuanceDate", "2025-12-20T10:00:00.000Z"),
        "credential-time"
    );
    assert_eq!(dated("issuanceDate", "yesterday"), "credential-form");
    assert_eq!(
        dated("expirationDate", "2025-11-21T00:00:00Z"),
        "credential-time"
    );
    let mut good = document();
    good["expirationDate"] = "2035-11-21T00:00:00Z".into();
    assert!(verify(&issued(&good)).is_ok());
}

#[test]
fn the_mocks_form_is_taken_only_where_it_is_pinned() {
    let document = document();
    let text = jcs::canonical(document.as_object().unwrap());
    let mock = sign(&document, HEADER, &text, &MOSIP);
    assert_eq!(refused(&mock), "credential-signature");
    let insecure = verifier(Recipe::InsecureJcs);
    let read = insecure.verify(mock.to_string().as_bytes(), now()).unwrap();
    assert_eq!(read.recipe(), Recipe::InsecureJcs);
    assert_eq!(read.subject("birthCertificateNumber"), Some("B-17"));
    // A real one is not the mock's, and every byte of the mock's is under its signature.
    let real = issued(&document).to_string();
    assert!(insecure.verify(real.as_bytes(), now()).is_err());
    let mut altered = mock;
    altered["credentialSubject"]["birthCertificateNumber"] = "B-18".into();
    assert!(
        insecure
            .verify(altered.to_string().as_bytes(), now())
            .is_err()
    );
}

#[test]
fn nothing_personal_is_in_debug_or_errors() {
    let read = verify(&issued(&document())).unwrap();
    assert!(!format!("{read:?}").contains("1234567890"));
}
