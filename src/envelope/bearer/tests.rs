//! Form, keys and claims of tokens. Signatures by foreign keys and tokens of every wrong kind are in `tests/it/opencrvs`.

use super::*;

#[test]
fn an_rsa_key_of_a_jwks_is_the_same_as_in_pem() {
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
    let public = PublicKey::from_spki(&spki).unwrap();
    // RSAPublicKey: SEQUENCE, long length, INTEGER of 257 bytes, INTEGER 65537.
    let modulus = public.raw().get(9..265).unwrap();
    let modulus = super::super::to_base64url(modulus);
    let jwks = serde_json::json!({"keys": [{"kty": "RSA", "n": modulus, "e": "AQAB"}]}).to_string();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        super::super::forms::to_base64(&spki)
    );
    let (one, two) = (
        TokenKeys::parse(jwks.as_bytes(), &[]).unwrap(),
        TokenKeys::parse(pem.as_bytes(), &[]).unwrap(),
    );
    assert!(one.same(&two));
    let pin = sha256(&spki);
    assert!(TokenKeys::parse(pem.as_bytes(), &[pin]).is_ok());
    let other = TokenKeys::parse(pem.as_bytes(), &[[7; 32]]);
    assert_eq!(other.unwrap_err(), TokenKeysError::NotPinned);
}

#[test]
fn a_document_that_is_no_key_is_not_taken() {
    for document in [
        &b""[..],
        b"<html></html>",
        b"{}",
        br#"{"keys":[]}"#,
        br#"{"keys":[{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}]}"#,
        br#"{"keys":[{"kty":"RSA","n":"AQAB"}]}"#,
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(
            TokenKeys::parse(document, &[]).unwrap_err(),
            TokenKeysError::Form
        );
    }
    for weak in [
        &br#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#[..],
        br#"{"keys":[{"kty":"RSA","n":"AQABAQAB","e":"AQAB"}]}"#,
        br#"{"keys":[{"kty":"RSA","alg":"RS512","n":"AQAB","e":"AQAB"}]}"#,
        br#"{"keys":[{"kty":"oct","k":"AQAB"}]}"#,
    ] {
        assert_eq!(
            TokenKeys::parse(weak, &[]).unwrap_err(),
            TokenKeysError::Weak
        );
    }
}

#[test]
fn words_are_compared_whole() {
    let wanted = ["a.b".to_owned()];
    // Words in one text are scopes, and no audience.
    let words = serde_json::json!("x a.b y");
    assert!(scoped(Some(&words), &wanted));
    assert!(!listed(Some(&words), &wanted));
    for (claim, fits) in [
        (serde_json::json!("a.b"), true),
        (serde_json::json!(["x", "a.b"]), true),
        (serde_json::json!(["x a.b"]), false),
        (serde_json::json!("a.bc"), false),
        (serde_json::json!({"a.b": true}), false),
        (serde_json::json!(null), false),
    ] {
        assert_eq!(listed(Some(&claim), &wanted), fits, "{claim}");
        assert_eq!(scoped(Some(&claim), &wanted), fits, "{claim}");
    }
    assert!(!listed(None, &wanted));
    assert!(!scoped(None, &wanted));
}
