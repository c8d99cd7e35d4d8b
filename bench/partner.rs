//! The partner's side of a sealed exchange: requests sealed and signed ahead of a round, answers opened and verified.

use aes_gcm::{AeadInPlace, AesGcm, KeyInit, aead::consts::U16, aes::Aes256};
use aws_lc_rs::{
    digest,
    rand::{self, SystemRandom},
    rsa::{
        OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
        PrivateDecryptingKey,
    },
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};
use triseal::clock::Moment;

use crate::{
    pki::{self, Pki},
    upstream,
};

/// AES-256-GCM with MOSIP's 16-byte nonce.
pub type MosipGcm = AesGcm<Aes256, U16>;
/// Tag and nonce, which follow the cipher text.
pub const TAG: usize = 16;
pub const NONCE: usize = 16;

/// What a request is made of, besides JSON.
pub struct Sealed {
    pub body: Bytes,
    /// The value of the header `signature`.
    pub signature: String,
    /// The three sealed members, before base64url.
    pub wrapped_key: Vec<u8>,
    pub request: Vec<u8>,
    pub hmac: Vec<u8>,
}

/// The partner's keys, and the gateway's certificates as the partner knows them.
pub struct Partner {
    signer: RsaKeyPair,
    decrypter: OaepPrivateDecryptingKey,
    /// The protected header, in base64url.
    protected: String,
    gateway_encryption: OaepPublicEncryptingKey,
    gateway_thumbprint: String,
    gateway_signature: ParsedPublicKey,
}

