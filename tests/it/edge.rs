//! The edge as it runs: every line of field guide 3.4 against the partner face, and TLS as strangers meet it.
//!
//! Most requests go over one shared gateway; what it refuses, it refuses without harm to the next connection.

use std::{
    io::Read,
    sync::OnceLock,
    time::{Duration, Instant},
};

use rustls::{HandshakeKind, NamedGroup};

use crate::harness::{Answer, Site, Tls, TlsClient, Wire, curl, h2, run, until};

/// A gateway with short times and small bounds, shared: nothing here changes it.
fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let mut site = Site::new("edge");
        site.limits(
            "head_timeout_ms = 700\nbody_timeout_ms = 700\nidle_timeout_ms = 20000\nhead_max_bytes = 16384\nheaders_max = 32\nbody_max_bytes = 65536\nh2_streams_max = 8",
        );
        site.start_misp();
        site
    })
}

/// Sends raw bytes as partner `crvs` and gives the answer, after which the connection must end.
#[track_caller]
fn refused(request: impl AsRef<[u8]>) -> Answer {
    let mut client = site().connect();
    let answer = client.ask(request.as_ref());
    assert!(
        client.ends_within(Duration::from_secs(5)),
        "the connection stays open after {}",
        answer.code()
    );
    answer
}

#[track_caller]
fn assert_refused(request: impl AsRef<[u8]>, code: &str, status: u16) {
    let request = request.as_ref();
    let answer = refused(request);
    let shown = String::from_utf8_lossy(request);
    assert_eq!(
        (answer.code().as_str(), answer.status),
        (code, status),
        "{shown}"
    );
}

