//! Bodies and signatures of the exact form pass; every near miss is refused for what is wrong with it.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    AnswerSignature, AnswerTo, BodyProblem, RequestSignature, SealedBody, SignatureProblem, seal,
    sign_answer, sign_request, signature_digest,
};
use crate::{
    clock::Moment,
    config::Algorithm,
    envelope::{DetachedSigner, forms},
    keys::{
        ContentUnwrapKey, ContentWrapKey, KeyKind, PublicKey, SigningKey, VerifyingKey,
        default_algorithm,
    },
    trust::Fingerprint,
};

/// Somebody with one key that both seals and signs, as only tests have it.
struct Party {
    certificate: Vec<u8>,
    public: PublicKey,
    pkcs8: Vec<u8>,
}

static RSA: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_RSA_SHA256));
static P256: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_ECDSA_P256_SHA256));
static P384: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_ECDSA_P384_SHA384));
static EDWARDS: LazyLock<Party> = LazyLock::new(|| Party::new(&rcgen::PKCS_ED25519));

impl Party {
    fn new(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        Self {
            certificate: params.self_signed(&key).unwrap().der().to_vec(),
            public: PublicKey::from_spki(&spki).unwrap(),
            pkcs8: key.serialized_der().to_vec(),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    fn kind(&self) -> KeyKind {
        self.public.kind()
    }

    fn wraps(&self) -> ContentWrapKey {
        ContentWrapKey::new(&self.public).unwrap()
    }

    fn unwraps(&self) -> ContentUnwrapKey {
        ContentUnwrapKey::from_pkcs8_der(self.kind(), &self.pkcs8).unwrap()
    }

    fn seal(&self, content: &[u8]) -> String {
        let sealed = seal(content, TYPE, self.fingerprint(), &self.wraps()).unwrap();
        String::from_utf8(sealed.to_vec()).unwrap()
    }

    fn signer(&self, algorithm: Algorithm) -> DetachedSigner {
        let key = Arc::new(SigningKey::from_pkcs8_der(&self.pkcs8).unwrap());
        DetachedSigner::new(key, algorithm, &self.certificate)
    }

    fn verifies(&self, algorithm: Algorithm) -> VerifyingKey {
        VerifyingKey::new(&self.public, algorithm).unwrap()
    }
}

const TYPE: &str = "application/json; charset=utf-8";
const CONTENT: &[u8] = br#"{"a":"b"}"#;
const URI: &str = "https://misp.example/websub/hub";
const NOW: Moment = Moment::from_ms(1_700_000_000_999);

fn open(text: &str, key: &ContentUnwrapKey) -> Result<Bytes, BodyProblem> {
    SealedBody::parse(Bytes::copy_from_slice(text.as_bytes()))?
        .open(key)
        .map(|plain| plain.content)
}

fn form_of_body(text: &str) -> &'static str {
    match SealedBody::parse(Bytes::copy_from_slice(text.as_bytes())) {
        Err(BodyProblem::Form(why)) => why,
        other => panic!("{text}: {other:?}"),
    }
}

fn with_part(text: &str, at: usize, part: &str) -> String {
    let mut parts: Vec<&str> = text.split('.').collect();
    parts[at] = part;
    parts.join(".")
}

fn header_of(text: &str) -> Map<String, Value> {
    let encoded = text.split('.').next().unwrap();
    serde_json::from_slice(&forms::base64url(encoded).unwrap()).unwrap()
}

fn with_header(text: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let mut header = header_of(text);
    change(&mut header);
    let header = Value::Object(header).to_string();
    with_part(text, 0, &forms::to_base64url(header.as_bytes()))
}

#[test]
fn what_is_sealed_opens_with_every_kind_of_key() {
    for party in [&*RSA, &*P256, &*P384] {
        let sealed = SealedBody::parse(party.seal(CONTENT).into()).unwrap();
        assert_eq!(sealed.recipient(), party.fingerprint());
        let plain = sealed.open(&party.unwraps()).unwrap();
        assert_eq!((&*plain.content, &*plain.media_type), (CONTENT, TYPE));
        assert!(!format!("{plain:?}").contains('{') || !format!("{plain:?}").contains("\"a\""));
    }
}

#[test]
fn the_header_has_exactly_its_members() {
    let names = |text: &str| {
        let mut names: Vec<String> = header_of(text).keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&RSA.seal(CONTENT)), "alg cty enc kid");
    let header = header_of(&P384.seal(CONTENT));
    assert_eq!(names(&P384.seal(CONTENT)), "alg cty enc epk kid");
    assert_eq!(header["alg"], "ECDH-ES+A256KW");
    assert_eq!(header["enc"], "A256GCM");
    let epk = header["epk"].as_object().unwrap();
    assert_eq!(epk.len(), 4);
    assert_eq!((&epk["kty"], &epk["crv"]), (&json!("EC"), &json!("P-384")));
}

