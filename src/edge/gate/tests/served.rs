//! The gate as a server, over a stream in memory.

use super::{HEAD_MAX, HEADERS_MAX, with};
use crate::{
    clock::Clock,
    edge::gate::{Ended, GateLimits, Going, serve},
    refusal::{Code, violation},
    upstream::{AnswerBody, CallerBody},
};
use http::{Response, request::Parts};
use http_body_util::BodyExt as _;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

const SHORT: Duration = Duration::from_millis(200);

/// A request as the gate gave it to the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Result<Vec<u8>, Option<Code>>,
}

pub(super) type Log = Arc<Mutex<Vec<Seen>>>;

pub(super) struct Connection {
    pub(super) client: DuplexStream,
    pub(super) seen: Log,
    pub(super) stop: Arc<Notify>,
    server: JoinHandle<Ended>,
}

pub(super) fn limits() -> GateLimits {
    GateLimits {
        head_max_bytes: HEAD_MAX,
        headers_max: HEADERS_MAX,
        head_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(20),
        refusal_fields: "",
    }
}

/// Reads the body, unless the path says otherwise, and answers with what it saw.
async fn handle(parts: Box<Parts>, body: CallerBody, seen: Log) -> Box<Response<AnswerBody>> {
    let path = parts.uri.path().to_owned();
    let body = match path.as_str() {
        "/deaf" => Ok(Vec::new()),
        _ => match body.collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) => Err(violation(&error)),
        },
    };
    if path == "/slow" {
        sleep(SHORT * 2).await;
    }
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let line = format!("{} {}", parts.method, parts.uri);
    seen.lock().unwrap().push(Seen {
        line,
        headers,
        body: body.clone(),
    });
    let (status, text) = match body {
        Ok(_) if path == "/large" => (200, "x".repeat(1 << 20)),
        Ok(body) => (200, format!("{path} {}", body.escape_ascii())),
        Err(code) => (
            400,
            format!("handler {}", code.map_or("none", Code::as_str)),
        ),
    };
    let response = Response::builder()
        .status(status)
        .body(AnswerBody::whole(text.into_bytes().into()));
    Box::new(response.unwrap())
}

pub(super) fn connect(limits: GateLimits) -> Connection {
    let (client, server) = duplex(64 << 10);
    let seen = Log::default();
    let stop = Arc::new(Notify::new());
    let (log, stopped) = (seen.clone(), stop.clone());
    let server = tokio::spawn(async move {
        let going = Going::default();
        let clock = Clock::system();
        let exchange = |parts, body| handle(parts, body, log.clone());
        let stop = async {
            stopped.notified().await;
            going.go();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = stop => unreachable!(),
            ended = serve(server, limits, &clock, exchange, &going) => ended,
        }
    });
    Connection {
        client,
        seen,
        stop,
        server,
    }
}

