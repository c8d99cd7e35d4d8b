use serde_json::{Value, json};

use super::*;
use crate::envelope::testing::{GATEWAY, IDA};

const PLAIN: &str = r#"{"id":"mosip.identity.kyc","transactionID":"1234567890","response":{"kycStatus":true,"authToken":"1","thumbprint":null,"identity":{ "name_eng" : "A" , "n":1.50 }},"errors":null}"#;
const IDENTITY: &str = r#"{ "name_eng" : "A" , "n":1.50 }"#;

/// As reading an answer makes it.
fn read(text: impl Into<Bytes>) -> AnswerText {
    let text = text.into();
    json::object(&text, text.len()).unwrap();
    AnswerText::read(text)
}

fn plain() -> AnswerText {
    read(PLAIN)
}

fn sealed_to_gateway() -> AnswerText {
    read(seal_identity(&plain(), &GATEWAY.recipient()).unwrap())
}

fn value(answer: &AnswerText) -> Value {
    serde_json::from_slice(answer.bytes()).unwrap()
}

fn code<T: std::fmt::Debug>(verdict: Result<T, Refusal>) -> Code {
    verdict.unwrap_err().code()
}

/// The sealed answer with one member of `response` changed.
fn with(name: &str, member: Value) -> AnswerText {
    let mut answer = value(&sealed_to_gateway());
    answer["response"][name] = member;
    read(answer.to_string())
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
    assert!(
        std::str::from_utf8(opened.bytes())
            .unwrap()
            .contains(IDENTITY)
    );
    let response = &value(&opened)["response"];
    assert!(response.get("sessionKey").is_none() && response.get("thumbprint").is_none());
}

#[test]
fn sealing_changes_three_members_and_no_other_byte() {
    for (text, before, between, after) in [
        (
            r#"{ "response" : { "a": 1.0, "identity" : {"n":1} , "b":[ ] } , "errors" : null } "#,
            r#"{ "response" : { "a": 1.0, "identity" : "#,
            r#" , "b":[ ] ,"sessionKey":"#,
            r#"} , "errors" : null } "#,
        ),
        // In their old places, by whatever spelling of their names.
        (
            r#"{"response":{"session\u004bey":"old","identity":{"n":1}},"thumbprint":"not this"}"#,
            r#"{"response":{"session\u004bey":"#,
            r#","identity":"#,
            r#"},"thumbprint":"not this"}"#,
        ),
        (
            r#"{"response":{"thumbprint":null,"sessionKey":[1],"identity":{"n":1},"identities":{}}}"#,
            r#"{"response":{"thumbprint":"#,
            r#","sessionKey":"#,
            r#","identities":{}}}"#,
        ),
    ] {
        let sealed = read(seal_identity(&read(text), &GATEWAY.recipient()).unwrap());
        let written = std::str::from_utf8(sealed.bytes()).unwrap();
        assert!(written.starts_with(before), "{written}");
        assert!(written.contains(between), "{written}");
        assert!(written.ends_with(after), "{written}");
        let opened = open_identity(&sealed, &GATEWAY.keys()).unwrap();
        assert_eq!(value(&opened)["response"]["identity"], json!({"n": 1}));
    }
}

#[test]
fn an_answer_without_an_identity_passes_unchanged() {
    for text in [
        r#"{"response":{"kycStatus":false,"identity":null}}"#,
        r#"{"response":null,"errors":[{"errorCode":"IDA-MLC-007"}]}"#,
        r#"{ "errors" : [] }"#,
        r#"{"response":{"kycStatus":false}}"#,
    ] {
        let answer = read(text);
        let sealed = seal_identity(&answer, &GATEWAY.recipient()).unwrap();
        assert_eq!(&sealed, answer.bytes());
        assert_eq!(open_identity(&answer, &GATEWAY.keys()).unwrap(), answer);
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
            code(seal_identity(&read(body), &IDA.recipient())),
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
fn an_identity_that_opens_to_no_strict_json_is_refused() {
    for plain in [r#"{"n":1,"n":2}"#, r#"{"n":1}x"#, "[]", " "] {
        let key = ContentKey::random().unwrap();
        let identity = forms::to_base64url(&key.seal(plain.as_bytes()).unwrap());
        let wrapped = forms::to_base64url(&key.wrap(GATEWAY.recipient().wrapping).unwrap());
        let mut answer = value(&sealed_to_gateway());
        answer["response"]["identity"] = identity.into();
        answer["response"]["sessionKey"] = wrapped.into();
        let verdict = open_identity(&read(answer.to_string()), &GATEWAY.keys());
        assert_eq!(code(verdict), Code::UpstreamForm, "{plain}");
    }
}

#[test]
fn what_may_not_leave_is_taken_out_and_everything_else_keeps_its_text() {
    let (narrow, gone) = narrow_identity(&plain(), |name| name == "n").unwrap();
    assert_eq!(gone, 1);
    let expected = PLAIN.replace(IDENTITY, r#"{"n":1.50}"#);
    assert_eq!(std::str::from_utf8(narrow.bytes()).unwrap(), expected);
    let (same, gone) = narrow_identity(&plain(), |_| true).unwrap();
    assert_eq!((same, gone), (plain(), 0));
    // Without an identity there is nothing to take out; one that is sealed cannot be looked into.
    let none = read(r#"{"response":{"kycStatus":false},"errors":[{"errorCode":"X"}]}"#);
    assert_eq!(narrow_identity(&none, |_| false).unwrap(), (none, 0));
    let sealed = narrow_identity(&sealed_to_gateway(), |_| true);
    assert_eq!(sealed.unwrap_err().code(), Code::UpstreamForm);
}
