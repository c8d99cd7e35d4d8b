//! A scripted hub, and the service that takes deliveries, in one plain server.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use aws_lc_rs::hmac;

use crate::harness::{Answer, get, within};

/// What came to the server.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Script = Arc<Mutex<VecDeque<(u16, String)>>>;

/// The server: `/hub` is the hub, `/taken` the service.
pub struct Hub {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// The hub's next answers; then 202 accepted.
    pub answers: Script,
    /// The service's next answers; then 200.
    pub takes: Script,
}

impl Hub {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let hub = Self {
            port,
            seen: Arc::default(),
            answers: Arc::default(),
            takes: Arc::default(),
        };
        let (seen, answers, takes) = (
            Arc::clone(&hub.seen),
            Arc::clone(&hub.answers),
            Arc::clone(&hub.takes),
        );
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answers, takes) =
                    (Arc::clone(&seen), Arc::clone(&answers), Arc::clone(&takes));
                thread::spawn(move || serve(stream, &seen, &answers, &takes));
            }
        });
        hub
    }

    /// What came to a path, in order.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let all = self.seen.lock().unwrap();
        let begin = format!("POST {path} ");
        all.iter()
            .filter(|s| s.line.starts_with(&begin))
            .cloned()
            .collect()
    }

    /// Waits for the nth request to a path.
    #[track_caller]
    pub fn nth(&self, path: &str, n: usize) -> Seen {
        let limit = std::time::Duration::from_secs(40);
        within(limit, || self.seen(path).get(n).cloned())
            .unwrap_or_else(|| panic!("waited in vain for request {n} to {path}"))
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<Seen>>,
    answers: &Mutex<VecDeque<(u16, String)>>,
    takes: &Mutex<VecDeque<(u16, String)>>,
) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).ok()?;
            if field.trim().is_empty() {
                break;
            }
            let lower = field.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            head.push_str(&lower);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let hub = line.starts_with("POST /hub ");
        seen.lock().unwrap().push(Seen {
            line: line.trim().to_owned(),
            head,
            body,
        });
        let next = if hub { answers } else { takes }
            .lock()
            .unwrap()
            .pop_front();
        let (status, text) = next.unwrap_or_else(|| {
            if hub {
                (202, "hub.mode=accepted".to_owned())
            } else {
                (200, String::new())
            }
        });
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

/// `X-Hub-Signature` as the hub makes it.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    let hex: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256={hex}")
}

/// Delivers to a plain face; `None` when nobody answers.
pub fn deliver(port: u16, path: &str, signature: Option<&str>, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(15)))
        .ok()?;
    let field = signature.map_or(String::new(), |s| format!("X-Hub-Signature: {s}\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{field}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    Answer::read(&mut stream)
}

/// Asks a plain face as the hub asks.
#[track_caller]
pub fn ask(port: u16, path: &str, question: &str) -> Answer {
    get(port, &format!("{path}?{question}")).expect("an answer")
}

/// What a gateway needs to subscribe at the hub on this port: the hub, a store, and `[websub]`, which `more` may go on in.
pub fn before_hub(port: u16) -> String {
    format!(
        r#"
[[upstream]]
name = "hub"
addresses = ["http://127.0.0.1:{port}"]

[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[websub]
upstream = "hub"
envelope = "insecure_plain"
path = "/hub"
"#
    )
}
