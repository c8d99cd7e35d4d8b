//! What the envelope and the `ida` handler refuse on the partner face (issue 2, items 7 and 8), each with our code, MOSIP's
//! codes, the transaction and a signature over the answer.

use std::sync::OnceLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    forge::{Forger, How, assert_refused, assert_signed, transaction},
    harness::{Answer, Ask, Site, Wire},
};

const SIGNATURE_WRONG: &[&str] = &["IDA-MLC-007", "IDA-MPA-001"];
const NOT_THE_PARTNERS: &[&str] = &["IDA-MLC-007", "IDA-MPA-021"];
const UNDECRYPTABLE: &[&str] = &["IDA-MLC-007", "IDA-MPA-003"];
const MISSING: &[&str] = &["IDA-MLC-007", "IDA-MLC-006"];
const INVALID: &[&str] = &["IDA-MLC-007", "IDA-MLC-009"];

/// One gateway for all that only ask.
fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| Site::misp_running("ida-refusals"))
}

fn send(wire: &Wire) -> Answer {
    site().connect().ask(&wire.http1())
}

/// Refused, and the answer names the transaction that was asked.
#[track_caller]
fn refused(wire: &Wire, code: &str, mosip: &[&str]) -> Answer {
    let answer = send(wire);
    assert_refused(site(), &answer, code, mosip);
    assert_eq!(answer.json()["transactionID"], transaction(wire));
    answer
}

fn crvs() -> Forger {
    Forger::load(&site().party("crvs"), "signature")
}

/// A good message under a forged header.
fn signed_with(make: impl FnOnce(&[u8]) -> String) -> Wire {
    let wire = site().auth().wire();
    let header = make(&wire.body);
    wire.header("signature", &header)
}

/// A good message of which the body is changed and signed again by the partner: the signature is not what is wrong.
fn resigned(change: impl FnOnce(&mut Value)) -> Wire {
    let ask = site().auth();
    let mut body: Value = serde_json::from_slice(&ask.body()).unwrap();
    change(&mut body);
    ask.wire_with(body.to_string().into_bytes())
}

fn bytes(body: &Value, member: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD
        .decode(body[member].as_str().unwrap())
        .unwrap()
}

fn put(body: &mut Value, member: &str, bytes: &[u8]) {
    body[member] = URL_SAFE_NO_PAD.encode(bytes).into();
}

#[test]
fn the_good_message_that_all_others_differ_from_is_answered_yes() {
    let wire = site().auth().wire();
    let answer = send(&wire);
    assert!(answer.says_yes(), "{}", answer.text());
    assert_eq!(answer.header("x-triseal-code"), None);
    assert_eq!(answer.json()["transactionID"], transaction(&wire));
    assert_signed(&answer, &site().party("misp"));
    let forged = signed_with(|body| crvs().jws(&crvs().header(), body));
    assert!(
        send(&forged).says_yes(),
        "the forger's own honest work is taken"
    );
}

// ---- the signature

#[test]
fn a_message_without_a_signature_is_refused() {
    let mut wire = site().auth().wire();
    wire.headers.retain(|(name, _)| name != "signature");
    refused(&wire, "SIG-001", MISSING);
    refused(
        &site().auth().wire().header("signature", ""),
        "SIG-001",
        MISSING,
    );
}