#[test]
fn an_empty_body_stays_empty_and_a_sealed_nothing_is_refused() {
    let sealed = seal(b"", TYPE, RSA.fingerprint(), &RSA.wraps()).unwrap();
    assert!(sealed.is_empty());
    assert_eq!(form_of_body(""), "it has not five parts");
    assert!(form_of_body(&with_part(&RSA.seal(CONTENT), 3, "")).contains("content is empty"));
}

#[test]
fn each_near_miss_of_a_body_is_refused_for_its_form() {
    let rsa = RSA.seal(CONTENT);
    let parts: Vec<&str> = rsa.split('.').collect();
    let tag = forms::base64url(parts[4]).unwrap();
    let iv = forms::base64url(parts[2]).unwrap();
    let padded_header = {
        // A header whose encoding has padding, so that padding it is the only thing wrong.
        let header = Value::Object(header_of(&rsa)).to_string();
        let spaces = " ".repeat((4 - header.len() % 3) % 3);
        let text = forms::to_base64url(format!("{header}{spaces}").as_bytes());
        format!("{text}==")
    };
    for (text, why) in [
        (format!("{rsa}."), "not five parts"),
        (parts[..4].join("."), "not five parts"),
        (format!(" {rsa}"), "protected header is not canonical"),
        (format!("{rsa}\n"), "tag"),
        (
            with_part(&rsa, 0, &padded_header),
            "protected header is not canonical",
        ),
        (with_part(&rsa, 0, ""), "not a JSON object"),
        (with_part(&rsa, 1, ""), "encrypted key"),
        (
            with_part(&rsa, 1, &format!("{}==", parts[1])),
            "encrypted key",
        ),
        (with_part(&rsa, 1, &"A".repeat(1368)), "encrypted key"),
        (with_part(&rsa, 2, ""), "initialisation vector"),
        (
            with_part(&rsa, 2, &forms::to_base64url(&iv[..11])),
            "initialisation vector",
        ),
        (
            with_part(&rsa, 2, &forms::to_base64url(&[0; 16])),
            "initialisation vector",
        ),
        (with_part(&rsa, 3, &format!("{}=", parts[3])), "content"),
        (with_part(&rsa, 3, "QR"), "content"),
        (with_part(&rsa, 3, "+/+/"), "content"),
        (with_part(&rsa, 4, ""), "tag"),
        (with_part(&rsa, 4, &forms::to_base64url(&tag[..15])), "tag"),
        (with_part(&rsa, 4, &forms::to_base64url(&tag[..12])), "tag"),
        (with_part(&rsa, 4, &forms::to_base64url(&tag[..1])), "tag"),
        (
            with_part(&rsa, 4, &forms::to_base64url(&[&tag[..], &[0]].concat())),
            "tag",
        ),
        (with_part(&rsa, 4, &format!("{}==", parts[4])), "tag"),
        (rsa.replace('.', ".é"), "ASCII"),
    ] {
        assert!(
            form_of_body(&text).contains(why),
            "{why}: {}",
            form_of_body(&text)
        );
    }
}

