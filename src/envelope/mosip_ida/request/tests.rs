use serde_json::{Map, Value, json};

use super::*;
use crate::ida::Operation;
use crate::{
    config::Client,
    envelope::testing::{AUTH, Draft, GATEWAY, body, inner, plain_members, time},
};

fn auth() -> Map<String, Value> {
    Draft::new(&inner(), &GATEWAY).members()
}

fn verdict(
    operation: Operation,
    members: &Map<String, Value>,
) -> Option<(Code, Option<&'static str>)> {
    Request::parse(operation, body(members), &Forms::STRICT)
        .err()
        .map(|refusal| (refusal.code(), refusal.member()))
}

#[test]
fn a_request_of_its_form_is_read() {
    let bytes = body(&auth());
    let request = Request::parse(AUTH, bytes.clone(), &Forms::STRICT).unwrap();
    assert_eq!(request.transaction_id(), "1234567890");
    assert_eq!(request.request_time(), time());
    assert_eq!(request.individual_id_type(), Some("UIN"));
    assert_eq!(request.thumbprint(), Some(GATEWAY.fingerprint()));
    assert_eq!(request.body(), &bytes);
}

#[test]
fn debug_shows_nothing_personal() {
    let request = Request::parse(AUTH, body(&auth()), &Forms::STRICT).unwrap();
    assert!(!format!("{request:?}").contains("5678901234"));
}

#[test]
fn each_required_member_is_named_when_it_is_missing_null_or_empty() {
    for name in [
        "id",
        "version",
        "request",
        "requestHMAC",
        "requestSessionKey",
        "thumbprint",
        "consentObtained",
        "requestTime",
        "transactionID",
        "individualId",
    ] {
        let expected = Some((Code::MemberMissing, Some(name)));
        let mut members = auth();
        members.remove(name);
        assert_eq!(verdict(AUTH, &members), expected);
        members.insert(name.to_owned(), Value::Null);
        assert_eq!(verdict(AUTH, &members), expected);
        if name != "consentObtained" {
            members.insert(name.to_owned(), json!(""));
            assert_eq!(verdict(AUTH, &members), expected);
        }
        members.insert(name.to_owned(), json!(["x"]));
        assert_eq!(
            verdict(AUTH, &members),
            Some((Code::MemberInvalid, Some(name)))
        );
    }
}

#[test]
fn each_wrong_value_is_named() {
    let long = "x".repeat(600);
    let unpadded = |n: usize| crate::envelope::forms::to_base64url(&vec![1; n]);
    for (name, value) in [
        ("id", json!("mosip.identity.kyc")),
        ("id", json!("mosip.identity.auth ")),
        ("version", json!("v1")),
        ("version", json!("1")),
        ("version", json!("1.")),
        ("version", json!("1.0.")),
        ("version", json!("1.0.0.0")),
        ("version", json!("10.0")),
        ("version", json!("1.0\n")),
        ("version", json!("١.0")),
        ("version", json!(1.0)),
        ("consentObtained", json!("true")),
        ("consentObtained", json!(1)),
        ("consentObtained", json!([])),
        ("transactionID", json!("123456789")),
        ("transactionID", json!("12345678901")),
        ("transactionID", json!("123456789 ")),
        ("transactionID", json!("123456789\n")),
        ("transactionID", json!("123456-890")),
        ("transactionID", json!("12345678é")),
        ("transactionID", json!(1_234_567_890)),
        ("individualId", json!("12\u{0}34")),
        ("individualId", json!(long)),
        ("individualId", json!(5_678_901_234_u64)),
        ("individualIdType", json!(1)),
        ("individualIdType", json!("U IN")),
        ("env", json!(1)),
        ("env", json!("Staging\r\n")),
        ("env", json!(long)),
        ("domainUri", json!({})),
        ("domainUri", json!("https://a\u{7f}")),
        ("domainUri", json!(long)),
        ("request", json!("!!!!")),
        ("request", json!(unpadded(33))),
        ("requestHMAC", json!(unpadded(92))),
        ("requestHMAC", json!(unpadded(95))),
        ("requestHMAC", json!(unpadded(97))),
        ("requestSessionKey", json!(unpadded(255))),
        ("requestSessionKey", json!(unpadded(1025))),
        ("thumbprint", json!("00")),
        ("thumbprint", json!(unpadded(31))),
        ("thumbprint", json!(unpadded(33))),
    ] {
        let mut members = auth();
        members.insert(name.to_owned(), value.clone());
        let expected = Some((Code::MemberInvalid, Some(name)));
        assert_eq!(verdict(AUTH, &members), expected, "{name}: {value}");
    }
}

#[test]
fn a_time_in_another_form_has_its_own_code() {
    for text in ["2025-11-22T13:04:05Z", "2025-11-22T13:04:05.123", "now"] {
        let mut members = auth();
        members.insert("requestTime".to_owned(), json!(text));
        assert_eq!(
            verdict(AUTH, &members),
            Some((Code::TimeForm, Some("requestTime")))
        );
    }
}

#[test]
fn a_padded_member_is_refused_where_the_contract_is_keymanager_s() {
    let draft = Draft {
        padded: true,
        ..Draft::new(&inner(), &GATEWAY)
    };
    let expected = Some((Code::MemberInvalid, Some("requestSessionKey")));
    // `request` may happen to need no padding; the session key of 256 bytes always does.
    let mut members = draft.members();
    members.insert(
        "request".to_owned(),
        Draft::new(&inner(), &GATEWAY).members()["request"].clone(),
    );
    assert_eq!(verdict(AUTH, &members), expected);
    assert!(Request::parse(AUTH, draft.body(), &Forms::of(&[Client::MosipAuthSdk])).is_ok());
}