/// A head for a path that no route has, with more lines.
fn head(lines: &str) -> String {
    format!("POST /nowhere HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// The code in the answer to a request over HTTP/2 with these fields beside the pseudo-headers; `reset` when the stream or
/// the connection was reset.
fn over_h2(path: &str, authority: &str, fields: &[(&str, &str)]) -> String {
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    let mut all = vec![
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", authority),
        (":path", path),
    ];
    all.extend(fields);
    let mut bytes = h2::preface();
    bytes.extend(h2::frame(
        h2::HEADERS,
        h2::END_HEADERS | h2::END_STREAM,
        1,
        &h2::block(&all),
    ));
    client.send(&bytes);
    match h2::answer_body(&mut client, 1) {
        None => "reset".to_owned(),
        Some(body) => Answer {
            body,
            ..Answer::default()
        }
        .code(),
    }
}

/// The gateway is well: it answers a sealed request.
#[track_caller]
fn assert_serves() {
    let answer = site().ask(&site().auth());
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
}

#[test]
fn a_sealed_request_of_curl_is_answered_over_both_http_versions() {
    for version in ["1.1", "2"] {
        let wire = site().auth().wire();
        let mut call = curl(site(), version, &wire.path).body(&wire.body);
        for (name, value) in &wire.headers {
            call = call.header(&format!("{name}: {value}"));
        }
        let got = call.go();
        assert_eq!(
            (got.exit, got.version.as_str()),
            (0, version),
            "{}",
            got.said
        );
        assert!(got.answer.says_yes(), "{}", got.answer.text());
        assert!(got.answer.header("response-signature").is_some());
    }
}

// Framing.

#[test]
fn content_length_with_transfer_encoding_is_refused() {
    assert_refused(
        head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        "HTTP-002",
        400,
    );
    assert_refused(
        head("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "0\r\n\r\n",
        "HTTP-002",
        400,
    );
}

#[test]
fn repeated_content_lengths_are_refused_even_when_equal() {
    for lines in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 03\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length:\r\n",
    ] {
        assert_refused(head(lines) + "abc", "HTTP-002", 400);
    }
}

#[test]
fn transfer_codings_other_than_a_lone_chunked_are_refused() {
    for coding in [
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "xchunked",
        "\"chunked\"",
    ] {
        assert_refused(
            head(&format!("Transfer-Encoding: {coding}\r\n")) + "0\r\n\r\n",
            "HTTP-003",
            400,
        );
    }
    assert_refused(
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        "HTTP-003",
        400,
    );
}

/// A sealed request with its body in chunks, as `chunks` writes them.
fn chunked(chunks: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let wire = site().auth().wire();
    let text = String::from_utf8(wire.http1()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let head: String = head
        .lines()
        .filter(|l| !l.starts_with("Content-Length"))
        .map(|l| format!("{l}\r\n"))
        .collect();
    let mut out = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    out.extend(chunks(&wire.body));
    out
}

#[test]
fn a_plainly_chunked_body_is_answered() {
    let answer = site().connect().ask(&chunked(|body| {
        let (one, two) = body.split_at(100);
        let mut out = format!("{:x}\r\n", one.len()).into_bytes();
        out.extend(one);
        out.extend(format!("\r\n{:X}\r\n", two.len()).into_bytes());
        out.extend(two);
        out.extend(b"\r\n0\r\n\r\n");
        out
    }));
    assert!(answer.says_yes(), "{}", answer.text());
}

#[test]
fn chunk_extensions_trailers_and_bare_line_feeds_in_chunks_are_refused() {
    for (size_end, data_end, last) in [
        (";a=b\r\n", "\r\n", "0\r\n\r\n"),
        (" \r\n", "\r\n", "0\r\n\r\n"),
        ("\n", "\r\n", "0\r\n\r\n"),
        ("\r\n", "\n", "0\r\n\r\n"),
        ("\r\n", "\r\n", "0;x\r\n\r\n"),
        ("\r\n", "\r\n", "0\r\nTrailer: x\r\n\r\n"),
        ("\r\n", "\r\n", "0\n\n"),
    ] {
        assert_refused(
            chunked(|body| {
                let mut out = format!("{:x}{size_end}", body.len()).into_bytes();
                out.extend(body);
                out.extend(data_end.as_bytes());
                out.extend(last.as_bytes());
                out
            }),
            "HTTP-003",
            400,
        );
    }
}

#[test]
fn bare_line_feeds_in_a_head_are_refused() {
    for request in [
        "GET /nowhere HTTP/1.1\nHost: localhost\n\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nA: b\rC: d\r\n\r\n",
    ] {
        assert_refused(request, "HTTP-001", 400);
    }
}

#[test]
fn folded_lines_and_blanks_before_the_colon_are_refused() {
    assert_refused(head("A: b\r\n c\r\n"), "HTTP-001", 400);
    assert_refused(head("Content-Length : 0\r\n"), "HTTP-007", 400);
    assert_refused(head("A: b\0c\r\n"), "HTTP-001", 400);
    assert_refused(head("A\u{e9}: b\r\n"), "HTTP-007", 400);
}

#[test]
fn a_missing_repeated_or_foreign_host_is_refused() {
    assert_refused("GET /nowhere HTTP/1.1\r\n\r\n", "HTTP-004", 421);
    assert_refused(
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "HTTP-004",
        421,
    );
    assert_refused(
        "GET /nowhere HTTP/1.1\r\nHost: local host\r\n\r\n",
        "HTTP-004",
        421,
    );
    let foreign = site()
        .connect()
        .ask(b"GET /nowhere HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n");
    assert_eq!((foreign.code().as_str(), foreign.status), ("HTTP-004", 421));
    let got = curl(site(), "2", "/nowhere")
        .header("Host: elsewhere.example")
        .go();
    assert_eq!((got.version.as_str(), got.answer.status), ("2", 421));
    assert_eq!(got.answer.code(), "HTTP-004");
    assert_eq!(
        over_h2("/nowhere", "localhost", &[("host", "elsewhere.example")]),
        "HTTP-004"
    );
    assert_eq!(over_h2("/nowhere", "localhost:1", &[]), "RT-001");
}

#[test]
fn an_absolute_target_is_refused_whatever_host_it_names() {
    for host in ["elsewhere.example", "localhost"] {
        assert_refused(
            format!("GET https://{host}/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            "HTTP-006",
            400,
        );
    }
}

#[test]
fn upgrades_connect_and_other_protocols_are_refused() {
    assert_refused(
        head("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        "HTTP-005",
        400,
    );
    assert_refused(
        head(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        ),
        "HTTP-005",
        400,
    );
    assert_refused(
        "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HTTP-005",
        400,
    );
    assert_refused(
        "TRACE /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HTTP-005",
        400,
    );
    assert_refused(
        "GET /nowhere HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "HTTP-005",
        400,
    );
    assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP-006", 400);
    assert_eq!(
        over_h2("/nowhere", "localhost", &[("upgrade", "websocket")]),
        "reset"
    );
}

#[test]
fn connect_over_http2_is_refused() {
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    let fields = [(":method", "CONNECT"), (":authority", "localhost:443")];
    let mut bytes = h2::preface();
    bytes.extend(h2::frame(
        h2::HEADERS,
        h2::END_HEADERS | h2::END_STREAM,
        1,
        &h2::block(&fields),
    ));
    client.send(&bytes);
    let body = h2::answer_body(&mut client, 1);
    assert!(
        body.as_ref()
            .is_none_or(|b| String::from_utf8_lossy(b).contains("HTTP-005")),
        "{body:?}"
    );
}

// Identity headers.

#[test]
fn a_spoofed_identity_header_is_refused_in_every_spelling() {
    for (name, code) in [
        ("x-triseal-partner", "HTTP-013"),
        ("X-Triseal-Partner", "HTTP-013"),
        ("x-triseal-code", "HTTP-013"),
        ("x-partner-id", "HTTP-013"),
        ("x-forwarded-client-cert", "HTTP-013"),
        ("client-cert", "HTTP-013"),
        ("x-ssl-client-dn", "HTTP-013"),
        // An underscore has no place in any name: servers fold it into a hyphen.
        ("x_triseal_partner", "HTTP-007"),
        ("x-triseal_partner", "HTTP-007"),
    ] {
        let answer = site()
            .connect()
            .ask(head(&format!("{name}: seeder\r\n")).as_bytes());
        assert_eq!(
            (answer.code().as_str(), answer.status),
            (code, 400),
            "{name}"
        );
        let got = curl(site(), "2", "/nowhere")
            .header(&format!("{name}: seeder"))
            .go();
        assert_eq!(
            (got.version.as_str(), got.answer.code().as_str()),
            ("2", code),
            "{name}"
        );
    }
}

#[test]
fn connection_may_not_name_a_header_on_which_a_verdict_rests() {
    for (named, code) in [
        ("x-triseal-partner", "HTTP-013"),
        ("X-Triseal-Partner", "HTTP-013"),
        ("keep-alive, signature", "HTTP-007"),
        ("authorization", "HTTP-007"),
        ("content-length", "HTTP-007"),
        ("host", "HTTP-007"),
        ("upgrade", "HTTP-005"),
    ] {
        let answer = site()
            .connect()
            .ask(head(&format!("Connection: {named}\r\n")).as_bytes());
        assert_eq!(answer.code(), code, "{named}");
    }
    // HTTP/2 has no such field at all.
    let named = over_h2(
        "/nowhere",
        "localhost",
        &[("connection", "x-triseal-partner")],
    );
    assert!(matches!(named.as_str(), "reset" | "HTTP-007"), "{named}");
}

// Paths.

#[test]
fn every_path_that_two_servers_could_read_differently_is_refused() {
    for path in [
        "/a/../b",
        "/a/./b",
        "/..",
        "/a/..",
        "/a//b",
        "//a",
        "/a/",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/%2e%2e/b",
        "/a%00b",
        "/a;x=y/b",
        "/a;/b",
        "/%c0%ae%c0%ae/b",
        "/%61uth",
        "/a%",
        "/a/...;/b",
    ] {
        let answer = site()
            .connect()
            .ask(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert_eq!(
            (answer.code().as_str(), answer.status),
            ("HTTP-006", 400),
            "{path}"
        );
        assert_eq!(
            over_h2(path, "localhost", &[]),
            "HTTP-006",
            "{path} over HTTP/2"
        );
    }
    // These do not even pass as HTTP.
    for path in ["/a\\b", "/a#b", "/a\"b", "/a<b", "/a{b}", "/a|b", "/é"] {
        assert_refused(
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            "HTTP-006",
            400,
        );
        let h2 = over_h2(path, "localhost", &[]);
        assert!(
            matches!(h2.as_str(), "HTTP-006" | "reset" | "RT-001"),
            "{path} over HTTP/2: {h2}"
        );
        // A fragment is cut off by the library: what is left must still not be a route.
        assert!(h2 != "RT-001" || path == "/a#b", "{path}");
    }
}

#[test]
fn a_path_in_other_case_is_another_path() {
    let mut wire = site().auth().wire();
    wire.path = wire
        .path
        .replace("/idauthentication/", "/IdAuthentication/");
    assert_eq!(site().connect().ask(&wire.http1()).code(), "RT-001");
}

#[test]
fn unknown_routes_methods_queries_and_media_types_are_each_refused_by_name() {
    let ask = site().auth();
    let wire = ask.wire();
    let to = |path: &str| Wire {
        path: path.to_owned(),
        ..wire.clone()
    };
    let code = |wire: &Wire| {
        let answer = site().connect().ask(&wire.http1());
        (answer.code(), answer.status)
    };
    assert_eq!(code(&to("/")), ("RT-001".into(), 404));
    assert_eq!(
        code(&to("/idauthentication/v1/auth")),
        ("RT-001".into(), 404)
    );
    assert_eq!(
        code(&to(&format!("{}/more", wire.path))),
        ("RT-001".into(), 404)
    );
    assert_eq!(
        code(&to(&format!("{}?a=b", wire.path))),
        ("RT-005".into(), 400)
    );
    let text = wire.clone().header("Content-Type", "text/plain");
    assert_eq!(code(&text), ("RT-004".into(), 415));
    let packed = wire.clone().header("Content-Encoding", "gzip");
    assert_eq!(code(&packed), ("RT-004".into(), 415));
    let get = String::from_utf8(wire.http1())
        .unwrap()
        .replacen("POST", "GET", 1);
    let answer = site().connect().ask(get.as_bytes());
    assert_eq!((answer.code().as_str(), answer.status), ("RT-002", 405));
}

// Sizes and times.

#[test]
fn a_head_above_its_limit_is_refused_and_one_below_is_not() {
    let fill = |bytes: usize| head(&format!("A: {}\r\n", "x".repeat(bytes)));
    let plain = fill(0).len();
    assert_refused(fill(16_384 - plain + 1), "HTTP-008", 431);
    let answer = site().connect().ask(fill(16_384 - plain).as_bytes());
    assert_eq!(answer.code(), "RT-001");
    let got = curl(site(), "2", "/nowhere")
        .header(&format!("a: {}", "x".repeat(20_000)))
        .go();
    assert!(got.answer.status == 431 || got.exit != 0, "{got:?}");
}

#[test]
fn too_many_header_fields_are_refused() {
    let fields = |n: usize| (0..n).map(|i| format!("A{i}: b\r\n")).collect::<String>();
    assert_refused(head(&fields(32)), "HTTP-008", 431);
    assert_eq!(
        site().connect().ask(head(&fields(31)).as_bytes()).code(),
        "RT-001"
    );
}

#[test]
fn a_body_above_its_limit_is_refused_announced_or_not() {
    let big = vec![b' '; 65_537];
    let wire = site().auth().wire_with(big);
    let answer = site().connect().ask(&wire.http1());
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-009", 413));
    // The same in chunks: nothing announces it.
    let text = String::from_utf8(wire.http1()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.replace("Content-Length: 65537", "Transfer-Encoding: chunked");
    let answer = site()
        .connect()
        .ask(format!("{head}\r\n\r\n10001\r\n{body}\r\n0\r\n\r\n").as_bytes());
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-009", 413));
    // And over HTTP/2, where the answer comes before the body has been taken.
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    h2::open(&mut client);
    client.send(&h2::request(&wire, 1));
    let body = h2::answer_body(&mut client, 1).expect("an answer before the reset");
    assert!(String::from_utf8_lossy(&body).contains("HTTP-009"));
}

#[test]
fn a_slow_head_is_refused_and_the_connection_closed() {
    let mut client = site().connect();
    client.send(b"POST /nowhere HTTP/1.1\r\nHost: loc");
    let began = Instant::now();
    let answer = client.answer().expect("an answer to a slow head");
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-010", 408));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(client.ends_within(Duration::from_secs(5)));
}

#[test]
fn a_slow_body_is_refused_over_both_http_versions() {
    let wire = site().auth().wire();
    let mut client = site().connect();
    let bytes = wire.http1();
    client.send(&bytes[..bytes.len() - 10]);
    let answer = client.answer().expect("an answer to a slow body");
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-010", 408));
    assert!(client.ends_within(Duration::from_secs(5)));

    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    let mut bytes = h2::preface();
    let frames = h2::request(&wire, 1);
    // All but the last DATA frame's last bytes.
    bytes.extend(&frames[..frames.len() - 10]);
    client.send(&bytes);
    let body = h2::answer_body(&mut client, 1).unwrap_or_default();
    assert!(
        String::from_utf8_lossy(&body).contains("HTTP-010"),
        "{}",
        String::from_utf8_lossy(&body)
    );
}

#[test]
fn a_body_that_ends_early_is_refused() {
    let wire = site().auth().wire();
    let mut client = site().connect();
    let bytes = wire.http1();
    client.send(&bytes[..bytes.len() - 10]);
    client.stream.conn.send_close_notify();
    let _ = client.stream.conn.write_tls(&mut client.stream.sock);
    let answer = client.answer().expect("an answer to a cut body");
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-012", 400));
}

#[test]
fn expect_100_continue_is_answered_and_other_expectations_are_refused() {
    let wire = site().auth().wire().header("Expect", "100-continue");
    let bytes = wire.http1();
    let at = bytes.len() - wire.body.len();
    let mut client = site().connect();
    client.send(&bytes[..at]);
    let go_on = Answer::read_any(&mut client.stream).unwrap();
    assert_eq!(go_on.status, 100);
    client.send(&bytes[at..]);
    assert!(client.answer().unwrap().says_yes());
    assert_refused(head("Expect: 200-ok\r\n"), "HTTP-011", 417);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let asks = [site().auth(), site().auth(), site().auth()];
    let mut client = site().connect();
    let all: Vec<u8> = asks.iter().flat_map(|a| a.wire().http1()).collect();
    client.send(&all);
    for ask in &asks {
        let answer = client.answer().unwrap();
        assert!(answer.says_yes());
        assert_eq!(answer.json()["transactionID"], ask.members["transactionID"]);
    }
}

#[test]
fn a_bad_request_behind_a_good_one_does_not_spoil_the_good_ones_answer() {
    let mut bytes = site().auth().wire().http1();
    bytes.extend(head("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n").as_bytes());
    let mut client = site().connect();
    client.send(&bytes);
    assert!(client.answer().unwrap().says_yes());
    assert_eq!(client.answer().unwrap().code(), "HTTP-002");
    assert!(client.ends_within(Duration::from_secs(5)));
}

// HTTP/2.

#[test]
fn rapid_reset_ends_the_connection_and_the_gateway_serves_others() {
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    let block = h2::block(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/nowhere"),
    ]);
    client.send(&h2::preface());
    for round in 0..40_u32 {
        let mut bytes = Vec::new();
        for n in 0..25 {
            let stream = 1 + 2 * (round * 25 + n);
            bytes.extend(h2::frame(
                h2::HEADERS,
                h2::END_HEADERS | h2::END_STREAM,
                stream,
                &block,
            ));
            bytes.extend(h2::frame(h2::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        client.send(&bytes);
    }
    // A GOAWAY comes first; as more frames were on their way to a closed socket, it may be lost in a TCP reset.
    assert!(
        client.ends_within(Duration::from_secs(10)),
        "the connection stays open"
    );
    assert_serves();
}

#[test]
fn a_flood_of_continuation_frames_ends_the_connection() {
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    let block = h2::block(&[(":method", "POST"), (":path", "/nowhere")]);
    client.send(&h2::preface());
    client.send(&h2::frame(h2::HEADERS, h2::END_STREAM, 1, &block));
    let more = h2::block(&[("a", "x".repeat(8_000))]);
    for _ in 0..200 {
        client.send(&h2::frame(h2::CONTINUATION, 0, 1, &more));
    }
    assert!(client.ends_within(Duration::from_secs(10)));
    assert_serves();
}

#[test]
fn streams_beyond_the_cap_are_refused() {
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    client.send(&h2::preface());
    // The cap is announced.
    let settings = loop {
        let frame = h2::read(&mut client).unwrap();
        if frame.kind == h2::SETTINGS && frame.flags & 1 == 0 {
            break frame.payload;
        }
    };
    let announced = settings
        .chunks(6)
        .find(|c| c[..2] == [0, 3])
        .map(|c| c[2..].to_vec());
    assert_eq!(announced, Some(vec![0, 0, 0, 8]));
    // Twelve streams whose bodies never come: four are refused at once.
    let wire = site().auth().wire();
    let mut bytes = h2::frame(h2::SETTINGS, 1, 0, &[]);
    for n in 0..12_u32 {
        let frames = h2::request(&wire, 1 + 2 * n);
        let head =
            9 + usize::try_from(u32::from_be_bytes([0, frames[0], frames[1], frames[2]])).unwrap();
        bytes.extend(&frames[..head]);
    }
    client.send(&bytes);
    let mut refused = 0;
    while refused < 4 {
        let frame = h2::read(&mut client).expect("resets for streams beyond the cap");
        // REFUSED_STREAM
        if frame.kind == h2::RST_STREAM && frame.payload == [0, 0, 0, 7] {
            assert!(frame.stream > 15, "stream {}", frame.stream);
            refused += 1;
        }
        assert!(frame.kind != h2::GOAWAY, "the connection was ended");
    }
}

#[test]
fn requests_in_parallel_over_one_http2_connection_are_all_answered() {
    let mut client = site()
        .client()
        .http2()
        .connect(site().partner_face())
        .unwrap();
    let mut bytes = h2::preface();
    for n in 0..4 {
        bytes.extend(h2::request(&site().auth().wire(), 1 + 2 * n));
    }
    client.send(&bytes);
    let mut yes = 0;
    while yes < 4 {
        let frame = h2::read(&mut client).expect("four answers");
        if frame.kind == h2::DATA {
            let text = String::from_utf8_lossy(&frame.payload).into_owned();
            assert!(text.contains(r#""authStatus":true"#), "{text}");
            yes += 1;
        }
    }
}

// TLS.

#[test]
fn an_unknown_server_name_is_refused_in_the_handshake() {
    let refusal = site()
        .client()
        .name("elsewhere.example")
        .refusal(site().partner_face());
    assert!(
        refusal.is_some_and(|r| r.contains("received fatal alert")),
        "taken"
    );
}

#[test]
fn a_host_other_than_the_server_name_is_misdirected() {
    // Both names belong to the face, but the connection was made for one of them.
    let mut two = Site::new("edge-names");
    two.replace(
        "misp/gateway.toml",
        "hosts = [\"localhost\"]",
        "hosts = [\"localhost\", \"other.example\"]",
    );
    two.start_misp();
    let other = b"GET /nowhere HTTP/1.1\r\nHost: other.example\r\n\r\n";
    let answer = two.connect().ask(other);
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-004", 421));
}

#[test]
fn without_a_client_certificate_the_handshake_fails() {
    for tls12 in [false, true] {
        let mut client = Tls::new(&site().ca());
        if tls12 {
            client = client.tls12();
        }
        let refusal = client.refusal(site().partner_face());
        assert!(
            refusal.is_some_and(|r| r.contains("received fatal alert")),
            "taken"
        );
    }
}

/// What `openssl s_client` says as partner `crvs`.
fn s_client(more: &[&str], input: &str) -> String {
    let face = format!("127.0.0.1:{}", site().partner_face());
    let party = site().party("crvs");
    let (cert, key, ca) = (
        party.join("tls.pem").display().to_string(),
        party.join("tls.key.pem").display().to_string(),
        site().ca().display().to_string(),
    );
    let mut args = vec![
        "s_client",
        "-connect",
        &face,
        "-servername",
        "localhost",
        "-cert",
        &cert,
        "-cert_chain",
        &cert,
        "-key",
        &key,
        "-CAfile",
        &ca,
        "-partial_chain",
    ];
    args.extend(more);
    // Standard input stays open for a moment: s_client ends with it.
    let script = r#"input=$1; shift; { printf "%b" "$input"; sleep 1; } | openssl "$@" 2>&1"#;
    let mut all = vec!["-c", script, "sh", input];
    all.extend(args);
    run("sh", all, &[], b"").all()
}

const PLAIN: &str = "GET /nowhere HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";

#[test]
fn tls_1_2_and_1_3_are_spoken_and_1_1_is_not() {
    let newest = s_client(&["-tls1_3", "-ign_eof"], PLAIN);
    assert!(
        newest.contains("New, TLSv1.3") && newest.contains("RT-001"),
        "{newest}"
    );
    let older = s_client(&["-tls1_2", "-ign_eof"], PLAIN);
    assert!(
        older.contains("New, TLSv1.2") && older.contains("RT-001"),
        "{older}"
    );
    for old in ["-tls1_1", "-tls1"] {
        let said = s_client(&[old, "-cipher", "ALL:@SECLEVEL=0"], PLAIN);
        assert!(!said.contains("RT-001") && said.contains("alert"), "{said}");
    }
}

#[test]
fn the_post_quantum_hybrid_is_negotiated() {
    let mut client = site()
        .client()
        .group(NamedGroup::X25519MLKEM768)
        .connect(site().partner_face())
        .unwrap();
    let group = client
        .stream
        .conn
        .negotiated_key_exchange_group()
        .map(|g| g.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    assert_eq!(client.ask(head("").as_bytes()).code(), "RT-001");
}

#[test]
fn no_session_is_ever_resumed() {
    for tls12 in [false, true] {
        let client = site().client();
        let (config, name) = if tls12 { client.tls12() } else { client }.config();
        for round in 0..2 {
            let mut client = TlsClient::connect(&config, &name, site().partner_face()).unwrap();
            assert_eq!(client.ask(head("").as_bytes()).code(), "RT-001");
            assert_eq!(
                client.stream.conn.handshake_kind(),
                Some(HandshakeKind::Full),
                "round {round}"
            );
            if !tls12 {
                assert_eq!(client.stream.conn.tls13_tickets_received(), 0);
            }
        }
    }
    let said = s_client(&["-tls1_2", "-reconnect"], "");
    assert!(!said.contains("Reused, "), "{said}");
    assert!(said.matches("New, TLSv1.2").count() >= 2, "{said}");
}

#[test]
fn early_data_is_not_taken() {
    let client = site().client().early_data();
    let (config, name) = client.config();
    for _ in 0..2 {
        let mut client = TlsClient::connect(&config, &name, site().partner_face()).unwrap();
        assert_eq!(client.ask(head("").as_bytes()).code(), "RT-001");
        assert!(!client.stream.conn.is_early_data_accepted());
    }
}

#[test]
fn renegotiation_is_refused() {
    let said = s_client(&["-tls1_2"], "R\\n");
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(
        said.contains("no renegotiation") || said.contains("alert") || said.contains("error"),
        "{said}"
    );
    assert!(
        !said.contains("verify return:1\nRENEGOTIATING\nverify"),
        "{said}"
    );
}

#[test]
fn plain_http_on_the_tls_face_gets_no_http_answer() {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", site().partner_face())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    std::io::Write::write_all(&mut stream, head("").as_bytes()).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(
        !said.starts_with(b"HTTP"),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn an_idle_connection_is_closed() {
    let mut idle = Site::new("edge-idle");
    idle.limits("idle_timeout_ms = 300");
    idle.start_misp();
    let mut client = idle.connect();
    assert_eq!(client.ask(head("").as_bytes()).code(), "RT-001");
    assert!(client.ends_within(Duration::from_secs(5)));
}

#[test]
fn a_handshake_that_is_not_finished_is_given_up() {
    let mut slow = Site::new("edge-handshake");
    slow.limits("handshake_timeout_ms = 300");
    slow.start_misp();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", slow.partner_face())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut one = [0];
    assert!(matches!(stream.read(&mut one), Ok(0) | Err(_)));
    until("the handshake is counted", || {
        (slow.misp().metric("triseal_handshakes_total", &["timeout"]) > 0.0).then_some(())
    });
}