#[test]
fn each_near_miss_of_a_body_s_header_is_refused() {
    let rsa = RSA.seal(CONTENT);
    let curve = P256.seal(CONTENT);
    type Change = Box<dyn FnOnce(&mut Map<String, Value>)>;
    let set = |name: &'static str, value: Value| -> Change {
        Box::new(move |h| {
            h.insert(name.to_owned(), value);
        })
    };
    let drop = |name: &'static str| -> Change {
        Box::new(move |h| {
            h.remove(name);
        })
    };
    let in_epk = |name: &'static str, value: Value| -> Change {
        Box::new(move |h| {
            h["epk"][name] = value;
        })
    };
    let hex_kid = json!(RSA.fingerprint().to_string());
    for (text, change, why) in [
        (&rsa, set("zip", json!("DEF")), "member that is not taken"),
        (&rsa, set("typ", json!("JOSE")), "member that is not taken"),
        (
            &rsa,
            set("crit", json!(["exp"])),
            "member that is not taken",
        ),
        (&rsa, set("jwk", json!({})), "member that is not taken"),
        (&rsa, set("apu", json!("QQ")), "member that is not taken"),
        (&rsa, set("epk", json!({})), "member that is not taken"),
        (&curve, set("apv", json!("QQ")), "member that is not taken"),
        (&rsa, drop("kid"), "kid"),
        (&rsa, set("kid", hex_kid), "kid"),
        (&rsa, set("kid", json!(1)), "kid"),
        (&rsa, drop("cty"), "cty"),
        (&rsa, set("cty", json!("json")), "cty"),
        (&rsa, set("cty", json!("application/json\r\nx: y")), "cty"),
        (
            &rsa,
            set("cty", json!(format!("a/{}", "b".repeat(254)))),
            "cty",
        ),
        (&rsa, drop("enc"), "enc"),
        (&rsa, set("enc", json!("A128GCM")), "enc"),
        (&rsa, set("enc", json!("A256CBC-HS512")), "enc"),
        (&rsa, drop("alg"), "alg"),
        (&rsa, set("alg", json!("RSA-OAEP")), "alg"),
        (&rsa, set("alg", json!("RSA1_5")), "alg"),
        (&rsa, set("alg", json!("dir")), "alg"),
        (&curve, set("alg", json!("ECDH-ES")), "alg"),
        (&curve, set("alg", json!("ECDH-ES+A128KW")), "alg"),
        (&curve, drop("epk"), "epk"),
        (&curve, in_epk("d", json!("QQ")), "epk"),
        (&curve, in_epk("kty", json!("OKP")), "epk"),
        (&curve, in_epk("crv", json!("P-384")), "epk"),
        (&curve, in_epk("crv", json!("P-521")), "epk"),
        (
            &curve,
            in_epk("x", json!(forms::to_base64url(&[1; 31]))),
            "epk",
        ),
        (&curve, in_epk("y", json!("")), "epk"),
    ] {
        let text = with_header(text, change);
        assert!(
            form_of_body(&text).contains(why),
            "{why}: {}",
            form_of_body(&text)
        );
    }
    let header = Value::Object(header_of(&rsa)).to_string();
    let twice = header.replacen('{', r#"{"enc":"A256GCM","#, 1);
    let twice = with_part(&rsa, 0, &forms::to_base64url(twice.as_bytes()));
    assert!(form_of_body(&twice).contains("each name once"));
    let large = with_header(&rsa, set("cty", json!(format!("a/{}", "b".repeat(2048)))));
    assert!(form_of_body(&large).contains("too large"));
    let short = with_part(&curve, 1, &forms::to_base64url(&[0; 48]));
    assert!(form_of_body(&short).contains("40 octets"));
}

