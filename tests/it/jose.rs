//! The envelope `jose` on the road: what is sealed rightly goes through on HTTP/1.1 and HTTP/2, each near miss is refused by
//! name, refusals are sealed and bound like answers, and the partner's side believes no answer that is not.

pub mod draft;
mod examples;
mod far_side;
mod partners;
pub mod service;
pub mod site;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Reloaded, Site, TlsClient};
use draft::{Request, base64url, decoded, sealed};
use service::Service;

const PATH: &str = "/echo/a";
const PLAIN: &[u8] = br#"{"topic":"a.b"}"#;

fn running(name: &str) -> (Site, Service) {
    let service = Service::echo();
    let mut site = site::before(name, service.port);
    site.start_misp();
    (site, service)
}

#[test]
fn a_sealed_request_is_opened_and_its_answer_sealed_on_both_versions_of_http() {
    let (site, service) = running("jose-through");
    let request = Request::post(&site, PATH, PLAIN);
    let through = |exchange: &draft::Exchange| {
        let said = exchange.json(&site);
        assert_eq!(exchange.answer.status, 200);
        assert_eq!(said["body"], std::str::from_utf8(PLAIN).unwrap());
        assert_eq!(said["headers"]["content-type"], "application/json");
        assert_eq!(said["headers"]["x-triseal-partner"], "crvs");
        // Nothing of the envelope goes on, and what the service says of codes does not come back.
        assert_eq!(said["headers"]["signature"], Value::Null);
        assert_eq!(said["headers"]["content-length"], PLAIN.len().to_string());
        assert_eq!(exchange.answer.header("x-triseal-code"), None);
        let line = site.misp().line(exchange.answer.correlation_id());
        let signer = draft::certificate(&site.party("crvs").join("signature.pem"));
        assert_eq!(line["signed_by"], signer.fingerprint().to_string());
    };
    through(&request.send(&mut site.connect()));
    for version in ["1.1", "2"] {
        through(&Request::post(&site, PATH, PLAIN).curl(&site, version));
    }
    assert_eq!(service.requests(), 3);
}

#[test]
fn what_is_empty_stays_empty() {
    let (site, _service) = running("jose-empty");
    let mut client = site.connect();
    // Nothing asked.
    let exchange = Request::get(&site, PATH).send(&mut client);
    let said = exchange.json(&site);
    assert_eq!(
        (&said["method"], &said["length"]),
        (&json!("GET"), &json!(0))
    );
    assert_eq!(said["headers"]["content-type"], Value::Null);
    // Nothing answered.
    let exchange = Request::post(&site, "/echo/empty", PLAIN).send(&mut client);
    assert_eq!(exchange.open(&site), (204, Vec::new(), String::new()));
    // Nothing either way, on HTTP/2.
    let exchange = Request::get(&site, "/echo/empty").curl(&site, "2");
    assert_eq!(exchange.open(&site).0, 204);
    // A body whose decryption would be nothing is not a way to say nothing.
    let exchange = Request::post(&site, PATH, PLAIN)
        .part(3, |_| String::new())
        .send(&mut site.connect());
    assert_eq!(exchange.refused(&site), "ENC-005");
}

#[test]
fn any_status_and_media_type_comes_through_sealed() {
    let (site, _service) = running("jose-status");
    let exchange = Request::get(&site, "/echo/text").send(&mut site.connect());
    let (status, plain, media_type) = exchange.open(&site);
    assert_eq!((status, &plain[..]), (404, &b"nothing here"[..]));
    assert_eq!(media_type, "text/plain");
    assert_eq!(exchange.answer.header("x-other"), Some("kept"));
    assert_eq!(exchange.answer.header("cache-control"), Some("no-store"));
}

#[test]
fn nothing_that_is_sealed_is_compressed() {
    let (site, service) = running("jose-compressed");
    let request = Request::get(&site, PATH).header("Accept-Encoding", "gzip");
    let said = request.send(&mut site.connect()).json(&site);
    assert_eq!(said["headers"]["accept-encoding"], Value::Null);
    let exchange = Request::get(&site, "/echo/gzip").send(&mut site.connect());
    assert_eq!(exchange.refused(&site), "UP-006");
    assert_eq!(service.requests(), 2);
}

/// Sends it on a connection of its own, since a refusal may end one; HTTP/2 must say the same.
#[track_caller]
fn refusal(site: &Site, request: &Request) -> String {
    let code = request.send(&mut site.connect()).refused(site);
    let mut again = request.clone();
    if again.draft.header.contains_key("jti") && code != "SIG-002" {
        // Another message: the first may have been remembered.
        again = again.again();
    }
    assert_eq!(again.curl(site, "2").refused(site), code);
    code
}

