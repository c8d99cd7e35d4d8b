use serde_json::{Value, json};

use super::{
    protected::{KID_MAX, X5C_MAX},
    *,
};
use crate::{
    config::Client,
    envelope::{
        sign_detached,
        testing::{GATEWAY, PARTNER, Party, opencrvs_x5c, sdk_x5c},
    },
};

const BODY: &[u8] = br#"{"id":"mosip.identity.auth"}"#;

/// A signature header with any protected header, rightly signed.
fn signed(header: &str, party: &Party) -> String {
    let protected = forms::to_base64url(header.as_bytes());
    let signature = party
        .signing
        .sign(Algorithm::RS256, &signing_input(&protected, BODY))
        .unwrap();
    format!("{protected}..{}", forms::to_base64url(&signature))
}

fn header(x5c: &str) -> Value {
    json!({"alg": "RS256", "x5c": [x5c]})
}

fn refused(value: &str) -> Code {
    DetachedJws::parse(value, &Forms::STRICT)
        .unwrap_err()
        .code()
}

#[test]
fn what_we_sign_verifies_over_the_same_bytes_only() {
    let value = sign_detached(&PARTNER.signing, Algorithm::RS256, &PARTNER.der, BODY).unwrap();
    let jws = DetachedJws::parse(&value, &Forms::STRICT).unwrap();
    assert_eq!(jws.fingerprint(), PARTNER.fingerprint());
    assert_eq!(jws.leaf(), PARTNER.der);
    assert_eq!(jws.algorithm(), Algorithm::RS256);
    let key = PARTNER.verifying(Algorithm::RS256);
    jws.verify(&key, BODY).unwrap();
    for other in [&BODY[1..], &[BODY, b" "].concat(), b""] {
        assert_eq!(
            jws.verify(&key, other).unwrap_err().code(),
            Code::SignatureWrong
        );
    }
    let foreign = GATEWAY.verifying(Algorithm::RS256);
    assert_eq!(
        jws.verify(&foreign, BODY).unwrap_err().code(),
        Code::SignatureWrong
    );
}

#[test]
fn the_bound_algorithm_is_compared_before_any_cryptography() {
    let value = sign_detached(&PARTNER.signing, Algorithm::RS256, &PARTNER.der, BODY).unwrap();
    let jws = DetachedJws::parse(&value, &Forms::STRICT).unwrap();
    let refusal = jws
        .verify(&PARTNER.verifying(Algorithm::PS256), BODY)
        .unwrap_err();
    assert_eq!(refusal.code(), Code::SignatureAlgorithm);

    let value = sign_detached(&PARTNER.signing, Algorithm::PS256, &PARTNER.der, BODY).unwrap();
    let jws = DetachedJws::parse(&value, &Forms::STRICT).unwrap();
    jws.verify(&PARTNER.verifying(Algorithm::PS256), BODY)
        .unwrap();
}

#[test]
fn algorithms_that_are_not_ours_are_refused() {
    for alg in ["none", "HS256", "RS1", "rs256", "RS256 ", "ES256K", ""] {
        let header = json!({"alg": alg, "x5c": [forms::to_base64(&PARTNER.der)]});
        let value = signed(&header.to_string(), &PARTNER);
        assert_eq!(refused(&value), Code::SignatureAlgorithm, "{alg:?}");
    }
}