#[test]
fn two_signatures_are_refused_even_when_both_are_right() {
    let mut wire = site().auth().wire();
    let again = wire.header_value("signature").to_owned();
    wire.headers.push(("Signature".to_owned(), again));
    // Which of the two would count is not ours to choose.
    let answer = send(&wire);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "HTTP-007"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_signature_that_is_not_detached_compact_is_refused() {
    let wire = site().auth().wire();
    let good = wire.header_value("signature").to_owned();
    let parts: Vec<&str> = good.split('.').collect();
    let payload = URL_SAFE_NO_PAD.encode(&wire.body);
    for wrong in [
        // The payload may not stand in the middle, not even the right one.
        format!("{}.{payload}.{}", parts[0], parts[2]),
        format!("{}.{}", parts[0], parts[2]),
        format!("{good}."),
        format!(".{good}"),
        format!("{}..", parts[0]),
        format!("..{}", parts[2]),
        format!("{good}="),
        format!("{}=..{}", parts[0], parts[2]),
        parts[0].to_owned(),
        "..".to_owned(),
        "Bearer x".to_owned(),
        format!("{}..{}", "A".repeat(9000), parts[2]),
    ] {
        let wire = site()
            .auth()
            .wire_with(wire.body.clone())
            .header("signature", &wrong);
        refused(&wire, "SIG-002", SIGNATURE_WRONG);
    }
}

#[test]
fn a_header_of_another_algorithm_than_the_one_bound_to_the_key_is_refused() {
    // Everything after the header fits the algorithm that it names.
    for (alg, how) in [
        ("PS256", How::Pss),
        ("HS256", How::PublicKeyHmac),
        ("RS384", How::Pkcs1),
        ("RS512", How::Pkcs1),
        ("ES256", How::Pkcs1),
        ("EdDSA", How::Pkcs1),
        ("rs256", How::Pkcs1),
        ("none", How::Pkcs1),
        ("None", How::Pkcs1),
    ] {
        let wire = signed_with(|body| {
            let mut header = crvs().header();
            header["alg"] = alg.into();
            crvs().jws_of_text(&header.to_string(), body, how)
        });
        refused(&wire, "SIG-003", SIGNATURE_WRONG);
    }
    // Without any signature there is nothing to read at all.
    let wire = signed_with(|body| {
        let header = json!({"alg": "none", "x5c": crvs().header()["x5c"]});
        crvs().jws_of_text(&header.to_string(), body, How::Nothing)
    });
    refused(&wire, "SIG-002", SIGNATURE_WRONG);
}

#[test]
fn a_signature_over_other_bytes_is_refused() {
    let good = site().auth().wire();
    let header = good.header_value("signature").to_owned();
    // One bit, one space at the end, another message, the same JSON in other bytes.
    let mut flipped = good.body.clone();
    let last = flipped.len() - 3;
    flipped[last] ^= 1;
    let mut spaced = good.body.clone();
    spaced.push(b' ');
    let value: Value = serde_json::from_slice(&good.body).unwrap();
    let pretty = serde_json::to_vec_pretty(&value).unwrap();
    for body in [spaced, pretty, site().auth().body()] {
        let wire = Wire {
            body,
            ..good.clone()
        };
        refused(
            &wire.header("signature", &header),
            "SIG-008",
            SIGNATURE_WRONG,
        );
    }
    let answer = send(&Wire {
        body: flipped,
        ..good
    });
    assert_refused(site(), &answer, "SIG-008", SIGNATURE_WRONG);
    // PSS bytes under an RS256 header; and the honest signature with one bit turned.
    refused(
        &signed_with(|body| crvs().jws_of_text(&crvs().header().to_string(), body, How::Pss)),
        "SIG-008",
        SIGNATURE_WRONG,
    );
    let wire = signed_with(|body| {
        let jws = crvs().jws(&crvs().header(), body);
        let (head, signature) = jws.split_once("..").unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        signature[100] ^= 0x10;
        format!("{head}..{}", URL_SAFE_NO_PAD.encode(signature))
    });
    refused(&wire, "SIG-008", SIGNATURE_WRONG);
}

#[test]
fn the_key_is_the_binding_s_and_never_the_message_s() {
    // Signed by the seeder's key, with crvs' certificate in the header.
    let seeder = Forger::load(&site().party("seeder"), "signature");
    let wire = signed_with(|body| seeder.jws(&crvs().header(), body));
    refused(&wire, "SIG-008", SIGNATURE_WRONG);
    // The first certificate of x5c is the signer, whatever stands behind it.
    let wire = signed_with(|body| {
        let header =
            json!({"alg": "RS256", "x5c": [seeder.header()["x5c"][0], crvs().header()["x5c"][0]]});
        seeder.jws(&header, body)
    });
    refused(&wire, "SIG-005", NOT_THE_PARTNERS);
}

#[test]
fn another_partner_s_signature_is_refused() {
    let ask = site()
        .auth()
        .signed_by(&site().party("seeder"), "signature");
    refused(&ask.wire(), "SIG-005", NOT_THE_PARTNERS);
}

#[test]
fn a_signer_that_nobody_has_bound_is_refused_even_below_the_right_anchor() {
    for twin in [
        "other-root",
        "below-partner",
        "expired",
        "other-organisation",
    ] {
        let ask = site().auth().signed_by(&site().twin(twin), "signature");
        refused(&ask.wire(), "SIG-004", NOT_THE_PARTNERS);
    }
}

#[test]
fn the_encryption_and_the_tls_certificate_do_not_sign() {
    for role in ["encryption", "tls"] {
        let ask = site().auth().signed_by(&site().party("crvs"), role);
        refused(&ask.wire(), "SIG-006", NOT_THE_PARTNERS);
    }
}

#[test]
fn x5t_s256_must_be_that_of_x5c() {
    let thumbprint = |leaf: &[u8]| {
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf))
    };
    let with = |text: String| {
        signed_with(|body| {
            let mut header = crvs().header();
            header["x5t#S256"] = text.into();
            crvs().jws(&header, body)
        })
    };
    assert!(send(&with(thumbprint(&crvs().leaf))).says_yes());
    let seeder = Forger::load(&site().party("seeder"), "signature");
    for wrong in [
        thumbprint(&seeder.leaf),
        thumbprint(&crvs().leaf) + "=",
        String::new(),
    ] {
        refused(&with(wrong), "SIG-002", SIGNATURE_WRONG);
    }
}

