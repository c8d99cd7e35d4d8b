use serde_json::{Value, json};

use super::*;
use crate::envelope::testing::{GATEWAY, IDA, PARTNER};

const PLAIN: &str = r#"{"id":"mosip.identity.kyc","transactionID":"1234567890","response":{"kycStatus":true,"authToken":"1","thumbprint":null,"identity":{ "name_eng" : "A" , "n":1.50 }},"errors":null}"#;
const IDENTITY: &str = r#"{ "name_eng" : "A" , "n":1.50 }"#;

fn plain() -> Bytes {
    Bytes::from_static(PLAIN.as_bytes())
}

fn sealed_to_gateway() -> Bytes {
    seal_identity(&plain(), &GATEWAY.recipient()).unwrap()
}

fn value(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn code(verdict: Result<Bytes, Refusal>) -> Code {
    verdict.unwrap_err().code()
}

/// The sealed answer with one member of `response` changed.
fn with(name: &str, member: Value) -> Bytes {
    let mut answer = value(&sealed_to_gateway());
    answer["response"][name] = member;
    answer.to_string().into()
}

#[test]
fn a_sealed_identity_has_mosip_s_form_and_opens_again() {
    let sealed = sealed_to_gateway();
    let response = &value(&sealed)["response"];
    assert_eq!(
        response["thumbprint"],
        GATEWAY.fingerprint().to_string().to_uppercase()
    );
    assert_eq!(response["sessionKey"].as_str().unwrap().len(), 342);
    assert_eq!(response["kycStatus"], true);
    let identity = forms::base64url(response["identity"].as_str().unwrap()).unwrap();
    assert_eq!(identity.len(), IDENTITY.len() + 32);
    let opened = open_identity(&sealed, &GATEWAY.keys()).unwrap();
    assert!(std::str::from_utf8(&opened).unwrap().contains(IDENTITY));
    let response = &value(&opened)["response"];
    assert!(response.get("sessionKey").is_none() && response.get("thumbprint").is_none());
}

#[test]
fn resealing_keeps_the_plain_bytes_and_changes_the_recipient() {
    let sealed =
        reseal_identity(&sealed_to_gateway(), &GATEWAY.keys(), &PARTNER.recipient()).unwrap();
    assert_eq!(
        code(open_identity(&sealed, &GATEWAY.keys())),
        Code::UpstreamUndecryptable
    );
    let opened = open_identity(&sealed, &PARTNER.keys()).unwrap();
    assert!(std::str::from_utf8(&opened).unwrap().contains(IDENTITY));
}

#[test]
fn resealing_does_not_read_the_plain_text() {
    // White space around the object and even another format stay as they are.
    let plain = b" \n{\"a\":1} ";
    let key = ContentKey::random().unwrap();
    let answer = json!({"response": {
        "identity": forms::to_base64url(&key.seal(plain).unwrap()),
        "sessionKey": forms::to_base64url(&key.wrap(GATEWAY.recipient().wrapping).unwrap()),
        "thumbprint": forms::upper_hex(GATEWAY.fingerprint().as_bytes()),
    }});
    let sealed = reseal_identity(
        &answer.to_string().into(),
        &GATEWAY.keys(),
        &PARTNER.recipient(),
    )
    .unwrap();
    let members = with_identity(&sealed).unwrap().unwrap().1;
    assert_eq!(
        decrypt(&members, &PARTNER.keys()).unwrap().as_slice(),
        plain
    );
}

#[test]
fn an_answer_without_an_identity_passes_unchanged() {
    for text in [
        r#"{"response":{"kycStatus":false,"identity":null}}"#,
        r#"{"response":null,"errors":[{"errorCode":"IDA-MLC-007"}]}"#,
        r#"{ "errors" : [] }"#,
        r#"{"response":{"kycStatus":false}}"#,
    ] {
        let body = Bytes::from_static(text.as_bytes());
        assert_eq!(seal_identity(&body, &GATEWAY.recipient()).unwrap(), body);
        assert_eq!(open_identity(&body, &GATEWAY.keys()).unwrap(), body);
        let resealed = reseal_identity(&body, &GATEWAY.keys(), &PARTNER.recipient()).unwrap();
        assert_eq!(resealed, body);
    }
}

#[test]
fn what_is_sealed_is_not_sealed_again_and_plain_is_not_opened() {
    assert_eq!(
        code(seal_identity(&sealed_to_gateway(), &IDA.recipient())),
        Code::UpstreamForm
    );
    assert_eq!(
        code(open_identity(&plain(), &GATEWAY.keys())),
        Code::UpstreamForm
    );
    for odd in [json!(1), json!([]), json!(true)] {
        let body = json!({"response": {"identity": odd}}).to_string();
        assert_eq!(
            code(seal_identity(&body.into(), &IDA.recipient())),
            Code::UpstreamForm
        );
    }
}

#[test]
fn members_in_another_form_are_refused() {
    let hex = forms::upper_hex(GATEWAY.fingerprint().as_bytes());
    let sealed = value(&sealed_to_gateway());
    let session_key = sealed["response"]["sessionKey"].as_str().unwrap();
    for (name, member) in [
        ("thumbprint", json!(hex.to_lowercase())),
        ("thumbprint", json!(&hex[2..])),
        (
            "thumbprint",
            json!(forms::to_base64url(GATEWAY.fingerprint().as_bytes())),
        ),
        ("thumbprint", Value::Null),
        ("sessionKey", json!(format!("{session_key}=="))),
        ("sessionKey", Value::Null),
        ("sessionKey", json!(["x"])),
        ("identity", json!("A+==")),
    ] {
        let verdict = open_identity(&with(name, member.clone()), &GATEWAY.keys());
        assert_eq!(code(verdict), Code::UpstreamForm, "{name} {member}");
    }
}

#[test]
fn every_failed_decryption_of_an_identity_looks_the_same() {
    let identity = |bytes: &[u8]| with("identity", forms::to_base64url(bytes).into());
    let good = value(&sealed_to_gateway());
    let good = forms::base64url(good["response"]["identity"].as_str().unwrap()).unwrap();
    let mut altered = good.clone();
    altered[3] ^= 1;
    for body in [
        identity(&altered),
        identity(&good[1..]),
        identity(&good[..good.len() - 4]),
        identity(&[0; 16]),
        identity(&[]),
        with("sessionKey", forms::to_base64url(&[9; 256]).into()),
        with("sessionKey", forms::to_base64url(&[9; 20]).into()),
    ] {
        let refusal = open_identity(&body, &GATEWAY.keys()).unwrap_err();
        assert_eq!(refusal.code(), Code::UpstreamUndecryptable);
        assert_eq!(refusal.cause(), "decryption failed");
    }
}

#[test]
fn an_answer_that_is_not_strict_json_is_refused() {
    let twice = PLAIN.replace(r#""authToken":"1""#, r#""authToken":"1","authToken":"2""#);
    for text in [twice, format!("{PLAIN}x"), "[]".to_owned()] {
        assert_eq!(
            code(seal_identity(&text.into(), &IDA.recipient())),
            Code::UpstreamForm
        );
    }
}

#[test]
fn what_may_not_leave_is_taken_out_and_everything_else_keeps_its_text() {
    let (narrow, gone) = narrow_identity(&plain(), |name| name == "n").unwrap();
    assert_eq!(gone, 1);
    let expected = PLAIN.replace(IDENTITY, r#"{"n":1.50}"#);
    assert_eq!(std::str::from_utf8(&narrow).unwrap(), expected);
    let (same, gone) = narrow_identity(&plain(), |_| true).unwrap();
    assert_eq!((same, gone), (plain(), 0));
    // Without an identity there is nothing to take out; one that is sealed cannot be looked into.
    let none =
        Bytes::from_static(br#"{"response":{"kycStatus":false},"errors":[{"errorCode":"X"}]}"#);
    assert_eq!(narrow_identity(&none, |_| false).unwrap(), (none, 0));
    let sealed = narrow_identity(&sealed_to_gateway(), |_| true);
    assert_eq!(sealed.unwrap_err().code(), Code::UpstreamForm);
}
