//! An upstream that lies, dawdles, breaks off or is somebody else: each ends in its `UP-` code and a signed refusal, never in
//! a part of an answer, and nothing that may have arrived is sent a second time.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    forge::assert_signed,
    harness::{Answer, Ask, Site, World, until},
    python::{IdaServer, onward, upstream},
};

/// Refused with this code, in MOSIP's generic words, signed, with nothing of the upstream's in it.
#[track_caller]
fn assert_failed(site: &Site, answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{}",
        answer.text()
    );
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007"]);
    assert_eq!(
        answer.json()["response"],
        json!({"authStatus": false, "authToken": null})
    );
    assert_signed(answer, &site.party("misp"));
}

/// An authentication in a world of its own.
fn ask_in(world: &World, site: &Site) -> Ask {
    let mut ask = site.auth();
    world.licence().clone_into(&mut ask.licence);
    world.api_key().clone_into(&mut ask.api_key);
    ask
}

#[test]
fn each_fault_of_mosip_ends_in_its_code_and_the_next_request_is_served() {
    let world = World::start("faulty-world");
    let mut site = Site::before(&world, "faults");
    site.edit("misp/gateway.toml", |text| {
        text.replace(
            "party = \"mosip\"\n",
            "party = \"mosip\"\nanswer_timeout_ms = 1000\n",
        )
    });
    site.start_misp();
    for (kind, status, code) in [
        ("cut", 502, "UP-003"),
        ("slow", 504, "UP-002"),
        ("unsigned", 502, "UP-005"),
        ("wrong-signature", 502, "UP-005"),
        ("oversize", 502, "UP-004"),
        ("error500", 502, "UP-006"),
        ("not-json", 502, "UP-006"),
        ("other-transaction", 502, "UP-006"),
    ] {
        let order = json!({"kind": kind, "times": 1, "ms": 3000}).to_string();
        let mut mosip = site
            .client_of(&site.party("misp"), "tls")
            .connect(world.ida_port())
            .unwrap();
        let request = format!(
            "POST /sandbox/fault HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{order}",
            order.len()
        );
        assert_eq!(mosip.ask(request.as_bytes()).status, 200, "{kind}");
        let answer = site.ask(&ask_in(&world, &site));
        assert_failed(&site, &answer, status, code);
        assert_eq!(
            site.misp().line(answer.correlation_id())["route"],
            "ida-auth"
        );
        // Had it been asked twice, the second answer would have been a yes.
        let answer = site.ask(&ask_in(&world, &site));
        assert!(answer.says_yes(), "after {kind}: {}", answer.text());
    }
}