#[test]
fn whatever_does_not_decrypt_has_one_word() {
    for party in [&*RSA, &*P256, &*P384] {
        let key = party.unwraps();
        let text = party.seal(CONTENT);
        let mut spoilt = Vec::new();
        for at in 1..5 {
            let part = text.split('.').nth(at).unwrap();
            let mut bytes = forms::base64url(part).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            spoilt.push(with_part(&text, at, &forms::to_base64url(&bytes)));
            bytes[last] ^= 1;
            bytes[0] ^= 0x80;
            spoilt.push(with_part(&text, at, &forms::to_base64url(&bytes)));
        }
        // The header is under the tag, and under the key agreement.
        spoilt.push(with_header(&text, |h| {
            h.insert("cty".to_owned(), json!("text/plain"));
        }));
        // Another message's key.
        let other = party.seal(CONTENT);
        spoilt.push(with_part(&text, 1, other.split('.').nth(1).unwrap()));
        for text in spoilt {
            assert_eq!(open(&text, &key), Err(BodyProblem::Undecryptable), "{text}");
        }
        assert_eq!(open(&text, &key).unwrap(), CONTENT);
    }
    let off_curve = with_header(&P256.seal(CONTENT), |h| {
        h["epk"]["x"] = json!(forms::to_base64url(&[1; 32]));
    });
    assert_eq!(
        open(&off_curve, &P256.unwraps()),
        Err(BodyProblem::Undecryptable)
    );
    let short = with_part(&RSA.seal(CONTENT), 1, &forms::to_base64url(&[0; 40]));
    assert_eq!(
        open(&short, &RSA.unwraps()),
        Err(BodyProblem::Undecryptable)
    );
}

#[test]
fn an_algorithm_for_another_kind_of_key_is_a_matter_of_form() {
    for (text, key) in [
        (RSA.seal(CONTENT), P256.unwraps()),
        (P256.seal(CONTENT), RSA.unwraps()),
    ] {
        assert!(matches!(open(&text, &key), Err(BodyProblem::Form(_))));
    }
    // Both curves have one algorithm; a point of the other curve is not on this one.
    let text = P384.seal(CONTENT);
    assert_eq!(
        open(&text, &P256.unwraps()),
        Err(BodyProblem::Undecryptable)
    );
}

fn request(party: &Party, algorithm: Algorithm, body: &[u8]) -> String {
    sign_request(&party.signer(algorithm), NOW, "POST", URI, body).unwrap()
}

fn form_of_signature(value: &str) -> &'static str {
    match RequestSignature::parse(value) {
        Err(SignatureProblem::Form(why)) => why,
        other => panic!("{value}: {other:?}"),
    }
}

#[test]
fn a_signature_fits_its_own_octets_with_every_algorithm() {
    for (party, algorithm) in [
        (&*RSA, Algorithm::RS256),
        (&*RSA, Algorithm::PS256),
        (&*P256, Algorithm::ES256),
        (&*EDWARDS, Algorithm::EdDSA),
    ] {
        // Octets, not text, and not encoded.
        for body in [&b""[..], b"a.b.c", &[0xff, 0, b'.', 0x80]] {
            let value = request(party, algorithm, body);
            let signature = RequestSignature::parse(&value).unwrap();
            assert_eq!(signature.signer(), party.fingerprint());
            assert_eq!(signature.issued_at(), Moment::from_s(1_700_000_000));
            assert!(signature.is_for("POST", URI));
            let key = party.verifies(algorithm);
            assert_eq!(signature.verify(&key, body), Ok(()));
            let longer = [body, b"."].concat();
            assert_eq!(
                signature.verify(&key, &longer),
                Err(SignatureProblem::Wrong)
            );
        }
        if let Some(default) = default_algorithm(party.kind()) {
            assert!(party.verifies(default).algorithm() == default);
        }
    }
}

