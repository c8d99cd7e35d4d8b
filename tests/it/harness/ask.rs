//! IDA requests as a partner makes them: every part can be altered before it is sealed, signed or sent.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aes_gcm::{AesGcm, KeyInit, aead::Aead, aead::consts::U16, aes::Aes256};
use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Map, Value, json};
use triseal::{
    clock::{Clock, Moment},
    config::Algorithm,
    envelope::{DetachedSigner, time},
    keys::{SigningKey, WrappingKey},
    pki::Key,
    trust::Certificate,
};

use super::{Site, World};

/// The UIN of the sandbox's Ada Example.
pub const ADA: &str = "2753114735";

/// Somebody who signs.
#[derive(Clone, Debug)]
pub struct Signer(DetachedSigner);

impl Signer {
    /// With `DIR/ROLE.pem` and its key, RS256 (or ES256 where the key is a P-256 one).
    pub fn load(dir: &Path, role: &str) -> Self {
        let certificate = CertificateDer::from_pem_file(dir.join(format!("{role}.pem")))
            .unwrap()
            .to_vec();
        let pem = fs::read(dir.join(format!("{role}.key.pem"))).unwrap();
        let key = Key::from_pem(&pem).unwrap();
        let algorithm = if key.algorithm().as_str() == "p256" {
            Algorithm::ES256
        } else {
            Algorithm::RS256
        };
        let key = Arc::new(SigningKey::from_pkcs8_der(key.expose_pkcs8_der()).unwrap());
        Self(DetachedSigner::new(key, algorithm, &certificate))
    }

    /// The value of the header `signature`.
    pub fn sign(&self, body: &[u8]) -> String {
        self.0.sign(body).unwrap()
    }
}

/// A request before it is sealed and signed.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The word in the path, with `/delegated` where that belongs to it.
    pub word: String,
    /// The partner id in the path.
    pub partner: String,
    /// The licence key in the path.
    pub licence: String,
    /// The API key in the path.
    pub api_key: String,
    /// The outer members, without the sealed ones.
    pub members: Map<String, Value>,
    /// The inner block; none where the operation has none.
    pub inner: Option<Value>,
    /// The text to encrypt in place of the inner block.
    pub inner_text: Option<Vec<u8>>,
    /// The digest to encrypt in place of the right one.
    pub digest: Option<String>,
    /// Pads the base64url members as `mosip-auth-sdk` does.
    pub padded: bool,
    /// To whom it is encrypted: the certificate's DER.
    pub recipient: Vec<u8>,
    /// The certificate that the thumbprint names, when it is another one than the recipient's.
    pub thumbprint_of: Option<Vec<u8>>,
    /// Who signs.
    pub signer: Signer,
    /// Header fields besides `signature`.
    pub headers: Vec<(String, String)>,
}