#[test]
fn each_near_miss_of_a_signature_is_refused_by_name() {
    let (site, service) = running("jose-signature");
    let good = || Request::post(&site, PATH, PLAIN);
    let crit = |names: Value| good().set("crit", names);
    let form = [
        good().set("kid", json!("a")),
        good().set("typ", json!("JOSE")),
        good().without("jti"),
        good().without("b64"),
        good().set("b64", json!(true)),
        good().set("iat", json!("1")),
        good().set("status", json!(200)),
        good().without("htu"),
        crit(json!(["b64", "iat", "jti", "htm"])),
        crit(json!(["b64", "iat", "jti", "htm", "htm"])),
        crit(json!(["b64", "iat", "jti", "htm", "htu", "exp"])),
        good().without("crit"),
        good().set("x5t#S256", json!("QQ")),
        good().set("jti", json!(base64url(&[1; 15]))),
    ];
    for request in &form {
        assert_eq!(
            refusal(&site, request),
            "SIG-002",
            "{:?}",
            request.draft.header
        );
    }
    let mut value = good();
    value.signature = Some(format!("{}=", value.value()));
    assert_eq!(refusal(&site, &value), "SIG-002");
    let mut attached = good();
    let text = attached.value();
    attached.signature = Some(text.replace("..", ".QQ."));
    assert_eq!(refusal(&site, &attached), "SIG-002");
    let mut none = good();
    none.signature = Some(String::new());
    assert_eq!(refusal(&site, &none), "SIG-001");
    for alg in ["PS256", "HS256", "none", "ES256"] {
        assert_eq!(
            refusal(&site, &good().set("alg", json!(alg))),
            "SIG-003",
            "{alg}"
        );
    }
    let mut pss = good().set("alg", json!("RS256"));
    pss.draft.algorithm = triseal::config::Algorithm::PS256;
    assert_eq!(refusal(&site, &pss), "SIG-008");
    assert_eq!(service.requests(), 0);
}

#[test]
fn the_order_of_names_in_crit_says_nothing() {
    let (site, _service) = running("jose-crit");
    let request =
        Request::post(&site, PATH, PLAIN).set("crit", json!(["htu", "htm", "jti", "iat", "b64"]));
    assert_eq!(request.send(&mut site.connect()).open(&site).0, 200);
}

#[test]
fn a_signature_is_for_its_request_and_its_bytes_alone() {
    let (site, service) = running("jose-target");
    let good = || Request::post(&site, PATH, PLAIN);
    for (name, wrong) in [
        ("htm", json!("PUT")),
        ("htm", json!("post")),
        ("htu", json!("https://localhost/echo/b")),
        ("htu", json!("https://localhost/echo/a/")),
        ("htu", json!("https://localhost/echo/a?x=1")),
        ("htu", json!("http://localhost/echo/a")),
        ("htu", json!("https://LOCALHOST/echo/a")),
        ("htu", json!("https://localhost:443/echo/a")),
        ("htu", json!("https://misp.example/echo/a")),
    ] {
        let code = good().set(name, wrong.clone()).send(&mut site.connect());
        assert_eq!(code.refused(&site), "SIG-009", "{wrong}");
    }
    // The port belongs to the URI where the request names one.
    let mut ported = good();
    ported.host = format!("localhost:{}", site.partner_face());
    assert_eq!(ported.send(&mut site.connect()).refused(&site), "SIG-009");
    let uri = format!("https://localhost:{}{PATH}", site.partner_face());
    let ported = ported.set("htu", json!(uri));
    assert_eq!(ported.send(&mut site.connect()).open(&site).0, 200);
    // The port of the scheme does not.
    let mut own = good();
    own.host = "LocalHost:443".to_owned();
    assert_eq!(own.send(&mut site.connect()).open(&site).0, 200);
    // Another body under the same signature.
    let mut other = good();
    let value = other.value();
    other = other.body(sealed(
        PLAIN,
        "application/json",
        &site.party("misp").join("encryption.pem"),
    ));
    other.signature = Some(value);
    assert_eq!(refusal(&site, &other), "SIG-008");
    assert_eq!(service.requests(), 2);
}

