//! A sealed message in the making, of which every part can be spoilt, and the checking of one that came.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use triseal::{
    clock::Clock,
    config::Algorithm,
    envelope::jose::{AnswerSignature, SealedBody, seal, signature_digest},
    keys::{ContentUnwrapKey, ContentWrapKey, SigningKey, VerifyingKey},
    pki::Key,
    trust::Certificate,
};

use crate::harness::{Answer, Site, TlsClient, curl, der};

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub fn certificate(pem: &Path) -> Certificate {
    Certificate::from_der(der(pem)).unwrap()
}

fn pkcs8(dir: &Path, role: &str) -> Vec<u8> {
    let pem = std::fs::read(dir.join(format!("{role}.key.pem"))).unwrap();
    Key::from_pem(&pem).unwrap().expose_pkcs8_der().to_vec()
}

/// A body sealed to the certificate of a PEM file.
pub fn sealed(plain: &[u8], media_type: &str, to: &Path) -> Vec<u8> {
    let certificate = certificate(to);
    let key = ContentWrapKey::new(certificate.key()).unwrap();
    seal(plain, media_type, certificate.fingerprint(), &key)
        .unwrap()
        .to_vec()
}

/// The content and the media type of a body that is sealed to `DIR/encryption.pem`.
pub fn opened(body: &[u8], dir: &Path) -> (Vec<u8>, String) {
    let sealed = SealedBody::parse(Bytes::copy_from_slice(body)).unwrap();
    let certificate = certificate(&dir.join("encryption.pem"));
    assert_eq!(sealed.recipient(), certificate.fingerprint());
    let key = ContentUnwrapKey::from_pkcs8_der(certificate.key().kind(), &pkcs8(dir, "encryption"));
    let plain = sealed.open(&key.unwrap()).unwrap();
    (plain.content.to_vec(), plain.media_type)
}

/// A signature in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    pub header: Map<String, Value>,
    /// The certificate and key that sign: folder and role.
    pub signer: (PathBuf, String),
    pub algorithm: Algorithm,
}

impl Draft {
    fn new(dir: &Path, role: &str, more: [(&str, Value); 2]) -> Self {
        let mut jti = [0; 16];
        aws_lc_rs::rand::fill(&mut jti).unwrap();
        let names: Vec<&str> = more.iter().map(|(name, _)| *name).collect();
        let crit = [&["b64", "iat", "jti"][..], &names].concat();
        let signer = certificate(&dir.join(format!("{role}.pem")));
        let mut header = json!({
            "alg": "RS256",
            "x5t#S256": base64url(signer.fingerprint().as_bytes()),
            "b64": false,
            "iat": Clock::system().now().s(),
            "jti": base64url(&jti),
            "crit": crit,
        });
        let header = header.as_object_mut().unwrap();
        for (name, value) in more {
            header.insert(name.to_owned(), value);
        }
        Self {
            header: header.clone(),
            signer: (dir.to_owned(), role.to_owned()),
            algorithm: Algorithm::RS256,
        }
    }

    /// Of an answer with that status to the request with that signature value.
    pub fn answer(dir: &Path, status: u16, request: &str) -> Self {
        let request = base64url(&signature_digest(Some(request.as_bytes())));
        let more = [("status", json!(status)), ("req", json!(request))];
        Self::new(dir, "signature", more)
    }

    pub fn set(mut self, name: &str, value: Value) -> Self {
        self.header.insert(name.to_owned(), value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// The value of the header over a body.
    pub fn over(&self, body: &[u8]) -> String {
        let header = Value::Object(self.header.clone()).to_string();
        let protected = base64url(header.as_bytes());
        let input = [protected.as_bytes(), b".", body].concat();
        let key = SigningKey::from_pkcs8_der(&pkcs8(&self.signer.0, &self.signer.1)).unwrap();
        let signature = key.sign(self.algorithm, &input).unwrap();
        format!("{protected}..{}", base64url(&signature))
    }
}

/// A request in the making, of partner `crvs` to the MISP's gateway.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub draft: Draft,
    /// In place of the draft's signature.
    pub signature: Option<String>,
}

impl Request {
    /// A good one.
    pub fn post(site: &Site, path: &str, plain: &[u8]) -> Self {
        let body = sealed(
            plain,
            "application/json",
            &site.party("misp").join("encryption.pem"),
        );
        Self::of(site, "POST", path, body)
    }

    /// A good one with an empty body.
    pub fn get(site: &Site, path: &str) -> Self {
        Self::of(site, "GET", path, Vec::new())
    }

    fn of(site: &Site, method: &str, path: &str, body: Vec<u8>) -> Self {
        let uri = format!("https://localhost{path}");
        let more = [("htm", json!(method)), ("htu", json!(uri))];
        let mut headers = Vec::new();
        if !body.is_empty() {
            headers.push(("Content-Type".to_owned(), "application/jose".to_owned()));
        }
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            host: "localhost".to_owned(),
            headers,
            body,
            draft: Draft::new(&site.party("crvs"), "signature", more),
            signature: None,
        }
    }