/// A request as it travels.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The path.
    pub path: String,
    /// The header fields, without `Host` and length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Ask {
    /// An authentication of Ada by name, as partner `crvs`, sealed to the MISP's gateway of a site. It is answered yes.
    pub fn auth(site: &Site) -> Self {
        let now = Clock::system().now();
        let party = site.party("crvs");
        let members = json!({
            "id": "mosip.identity.auth",
            "version": "1.0",
            "specVersion": "1.0",
            "individualId": ADA,
            "individualIdType": "UIN",
            "transactionID": new_transaction(),
            "requestTime": time::format(now),
            "env": "Staging",
            "domainUri": "https://localhost",
            "requestedAuth": {"demo": true, "pin": false, "otp": false, "bio": false},
            "consentObtained": true,
        });
        Self {
            word: "auth".to_owned(),
            partner: "crvs".to_owned(),
            licence: World::shared().licence().to_owned(),
            api_key: World::shared().api_key().to_owned(),
            members: members.as_object().unwrap().clone(),
            inner: Some(json!({
                "timestamp": time::format(now),
                "demographics": {"name": [{"language": "eng", "value": "Ada Example"}]},
                "biometrics": [],
                "otp": "",
            })),
            inner_text: None,
            digest: None,
            padded: false,
            recipient: der(&site.party("misp").join("encryption.pem")),
            thumbprint_of: None,
            signer: Signer::load(&party, "signature"),
            headers: vec![
                ("Content-Type".to_owned(), "application/json".to_owned()),
                ("Authorization".to_owned(), "Authorization".to_owned()),
            ],
        }
    }

    /// The same as an eKYC request.
    pub fn kyc(mut self) -> Self {
        "kyc".clone_into(&mut self.word);
        self.set("id", "mosip.identity.kyc".into())
    }

    /// The same as a request for an OTP by e-mail.
    pub fn otp(mut self) -> Self {
        "otp".clone_into(&mut self.word);
        self.inner = None;
        for gone in ["requestedAuth", "consentObtained", "specVersion"] {
            self.members.remove(gone);
        }
        self.set("id", "mosip.identity.otp".into())
            .set("otpChannel", json!(["email"]))
    }

    /// With another outer member.
    pub fn set(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Without an outer member.
    pub fn without(mut self, name: &str) -> Self {
        self.members.remove(name);
        self
    }

    /// With another member of the inner block.
    pub fn set_inner(mut self, name: &str, value: Value) -> Self {
        self.inner.as_mut().unwrap()[name] = value;
        self
    }

    /// Outer and inner time this many milliseconds from now.
    pub fn at_offset_ms(mut self, ms: i64) -> Self {
        let at = time::format(now().plus_ms(ms));
        if self.inner.is_some() {
            self = self.set_inner("timestamp", at.as_str().into());
        }
        self.set("requestTime", at.into())
    }

    /// Signed by another.
    pub fn signed_by(mut self, dir: &Path, role: &str) -> Self {
        self.signer = Signer::load(dir, role);
        self
    }

    /// Encrypted to another certificate (PEM).
    pub fn sealed_to(mut self, pem: &Path) -> Self {
        self.recipient = der(pem);
        self
    }

    /// With one more header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a header field.
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// With a new transaction id and the time of now: another message.
    pub fn again(&self) -> Self {
        self.clone()
            .at_offset_ms(0)
            .set("transactionID", new_transaction().into())
    }

    /// Sealed and signed.
    pub fn wire(&self) -> Wire {
        let body = self.body();
        self.wire_with(body)
    }

    /// Signed, with a body made elsewhere.
    pub fn wire_with(&self, body: Vec<u8>) -> Wire {
        let mut headers = self.headers.clone();
        headers.push(("signature".to_owned(), self.signer.sign(&body)));
        Wire {
            path: self.path(),
            headers,
            body,
        }
    }

    /// The path.
    pub fn path(&self) -> String {
        format!(
            "/idauthentication/v1/{}/{}/{}/{}",
            self.word, self.licence, self.partner, self.api_key
        )
    }

    /// The sealed body.
    pub fn body(&self) -> Vec<u8> {
        let mut members = self.members.clone();
        if let Some(inner) = &self.inner {
            let plain = self
                .inner_text
                .clone()
                .unwrap_or_else(|| inner.to_string().into_bytes());
            for (name, value) in self.seal(&plain) {
                members.entry(name).or_insert_with(|| value.into());
            }
        }
        Value::Object(members).to_string().into_bytes()
    }

    fn seal(&self, plain: &[u8]) -> [(&'static str, String); 4] {
        let certificate = Certificate::from_der(self.recipient.clone()).unwrap();
        let wrapping = WrappingKey::new(certificate.key()).unwrap();
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).unwrap();
        let digest = self.digest.clone().unwrap_or_else(|| hex(&sha256(plain)));
        let thumbprint = sha256(self.thumbprint_of.as_ref().unwrap_or(&self.recipient));
        [
            ("request", self.text(&encrypt(&key, plain))),
            ("requestHMAC", self.text(&encrypt(&key, digest.as_bytes()))),
            (
                "requestSessionKey",
                self.text(&wrapping.wrap(&key).unwrap()),
            ),
            ("thumbprint", self.text(&thumbprint)),
        ]
    }

    fn text(&self, bytes: &[u8]) -> String {
        if self.padded {
            URL_SAFE.encode(bytes)
        } else {
            URL_SAFE_NO_PAD.encode(bytes)
        }
    }
}

impl Wire {
    /// As HTTP/1.1.
    pub fn http1(&self) -> Vec<u8> {
        let mut out = format!("POST {} HTTP/1.1\r\nHost: localhost\r\n", self.path);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut out = out.into_bytes();
        out.extend(&self.body);
        out
    }

    /// With another value of a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a header field.
    pub fn header_value(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .unwrap()
    }
}

/// `ciphertext ‖ tag ‖ nonce`, MOSIP's layout with its nonce of 16 bytes.
fn encrypt(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce).unwrap();
    let cipher = AesGcm::<Aes256, U16>::new(key.into());
    let mut out = cipher.encrypt(&nonce.into(), plain).unwrap();
    out.extend(nonce);
    out
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
        .as_ref()
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// The first certificate of a PEM file.
pub fn der(pem: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(pem).unwrap().to_vec()
}

/// Now.
pub fn now() -> Moment {
    Clock::system().now()
}

/// Ten digits that no other request of this run has.
fn new_transaction() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
