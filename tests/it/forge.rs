//! Messages that no honest client makes: a JWS with any header, any key and any signature, and answers taken apart with
//! keys of the tests' own choosing. Straight from the primitives; none of the gateway's envelope code is used.

use std::path::Path;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
        UnparsedPublicKey,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::harness::{Answer, Site, Wire, der};

/// An RSA key with its certificate.
#[derive(Debug)]
pub struct Forger {
    pair: RsaKeyPair,
    /// The certificate's DER.
    pub leaf: Vec<u8>,
}

/// How to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// RSASSA-PKCS1-v1_5.
    Pkcs1,
    /// RSASSA-PSS.
    Pss,
    /// HMAC with the public key as its key, the classic.
    PublicKeyHmac,
    /// Not at all.
    Nothing,
}

impl Forger {
    /// With `DIR/ROLE.pem` and `DIR/ROLE.key.pem`.
    pub fn load(dir: &Path, role: &str) -> Self {
        let key = PrivateKeyDer::from_pem_file(dir.join(format!("{role}.key.pem"))).unwrap();
        Self {
            pair: RsaKeyPair::from_pkcs8(key.secret_der()).unwrap(),
            leaf: der(&dir.join(format!("{role}.pem"))),
        }
    }

    /// The header that keymanager writes.
    pub fn header(&self) -> Value {
        json!({"alg": "RS256", "x5c": [STANDARD.encode(&self.leaf)]})
    }

    /// A detached JWS with this protected header.
    pub fn jws(&self, header: &Value, body: &[u8]) -> String {
        self.jws_of_text(&header.to_string(), body, How::Pkcs1)
    }

    /// The same with the exact text of the header.
    pub fn jws_of_text(&self, header: &str, body: &[u8], how: How) -> String {
        let protected = URL_SAFE_NO_PAD.encode(header);
        let signature = self.sign(
            format!("{protected}.{}", URL_SAFE_NO_PAD.encode(body)).as_bytes(),
            how,
        );
        format!("{protected}..{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A bare signature.
    pub fn sign(&self, message: &[u8], how: How) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        match how {
            How::Pkcs1 => self
                .pair
                .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                .unwrap(),
            How::Pss => self
                .pair
                .sign(&RSA_PSS_SHA256, &random, message, &mut signature)
                .unwrap(),
            How::PublicKeyHmac => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
                return hmac::sign(&key, message).as_ref().to_vec();
            }
            How::Nothing => return Vec::new(),
        }
        signature
    }
}

/// Holds an answer's `response-signature` against the signature certificate of a party: over the exact bytes, RS256.
#[track_caller]
pub fn assert_signed(answer: &Answer, party: &Path) {
    let header = answer
        .header("response-signature")
        .expect("the answer is not signed");
    let parts: Vec<&str> = header.split('.').collect();
    assert_eq!((parts.len(), parts[1]), (3, ""), "detached");
    let protected: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    let leaf = der(&party.join("signature.pem"));
    assert_eq!(protected["alg"], "RS256");
    assert_eq!(protected["x5c"][0], STANDARD.encode(&leaf));
    let (_, certificate) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let key = certificate.public_key().subject_public_key.data.clone();
    let input = format!("{}.{}", parts[0], URL_SAFE_NO_PAD.encode(&answer.body));
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(input.as_bytes(), &URL_SAFE_NO_PAD.decode(parts[2]).unwrap())
        .expect("the answer's signature does not fit its bytes");
}

/// What a refusal must be in MOSIP's words: HTTP 200, our code in the header, MOSIP's codes in order, no yes, signed.
#[track_caller]
pub fn assert_refused(site: &Site, answer: &Answer, code: &str, mosip: &[&str]) {
    assert_eq!(answer.code(), code, "{}", answer.text());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.mosip_codes(), mosip, "{}", answer.text());
    assert!(!answer.says_yes());
    assert_eq!(answer.json()["version"], "1.0");
    assert!(!answer.correlation_id().is_empty());
    assert_signed(answer, &site.party("misp"));
}

/// The transaction of a request.
pub fn transaction(wire: &Wire) -> String {
    let body: Value = serde_json::from_slice(&wire.body).unwrap();
    body["transactionID"].as_str().unwrap().to_owned()
}

/// The PEM text of a certificate, as the published clients write it: lines of 64.
pub fn pem(leaf: &[u8], line_end: &str) -> String {
    let text = STANDARD.encode(leaf);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|l| std::str::from_utf8(l).unwrap())
        .collect();
    let body = lines.join(line_end);
    format!(
        "-----BEGIN CERTIFICATE-----{line_end}{body}{line_end}-----END CERTIFICATE-----{line_end}"
    )
}

/// `x5c` as mosip-auth-sdk writes it: base64 of PEM with LF, in lines of 76, each ended.
pub fn sdk_x5c(leaf: &[u8]) -> String {
    STANDARD
        .encode(pem(leaf, "\n"))
        .as_bytes()
        .chunks(76)
        .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
        .collect()
}

/// `x5c` as the OpenCRVS SDK writes it: base64url of PEM with CRLF, without padding.
pub fn opencrvs_x5c(leaf: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(pem(leaf, "\r\n"))
}