    pub fn set(mut self, name: &str, value: Value) -> Self {
        self.draft = self.draft.set(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.draft = self.draft.without(name);
        self
    }

    /// The same as another message.
    pub fn again(self) -> Self {
        let mut jti = [0; 16];
        aws_lc_rs::rand::fill(&mut jti).unwrap();
        self.set("jti", json!(base64url(&jti)))
    }

    /// With another body, signed as it is.
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// With one of the five parts of the body replaced, signed as it is.
    pub fn part(self, at: usize, change: impl FnOnce(&str) -> String) -> Self {
        let text = String::from_utf8(self.body.clone()).unwrap();
        let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        parts[at] = change(&parts[at]);
        self.body(parts.join(".").into_bytes())
    }

    /// With another member in the header of the body, signed as it is.
    pub fn body_header(self, name: &str, value: Value) -> Self {
        self.part(0, |part| {
            let mut header: Value = serde_json::from_slice(&decoded(part)).unwrap();
            header[name] = value;
            base64url(header.to_string().as_bytes())
        })
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn signed_by(mut self, dir: &Path, role: &str) -> Self {
        let fingerprint = certificate(&dir.join(format!("{role}.pem"))).fingerprint();
        self.draft.signer = (dir.to_owned(), role.to_owned());
        self.set("x5t#S256", json!(base64url(fingerprint.as_bytes())))
    }

    /// The value of its header `signature`; empty for none.
    pub fn value(&self) -> String {
        (self.signature.clone()).unwrap_or_else(|| self.draft.over(&self.body))
    }

    /// As HTTP/1.1 with that signature value.
    fn http1(&self, value: &str) -> Vec<u8> {
        let mut out = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.path, self.host
        );
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        if !value.is_empty() {
            out.push_str(&format!("signature: {value}\r\n"));
        }
        out.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut out = out.into_bytes();
        out.extend(&self.body);
        out
    }

    /// Sends it over HTTP/1.1: the answer, with the request's signature value.
    #[track_caller]
    pub fn send(&self, client: &mut TlsClient) -> Exchange {
        let value = self.value();
        let answer = client.ask(&self.http1(&value));
        Exchange { value, answer }
    }

    /// Sends it with curl, whose URL has the port.
    #[track_caller]
    pub fn curl(&self, site: &Site, version: &str) -> Exchange {
        let uri = format!("https://localhost:{}{}", site.partner_face(), self.path);
        let mut request = self.clone();
        if self.draft.header.get("htu") == Some(&json!(format!("https://localhost{}", self.path))) {
            request = request.set("htu", json!(uri));
        }
        let value = request.value();
        let mut call = curl(site, version, &self.path);
        if !value.is_empty() {
            call = call.header(&format!("signature: {value}"));
        }
        for (name, value) in &self.headers {
            call = call.header(&format!("{name}: {value}"));
        }
        if !self.body.is_empty() {
            call = call.body(&self.body);
        }
        let got = call.arg("-X").arg(&self.method).go();
        assert_eq!(
            (got.exit, got.version.as_str()),
            (0, version),
            "{}",
            got.said
        );
        let answer = got.answer;
        Exchange { value, answer }
    }
}

/// A request's signature value with the answer to it.
#[derive(Debug)]
pub struct Exchange {
    pub value: String,
    pub answer: Answer,
}

impl Exchange {
    /// The plain answer, after its signature and binding were checked, as partner `crvs` would.
    #[track_caller]
    pub fn open(&self, site: &Site) -> (u16, Vec<u8>, String) {
        let answer = &self.answer;
        let header = answer
            .header("response-signature")
            .unwrap_or_else(|| panic!("not signed: {} {}", answer.code(), answer.text()));
        let signature = AnswerSignature::parse(header).unwrap();
        let signer = certificate(&site.party("misp").join("signature.pem"));
        assert_eq!(signature.signer(), signer.fingerprint());
        let key = VerifyingKey::new(signer.key(), Algorithm::RS256).unwrap();
        signature.verify(&key, &answer.body).unwrap();
        assert_eq!(signature.status(), answer.status);
        assert!(signature.answers(&signature_digest(Some(self.value.as_bytes()))));
        if answer.body.is_empty() {
            assert_eq!(answer.header("content-type"), None);
            return (answer.status, Vec::new(), String::new());
        }
        assert_eq!(answer.header("content-type"), Some("application/jose"));
        let (plain, media_type) = opened(&answer.body, &site.party("crvs"));
        (answer.status, plain, media_type)
    }

    /// The plain answer as JSON.
    #[track_caller]
    pub fn json(&self, site: &Site) -> Value {
        serde_json::from_slice(&self.open(site).1).unwrap()
    }

    /// The code of a refusal, which must be sealed and signed like any answer and say the code inside as well.
    #[track_caller]
    pub fn refused(&self, site: &Site) -> String {
        let (status, plain, media_type) = self.open(site);
        assert!(
            status >= 400,
            "{status} {}",
            String::from_utf8_lossy(&plain)
        );
        assert_eq!(media_type, "application/json");
        let said: Value = serde_json::from_slice(&plain).unwrap();
        let code = self.answer.code();
        assert_eq!(said["code"], code.as_str());
        assert_eq!(said["correlationId"], self.answer.correlation_id());
        code
    }
}