impl Partner {
    pub fn new(pki: &Pki) -> Self {
        let encryption = pki.certificate(pki::GATEWAY_ENCRYPTION);
        let x5c = STANDARD.encode(pki.certificate(pki::PARTNER_SIGNATURE));
        Self {
            signer: signing_key(pki, pki::PARTNER_SIGNATURE),
            decrypter: OaepPrivateDecryptingKey::new(private_key(pki, pki::PARTNER_ENCRYPTION))
                .unwrap(),
            protected: URL_SAFE_NO_PAD.encode(format!(r#"{{"x5c":["{x5c}"],"alg":"RS256"}}"#)),
            gateway_encryption: wrapping_key(pki, pki::GATEWAY_ENCRYPTION),
            gateway_thumbprint: URL_SAFE_NO_PAD
                .encode(digest::digest(&digest::SHA256, encryption.as_ref())),
            gateway_signature: verifying_key(pki, pki::GATEWAY_SIGNATURE),
        }
    }

    /// A kyc request of this moment, as `POST /idauthentication/v1/kyc/...` wants it.
    pub fn seal(&self, now: Moment) -> Sealed {
        let time = timestamp(now);
        let plain = inner(&time);
        let mut key = [0; 32];
        rand::fill(&mut key).unwrap();
        let cipher = MosipGcm::new(&key.into());
        let request = encrypt(&cipher, plain.as_bytes());
        let digest = digest::digest(&digest::SHA256, plain.as_bytes());
        let digest: String = digest.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        let hmac = encrypt(&cipher, digest.as_bytes());
        let wrapped_key = wrap(&self.gateway_encryption, &key);
        let body = format!(
            concat!(
                r#"{{"id":"mosip.identity.kyc","version":"1.0","individualId":"2345678901","individualIdType":"UIN","#,
                r#""transactionID":"{}","requestTime":"{}","specVersion":"1.0","thumbprint":"{}","#,
                r#""domainUri":"https://bench.example","env":"Staging","consentObtained":true,"#,
                r#""requestHMAC":"{}","requestSessionKey":"{}","request":"{}"}}"#
            ),
            transaction_id(),
            time,
            self.gateway_thumbprint,
            URL_SAFE_NO_PAD.encode(&hmac),
            URL_SAFE_NO_PAD.encode(&wrapped_key),
            URL_SAFE_NO_PAD.encode(&request),
        );
        let signature = sign(
            &self.signer,
            &signing_input(&self.protected, body.as_bytes()),
        );
        Sealed {
            signature: format!("{}..{}", self.protected, URL_SAFE_NO_PAD.encode(signature)),
            body: body.into(),
            wrapped_key,
            request,
            hmac,
        }
    }

    /// Verifies an answer and opens the identity in it.
    pub fn open(&self, signature: &str, body: &[u8]) -> Result<(), String> {
        let (protected, value) = signature.split_once("..").ok_or("not a detached JWS")?;
        let value = URL_SAFE_NO_PAD.decode(value).map_err(|e| e.to_string())?;
        self.gateway_signature
            .verify_sig(&signing_input(protected, body), &value)
            .map_err(|_| "the answer's signature does not verify")?;
        let answer: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let member = |name: &str| -> Result<Vec<u8>, String> {
            let text = answer["response"][name].as_str();
            let text = text.ok_or_else(|| format!("no {name} in {answer}"))?;
            URL_SAFE_NO_PAD.decode(text).map_err(|e| e.to_string())
        };
        let key = unwrap(&self.decrypter, &member("sessionKey")?);
        let plain = decrypt(
            &MosipGcm::new_from_slice(&key).unwrap(),
            &member("identity")?,
        )?;
        let same = |a: &[u8], b: &[u8]| {
            serde_json::from_slice::<Value>(a).ok() == serde_json::from_slice(b).ok()
        };
        if same(&plain, upstream::identity().as_bytes()) {
            Ok(())
        } else {
            Err("the identity is not the upstream's".to_owned())
        }
    }
}

/// The plain content of `request`, about 2 KB: the shape of a large demographic check.
fn inner(time: &str) -> String {
    let line = "Example Street in an Example Quarter of Example Town, Example Region";
    let several: Vec<String> = (0..9)
        .map(|n| format!(r#"{{"language":"l{n:02}","value":"{line} {line} {n}"}}"#))
        .collect();
    format!(
        r#"{{"timestamp":"{time}","otp":"","demographics":{{"dob":"1990/01/31","name":[{{"language":"eng","value":"Bench Person"}}],"fullAddress":[{}]}}}}"#,
        several.join(",")
    )
}

fn timestamp(now: Moment) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.ms()) * 1_000_000)
        .unwrap()
        .format(format)
        .unwrap()
}

fn transaction_id() -> String {
    let mut random = [0; 8];
    rand::fill(&mut random).unwrap();
    format!("{:010}", u64::from_le_bytes(random) % 10_000_000_000)
}

/// `cipher text ‖ tag ‖ nonce`.
pub fn encrypt(cipher: &MosipGcm, plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    rand::fill(&mut nonce).unwrap();
    let mut out = Vec::with_capacity(plain.len() + TAG + NONCE);
    out.extend_from_slice(plain);
    let tag = cipher
        .encrypt_in_place_detached(&nonce.into(), b"", &mut out)
        .unwrap();
    out.extend_from_slice(&tag);
    out.extend_from_slice(&nonce);
    out
}

pub fn decrypt(cipher: &MosipGcm, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let at = sealed.len().checked_sub(TAG + NONCE).ok_or("too short")?;
    let mut plain = sealed[..at].to_vec();
    let (tag, nonce) = sealed[at..].split_at(TAG);
    cipher
        .decrypt_in_place_detached(nonce.into(), b"", &mut plain, tag.into())
        .map_err(|_| "the content does not open")?;
    Ok(plain)
}

pub fn wrap(key: &OaepPublicEncryptingKey, content_key: &[u8]) -> Vec<u8> {
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut out, None)
        .unwrap();
    out
}

pub fn unwrap(key: &OaepPrivateDecryptingKey, wrapped: &[u8]) -> Vec<u8> {
    let mut out = vec![0; key.min_output_size()];
    let length = key
        .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut out, None)
        .expect("it was wrapped for this key")
        .len();
    out.truncate(length);
    out
}

pub fn sign(key: &RsaKeyPair, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out)
        .unwrap();
    out
}

/// The bytes under a detached JWS.
pub fn signing_input(protected: &str, body: &[u8]) -> Vec<u8> {
    let mut input = format!("{protected}.");
    URL_SAFE_NO_PAD.encode_string(body, &mut input);
    input.into_bytes()
}

pub fn signing_key(pki: &Pki, name: &str) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(pki.key(name).secret_der()).unwrap()
}

pub fn private_key(pki: &Pki, name: &str) -> PrivateDecryptingKey {
    PrivateDecryptingKey::from_pkcs8(pki.key(name).secret_der()).unwrap()
}

pub fn wrapping_key(pki: &Pki, name: &str) -> OaepPublicEncryptingKey {
    OaepPublicEncryptingKey::new(private_key(pki, name).public_key()).unwrap()
}

pub fn verifying_key(pki: &Pki, name: &str) -> ParsedPublicKey {
    use aws_lc_rs::signature::KeyPair;
    let key = signing_key(pki, name);
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()).unwrap()
}