#[test]
fn opencrvs_pads_all_but_the_session_key() {
    let forms = Forms::of(&[Client::OpenCrvs]);
    let draft = Draft {
        padded: true,
        ..Draft::new(&inner(), &GATEWAY)
    };
    let refusal = Request::parse(AUTH, draft.body(), &forms).unwrap_err();
    assert_eq!(refusal.member(), Some("requestSessionKey"));
    let mut members = draft.members();
    members.insert(
        "requestSessionKey".to_owned(),
        auth()["requestSessionKey"].clone(),
    );
    assert!(Request::parse(AUTH, body(&members), &forms).is_ok());
}

#[test]
fn bodies_that_are_not_strict_json_objects_are_refused() {
    let good = String::from_utf8(body(&auth()).to_vec()).unwrap();
    let inside = good.replace(r#""metadata":{}"#, r#""metadata":{"a":{"b":1,"b":2}}"#);
    assert_ne!(good, inside);
    for text in [
        String::new(),
        "[]".to_owned(),
        format!("{good}\0"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        good.replacen('{', r#"{"id":"mosip.identity.auth","#, 1),
        inside,
    ] {
        let refusal = Request::parse(AUTH, text.into_bytes().into(), &Forms::STRICT).unwrap_err();
        assert_eq!(refusal.code(), Code::MessageForm);
    }
}

#[test]
fn unknown_members_are_tolerated_and_kept() {
    let mut members = auth();
    members.insert("x-unknown".to_owned(), json!({"deep": [1]}));
    let request = Request::parse(AUTH, body(&members), &Forms::STRICT).unwrap();
    let kept = String::from_utf8(request.body().to_vec()).unwrap();
    assert!(kept.contains(r#""x-unknown":{"deep":[1]}"#), "{kept}");
}

#[test]
fn an_otp_request_names_its_channels() {
    let mut members = plain_members("mosip.identity.otp");
    members.remove("consentObtained");
    let missing = Some((Code::MemberMissing, Some("otpChannel")));
    let invalid = Some((Code::MemberInvalid, Some("otpChannel")));
    assert_eq!(verdict(Operation::Otp, &members), missing);
    for (channels, expected) in [
        (json!(["email"]), None),
        (json!(["EMAIL", "phone"]), None),
        (json!([]), missing),
        (json!(["fax"]), invalid),
        (json!(["email", 1]), invalid),
        (json!("email"), invalid),
        (json!(vec!["email"; 9]), invalid),
    ] {
        members.insert("otpChannel".to_owned(), channels);
        assert_eq!(verdict(Operation::Otp, &members), expected);
    }
}

#[test]
fn consent_of_an_exchange_is_a_list_of_claims() {
    let mut members = plain_members("mosip.identity.kycexchange");
    for (consent, fits) in [
        (json!([]), true),
        (json!(["name", "picture"]), true),
        (json!(true), false),
        (json!([1]), false),
        (Value::Null, false),
    ] {
        members.insert("consentObtained".to_owned(), consent);
        assert_eq!(verdict(Operation::KycExchange, &members).is_none(), fits);
    }
}

#[test]
fn what_an_exchange_asks_for_is_named() {
    let claims = |operation: Operation, name: &str, value: Value| {
        let id = operation.id().unwrap_or("mosip.identity.any");
        let mut members = plain_members(id);
        members.insert("consentObtained".to_owned(), json!([]));
        members.insert(name.to_owned(), value);
        let request = Request::parse(operation, body(&members), &Forms::STRICT).unwrap();
        request.claims().map(<[String]>::to_vec)
    };
    let some = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    for (consent, expected) in [
        (json!([]), some(&[])),
        (json!(["name", "picture"]), some(&["name", "picture"])),
    ] {
        let named = claims(Operation::KycExchange, "consentObtained", consent);
        assert_eq!(named, expected);
    }
    for (definition, expected) in [
        (json!({"credentialSubject": {}}), some(&[])),
        (
            json!({"credentialSubject": {"name": {}, "dob": null}}),
            some(&["name", "dob"]),
        ),
        (json!({"credentialSubject": null}), None),
        (json!({"credentialSubject": ["name"]}), None),
        (json!({}), None),
        (json!("credentialSubject"), None),
        (Value::Null, None),
    ] {
        let named = claims(Operation::VciExchange, "credentialsDefinition", definition);
        assert_eq!(named, expected);
    }
    let auth = Request::parse(AUTH, body(&auth()), &Forms::STRICT).unwrap();
    assert_eq!(auth.claims(), None);
}

#[test]
fn routes_without_a_configured_id_take_any() {
    let mut members = auth();
    members.insert("id".to_owned(), json!("mosip.identity.keybinding"));
    members.remove("consentObtained");
    assert_eq!(verdict(Operation::KeyBinding, &members), None);
    members.insert("id".to_owned(), json!("a\nb"));
    assert_eq!(
        verdict(Operation::KeyBinding, &members),
        Some((Code::MemberInvalid, Some("id")))
    );
}

#[test]
fn consent_stated_as_false_is_told_apart() {
    let mut members = auth();
    members.insert("consentObtained".to_owned(), json!(false));
    assert_eq!(
        verdict(Operation::Auth, &members),
        Some((Code::ConsentMissing, Some("consentObtained")))
    );
}