impl Connection {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until what was read holds `end`.
    async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.contains(end) {
            let mut bytes = [0; 4096];
            let read = timeout(Duration::from_secs(5), self.client.read(&mut bytes)).await;
            let read = read
                .unwrap_or_else(|_| panic!("no {end:?} in {text:?}"))
                .unwrap();
            assert_ne!(read, 0, "closed before {end:?}: {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        text
    }

    /// Reads to the end, without closing, and gives how the server ended.
    pub(super) async fn read_out(mut self) -> (String, Vec<Seen>, Ended) {
        let mut text = Vec::new();
        let read = timeout(Duration::from_secs(10), self.client.read_to_end(&mut text)).await;
        read.expect("the gate closes").unwrap();
        drop(self.client);
        let ended = self.server.await.unwrap();
        let seen = self.seen.lock().unwrap().clone();
        (String::from_utf8(text).unwrap(), seen, ended)
    }
}

/// Sends the bytes to a new connection and reads to its end.
async fn exchange(bytes: impl AsRef<[u8]>) -> (String, Vec<Seen>, Ended) {
    let mut connection = connect(limits());
    connection.send(bytes).await;
    connection.read_out().await
}

/// The status lines; the bodies of these tests hold none.
fn answers(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.1 ")
        .filter_map(|(at, _)| text[at..].lines().next())
        .collect()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\n\r\n")
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_the_connection_stays() {
    let mut connection = connect(limits());
    connection
        .send(get("/1") + &with("Content-Length: 5") + "hello" + &get("/2"))
        .await;
    let text = connection.until("/2 ").await;
    assert_eq!(answers(&text).len(), 3);
    assert!(text.find("/1 ").unwrap() < text.find("/a hello").unwrap());
    connection
        .send(with("Transfer-Encoding: chunked") + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        .await;
    connection.until("/a hello world").await;
    connection.client.shutdown().await.unwrap();
    let (rest, seen, ended) = connection.read_out().await;
    assert_eq!((rest.as_str(), seen.len()), ("", 4));
    assert_eq!(
        ended,
        Ended {
            refused: None,
            answered: false
        }
    );
}

#[tokio::test]
async fn requests_that_arrive_byte_by_byte_are_served() {
    let mut connection = connect(limits());
    for byte in
        (with("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" + &get("/2")).bytes()
    {
        connection.send([byte]).await;
        tokio::task::yield_now().await;
    }
    let text = connection.until("/2 ").await;
    assert!(text.contains("/a hello"));
}

#[tokio::test]
async fn a_body_is_asked_for_where_the_client_waits() {
    let mut connection = connect(limits());
    connection
        .send(with("Expect: 100-continue\r\nContent-Length: 5"))
        .await;
    connection.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    connection.send("hello").await;
    connection.until("/a hello").await;
    connection.send(get("/2")).await;
    connection.until("/2 ").await;
}

#[tokio::test]
async fn every_bad_head_is_answered_by_the_gate_and_closed() {
    for (bytes, code) in [
        (
            with("Content-Length: 6\r\nTransfer-Encoding: chunked") + "0\r\n\r\nG",
            Code::HttpLength,
        ),
        (
            with("Content-Length: 1\r\nContent-Length: 1") + "x",
            Code::HttpLength,
        ),
        (
            with("Transfer-Encoding: chunked, identity"),
            Code::HttpChunked,
        ),
        (
            "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
            Code::HttpMalformed,
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n".to_owned(),
            Code::HttpUpgrade,
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), Code::HttpHost),
        (
            "GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            Code::HttpPath,
        ),
        (
            with("Upgrade: websocket\r\nConnection: upgrade"),
            Code::HttpUpgrade,
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(),
            Code::HttpUpgrade,
        ),
        (with("X_Y: z"), Code::HttpHeader),
        (with("Expect: more"), Code::HttpExpect),
        (
            with(&format!("X: {}", "v".repeat(HEAD_MAX))),
            Code::HttpHeadSize,
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            Code::HttpPath,
        ),
        ("\u{16}\u{3}\u{1}TLS hello".to_owned(), Code::HttpMalformed),
    ] {
        let (text, seen, ended) = exchange(&bytes).await;
        assert!(seen.is_empty(), "the exchange saw {bytes:?}");
        assert_eq!(
            ended,
            Ended {
                refused: Some(code),
                answered: true
            },
            "{bytes:?}"
        );
        assert_eq!(text, crate::edge::gate::answer::answer_to(code, ""));
    }
}

#[test]
fn refusals_are_whole_answers_with_json() {
    for code in Code::ALL {
        let text = crate::edge::gate::answer::answer_to(*code, "");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", code.status())));
        assert!(head.contains(&format!("\r\nx-triseal-code: {code}\r\n")));
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
        assert!(head.ends_with("\r\nconnection: close"));
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["code"], code.as_str());
        assert_eq!(json["message"], code.remedy());
    }
}

#[tokio::test]
async fn a_bad_head_behind_good_requests_waits_for_their_answers() {
    for delayed in [false, true] {
        let mut connection = connect(limits());
        connection.send(get("/slow")).await;
        if delayed {
            sleep(SHORT / 10).await;
        }
        connection.send(get("/large") + "BAD\r\n").await;
        let (text, seen, ended) = connection.read_out().await;
        assert_eq!(seen.len(), 2);
        assert_eq!(
            answers(&text),
            [
                "HTTP/1.1 200 OK",
                "HTTP/1.1 200 OK",
                "HTTP/1.1 400 Bad Request"
            ]
        );
        assert!(
            text.contains(&"x".repeat(1 << 20)),
            "the answers before it are whole"
        );
        assert!(text.ends_with('}'));
        assert_eq!(
            ended,
            Ended {
                refused: Some(Code::HttpMalformed),
                answered: true
            }
        );
    }
}

#[tokio::test]
async fn nothing_is_answered_behind_an_answer_that_closes() {
    let close = "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (text, _, ended) = exchange(format!("{close}BAD\r\n")).await;
    assert_eq!(answers(&text), ["HTTP/1.1 200 OK"]);
    assert!(!ended.answered);
}

#[tokio::test]
async fn a_bad_body_reaches_the_handler_as_a_violation_and_its_answer_is_the_only_one() {
    for bad in [
        "5;x\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "z",
    ] {
        for split in [false, true] {
            let mut connection = connect(limits());
            connection.send(with("Transfer-Encoding: chunked")).await;
            if split {
                sleep(SHORT / 20).await;
            }
            connection.send(bad.to_owned() + &get("/smuggled")).await;
            let (text, seen, ended) = connection.read_out().await;
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].body, Err(Some(Code::HttpChunked)));
            assert_eq!(answers(&text), ["HTTP/1.1 400 Bad Request"]);
            assert!(text.contains("handler HTTP-003"));
            assert_eq!(
                ended,
                Ended {
                    refused: Some(Code::HttpChunked),
                    answered: false
                }
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_a_violation() {
    let mut connection = connect(limits());
    connection.send(with("Content-Length: 10") + "hello").await;
    connection.client.shutdown().await.unwrap();
    let (text, seen, _) = connection.read_out().await;
    assert_eq!(seen[0].body, Err(Some(Code::HttpBodyCut)));
    assert!(text.contains("handler HTTP-012"));
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let mut connection = connect(limits());
    let head = with("Content-Length: 60000").replace("/a", "/deaf");
    connection.send(head).await;
    connection.until("/deaf ").await;
    // Still taken, though nobody reads it.
    for _ in 0..60 {
        connection.send([b'x'; 1000]).await;
    }
    let (_, _, ended) = connection.read_out().await;
    assert_eq!(ended.refused, None);
}

#[tokio::test]
async fn a_client_that_leaves_its_write_side_closed_is_still_answered() {
    let mut connection = connect(limits());
    connection.send(get("/slow")).await;
    connection.client.shutdown().await.unwrap();
    let (text, _, ended) = connection.read_out().await;
    assert!(text.ends_with("/slow "));
    assert_eq!(ended.refused, None);
}

#[tokio::test]
async fn a_slow_head_is_refused_also_when_bytes_keep_coming() {
    let mut connection = connect(GateLimits {
        head_timeout: SHORT,
        ..limits()
    });
    connection.send(get("/1")).await;
    connection.until("/1 ").await;
    // Between two requests there is more time.
    sleep(SHORT * 2).await;
    for byte in "GET / HTTP/1.1\r\nX: ".bytes() {
        if connection.client.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(SHORT / 8).await;
    }
    let (text, _, ended) = connection.read_out().await;
    assert_eq!(
        ended,
        Ended {
            refused: Some(Code::HttpSlow),
            answered: true
        }
    );
    assert_eq!(answers(&text), ["HTTP/1.1 408 Request Timeout"]);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_an_answer_but_not_while_a_request_is_handled() {
    let limits = GateLimits {
        idle_timeout: SHORT,
        ..limits()
    };
    let (text, _, ended) = connect(limits).read_out().await;
    assert_eq!((text.as_str(), ended.refused), ("", None));

    let mut connection = connect(limits);
    connection.send(get("/slow")).await;
    let (text, _, ended) = connection.read_out().await;
    assert!(text.ends_with("/slow "));
    assert_eq!(
        ended,
        Ended {
            refused: None,
            answered: false
        }
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_dropped() {
    let mut connection = connect(GateLimits {
        idle_timeout: SHORT,
        ..limits()
    });
    connection.send(get("/large")).await;
    let ended = timeout(Duration::from_secs(5), connection.server)
        .await
        .expect("given up")
        .unwrap();
    assert_eq!(
        ended,
        Ended {
            refused: None,
            answered: false
        }
    );
}

#[tokio::test]
async fn a_stop_lets_the_exchange_in_flight_end() {
    let mut connection = connect(limits());
    connection.send(get("/slow")).await;
    sleep(SHORT / 10).await;
    connection.stop.notify_one();
    let (text, seen, _) = connection.read_out().await;
    assert!(text.contains("connection: close") && text.ends_with("/slow "));
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_violation_is_found_behind_other_errors() {
    use crate::refusal::Violation;
    let io = || std::io::Error::other(Violation(Code::HttpChunked));
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);
    assert_eq!(violation(&io()), Some(Code::HttpChunked));
    assert_eq!(violation(&Outer(io())), Some(Code::HttpChunked));
    assert_eq!(violation(&std::io::Error::other("something else")), None);
}
