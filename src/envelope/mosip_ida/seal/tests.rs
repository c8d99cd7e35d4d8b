use serde_json::{Value, json};

use super::*;
use crate::envelope::{
    Forms,
    testing::{AUTH, Draft, GATEWAY, IDA, body, inner},
};

fn request(draft: &Draft) -> Request {
    Request::parse(AUTH, draft.body(), &Forms::STRICT).unwrap()
}

#[test]
fn a_request_sealed_anew_opens_for_the_new_recipient_only() {
    let plain = inner();
    let first = request(&Draft::new(&plain, &GATEWAY));
    let opened = first.decrypt(&GATEWAY.keys()).unwrap();
    let sealed = seal_request(&first, opened.plain(), &IDA.recipient()).unwrap();
    let second = Request::parse(AUTH, sealed, &Forms::STRICT).unwrap();
    assert_eq!(second.thumbprint(), Some(IDA.fingerprint()));
    assert_eq!(
        second.decrypt(&IDA.keys()).unwrap().plain(),
        plain.as_bytes()
    );
    let refusal = second.decrypt(&GATEWAY.keys()).unwrap_err();
    assert_eq!(refusal.code(), Code::RecipientUnknown);
}

#[test]
fn sealing_anew_changes_nothing_but_the_encrypted_members() {
    let draft = Draft::new(&inner(), &GATEWAY);
    let first = request(&draft);
    let sealed = seal_request(&first, inner().as_bytes(), &IDA.recipient()).unwrap();
    let mut before = draft.members();
    let mut after: Map<String, Value> = serde_json::from_slice(&sealed).unwrap();
    for name in SEALED {
        let (old, new) = (before.remove(name).unwrap(), after.remove(name).unwrap());
        assert_ne!(old, new, "{name}");
        assert!(!new.as_str().unwrap().contains('='), "{name}");
    }
    assert_eq!(before, after);
}

#[test]
fn members_keep_their_order_and_the_text_of_their_values() {
    let text = String::from_utf8(Draft::new(&inner(), &GATEWAY).body().to_vec()).unwrap();
    let odd = text.replace(
        r#""metadata":{}"#,
        r#""metadata":{"n":10000000000000000000000000001.50,"e":"\u00e9"} , "x":[1 , 2]"#,
    );
    assert_ne!(text, odd);
    let first = Request::parse(AUTH, odd.into_bytes().into(), &Forms::STRICT).unwrap();
    let sealed = seal_request(&first, inner().as_bytes(), &IDA.recipient()).unwrap();
    let sealed = String::from_utf8(sealed.to_vec()).unwrap();
    assert!(sealed.contains(
        r#""metadata":{"n":10000000000000000000000000001.50,"e":"\u00e9"},"x":[1 , 2],"#
    ));
    let names = |text: &[u8]| -> Vec<String> {
        json::members(text)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name.into_owned())
            .collect()
    };
    assert_eq!(names(first.body()), names(sealed.as_bytes()));
}

#[test]
fn each_sealing_has_a_key_of_its_own() {
    let first = request(&Draft::new(&inner(), &GATEWAY));
    let seal = || seal_request(&first, inner().as_bytes(), &IDA.recipient()).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn the_plain_form_holds_the_inner_object_as_it_was_encrypted() {
    let plain = inner().replace(',', " , ");
    let first = request(&Draft::new(&plain, &GATEWAY));
    let opened = first.decrypt(&GATEWAY.keys()).unwrap();
    let form = plain_form(&first, &opened).unwrap();
    let read: Value = serde_json::from_slice(&form).unwrap();
    assert_eq!(
        read["request"],
        serde_json::from_str::<Value>(&plain).unwrap()
    );
    assert_eq!(read["transactionID"], "1234567890");
    for gone in ["requestSessionKey", "requestHMAC", "thumbprint"] {
        assert!(read.get(gone).is_none());
    }
    assert!(String::from_utf8(form.to_vec()).unwrap().contains(&plain));
}

#[test]
fn a_plain_otp_request_passes_through_unchanged_in_value() {
    let mut members = crate::envelope::testing::plain_members("mosip.identity.otp");
    members.insert("otpChannel".to_owned(), json!(["email"]));
    let otp = crate::ida::Operation::Otp;
    let request = Request::parse(otp, body(&members), &Forms::STRICT).unwrap();
    assert!(request.thumbprint().is_none());
}