#[test]
fn who_may_sign_is_decided_by_the_binding() {
    let (site, service) = running("jose-signer");
    let good = || Request::post(&site, PATH, PLAIN);
    for (dir, role, code) in [
        (site.party("crvs"), "encryption", "SIG-006"),
        (site.party("seeder"), "signature", "SIG-005"),
        (site.party("misp"), "signature", "SIG-004"),
        (site.twin("other-root"), "signature", "SIG-004"),
    ] {
        assert_eq!(
            refusal(&site, &good().signed_by(&dir, role)),
            code,
            "{dir:?} {role}"
        );
    }
    // The right name over another key's signature.
    let mut forged = good();
    forged.draft.signer = (site.party("seeder"), "signature".to_owned());
    assert_eq!(refusal(&site, &forged), "SIG-008");
    assert_eq!(service.requests(), 0);
}

#[test]
fn a_message_is_fresh_and_comes_once() {
    let (site, service) = running("jose-fresh");
    let now = triseal::clock::Clock::system().now().s();
    let good = || Request::post(&site, PATH, PLAIN);
    assert_eq!(
        refusal(&site, &good().set("iat", json!(now - 70))),
        "FRS-002"
    );
    assert_eq!(
        refusal(&site, &good().set("iat", json!(now + 40))),
        "FRS-003"
    );
    let mut near = good().set("iat", json!(now - 50));
    assert_eq!(near.send(&mut site.connect()).open(&site).0, 200);
    // The same again, on either version.
    near.signature = Some(near.value());
    assert_eq!(near.send(&mut site.connect()).refused(&site), "FRS-004");
    // The same moment and random number over another body: a sender that reuses them.
    let mut other = good();
    other.draft = near.draft.clone();
    assert_eq!(other.send(&mut site.connect()).refused(&site), "FRS-004");
    // PSS signatures differ each time they are made, and ECDSA's can be rewritten: it is the message that is remembered.
    let later = good();
    assert_eq!(later.send(&mut site.connect()).open(&site).0, 200);
    assert_eq!(later.send(&mut site.connect()).refused(&site), "FRS-004");
    assert_eq!(service.requests(), 2);
    // The limits are settable.
    site.limits("freshness_back_ms = 5000");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert_eq!(
        refusal(&site, &good().set("iat", json!(now - 20))),
        "FRS-002"
    );
}

#[test]
fn a_replay_after_a_restart_is_refused() {
    let (mut site, _service) = running("jose-restart");
    let mut request = Request::post(&site, PATH, PLAIN);
    request.signature = Some(request.value());
    assert_eq!(request.send(&mut site.connect()).open(&site).0, 200);
    site.start_misp();
    assert_eq!(request.send(&mut site.connect()).refused(&site), "FRS-005");
}

#[test]
fn each_near_miss_of_a_body_is_refused_by_name() {
    let (site, service) = running("jose-body");
    let good = || Request::post(&site, PATH, PLAIN);
    let cut = |part: &str, by: usize| {
        let bytes = decoded(part);
        base64url(&bytes[..bytes.len() - by])
    };
    let form = [
        good().part(4, |tag| cut(tag, 1)),
        good().part(4, |tag| cut(tag, 4)),
        good().part(4, |tag| cut(tag, 15)),
        good().part(4, |tag| format!("{tag}==")),
        good().part(2, |iv| cut(iv, 1)),
        good().part(2, |_| String::new()),
        good().part(1, |_| String::new()),
        good().part(3, |text| format!("{text}=")),
        good().body_header("zip", json!("DEF")),
        good().body_header("typ", json!("JOSE")),
        good().body_header("kid", json!("encryption")),
        good().body_header("enc", json!("A128GCM")),
        good().body_header("alg", json!("RSA1_5")),
        good().body_header("alg", json!("RSA-OAEP")),
        good().body_header("cty", json!("json")),
        good().body(PLAIN.to_vec()),
        good().body(b"a.b.c.d.e.f".to_vec()),
    ];
    for request in &form {
        assert_eq!(refusal(&site, request), "ENC-005");
    }
    // Another's certificate, and ours in another role.
    for pem in [
        "seeder/encryption.pem",
        "misp/tls.pem",
        "mosip/encryption.pem",
    ] {
        let to = site.path("pki/parties").join(pem);
        let body = sealed(PLAIN, "application/json", &to);
        assert_eq!(refusal(&site, &good().body(body)), "ENC-001", "{pem}");
    }
    let kid = draft::certificate(&site.party("seeder").join("encryption.pem")).fingerprint();
    let misdirected = good().body_header("kid", json!(base64url(kid.as_bytes())));
    assert_eq!(refusal(&site, &misdirected), "ENC-001");
    for media in [
        "application/json",
        "application/jose+json",
        "application/jose; charset=utf-8",
    ] {
        assert_eq!(
            refusal(&site, &good().header("Content-Type", media)),
            "RT-004",
            "{media}"
        );
    }
    let encoded = good().header("Content-Encoding", "gzip");
    assert_eq!(refusal(&site, &encoded), "RT-004");
    assert_eq!(service.requests(), 0);
}