#[test]
fn a_signature_is_bound_to_its_algorithm_and_exchange() {
    let value = request(&RSA, Algorithm::RS256, b"x");
    let signature = RequestSignature::parse(&value).unwrap();
    assert_eq!(
        signature.verify(&RSA.verifies(Algorithm::PS256), b"x"),
        Err(SignatureProblem::Algorithm)
    );
    assert!(!signature.is_for("PUT", URI));
    assert!(!signature.is_for("post", URI));
    assert!(!signature.is_for("POST", "https://misp.example/websub/hub?a"));
    let digest = signature_digest(Some(value.as_bytes()));
    let signer = P256.signer(Algorithm::ES256);
    let answer = sign_answer(&signer, NOW, &answer_to(201, &digest, None), b"y").unwrap();
    let read = AnswerSignature::parse(&answer).unwrap();
    assert_eq!(read.verify(&P256.verifies(Algorithm::ES256), b"y"), Ok(()));
    assert_eq!(read.status(), 201);
    assert!(read.answers(&digest));
    assert!(!read.answers(&signature_digest(None)));
    assert!(!read.answers(&signature_digest(Some(answer.as_bytes()))));
    // What is a request's is not an answer's.
    assert!(AnswerSignature::parse(&value).is_err());
    assert!(RequestSignature::parse(&answer).is_err());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of near misses")]
fn each_near_miss_of_a_signature_is_refused() {
    let value = request(&P256, Algorithm::ES256, b"x");
    let (protected, signature) = value.split_once("..").unwrap();
    for (text, why) in [
        (format!("{protected}.eA.{signature}"), "header..signature"),
        (format!("{protected}.{signature}"), "header..signature"),
        (format!("{value}."), "header..signature"),
        (format!("{protected}.."), "signature is not canonical"),
        (
            format!("{protected}..{signature}=="),
            "signature is not canonical",
        ),
        (format!(" {value}"), "protected header is not canonical"),
        (
            format!("{protected}=..{signature}"),
            "protected header is not canonical",
        ),
        (format!("{value}{}", "A".repeat(8 << 10)), "too large"),
        (
            format!("{protected}..{}", "A".repeat(2048)),
            "signature is not canonical",
        ),
    ] {
        assert!(form_of_signature(&text).contains(why), "{why}: {text}");
    }
    type Change = Box<dyn FnOnce(&mut Map<String, Value>)>;
    let set = |name: &'static str, value: Value| -> Change {
        Box::new(move |h| {
            h.insert(name.to_owned(), value);
        })
    };
    let drop = |name: &'static str| -> Change {
        Box::new(move |h| {
            h.remove(name);
        })
    };
    for (change, why) in [
        (set("kid", json!("a")), "member that is not taken"),
        (set("typ", json!("JOSE")), "member that is not taken"),
        (set("x5c", json!([])), "member that is not taken"),
        (set("jwk", json!({})), "member that is not taken"),
        (set("status", json!(200)), "member that is not taken"),
        (drop("alg"), "alg"),
        (drop("x5t#S256"), "x5t#S256"),
        (set("x5t#S256", json!("QQ")), "x5t#S256"),
        (drop("b64"), "b64"),
        (set("b64", json!(true)), "b64"),
        (set("b64", json!("false")), "b64"),
        (drop("iat"), "iat"),
        (set("iat", json!("1700000000")), "iat"),
        (set("iat", json!(1_700_000_000.5)), "iat"),
        (set("iat", json!(-1)), "iat"),
        (drop("jti"), "jti"),
        (set("jti", json!(forms::to_base64url(&[1; 15]))), "jti"),
        (set("jti", json!(forms::to_base64url(&[1; 17]))), "jti"),
        (drop("htm"), "htm"),
        (set("htm", json!("")), "htm"),
        (drop("htu"), "htu"),
        (
            set("htu", json!(format!("https://a/{}", "b".repeat(4096)))),
            "htu",
        ),
        (drop("crit"), "crit"),
        (set("crit", json!("b64")), "crit"),
        (set("crit", json!(["b64"])), "crit"),
        (set("crit", json!(["b64", "iat", "jti", "htm"])), "crit"),
        (
            set("crit", json!(["b64", "iat", "jti", "htm", "htm"])),
            "crit",
        ),
        (
            set("crit", json!(["b64", "iat", "jti", "htm", "htu", "htu"])),
            "crit",
        ),
        (
            set("crit", json!(["b64", "iat", "jti", "htm", "htu", "alg"])),
            "crit",
        ),
        (
            set("crit", json!(["b64", "iat", "jti", "htm", "HTU"])),
            "crit",
        ),
        (
            set("crit", json!(["b64", "iat", "jti", "status", "req"])),
            "crit",
        ),
    ] {
        let text = with_header(&value, change);
        assert!(
            form_of_signature(&text).contains(why),
            "{why}: {}",
            form_of_signature(&text)
        );
    }
    for alg in ["none", "HS256", "ES384", "rs256", ""] {
        let text = with_header(&value, set("alg", json!(alg)));
        assert_eq!(
            RequestSignature::parse(&text).unwrap_err(),
            SignatureProblem::Algorithm
        );
    }
    // The order of a list of names says nothing.
    let text = with_header(
        &value,
        set("crit", json!(["htu", "b64", "jti", "htm", "iat"])),
    );
    let other_order = RequestSignature::parse(&text).unwrap();
    // But it is under the signature.
    let key = P256.verifies(Algorithm::ES256);
    assert_eq!(other_order.verify(&key, b"x"), Err(SignatureProblem::Wrong));
}

