//! The partner's gateway: plain from its services, sealed to the MISP, and no answer believed that is not the MISP's to this
//! very request.

use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex},
};

use serde_json::json;

use super::{
    draft::{Draft, base64url, opened, sealed},
    service::{Received, Said, Service},
    site,
};
use crate::harness::{Answer, Site};

const PLAIN: &str = r#"{"topic":"a.b"}"#;

/// A plain request to the service face.
#[track_caller]
fn plain(site: &Site, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", site.service_face())).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    Answer::read(&mut stream).expect("an answer")
}

#[test]
fn a_plain_request_of_a_service_goes_sealed_through_both_gateways() {
    let service = Service::echo();
    let mut site = site::before("jose-both", service.port);
    site.start_misp();
    site.start_crvs();
    let answer = plain(&site, "POST", "/echo/a", PLAIN);
    assert_eq!(answer.status, 200, "{} {}", answer.code(), answer.text());
    let said = answer.json();
    assert_eq!(said["body"], PLAIN);
    assert_eq!(said["headers"]["x-triseal-partner"], "crvs");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("response-signature"), None);
    // What the service answers, good or bad, comes back as it is.
    let answer = plain(&site, "GET", "/echo/text", "");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (404, "nothing here")
    );
    let answer = plain(&site, "GET", "/echo/empty", "");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    // A refusal of the MISP's gateway is proven to be its own, and handed on in plain.
    site.replace(
        "misp/partners/crvs.toml",
        "routes = [\"echo\", ",
        "routes = [",
    );
    site.misp().reload();
    let answer = plain(&site, "POST", "/echo/a", PLAIN);
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["code"], "RT-003");
    // HTTP/1.1 to the MISP as well as what was negotiated.
    site.replace(
        "misp/partners/crvs.toml",
        "routes = [",
        "routes = [\"echo\", ",
    );
    site.misp().reload();
    site.replace(
        "crvs/gateway.toml",
        "party = \"misp\"",
        "party = \"misp\"\nhttp = \"1.1\"",
    );
    site.crvs().reload();
    assert_eq!(plain(&site, "POST", "/echo/a", PLAIN).status, 200);
    assert_eq!(service.requests(), 4);
}

