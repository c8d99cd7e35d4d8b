//! A MOSIP that issues: credentials with its proof, sealed to the partner, in an event.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use triseal::{
    config::Algorithm,
    credential::{CREDENTIALS_V1, Contexts, SECURITY_V2, canonical_n_quads, context_url},
    envelope::{
        keymanager::{self, Binding, Layout},
        mosip_ida::Recipient,
    },
    keys::{SigningKey, WrappingKey},
    trust::Certificate,
};

pub const HOST: &str = "mosip.example";
pub const ISSUER: &str = "https://mosip.example/.well-known/controller.json";
pub const METHOD: &str = "https://mosip.example/.well-known/public-key.json";
pub const TOPIC: &str = "crvs/CREDENTIAL_ISSUED";

pub struct Issuer {
    key: SigningKey,
    /// Its public key in PEM.
    pub pem: String,
}

impl Issuer {
    pub fn new() -> Self {
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
        let text = STANDARD.encode(spki);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        Self {
            key: SigningKey::from_pkcs8_der(made.serialized_der()).unwrap(),
            pem: format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                lines.join("\n")
            ),
        }
    }

    /// A birth's credential with its proof.
    pub fn credential(&self, registration: &str) -> Value {
        let members = json!({"VID": "1234567890", "birthCertificateNumber": "B-17"});
        self.credential_of(registration, &members)
    }

    /// A credential with these members of the subject.
    pub fn credential_of(&self, registration: &str, members: &Value) -> Value {
        let mut contexts = Contexts::built_in();
        contexts.pin_mosip(&context_url(HOST)).unwrap();
        let mut document = json!({
            "@context": [CREDENTIALS_V1, context_url(HOST), {"sec": "https://w3id.org/security#"}],
            "type": ["VerifiableCredential", "MOSIPVerifiableCredential"],
            "id": format!("http://credential.idrepo/credentials/c-{registration}"),
            "issuer": ISSUER,
            "issuanceDate": "2025-11-20T10:00:00.000Z",
            "credentialSubject": {
                "id": format!("http://credential.idrepo/credentials/{registration}"),
                "vcVer": "VC-V1",
            },
        });
        let subject = document["credentialSubject"].as_object_mut().unwrap();
        subject.extend(members.as_object().unwrap().clone());
        let mut proof = json!({
            "@context": SECURITY_V2, "type": "RsaSignature2018", "created": "2025-11-20T10:00:00Z",
            "proofPurpose": "assertionMethod", "verificationMethod": METHOD,
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"b64":false,"crit":["b64"],"alg":"PS256"}"#);
        let hash = |document: &Value| {
            let quads = canonical_n_quads(document.to_string().as_bytes(), &contexts).unwrap();
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, quads.as_bytes())
                .as_ref()
                .to_vec()
        };
        let signed = [header.as_bytes(), b".", &hash(&proof), &hash(&document)].concat();
        let signature = self.key.sign(Algorithm::PS256, &signed).unwrap();
        proof.as_object_mut().unwrap().remove("@context");
        proof["jws"] = format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature)).into();
        document["proof"] = proof;
        document
    }
}

/// Seals a credential to a certificate.
pub fn sealed(credential: &Value, certificate: Vec<u8>) -> String {
    let certificate = Certificate::from_der(certificate).unwrap();
    let recipient = Recipient {
        fingerprint: certificate.fingerprint(),
        wrapping: &WrappingKey::new(certificate.key()).unwrap(),
    };
    let bytes = keymanager::seal(
        credential.to_string().as_bytes(),
        &recipient,
        Layout::R2,
        Binding::default(),
    );
    keymanager::encode(&bytes.unwrap())
}

/// The event around it.
pub fn event(id: &str, transaction: &str, registration: &str, credential: &str) -> Vec<u8> {
    json!({
        "publisher": "CREDENTIAL_SERVICE", "topic": TOPIC, "publishedOn": "2025-11-20T10:00:01.000Z",
        "event": {
            "id": id, "transactionId": transaction, "type": {"namespace": "mosip", "name": "mosip"},
            "timestamp": "2025-11-20T10:00:01.000Z", "dataShareUri": null,
            "data": {
                "registrationId": registration, "credentialType": "vercred", "protectionKey": "123456",
                "credential": credential, "proof": {"signature": "unused"},
            },
        },
    })
    .to_string()
    .into_bytes()
}
