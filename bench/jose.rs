//! Sealed exchanges in the envelope `jose`: the partner's side, and the cryptography of one exchange alone.

use std::{
    hint::black_box,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand,
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use triseal::{
    clock::Clock,
    config::Algorithm,
    envelope::{
        DetachedSigner,
        jose::{AnswerSignature, SealedBody, seal, sign_request},
    },
    keys::{ContentUnwrapKey, ContentWrapKey, SigningKey, VerifyingKey},
    trust::Certificate,
};

use crate::{
    crypto::Exchange,
    load::{self, Check, Client, Next},
    peers::Server,
    pki::{self, Pki},
    questions::Bench,
    report::Report,
    sealed::Sealed,
    upstream,
};

const PATH: &str = "/jose/kyc";

/// Both sides' certificates of one kind of key.
struct Names {
    gateway_encryption: &'static str,
    gateway_signature: &'static str,
    partner_encryption: &'static str,
    partner_signature: &'static str,
    algorithm: Algorithm,
}

fn names(exchange: Exchange) -> Names {
    if exchange == Exchange::JoseP256 {
        Names {
            gateway_encryption: pki::GATEWAY_ENCRYPTION_P256,
            gateway_signature: pki::GATEWAY_SIGNATURE_P256,
            partner_encryption: pki::PARTNER_ENCRYPTION_P256,
            partner_signature: pki::PARTNER_SIGNATURE_P256,
            algorithm: Algorithm::ES256,
        }
    } else {
        Names {
            gateway_encryption: pki::GATEWAY_ENCRYPTION,
            gateway_signature: pki::GATEWAY_SIGNATURE,
            partner_encryption: pki::PARTNER_ENCRYPTION,
            partner_signature: pki::PARTNER_SIGNATURE,
            algorithm: Algorithm::RS256,
        }
    }
}

fn certificate(pki: &Pki, name: &str) -> Certificate {
    Certificate::from_der(pki.certificate(name).to_vec()).unwrap()
}

fn unwrap_key(pki: &Pki, name: &str) -> ContentUnwrapKey {
    let kind = certificate(pki, name).key().kind();
    ContentUnwrapKey::from_pkcs8_der(kind, pki.key(name).secret_der()).unwrap()
}

fn wrap_key(pki: &Pki, name: &str) -> ContentWrapKey {
    ContentWrapKey::new(certificate(pki, name).key()).unwrap()
}

fn verifying_key(pki: &Pki, name: &str, algorithm: Algorithm) -> VerifyingKey {
    VerifyingKey::new(certificate(pki, name).key(), algorithm).unwrap()
}

/// About 2 KB of JSON, as a service would send it.
fn plain() -> String {
    let line = "Example Street in an Example Quarter of Example Town, Example Region";
    let several: Vec<String> = (0..13)
        .map(|n| format!(r#"{{"language":"l{n:02}","value":"{line} {line} {n}"}}"#))
        .collect();
    format!(
        r#"{{"transactionID":"1234567890","fullAddress":[{}]}}"#,
        several.join(",")
    )
}

/// The partner.
struct Partner {
    signer: DetachedSigner,
    gateway: Certificate,
    seals: ContentWrapKey,
    opens: ContentUnwrapKey,
    verifies: VerifyingKey,
}

impl Partner {
    fn new(pki: &Pki, exchange: Exchange) -> Self {
        let names = names(exchange);
        let key = SigningKey::from_pkcs8_der(pki.key(names.partner_signature).secret_der());
        let leaf = pki.certificate(names.partner_signature);
        Self {
            signer: DetachedSigner::new(Arc::new(key.unwrap()), names.algorithm, &leaf),
            gateway: certificate(pki, names.gateway_encryption),
            seals: wrap_key(pki, names.gateway_encryption),
            opens: unwrap_key(pki, names.partner_encryption),
            verifies: verifying_key(pki, names.gateway_signature, names.algorithm),
        }
    }

    /// A body, and the value of its signature header.
    fn seal(&self, uri: &str) -> (Bytes, String) {
        let to = self.gateway.fingerprint();
        let body = seal(plain().as_bytes(), "application/json", to, &self.seals).unwrap();
        let now = Clock::system().now();
        let value = sign_request(&self.signer, now, "POST", uri, &body).unwrap();
        (body, value)
    }

    fn open(&self, signature: &str, body: &Bytes) -> Result<(), String> {
        let signature = AnswerSignature::parse(signature).map_err(|e| e.to_string())?;
        let verified = signature.verify(&self.verifies, body);
        verified.map_err(|e| e.to_string())?;
        let sealed = SealedBody::parse(body.clone()).map_err(|e| e.to_string())?;
        let plain = sealed.open(&self.opens).map_err(|e| e.to_string())?;
        let said: Value = serde_json::from_slice(&plain.content).map_err(|e| e.to_string())?;
        let identity: Value = serde_json::from_str(&upstream::identity()).unwrap();
        if said["response"]["identity"] == identity {
            Ok(())
        } else {
            Err("the answer is not the upstream's".to_owned())
        }
    }

    /// Signs so many requests ahead; also says how large they are.
    fn requests(&self, client: &Client, count: usize) -> (Next, Value) {
        let host = HeaderValue::from_str(&client.host()).unwrap();
        let uri = format!("https://{}{PATH}", client.host());
        let mut sizes = Value::Null;
        let mut pool = Vec::with_capacity(count);
        for _ in 0..count {
            let (body, signature) = self.seal(&uri);
            sizes = json!({
                "request_body": body.len(),
                "request_plain": plain().len(),
                "signature_header": signature.len(),
            });
            let request = Request::post(PATH)
                .header("host", &host)
                .header("content-type", "application/jose")
                .header("signature", signature)
                .body(Full::new(body))
                .unwrap();
            pool.push(request);
        }
        let pool: Mutex<Vec<Request<Full<Bytes>>>> = Mutex::new(pool);
        (Arc::new(move || pool.lock().unwrap().pop()), sizes)
    }
}

/// Every answer must be a signed success; one in a hundred is verified and opened.
fn check(partner: &Arc<Partner>) -> Check {
    let partner = Arc::clone(partner);
    let seen = AtomicU32::new(0);
    Arc::new(move |head, body| {
        let signature = head.headers.get("response-signature");
        let signature = signature.and_then(|value| value.to_str().ok());
        let signature = signature.ok_or("the answer is not signed")?;
        if head.status != StatusCode::OK {
            return Err("the exchange was refused".to_owned());
        }
        if seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(100) {
            partner.open(signature, body)?;
        }
        Ok(())
    })
}

impl Bench {
    /// Sealed exchanges in the envelope `jose` against the bare cryptography of the same exchange.
    pub async fn sealed_jose(&self, triseal: &Server, exchange: Exchange, report: &mut Report) {
        let partner = Arc::new(Partner::new(&self.pki, exchange));
        let check = check(&partner);
        open_window(&partner, &Client::new(triseal.port, &self.pki), &check).await;
        let (question, figure, algorithms) = if exchange == Exchange::JoseP256 {
            let algorithms = "P-256: ES256, ECDH-ES+A256KW; A256GCM";
            (
                "sealed_p256",
                "sealed_p256_share_of_bare_crypto",
                algorithms,
            )
        } else {
            let algorithms = "RSA-2048: RS256, RSA-OAEP-256; A256GCM";
            (
                "sealed_jose",
                "sealed_jose_share_of_bare_crypto",
                algorithms,
            )
        };
        let sealed = Sealed {
            question,
            figure,
            exchange,
            algorithms,
            requests: &|client, count| partner.requests(client, count),
            check,
        };
        self.against_bare(triseal, &sealed, report).await;
    }
}

/// Waits until a sealed exchange succeeds: after a start, messages that an earlier process may have seen are refused.
async fn open_window(partner: &Partner, client: &Client, check: &Check) {
    let mut connection = client.connect().await.unwrap();
    let mut refusal = String::new();
    for _ in 0..40 {
        let request = partner.requests(client, 1).0().unwrap();
        let (head, body) = load::exchange(&mut connection, request).await.unwrap();
        match check(&head, &body) {
            Ok(()) => return,
            Err(why) => refusal = format!("{why}\n{head:?}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if connection.is_closed() {
            connection = client.connect().await.unwrap();
        }
    }
    panic!("no sealed exchange succeeds: {refusal}");
}

/// The cryptography of one exchange: keys and messages, all parsed and built beforehand.
pub struct Bare {
    verifies: VerifyingKey,
    opens: ContentUnwrapKey,
    seals: ContentWrapKey,
    signs: SigningKey,
    algorithm: Algorithm,
    /// What is under the request's signature, and the signature.
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// The ephemeral point, where there is one, and the wrapped key.
    point: Vec<u8>,
    wrapped: Vec<u8>,
    /// A text of the request's length with its tag.
    sealed: Vec<u8>,
    key: [u8; 32],
    /// A text of the answer's length.
    plain: Vec<u8>,
    /// As long as what is signed in a sealed answer.
    answer: Vec<u8>,
}

/// Bytes of a protected header of a signature and of a body, encoded.
const HEADER: usize = 420;
const BODY_HEADER: usize = 250;

impl Bare {
    pub fn new(pki: &Pki, exchange: Exchange) -> Self {
        let names = names(exchange);
        let partner = Partner::new(pki, exchange);
        let (body, value) = partner.seal(&format!("https://localhost:12345{PATH}"));
        let (protected, signature) = value.split_once("..").unwrap();
        let signature = unb64(signature);
        let key = [7; 32];
        let (point, wrapped) = match &partner.seals {
            ContentWrapKey::Rsa(to) => (Vec::new(), to.wrap(&key).unwrap()),
            ContentWrapKey::Curve(to) => {
                let (point, wrapped) = to.wrap(&key).unwrap();
                (point, wrapped.to_vec())
            }
        };
        let mut sealed = plain().into_bytes();
        cipher(&key)
            .seal_in_place_append_tag(nonce(), Aad::from(vec![b'a'; BODY_HEADER]), &mut sealed)
            .unwrap();
        let answer = upstream::identity().len() + 250;
        Self {
            verifies: verifying_key(pki, names.partner_signature, names.algorithm),
            opens: unwrap_key(pki, names.gateway_encryption),
            seals: wrap_key(pki, names.partner_encryption),
            signs: SigningKey::from_pkcs8_der(pki.key(names.gateway_signature).secret_der())
                .unwrap(),
            algorithm: names.algorithm,
            signed: [protected.as_bytes(), b".", &body].concat(),
            signature,
            point,
            answer: vec![b'a'; HEADER + BODY_HEADER + (answer + wrapped.len()) * 4 / 3 + 40],
            wrapped,
            sealed,
            key,
            plain: vec![b'a'; answer],
        }
    }

    /// Verify, unwrap, open, wrap, seal, sign.
    pub fn once(&self) {
        let signed = black_box(&self.signed);
        self.verifies.verify(signed, &self.signature).unwrap();
        match &self.opens {
            ContentUnwrapKey::Rsa(key) => {
                black_box(key.unwrap(black_box(&self.wrapped)).unwrap());
            }
            ContentUnwrapKey::Curve(key) => {
                black_box(key.unwrap(black_box(&self.point), &self.wrapped).unwrap());
            }
        }
        let mut text = self.sealed.clone();
        let aad = Aad::from([b'a'; BODY_HEADER]);
        let opened = cipher(&self.key).open_in_place(nonce(), aad, &mut text);
        black_box(opened.unwrap());

        let mut fresh = [0; 32];
        rand::fill(&mut fresh).unwrap();
        match &self.seals {
            ContentWrapKey::Rsa(key) => {
                black_box(key.wrap(&fresh).unwrap());
            }
            ContentWrapKey::Curve(key) => {
                black_box(key.wrap(&fresh).unwrap());
            }
        }
        let mut text = self.plain.clone();
        cipher(&fresh)
            .seal_in_place_append_tag(nonce(), Aad::from([b'a'; BODY_HEADER]), &mut text)
            .unwrap();
        black_box(text);
        let answer = black_box(&self.answer);
        black_box(self.signs.sign(self.algorithm, answer).unwrap());
    }
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn unb64(text: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