#[test]
fn header_members_beyond_the_contract_are_refused() {
    for (name, value) in [
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("jwk", json!({"kty": "RSA"})),
        ("jku", json!("https://localhost/keys")),
        ("x5u", json!("https://localhost/leaf.pem")),
        ("x5t", json!("AAAA")),
        ("typ", json!("JWT")),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("kid", json!("k".repeat(257))),
        ("kid", json!(7)),
    ] {
        let wire = signed_with(|body| {
            let mut header = crvs().header();
            header[name] = value;
            crvs().jws(&header, body)
        });
        refused(&wire, "SIG-002", SIGNATURE_WRONG);
    }
}

#[test]
fn a_protected_header_that_is_not_strict_json_is_refused() {
    let x5c = crvs().header()["x5c"].to_string();
    for text in [
        format!(r#"{{"alg":"RS256","alg":"RS256","x5c":{x5c}}}"#),
        format!(r#"{{"alg":"none","x5c":{x5c},"\u0061lg":"RS256"}}"#),
        format!(r#"{{"alg":"RS256","x5c":{x5c}}} x"#),
        format!(r#"{{"alg":"RS256","x5c":{x5c}"#),
        format!(r#"{{"alg":["RS256"],"x5c":{x5c}}}"#),
        format!(r#"{{"alg":"RS256","x5c":{}}}"#, crvs().header()["x5c"][0]),
        r#"{"alg":"RS256","x5c":[]}"#.to_owned(),
        r#"{"alg":"RS256"}"#.to_owned(),
        format!(r#"{{"x5c":{x5c}}}"#),
        "[]".to_owned(),
        String::new(),
    ] {
        let wire = signed_with(|body| crvs().jws_of_text(&text, body, How::Pkcs1));
        refused(&wire, "SIG-002", SIGNATURE_WRONG);
    }
}

#[test]
fn an_empty_authorization_is_as_good_as_none() {
    for ask in [
        site().auth().without_header("Authorization"),
        site()
            .auth()
            .without_header("Authorization")
            .header("Authorization", ""),
    ] {
        let answer = refused(&ask.wire(), "MSG-002", MISSING);
        let message = answer.json()["errors"][1]["errorMessage"].to_string();
        assert!(message.contains("Authorization - header"), "{message}");
    }
}

// ---- freshness and replay

#[test]
fn the_window_reaches_sixty_seconds_back_and_thirty_ahead() {
    const TIME: &[&str] = &["IDA-MLC-001"];
    for inside in [-57_000, 27_000] {
        let answer = send(&site().auth().at_offset_ms(inside).wire());
        assert!(answer.says_yes(), "{inside} ms: {}", answer.text());
    }
    refused(&site().auth().at_offset_ms(-60_500).wire(), "FRS-002", TIME);
    refused(&site().auth().at_offset_ms(33_000).wire(), "FRS-003", TIME);
    // The same for the time under the encryption.
    let late = site().auth().at_offset_ms(-60_500).inner.unwrap()["timestamp"].clone();
    refused(
        &site().auth().set_inner("timestamp", late).wire(),
        "FRS-002",
        TIME,
    );
    let early = site().auth().at_offset_ms(33_000).inner.unwrap()["timestamp"].clone();
    refused(
        &site().auth().set_inner("timestamp", early).wire(),
        "FRS-003",
        TIME,
    );
    refused(
        &site().auth().otp().at_offset_ms(-60_500).wire(),
        "FRS-002",
        TIME,
    );
}

#[test]
fn a_time_in_another_form_is_refused() {
    const FORM: &[&str] = &["IDA-MLC-009"];
    let good = site().auth().members["requestTime"]
        .as_str()
        .unwrap()
        .to_owned();
    let stem = good.trim_end_matches('Z');
    for wrong in [
        stem.to_owned(),
        format!("{stem}000Z"),
        format!("{stem}Z trailing"),
        format!("{stem}+0000"),
        format!("{stem}z"),
        good.replace('T', " "),
        good.split('.').next().unwrap().to_owned() + "Z",
        "now".to_owned(),
        "1700000000000".to_owned(),
    ] {
        refused(
            &site().auth().set("requestTime", wrong.into()).wire(),
            "FRS-001",
            FORM,
        );
    }
    refused(
        &site().auth().set_inner("timestamp", "now".into()).wire(),
        "FRS-001",
        FORM,
    );
    // Another zone is the same moment.
    let zoned = format!("{stem}+00:00");
    assert!(send(&site().auth().set("requestTime", zoned.into()).wire()).says_yes());
}

#[test]
fn a_message_is_taken_once_also_under_another_signature_header() {
    let wire = site().auth().wire();
    assert!(send(&wire).says_yes());
    let replayed = |wire: &Wire| {
        let answer = send(wire);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (409, "FRS-004"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.mosip_codes(), ["IDA-MLC-007"]);
        assert_eq!(answer.json()["transactionID"], transaction(wire));
        assert_signed(&answer, &site().party("misp"));
    };
    replayed(&wire);
    // The same bytes signed anew, under a header with spaces and another order, and with a `kid`.
    let x5c = &crvs().header()["x5c"];
    for header in [
        format!(r#"{{ "x5c" : {x5c}, "alg" : "RS256" }}"#),
        format!(r#"{{"alg":"RS256","kid":"another","x5c":{x5c}}}"#),
    ] {
        let signature = crvs().jws_of_text(&header, &wire.body, How::Pkcs1);
        replayed(&wire.clone().header("signature", &signature));
    }
    // A refused message counts as seen as well: it was the partner's.
    let wire = site().auth().set_inner("staticPin", "1234".into()).wire();
    refused(&wire, "POL-004", &["IDA-MLC-007", "IDA-MPA-006"]);
    replayed(&wire);
}

#[test]
fn a_message_with_a_wrong_signature_does_not_use_the_right_one_up() {
    let wire = site().auth().wire();
    let seeder = Forger::load(&site().party("seeder"), "signature");
    let forged = seeder.jws(&crvs().header(), &wire.body);
    refused(
        &wire.clone().header("signature", &forged),
        "SIG-008",
        SIGNATURE_WRONG,
    );
    assert!(send(&wire).says_yes());
}

// ---- the encryption

#[test]
fn a_message_for_somebody_else_is_refused() {
    let crvs = site().party("crvs");
    refused(
        &site().auth().sealed_to(&crvs.join("encryption.pem")).wire(),
        "ENC-001",
        UNDECRYPTABLE,
    );
    // Our own signature certificate is not to be encrypted to either.
    let pem = site().party("misp").join("signature.pem");
    refused(
        &site().auth().sealed_to(&pem).wire(),
        "ENC-001",
        UNDECRYPTABLE,
    );
}

#[test]
fn whatever_fails_to_decrypt_looks_the_same() {
    let mut another_key = site()
        .auth()
        .sealed_to(&site().party("crvs").join("encryption.pem"));
    another_key.thumbprint_of = Some(site().auth().recipient);
    let cases: Vec<(&str, Wire)> = vec![
        ("wrapped for another key", another_key.wire()),
        (
            "a random session key",
            resigned(|body| put(body, "requestSessionKey", &[0x55; 256])),
        ),
        (
            "a session key of zeros",
            resigned(|body| put(body, "requestSessionKey", &[0; 256])),
        ),
        (
            "a session key above the modulus",
            resigned(|body| put(body, "requestSessionKey", &[0xff; 256])),
        ),
        (
            "a session key of another length",
            resigned(|body| put(body, "requestSessionKey", &[0x55; 512])),
        ),
        (
            "a bit of the text",
            resigned(|body| flip(body, "request", 0)),
        ),
        (
            "a bit of the tag",
            resigned(|body| flip_from_end(body, "request", 20)),
        ),
        (
            "a bit of the nonce",
            resigned(|body| flip_from_end(body, "request", 1)),
        ),
        (
            "a bit of the digest",
            resigned(|body| flip(body, "requestHMAC", 3)),
        ),
        (
            "a tag of 15 bytes",
            resigned(|body| cut(body, "request", 17..18)),
        ),
        (
            "a tag of 4 bytes",
            resigned(|body| cut(body, "request", 17..29)),
        ),
        (
            "a nonce of 12 bytes",
            resigned(|body| cut(body, "request", 0..4)),
        ),
        (
            "digest and request swapped in their places",
            resigned(|body| {
                let request = body["request"].take();
                body["request"] = body["requestHMAC"].clone();
                let long = URL_SAFE_NO_PAD.decode(request.as_str().unwrap()).unwrap();
                put(body, "requestHMAC", &long[..96]);
            }),
        ),
    ];
    let mut texts: Vec<(String, Value)> = Vec::new();
    for (name, wire) in &cases {
        let answer = send(wire);
        assert_eq!(answer.code(), "ENC-002", "{name}: {}", answer.text());
        assert_refused(site(), &answer, "ENC-002", UNDECRYPTABLE);
        let names: Vec<&str> = answer
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        texts.push((names.join(","), answer.json()["errors"].clone()));
    }
    assert!(texts.iter().all(|t| *t == texts[0]), "{texts:?}");
    let causes: Vec<String> = site()
        .misp()
        .access()
        .iter()
        .filter(|line| line["code"] == "ENC-002")
        .map(|line| line["cause"].to_string())
        .collect();
    assert!(
        causes.iter().all(|c| *c == causes[0]),
        "the log tells them apart: {causes:?}"
    );
}

fn flip(body: &mut Value, member: &str, at: usize) {
    let mut data = bytes(body, member);
    data[at] ^= 1;
    put(body, member, &data);
}

fn flip_from_end(body: &mut Value, member: &str, from_end: usize) {
    let at = bytes(body, member).len() - from_end;
    flip(body, member, at);
}

/// Takes bytes away, counted from the end.
fn cut(body: &mut Value, member: &str, from_end: std::ops::Range<usize>) {
    let mut data = bytes(body, member);
    let length = data.len();
    data.drain(length - from_end.end..length - from_end.start);
    put(body, member, &data);
}

#[test]
fn a_digest_of_another_content_is_refused() {
    let digest = |text: &str| Some(text.to_owned());
    let mut ask = site().auth();
    ask.digest = digest(&"0".repeat(64));
    refused(&ask.wire(), "ENC-003", &["IDA-MLC-007", "IDA-MPA-016"]);
    // The right digest in the wrong letters: MOSIP compares exact upper-case hex.
    let mut ask = site().auth();
    let plain = ask.inner.as_ref().unwrap().to_string();
    let right = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, plain.as_bytes());
    ask.digest = Some(right.as_ref().iter().map(|b| format!("{b:02x}")).collect());
    refused(&ask.wire(), "ENC-003", &["IDA-MLC-007", "IDA-MPA-016"]);
}

// ---- the members

fn text_of(ask: &Ask) -> String {
    String::from_utf8(ask.body()).unwrap()
}

#[test]
fn a_name_twice_is_refused_inside_and_outside() {
    let ask = site().auth();
    let id = ask.members["transactionID"].clone();
    for (name, value) in [
        ("transactionID", id.to_string()),
        ("consentObtained", "true".to_owned()),
        (r"\u0069d", r#""mosip.identity.auth""#.to_owned()),
    ] {
        let ask = site().auth();
        let body = text_of(&ask).replacen('{', &format!("{{\"{name}\":{value},"), 1);
        let answer = send(&ask.wire_with(body.into_bytes()));
        assert_refused(site(), &answer, "MSG-001", INVALID);
    }
    let mut ask = site().auth();
    let plain = ask.inner.as_ref().unwrap().to_string();
    ask.inner_text = Some(plain.replacen('{', "{\"otp\":\"\",", 1).into_bytes());
    refused(&ask.wire(), "MSG-001", INVALID);
}

#[test]
fn a_body_that_is_not_one_json_object_is_refused() {
    let ask = site().auth();
    let good = text_of(&ask);
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        format!("{good}{good}"),
        format!("{good},"),
        format!("\u{feff}{good}"),
        good.replacen('{', "{/**/", 1),
        good.replacen('}', ",}", 1),
        good.replace('"', "'"),
        format!("{}{}", "{\"a\":".repeat(40), "}".repeat(40)),
    ] {
        let answer = send(&site().auth().wire_with(body.into_bytes()));
        assert_refused(site(), &answer, "MSG-001", INVALID);
    }
    let mut latin = good.into_bytes();
    latin.splice(1..1, b"\"n\":\"\xe9\",".iter().copied());
    let answer = send(&site().auth().wire_with(latin));
    assert_refused(site(), &answer, "MSG-001", INVALID);
}

#[test]
fn a_missing_member_is_named() {
    for member in [
        "id",
        "version",
        "individualId",
        "transactionID",
        "requestTime",
        "consentObtained",
        "request",
        "requestSessionKey",
        "requestHMAC",
        "thumbprint",
    ] {
        for gone in [true, false] {
            let wire = resigned(|body| {
                if gone {
                    body.as_object_mut().unwrap().remove(member);
                } else {
                    body[member] = Value::Null;
                }
            });
            let answer = send(&wire);
            assert_refused(site(), &answer, "MSG-002", MISSING);
            let message = answer.json()["errors"][1]["errorMessage"].to_string();
            assert!(message.contains(member), "{message}");
        }
    }
    let answer = send(&site().auth().otp().without("otpChannel").wire());
    assert_refused(site(), &answer, "MSG-002", MISSING);
}

#[test]
fn a_member_of_another_form_is_named() {
    for (member, value) in [
        ("id", json!("mosip.identity.kyc")),
        ("id", json!("mosip.identity.otp")),
        ("version", json!("v1")),
        ("version", json!("1")),
        ("version", json!(1.0)),
        ("transactionID", json!("123456789")),
        ("transactionID", json!("12345678901")),
        ("transactionID", json!("123456789-")),
        ("transactionID", json!(1_234_567_890)),
        ("individualId", json!("x\ny")),
        ("individualId", json!(["2753114735"])),
        ("consentObtained", json!("true")),
        ("consentObtained", json!(1)),
        ("env", json!({"a": 1})),
        ("request", json!("")),
        ("request", json!("!!!!")),
        ("requestHMAC", json!("QQ")),
        ("requestSessionKey", json!("QQ")),
        ("thumbprint", json!("QQ")),
    ] {
        let wire = resigned(|body| body[member] = value.clone());
        let answer = send(&wire);
        let missing = value == json!("");
        let (code, mosip) = if missing {
            ("MSG-002", MISSING)
        } else {
            ("MSG-003", INVALID)
        };
        assert_eq!(answer.code(), code, "{member} {value}: {}", answer.text());
        assert_refused(site(), &answer, code, mosip);
        let message = answer.json()["errors"][1]["errorMessage"].to_string();
        assert!(message.contains(member), "{message}");
    }
}

#[test]
fn an_individual_who_does_not_consent_is_not_asked_about() {
    let wire = site().auth().set("consentObtained", false.into()).wire();
    refused(&wire, "MSG-005", &["IDA-MLC-012"]);
    let wire = site()
        .auth()
        .kyc()
        .set("consentObtained", false.into())
        .wire();
    let answer = refused(&wire, "MSG-005", &["IDA-MLC-012"]);
    assert_eq!(answer.json()["response"], json!({"kycStatus": false}));
}

#[test]
fn a_message_without_a_factor_is_refused() {
    for inner in [
        json!({}),
        json!({"demographics": null, "otp": "", "biometrics": []}),
        json!({"demographics": {"name": []}}),
        json!({"demographics": {"name": [{"language": "", "value": ""}]}}),
    ] {
        let mut ask = site().auth();
        let mut block = inner;
        block["timestamp"] = ask.inner.as_ref().unwrap()["timestamp"].clone();
        ask.inner = Some(block);
        refused(&ask.wire(), "MSG-004", &["IDA-MLC-008"]);
    }
}

// ---- the policy over the content

#[test]
fn a_factor_that_the_policy_does_not_list_is_refused_wherever_it_hides() {
    let payload = URL_SAFE_NO_PAD.encode(json!({"bioType": "Finger"}).to_string());
    for (member, value) in [
        ("staticPin", json!("1234")),
        ("password", json!("secret")),
        (
            "keyBindedTokens",
            json!([{"type": "WLA", "token": "t", "format": "jwt"}]),
        ),
        ("biometrics", json!([{"data": format!("e30.{payload}.AA")}])),
    ] {
        // Beside a factor that is allowed.
        let answer = refused(
            &site().auth().set_inner(member, value).wire(),
            "POL-004",
            &["IDA-MLC-007", "IDA-MPA-006"],
        );
        let message = answer.json()["errors"][1]["errorMessage"].to_string();
        assert!(
            message.contains("usage not allowed as per policy"),
            "{message}"
        );
    }
    // A biometric of a kind that nobody can name does not pass unseen.
    for segment in [
        json!({}),
        json!(null),
        json!({"data": "x"}),
        json!({"data": "e30.e30.AA"}),
    ] {
        let wire = site()
            .auth()
            .set_inner("biometrics", json!([segment]))
            .wire();
        refused(&wire, "MSG-003", INVALID);
    }
}

#[test]
fn a_factor_that_the_policy_demands_must_be_there() {
    let mut site = Site::new("mandatory");
    site.edit("misp/policies/ekyc.json", |text| {
        let mut policy: Value = serde_json::from_str(&text).unwrap();
        for allowed in policy["allowedAuthTypes"].as_array_mut().unwrap() {
            if allowed["authType"] == "otp" {
                allowed["mandatory"] = true.into();
            }
        }
        policy.to_string()
    });
    site.start_misp();
    let answer = site.ask(&site.auth());
    assert_refused(&site, &answer, "POL-005", &["IDA-MLC-007", "IDA-MPA-015"]);
    assert!(
        answer
            .text()
            .contains("otp-authentiation usage is mandatory"),
        "{}",
        answer.text()
    );
    // With it, MOSIP is asked: the password is wrong, and that is MOSIP's to say.
    let answer = site.ask(&site.auth().set_inner("otp", "111111".into()));
    assert_eq!(answer.header("x-triseal-code"), None, "{}", answer.text());
    // A request for a password is no authentication: nothing is demanded of it.
    let answer = site.ask(&site.auth().otp());
    assert_eq!(answer.header("x-triseal-code"), None, "{}", answer.text());
}

#[test]
fn a_route_that_the_policy_does_not_permit_is_refused() {
    let mut site = Site::new("no-kyc");
    site.replace(
        "misp/policies/ekyc.json",
        "\"authType\": \"kyc\"",
        "\"authType\": \"kycauth\"",
    );
    site.start_misp();
    let answer = site.ask(&site.auth().kyc());
    assert_refused(&site, &answer, "POL-003", &["IDA-MLC-007", "IDA-MPA-013"]);
    assert_eq!(answer.json()["response"], json!({"kycStatus": false}));
    assert!(site.ask(&site.auth()).says_yes());
}

#[test]
fn each_operation_is_refused_in_its_own_shape() {
    let answer = send(
        &site()
            .auth()
            .otp()
            .set("otpChannel", json!(["pigeon"]))
            .wire(),
    );
    assert_refused(site(), &answer, "MSG-003", INVALID);
    assert_eq!(answer.json().get("response"), None);
    let answer = send(&site().auth().set("version", "x".into()).wire());
    assert_eq!(
        answer.json()["response"],
        json!({"authStatus": false, "authToken": null})
    );
    assert_eq!(answer.json()["id"], "mosip.identity.auth");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}