#[test]
fn whatever_does_not_decrypt_is_answered_in_the_same_words() {
    let (site, _service) = running("jose-undecryptable");
    let good = || Request::post(&site, PATH, PLAIN);
    let flip = |part: &str| {
        let mut bytes = decoded(part);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        base64url(&bytes)
    };
    let mut said = Vec::new();
    for request in [
        good().part(1, flip),
        good().part(2, flip),
        good().part(3, flip),
        good().part(4, flip),
        good().part(1, |_| base64url(&[0; 256])),
        good().part(1, |_| base64url(&[0; 40])),
        good().part(1, |_| base64url(&[1; 512])),
        good().body_header("cty", json!("text/plain")),
    ] {
        let exchange = request.send(&mut site.connect());
        assert_eq!(exchange.refused(&site), "ENC-002");
        let mut plain: Value = serde_json::from_slice(&exchange.open(&site).1).unwrap();
        plain["correlationId"] = Value::Null;
        said.push((exchange.answer.status, plain));
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn a_key_that_does_not_unwrap_takes_as_long_as_a_tag_that_does_not_fit() {
    let service = Service::echo();
    let mut site = site::before("jose-time", service.port);
    // A disk's time would drown what is measured.
    site.replace(
        "misp/gateway.toml",
        "level = \"required\"",
        "level = \"off\"",
    );
    site.start_misp();
    let flip_first = |part: &str| {
        let mut bytes = decoded(part);
        bytes[0] ^= 1;
        base64url(&bytes)
    };
    let mut client = site.connect();
    let mut time = |at: usize| -> Duration {
        let request = Request::post(&site, PATH, PLAIN).part(at, flip_first);
        let value = request.value();
        let prepared = Request {
            signature: Some(value),
            ..request
        };
        let began = std::time::Instant::now();
        let exchange = prepared.send(&mut client);
        let took = began.elapsed();
        assert_eq!(exchange.answer.code(), "ENC-002");
        took
    };
    // By turns, and the quickest of each: what else the machine does comes and goes, and only makes slower.
    let both: Vec<(Duration, Duration)> = (0..25).map(|_| (time(1), time(4))).collect();
    let unwrap = both.iter().map(|(unwrap, _)| *unwrap).min().unwrap();
    let tag = both.iter().map(|(_, tag)| *tag).min().unwrap();
    let (slow, fast) = (unwrap.max(tag), unwrap.min(tag));
    // Far from a proof of constant time, but a road that is cut short would take half.
    assert!(slow < fast * 3, "{unwrap:?} {tag:?}");
}

#[test]
fn a_refusal_before_the_body_is_read_is_sealed_and_bound_too() {
    let (site, _service) = running("jose-early");
    // The route's method list.
    let mut request = Request::get(&site, PATH);
    request.method = "DELETE".to_owned();
    let exchange = request.send(&mut site.connect());
    assert_eq!(exchange.refused(&site), "RT-002");
    // Refusals bind to nothing where the request had no signature.
    let mut none = Request::get(&site, PATH);
    none.method = "DELETE".to_owned();
    none.signature = Some(String::new());
    assert_eq!(none.send(&mut site.connect()).refused(&site), "RT-002");
    // A partner that is switched off is told so under seal; a stranger gets no seal.
    site.replace(
        "misp/partners/crvs.toml",
        "id = \"crvs\"",
        "id = \"crvs\"\nstate = \"inactive\"",
    );
    let mut client: TlsClient = site.connect();
    assert_eq!(site.misp().reload(), Reloaded::Published);
    client.send(b"");
    let exchange = Request::get(&site, PATH).send(&mut site.connect());
    assert_eq!(exchange.refused(&site), "ID-004");
    site.replace(
        "misp/partners/crvs.toml",
        "\nroutes = [\"echo\", ",
        "\nroutes = [",
    );
}

#[test]
fn a_partner_that_may_not_use_the_route_is_told_under_seal() {
    let (site, _service) = running("jose-forbidden");
    site.replace(
        "misp/partners/crvs.toml",
        "routes = [\"echo\", ",
        "routes = [",
    );
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let exchange = Request::post(&site, PATH, PLAIN).send(&mut site.connect());
    assert_eq!(exchange.refused(&site), "RT-003");
}