/// A partner's gateway whose MISP is ours to play: the service answers as `answer` says.
fn misp_played(
    name: &str,
    answer: impl Fn(&Site, &Received) -> Said + Send + Sync + 'static,
) -> (Arc<Site>, Service) {
    let known: Arc<Mutex<Option<Arc<Site>>>> = Arc::default();
    let seen = Arc::clone(&known);
    let service = Service::start(move |received| {
        let site = seen.lock().unwrap().clone().unwrap();
        answer(&site, &received)
    });
    let mut site = site::before(name, 1);
    site.edit("crvs/gateway.toml", |text| {
        let old = text
            .lines()
            .find(|l| l.starts_with("addresses = "))
            .unwrap()
            .to_owned();
        text.replace(
            &old,
            &format!("addresses = [\"http://127.0.0.1:{}\"]", service.port),
        )
    });
    site.start_crvs();
    let site = Arc::new(site);
    *known.lock().unwrap() = Some(Arc::clone(&site));
    (site, service)
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A good answer in the making, as the MISP's gateway would give it.
fn good(site: &Site, received: &Received) -> (Draft, Vec<u8>) {
    let request = received.header("signature").unwrap();
    let draft = Draft::answer(&site.party("misp"), 200, request);
    let body = sealed(
        br#"{"done":true}"#,
        "application/json",
        &site.party("crvs").join("encryption.pem"),
    );
    (draft, body)
}

fn said(draft: &Draft, body: Vec<u8>) -> Said {
    let headers = vec![
        header("Content-Type", "application/jose"),
        header("response-signature", &draft.over(&body)),
    ];
    (200, headers, body)
}

#[test]
fn the_request_to_the_misp_is_sealed_and_signed_for_its_address() {
    let (site, _service) = misp_played("jose-outward", |site, received| {
        let (plain, media_type) = opened(&received.body, &site.party("misp"));
        assert_eq!(plain, PLAIN.as_bytes());
        assert_eq!(media_type, "application/json");
        assert_eq!(received.header("content-type"), Some("application/jose"));
        assert_eq!(received.header("x-triseal-partner"), None);
        let protected = received
            .header("signature")
            .unwrap()
            .split('.')
            .next()
            .unwrap();
        let protected: serde_json::Value =
            serde_json::from_slice(&super::draft::decoded(protected)).unwrap();
        let host = received.header("host").unwrap();
        assert_eq!(protected["htu"], format!("http://{host}/echo/a"));
        assert_eq!(protected["htm"], "POST");
        assert_eq!(protected.as_object().unwrap().len(), 8);
        let (draft, body) = good(site, received);
        said(&draft, body)
    });
    let answer = plain(&site, "POST", "/echo/a", PLAIN);
    assert_eq!(answer.status, 200, "{} {}", answer.code(), answer.text());
    assert_eq!(answer.json()["done"], true);
}

/// What was done to an answer, the code that it is met with, and how.
type Case = (&'static str, &'static str, fn(&Site, &Received) -> Said);

/// Each case is refused, and nothing of its content gets out.
fn none_is_believed(name: &str, cases: &'static [Case]) {
    let turn: Arc<Mutex<usize>> = Arc::default();
    let next = Arc::clone(&turn);
    let (site, service) = misp_played(name, move |site, received| {
        cases[*next.lock().unwrap()].2(site, received)
    });
    for (at, (what, code, _)) in cases.iter().enumerate() {
        *turn.lock().unwrap() = at;
        let answer = plain(&site, "POST", "/echo/a", PLAIN);
        assert_eq!(answer.code(), *code, "{what}: {}", answer.text());
        assert_eq!(answer.status, 502, "{what}");
        assert!(!answer.text().contains("done"), "{what}");
    }
    assert_eq!(service.requests(), cases.len());
}

#[test]
fn an_answer_that_the_misp_did_not_sign_is_not_believed() {
    const CASES: [Case; 8] = [
        ("no signature", "UP-005", |site, received| {
            let (_, body) = good(site, received);
            (200, vec![header("Content-Type", "application/jose")], body)
        }),
        ("two signatures", "UP-005", |site, received| {
            let (draft, body) = good(site, received);
            let (status, mut headers, body) = said(&draft, body);
            headers.push(headers[1].clone());
            (status, headers, body)
        }),
        ("another's signature", "UP-005", |site, received| {
            let (mut draft, body) = good(site, received);
            draft.signer = (site.party("seeder"), "signature".to_owned());
            said(&draft, body)
        }),
        ("another's certificate", "UP-005", |site, received| {
            let (_, body) = good(site, received);
            let request = received.header("signature").unwrap();
            said(&Draft::answer(&site.party("seeder"), 200, request), body)
        }),
        ("the request's own signature", "UP-005", |_, received| {
            let value = received.header("signature").unwrap();
            (
                200,
                vec![header("response-signature", value)],
                received.body.clone(),
            )
        }),
        ("another body", "UP-005", |site, received| {
            let (draft, _) = good(site, received);
            let (status, headers, _) = said(&draft, b"x".to_vec());
            let (_, body) = good(site, received);
            (status, headers, body)
        }),
        ("another algorithm", "UP-005", |site, received| {
            let (mut draft, body) = good(site, received);
            draft.algorithm = triseal::config::Algorithm::PS256;
            said(&draft.set("alg", json!("PS256")), body)
        }),
        ("a member added", "UP-005", |site, received| {
            let (draft, body) = good(site, received);
            said(&draft.set("kid", json!("a")), body)
        }),
    ];
    none_is_believed("jose-unsigned", &CASES);
}

#[test]
fn an_answer_that_is_signed_for_something_else_or_does_not_open_is_not_believed() {
    const CASES: [Case; 9] = [
        ("another request", "UP-006", |site, received| {
            let (draft, body) = good(site, received);
            said(&draft.set("req", json!(base64url(&[7; 32]))), body)
        }),
        ("another status", "UP-006", |site, received| {
            let (draft, body) = good(site, received);
            said(&draft.set("status", json!(201)), body)
        }),
        ("stale", "UP-006", |site, received| {
            let (draft, body) = good(site, received);
            let now = triseal::clock::Clock::system().now().s();
            said(&draft.set("iat", json!(now - 90)), body)
        }),
        ("another media type", "UP-006", |site, received| {
            let (draft, body) = good(site, received);
            let (status, mut headers, body) = said(&draft, body);
            headers[0].1 = "application/json".to_owned();
            (status, headers, body)
        }),
        ("plain under the signature", "UP-006", |site, received| {
            let (draft, _) = good(site, received);
            said(&draft, br#"{"done":true}"#.to_vec())
        }),
        ("a tag cut short", "UP-006", |site, received| {
            let (draft, mut body) = good(site, received);
            body.truncate(body.len() - 2);
            said(&draft, body)
        }),
        ("sealed to another", "UP-007", |site, received| {
            let (draft, _) = good(site, received);
            let to = site.party("seeder").join("encryption.pem");
            said(&draft, sealed(b"{}", "application/json", &to))
        }),
        ("a bit flipped", "UP-007", |site, received| {
            let (draft, mut body) = good(site, received);
            // In the middle of the content, still base64url.
            let at = body.len() - 30;
            body[at] = if body[at] == b'A' { b'B' } else { b'A' };
            said(&draft, body)
        }),
        ("cut", "UP-003", |_, _| {
            let headers = vec![header("Content-Length", "900")];
            (200, headers, b"x".to_vec())
        }),
    ];
    none_is_believed("jose-answers", &CASES);
}

#[test]
fn an_answer_cannot_be_used_for_another_request() {
    // The first answer, given to everybody.
    let first: Mutex<Option<Said>> = Mutex::default();
    let (site, _service) = misp_played("jose-answer-again", move |site, received| {
        let mut first = first.lock().unwrap();
        first
            .get_or_insert_with(|| {
                let (draft, body) = good(site, received);
                said(&draft, body)
            })
            .clone()
    });
    assert_eq!(plain(&site, "POST", "/echo/a", PLAIN).status, 200);
    let answer = plain(&site, "POST", "/echo/a", PLAIN);
    assert_eq!(answer.code(), "UP-006");
}

#[test]
fn a_stranger_s_refusal_names_its_code_in_the_log_alone() {
    let (site, _service) = misp_played("jose-strange", |_, _| {
        let headers = vec![
            header("Content-Type", "application/json"),
            header("X-Triseal-Code", "ID-001"),
        ];
        (403, headers, b"{}".to_vec())
    });
    let answer = plain(&site, "POST", "/echo/a", PLAIN);
    assert_eq!(answer.code(), "UP-005");
    let line = site.crvs().line(answer.correlation_id());
    let cause = line["cause"].as_str().unwrap();
    assert!(cause.contains("ID-001") && cause.contains("403"), "{cause}");
}

#[test]
fn when_one_address_is_down_the_next_gets_a_signature_of_its_own() {
    let (site, service) = misp_played("jose-addresses", |site, received| {
        let (draft, body) = good(site, received);
        said(&draft, body)
    });
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    site.replace(
        "crvs/gateway.toml",
        "addresses = [",
        &format!("addresses = [\"http://{dead}\", "),
    );
    site.crvs().reload();
    for _ in 0..4 {
        assert_eq!(plain(&site, "POST", "/echo/a", PLAIN).status, 200);
    }
    assert_eq!(service.requests(), 4);
}
