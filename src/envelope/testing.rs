//! Parties with real keys for the tests of this room, and messages in the forms of the published clients.

use crate::ida::Operation;
use std::sync::{Arc, LazyLock};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use bytes::Bytes;

use super::{
    forms::{sha256, upper_hex},
    mosip_ida::Recipient,
};
use crate::{
    clock::Moment,
    config::Algorithm,
    keys::{DecryptionKey, PublicKey, SigningKey, VerifyingKey, WrappingKey},
    trust::Fingerprint,
};

/// Somebody with one RSA-2048 key and its certificate.
pub(super) struct Party {
    pub(super) der: Vec<u8>,
    pub(super) signing: Arc<SigningKey>,
    pub(super) decryption: DecryptionKey,
    pub(super) public: PublicKey,
    wrapping: WrappingKey,
}

pub(super) static PARTNER: LazyLock<Party> = LazyLock::new(|| Party::new("Partner"));
pub(super) static GATEWAY: LazyLock<Party> = LazyLock::new(|| Party::new("Gateway"));
pub(super) static IDA: LazyLock<Party> = LazyLock::new(|| Party::new("IDA"));

pub(super) const TIME: &str = "2025-11-22T13:04:05.123Z";

pub(super) fn time() -> Moment {
    super::time::parse(TIME).unwrap()
}

impl Party {
    fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, name);
        let certificate = params.self_signed(&key).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        Self {
            der: certificate.der().to_vec(),
            signing: Arc::new(SigningKey::from_pkcs8_der(key.serialized_der()).unwrap()),
            decryption: DecryptionKey::from_pkcs8_der(key.serialized_der()).unwrap(),
            wrapping: WrappingKey::new(&PublicKey::from_spki(&spki).unwrap()).unwrap(),
            public: PublicKey::from_spki(&spki).unwrap(),
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    pub(super) fn verifying(&self, algorithm: Algorithm) -> VerifyingKey {
        VerifyingKey::new(&self.public, algorithm).unwrap()
    }

    pub(super) fn recipient(&self) -> Recipient<'_> {
        Recipient {
            fingerprint: self.fingerprint(),
            wrapping: &self.wrapping,
        }
    }

    pub(super) fn keys(&self) -> [(Fingerprint, &DecryptionKey); 1] {
        [(self.fingerprint(), &self.decryption)]
    }
}

/// PEM as written by hand: lines of 64.
pub(super) fn pem(der: &[u8], line_end: &str) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let body = lines.join(line_end);
    format!(
        "-----BEGIN CERTIFICATE-----{line_end}{body}{line_end}-----END CERTIFICATE-----{line_end}"
    )
}

/// `x5c[0]` of mosip-auth-sdk.
pub(super) fn sdk_x5c(der: &[u8]) -> String {
    let text = STANDARD.encode(pem(der, "\n"));
    text.as_bytes()
        .chunks(76)
        .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
        .collect()
}

/// `x5c[0]` of OpenCRVS.
pub(super) fn opencrvs_x5c(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(pem(der, "\r\n"))
}

/// How a request is put together; every field can be spoilt.
pub(super) struct Draft {
    pub(super) plain: Vec<u8>,
    pub(super) digest: Vec<u8>,
    pub(super) wrapped: Vec<u8>,
    pub(super) key: [u8; 32],
    pub(super) thumbprint: Fingerprint,
    pub(super) padded: bool,
}

impl Draft {
    pub(super) fn new(plain: &str, to: &Party) -> Self {
        let key = [0x5a; 32];
        Self {
            plain: plain.as_bytes().to_vec(),
            digest: upper_hex(&sha256(plain.as_bytes())).into_bytes(),
            wrapped: to.recipient().wrapping.wrap(&key).unwrap(),
            key,
            thumbprint: to.fingerprint(),
            padded: false,
        }
    }

    pub(super) fn b64u(&self, bytes: &[u8]) -> String {
        if self.padded {
            URL_SAFE.encode(bytes)
        } else {
            URL_SAFE_NO_PAD.encode(bytes)
        }
    }

    /// `ciphertext ‖ tag ‖ nonce`, by another road than the code under test takes.
    pub(super) fn encrypt(&self, text: &[u8], nonce: u8) -> Vec<u8> {
        use aes_gcm::{AesGcm, KeyInit, aead::Aead, aead::consts::U16, aes::Aes256};
        let nonce = [nonce; 16];
        let cipher = AesGcm::<Aes256, U16>::new(&self.key.into());
        let mut out = cipher.encrypt(&nonce.into(), text).unwrap();
        out.extend_from_slice(&nonce);
        out
    }

    pub(super) fn members(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut members = plain_members("mosip.identity.auth");
        for (name, value) in [
            ("request", self.b64u(&self.encrypt(&self.plain, 1))),
            ("requestHMAC", self.b64u(&self.encrypt(&self.digest, 2))),
            ("requestSessionKey", self.b64u(&self.wrapped)),
            ("thumbprint", self.b64u(self.thumbprint.as_bytes())),
        ] {
            members.insert(name.to_owned(), value.into());
        }
        members
    }

    pub(super) fn body(&self) -> Bytes {
        body(&self.members())
    }
}

pub(super) fn plain_members(id: &str) -> serde_json::Map<String, serde_json::Value> {
    let value = serde_json::json!({
        "id": id,
        "version": "1.0",
        "individualId": "5678901234",
        "individualIdType": "UIN",
        "transactionID": "1234567890",
        "requestTime": TIME,
        "specVersion": "1.0",
        "domainUri": "https://auth.example",
        "env": "Staging",
        "requestedAuth": {"demo": false, "pin": false, "otp": false, "bio": false},
        "consentObtained": true,
        "metadata": {},
    });
    value.as_object().unwrap().clone()
}

pub(super) fn body(members: &serde_json::Map<String, serde_json::Value>) -> Bytes {
    serde_json::to_vec(members).unwrap().into()
}

pub(super) fn inner() -> String {
    format!(
        r#"{{"biometrics":[],"demographics":{{"dob":"1990/01/01","name":[{{"language":"eng","value":"A"}}]}},"otp":"","timestamp":"{TIME}"}}"#
    )
}

/// A stream of numbers that a seed makes again.
pub(super) struct XorShift(pub(super) u64);

impl XorShift {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let n = u64::try_from(n.max(1)).unwrap();
        usize::try_from(self.0.checked_rem(n).unwrap()).unwrap()
    }
}

pub(super) const AUTH: Operation = Operation::Auth;