#[test]
fn each_near_miss_of_an_answer_s_binding_is_refused() {
    let signer = P256.signer(Algorithm::ES256);
    let value = sign_answer(&signer, NOW, &answer_to(200, &[7; 32], None), b"").unwrap();
    for (name, bad) in [
        ("status", json!("200")),
        ("status", json!(199)),
        ("status", json!(600)),
        ("status", json!(65_736)),
        ("req", json!(forms::to_base64url(&[7; 31]))),
        ("req", json!(7)),
    ] {
        let text = with_header(&value, |h| {
            h.insert(name.to_owned(), bad);
        });
        assert!(AnswerSignature::parse(&text).is_err(), "{text}");
    }
}

/// ECDSA: (r, n - s) verifies as well as (r, s), so that a message must not be known by its signature.
#[test]
fn a_rewritten_signature_is_still_the_same_message() {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let value = request(&P256, Algorithm::ES256, b"x");
    let mut bytes = forms::base64url(value.split('.').next_back().unwrap()).unwrap();
    let mut borrow = 0;
    for (s, n) in bytes[32..].iter_mut().zip(N).rev() {
        let difference = i32::from(n) - i32::from(*s) - borrow;
        borrow = i32::from(difference < 0);
        *s = u8::try_from(difference & 0xff).unwrap();
    }
    let rewritten = with_part(&value, 2, &forms::to_base64url(&bytes));
    assert_ne!(rewritten, value);
    let (one, two) = (
        RequestSignature::parse(&value).unwrap(),
        RequestSignature::parse(&rewritten).unwrap(),
    );
    assert_eq!(two.verify(&P256.verifies(Algorithm::ES256), b"x"), Ok(()));
    assert_eq!(one.identity(), two.identity());
    let again = request(&P256, Algorithm::ES256, b"x");
    assert_ne!(
        RequestSignature::parse(&again).unwrap().identity(),
        one.identity()
    );
}

fn answer_to<'a>(status: u16, request: &'a [u8; 32], leaf: Option<&'a [u8; 32]>) -> AnswerTo<'a> {
    AnswerTo {
        status,
        request,
        leaf,
    }
}

#[test]
fn an_answer_may_name_a_leaf_of_32_bytes_and_nothing_else_more() {
    let (signer, key) = (P256.signer(Algorithm::ES256), P256.verifies(Algorithm::ES256));
    let value = sign_answer(&signer, NOW, &answer_to(200, &[7; 32], Some(&[9; 32])), b"y").unwrap();
    let parsed = AnswerSignature::parse(&value).unwrap();
    assert_eq!(parsed.leaf(), Some(&[9; 32]));
    assert!(parsed.verify(&key, b"y").is_ok());
    // A request has none.
    assert!(RequestSignature::parse(&value).is_err());
    let (protected, rest) = value.split_once('.').unwrap();
    let header = String::from_utf8(forms::base64url(protected).unwrap()).unwrap();
    let leaf = forms::to_base64url(&[9; 32]);
    for other in [&leaf[1..], "", "x"] {
        let changed = header.replace(&leaf, other);
        let value = format!("{}.{rest}", forms::to_base64url(changed.as_bytes()));
        assert!(AnswerSignature::parse(&value).is_err(), "{other}");
    }
    let renamed = header.replace("\"leaf\"", "\"leaves\"");
    let value = format!("{}.{rest}", forms::to_base64url(renamed.as_bytes()));
    assert!(AnswerSignature::parse(&value).is_err());
}