#[test]
fn headers_of_published_clients_verify() {
    let der = &PARTNER.der;
    let b64 = forms::to_base64(der);
    let x5t = forms::to_base64url(PARTNER.fingerprint().as_bytes());
    let sdk = json!({"alg": "RS256", "x5c": [sdk_x5c(der)]}).to_string();
    for (client, header) in [
        (
            Client::Keymanager,
            format!(r#"{{"x5c":["{b64}"],"kid":"k","alg":"RS256"}}"#),
        ),
        (
            Client::Keymanager,
            format!(r#"{{"x5c":["{b64}"],"x5t#S256":"{x5t}","kid":"k","alg":"RS256"}}"#),
        ),
        (
            Client::MosipAuthSdk,
            sdk.replace(',', ", ").replace("\":", "\": "),
        ),
        (Client::OpenCrvs, header(&opencrvs_x5c(der)).to_string()),
    ] {
        let forms = Forms::of(&[client]);
        let value = signed(&header, &PARTNER);
        let jws = DetachedJws::parse(&value, &forms).unwrap();
        jws.verify(&PARTNER.verifying(Algorithm::RS256), BODY)
            .unwrap();
        assert_eq!(jws.fingerprint(), PARTNER.fingerprint());
    }
}

#[test]
fn pem_in_x5c_is_refused_where_the_contract_is_keymanager_s() {
    for x5c in [sdk_x5c(&PARTNER.der), opencrvs_x5c(&PARTNER.der)] {
        let value = signed(&header(&x5c).to_string(), &PARTNER);
        assert_eq!(refused(&value), Code::SignatureForm);
    }
}

#[test]
fn members_that_no_client_sends_are_refused() {
    for (name, member) in [
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("b64", json!(true)),
        ("b64", json!(false)),
        ("jku", json!("https://keys.example")),
        ("jwk", json!({})),
        ("x5u", json!("https://keys.example")),
        ("x5t", json!("AA")),
        ("typ", json!("JWT")),
        ("zip", json!("DEF")),
        ("Alg", json!("none")),
        ("", json!(1)),
        ("kid", json!(1)),
        ("kid", json!("k".repeat(KID_MAX + 1))),
        ("x5t#S256", json!(null)),
        ("x5t#S256", json!("")),
        (
            "x5t#S256",
            json!(forms::to_base64url(GATEWAY.fingerprint().as_bytes())),
        ),
        (
            "x5t#S256",
            json!(forms::to_base64url(PARTNER.fingerprint().as_bytes()) + "="),
        ),
        ("x5c", json!([])),
        ("x5c", json!(forms::to_base64(&PARTNER.der))),
        ("x5c", json!([1])),
        ("x5c", json!([forms::to_base64(&PARTNER.der), 1])),
        (
            "x5c",
            json!(vec![forms::to_base64(&PARTNER.der); X5C_MAX + 1]),
        ),
        ("alg", json!(["RS256"])),
        ("alg", json!(null)),
    ] {
        let mut header = header(&forms::to_base64(&PARTNER.der));
        header[name] = member;
        assert_eq!(
            refused(&signed(&header.to_string(), &PARTNER)),
            Code::SignatureForm,
            "{name}"
        );
    }
}

#[test]
fn duplicate_members_of_the_header_are_refused() {
    let b64 = forms::to_base64(&PARTNER.der);
    for header in [
        format!(r#"{{"alg":"RS256","x5c":["{b64}"],"alg":"RS256"}}"#),
        format!(r#"{{"alg":"RS256","x5c":["{b64}"],"\u0061lg":"none"}}"#),
        format!(r#"{{"alg":"RS256","x5c":["{b64}"]}}x"#),
        format!(r#"[{{"alg":"RS256","x5c":["{b64}"]}}]"#),
        r#"{"alg":"RS256"}"#.to_owned(),
        format!(r#"{{"x5c":["{b64}"]}}"#),
        String::new(),
    ] {
        assert_eq!(
            refused(&signed(&header, &PARTNER)),
            Code::SignatureForm,
            "{header}"
        );
    }
}

#[test]
fn only_the_first_certificate_counts() {
    let (mine, other) = (
        forms::to_base64(&PARTNER.der),
        forms::to_base64(&GATEWAY.der),
    );
    let value = signed(
        &json!({"alg": "RS256", "x5c": [mine, other]}).to_string(),
        &PARTNER,
    );
    let jws = DetachedJws::parse(&value, &Forms::STRICT).unwrap();
    assert_eq!(jws.fingerprint(), PARTNER.fingerprint());
}

#[test]
fn anything_but_header_dot_dot_signature_is_refused() {
    let value = sign_detached(&PARTNER.signing, Algorithm::RS256, &PARTNER.der, BODY).unwrap();
    let (head, tail) = value.split_once("..").unwrap();
    let attached = forms::to_base64url(BODY);
    for miss in [
        String::new(),
        "..".to_owned(),
        head.to_owned(),
        format!("{head}."),
        format!("{head}.."),
        format!("..{tail}"),
        format!("{head}.{tail}"),
        format!("{head}.{attached}.{tail}"),
        format!("{head}...{tail}"),
        format!("{value}."),
        format!(".{value}"),
        format!("{value}="),
        format!("{value} "),
        format!(" {value}"),
        format!("{head}=..{tail}"),
        format!("{head}\n..{tail}"),
        format!("{head}. .{tail}"),
        format!("{head}..{}", &tail[..tail.len() - 1]),
        format!("{head}..{tail}\0"),
        format!("{value},{value}"),
    ] {
        assert_eq!(refused(&miss), Code::SignatureForm, "{miss:?}");
    }
}

#[test]
fn a_signature_has_one_text() {
    // 256 bytes: the last character carries four bits only, so that other characters would decode alike.
    let value = sign_detached(&PARTNER.signing, Algorithm::RS256, &PARTNER.der, BODY).unwrap();
    let last = value.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in alphabet.chars().filter(|c| *c != last) {
        let mut twin = value.clone();
        twin.pop();
        twin.push(other);
        if let Ok(jws) = DetachedJws::parse(&twin, &Forms::STRICT) {
            let key = PARTNER.verifying(Algorithm::RS256);
            assert!(jws.verify(&key, BODY).is_err(), "{other}");
        }
    }
}

#[test]
fn the_size_is_bounded() {
    let header =
        json!({"alg": "RS256", "x5c": [forms::to_base64(&PARTNER.der), "A".repeat(VALUE_MAX)]});
    assert_eq!(
        refused(&signed(&header.to_string(), &PARTNER)),
        Code::SignatureForm
    );
    let value = sign_detached(&PARTNER.signing, Algorithm::RS256, &PARTNER.der, BODY).unwrap();
    let (head, _) = value.split_once("..").unwrap();
    let long = forms::to_base64url(&[1; SIGNATURE_MAX + 1]);
    assert_eq!(refused(&format!("{head}..{long}")), Code::SignatureForm);
}

/// Reads a value with a memory, and says whether the header came from there.
fn read_known(value: &str, forms: &Forms, known: &KnownHeader) -> (DetachedJws, bool) {
    let before = known.get(value.split('.').next().unwrap(), forms);
    let jws = DetachedJws::parse_known(value, forms, known).unwrap();
    let from_memory = before.is_some_and(|held| Arc::ptr_eq(&held, &jws.protected));
    (jws, from_memory)
}

#[test]
fn a_known_header_is_what_reading_it_again_would_give_and_every_signature_is_verified() {
    let sign =
        |body| sign_detached(&PARTNER.signing, Algorithm::RS256, &PARTNER.der, body).unwrap();
    let known = KnownHeader::default();
    let (jws, from_memory) = read_known(&sign(BODY), &Forms::STRICT, &known);
    assert!(!from_memory, "nothing is known at first");
    known.keep(&jws, &Forms::STRICT);

    let (again, from_memory) = read_known(&sign(b"other"), &Forms::STRICT, &known);
    assert!(from_memory);
    assert_eq!(again.fingerprint(), PARTNER.fingerprint());
    let key = PARTNER.verifying(Algorithm::RS256);
    again.verify(&key, b"other").unwrap();
    let wrong = again.verify(&key, BODY).unwrap_err();
    assert_eq!(wrong.code(), Code::SignatureWrong);
}

#[test]
fn a_header_is_known_by_every_byte_and_in_its_forms_only() {
    let known = KnownHeader::default();
    let ours = signed(&header(&sdk_x5c(&PARTNER.der)).to_string(), &PARTNER);
    let lax = Forms::of(&[Client::MosipAuthSdk]);
    let (jws, _) = read_known(&ours, &lax, &known);
    known.keep(&jws, &lax);
    assert!(read_known(&ours, &lax, &known).1);

    // The same text once the contract lists the client no more.
    let refusal = DetachedJws::parse_known(&ours, &Forms::STRICT, &known).unwrap_err();
    assert_eq!(refusal.code(), Code::SignatureForm);
    // One that goes on where it ends, one that is cut, one of another algorithm.
    let (text, signature) = ours.split_once("..").unwrap();
    for near in [format!("{text}AAAA"), text[..text.len() - 4].to_owned()] {
        let refusal =
            DetachedJws::parse_known(&format!("{near}..{signature}"), &lax, &known).unwrap_err();
        assert_eq!(refusal.code(), Code::SignatureForm, "{near}");
    }
    let foreign = signed(
        &header(&forms::to_base64(&GATEWAY.der)).to_string(),
        &GATEWAY,
    );
    let (jws, from_memory) = read_known(&foreign, &lax, &known);
    assert!(!from_memory);
    assert_eq!(jws.fingerprint(), GATEWAY.fingerprint());
}

#[test]
fn neither_a_long_header_nor_that_of_an_answer_is_kept() {
    let known = KnownHeader::default();
    let mut long = header(&forms::to_base64(&PARTNER.der));
    long["x5c"] = json!([forms::to_base64(&PARTNER.der), "A".repeat(4 << 10)]);
    let mut answer = header(&forms::to_base64(&PARTNER.der));
    answer["leaf"] = forms::to_base64url(&[7; 32]).into();
    for header in [long, answer] {
        let value = signed(&header.to_string(), &PARTNER);
        let jws = DetachedJws::parse_answer(&value, &Forms::STRICT).unwrap();
        known.keep(&jws, &Forms::STRICT);
        assert!(known.get(jws.protected(), &Forms::STRICT).is_none());
    }
}