/// What a bad server does with each request that it has read whole.
#[derive(Clone, Copy, Debug)]
enum Bad {
    /// Sends these bytes and closes.
    Says(&'static str),
    /// Answers the first request of a connection well and closes after it has read the second.
    DiesOnTheSecond,
    /// Sends one byte of its answer a fifth of a second.
    Drips,
    /// Sends a body without end.
    Floods,
}

/// A plain server that counts what it reads.
struct Capture {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Capture {
    fn start(bad: Bad) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(stream.unwrap(), bad, &counter));
            }
        });
        Self { port, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A request's body, read whole; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream) -> Option<Value> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut one = [0];
        stream.read_exact(&mut one).ok()?;
        head.push(one[0]);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))?
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn good_answer(request: &Value) -> String {
    let body = json!({
        "transactionID": request["transactionID"],
        "version": "1.0",
        "id": request["id"],
        "errors": null,
        "responseTime": "2026-01-01T00:00:00.000Z",
        "response": {"authStatus": true, "authToken": "1".repeat(36)},
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn serve(mut stream: TcpStream, bad: Bad, requests: &AtomicUsize) {
    let mut first = true;
    while let Some(request) = read_request(&mut stream) {
        requests.fetch_add(1, Ordering::SeqCst);
        let good = good_answer(&request);
        match bad {
            Bad::Says(text) => {
                let _ = stream.write_all(text.as_bytes());
                return;
            }
            Bad::DiesOnTheSecond if !first => return,
            Bad::DiesOnTheSecond => stream.write_all(good.as_bytes()).unwrap(),
            Bad::Drips => {
                for byte in good.as_bytes() {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(200));
                }
            }
            Bad::Floods => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                let mut sent = stream.write_all(head.as_bytes());
                while sent.is_ok() {
                    sent = stream.write_all(chunk.as_bytes());
                }
                return;
            }
        }
        first = false;
    }
}

/// A gateway that opens for a plain internal handler: here no signature stands between a bad answer and the partner.
fn before(bad: Bad) -> (Site, Capture) {
    let mut site = Site::new("capture");
    let capture = Capture::start(bad);
    upstream(&site, &format!("\"http://127.0.0.1:{}\"", capture.port));
    onward(&site, "opened");
    site.edit("misp/gateway.toml", |text| {
        text.replace(
            "party = \"mosip\"\n",
            "party = \"mosip\"\nanswer_timeout_ms = 1500\nanswer_max_bytes = 1000000\n",
        )
    });
    site.start_misp();
    (site, capture)
}

#[test]
fn an_answer_that_is_cut_or_no_http_is_refused_and_never_asked_for_again() {
    for (text, code) in [
        ("", "UP-003"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "UP-003"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"transactionID\"",
            "UP-003",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "UP-003",
        ),
        ("SSH-2.0-x\r\n\r\n", "UP-003"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
            "UP-003",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n{}",
            "UP-004",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "UP-006"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "UP-",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "UP-006",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "UP-006"),
    ] {
        let (site, capture) = before(Bad::Says(text));
        let answer = site.ask(&site.auth());
        let got = answer.code();
        assert!(got.starts_with(code), "{text:?}: {got} {}", answer.text());
        assert_failed(&site, &answer, 502, &got);
        assert_eq!(capture.requests(), 1, "{text:?}");
    }
}

#[test]
fn a_kept_connection_that_dies_over_a_request_is_not_asked_again() {
    let (site, capture) = before(Bad::DiesOnTheSecond);
    assert!(site.ask(&site.auth()).says_yes());
    assert_failed(&site, &site.ask(&site.auth()), 502, "UP-003");
    assert_eq!(capture.requests(), 2);
    assert!(
        site.ask(&site.auth()).says_yes(),
        "a new connection is good again"
    );
}

#[test]
fn an_answer_that_never_ends_is_given_up_in_time_and_in_size() {
    let (site, capture) = before(Bad::Drips);
    assert_failed(&site, &site.ask(&site.auth()), 504, "UP-002");
    assert_eq!(capture.requests(), 1);
    let (site, capture) = before(Bad::Floods);
    assert_failed(&site, &site.ask(&site.auth()), 502, "UP-004");
    assert_eq!(capture.requests(), 1);
    assert!(site.misp().process().resident_kib() < 100_000);
}

#[test]
fn a_dead_address_is_passed_over_and_named_by_the_health_page() {
    let mut site = Site::new("two-addresses");
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let alive = World::shared().ida_port();
    upstream(
        &site,
        &format!("\"https://localhost:{dead}\", \"https://localhost:{alive}\""),
    );
    site.edit("misp/gateway.toml", |text| {
        text.replace(
            "party = \"mosip\"\n",
            "party = \"mosip\"\nunhealthy_ms = 60000\n",
        )
    });
    site.start_misp();
    for _ in 0..4 {
        assert!(site.ask(&site.auth()).says_yes());
    }
    let health = site.misp().healthz().text();
    assert!(health.contains(&format!("localhost:{dead}")), "{health}");
    assert!(!health.contains(&format!("localhost:{alive} ")), "{health}");
    assert_eq!(site.misp().readyz().status, 200);

    // None alive.
    let mut site = Site::new("no-address");
    upstream(&site, &format!("\"https://localhost:{dead}\""));
    site.start_misp();
    assert_failed(&site, &site.ask(&site.auth()), 502, "UP-001");
}

#[test]
fn an_upstream_that_cannot_prove_who_it_is_gets_nothing() {
    for (name, host, certificate, cause) in [
        ("another CA", "127.0.0.1", "twins/other-root", "issuer"),
        ("revoked", "127.0.0.1", "twins/revoked", "revoked"),
        ("expired", "127.0.0.1", "twins/expired", "xpired"),
        ("another host's name", "127.0.0.2", "parties/mosip", "name"),
        ("a signature certificate", "127.0.0.1", "swapped", ""),
    ] {
        let mut site = Site::new("false-upstream");
        let folder = if certificate == "swapped" {
            // MOSIP's signature certificate where its TLS certificate should be.
            let folder = site.path("swapped");
            std::fs::create_dir_all(&folder).unwrap();
            for end in ["pem", "key.pem"] {
                let from = site.party("mosip").join(format!("signature.{end}"));
                std::fs::copy(from, folder.join(format!("tls.{end}"))).unwrap();
            }
            folder
        } else {
            site.path("pki").join(certificate)
        };
        let ida = IdaServer::with(
            &site,
            "sealed",
            true,
            &json!({"host": host, "certificate": folder}),
        );
        let authority = if host == "127.0.0.1" {
            "localhost"
        } else {
            host
        };
        upstream(&site, &format!("\"https://{authority}:{}\"", ida.port));
        site.start_misp();
        let answer = site.ask(&site.auth());
        assert_failed(&site, &answer, 502, "UP-001");
        let line = site.misp().line(answer.correlation_id());
        let said = line["cause"]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase();
        assert!(said.contains(&cause.to_ascii_lowercase()), "{name}: {said}");
        assert!(
            !answer.text().contains("localhost"),
            "the cause is the operator's"
        );
        assert_eq!(ida.received().len(), 0, "{name}: it was sent");
    }
}

#[test]
fn a_failure_behind_two_gateways_reaches_the_service_with_its_code() {
    let mut site = Site::new("two-gateways");
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    upstream(&site, &format!("\"https://localhost:{dead}\""));
    site.start_misp();
    site.start_crvs();
    let mut ask = site
        .auth()
        .signed_by(&site.party("sdk"), "signature")
        .sealed_to(&site.party("crvs").join("encryption.pem"));
    ask.licence = "local".to_owned();
    ask.api_key = "local".to_owned();
    let mut stream = TcpStream::connect(("127.0.0.1", site.service_face())).unwrap();
    stream.write_all(&ask.wire().http1()).unwrap();
    let answer = until("the service face answers", || Answer::read(&mut stream));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "UP-001"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007"]);
    assert_signed(&answer, &site.party("crvs"));
}
