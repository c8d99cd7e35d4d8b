//! Servers behind the gateways: one that says what it received, and one that pretends to be the MISP's gateway.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

/// A request as received.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        (self.headers.iter().find(|(n, _)| n == name)).map(|(_, v)| v.as_str())
    }
}

/// What is answered: status, header fields, body.
pub type Said = (u16, Vec<(String, String)>, Vec<u8>);

/// A plain HTTP/1.1 server; counts what it reads.
#[derive(Debug)]
pub struct Service {
    pub port: u16,
    requests: Arc<AtomicUsize>,
}

impl Service {
    pub fn start(answer: impl Fn(Received) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let (counter, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counter, answer) = (Arc::clone(&counter), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    while let Some(received) = read(&mut stream) {
                        counter.fetch_add(1, Ordering::SeqCst);
                        let head = received.method == "HEAD";
                        write(&mut stream, answer(received), head);
                    }
                });
            }
        });
        Self { port, requests }
    }

    /// Says in JSON what it received; a path that ends in `empty` gets an empty 204, `text` gets text, `gzip` an encoding
    /// that nobody asked for.
    pub fn echo() -> Self {
        Self::start(|received| {
            let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            if received.path.ends_with("/empty") {
                return (204, Vec::new(), Vec::new());
            }
            if received.path.ends_with("/gzip") {
                let headers = vec![
                    of("Content-Type", "text/plain"),
                    of("Content-Encoding", "gzip"),
                ];
                return (200, headers, b"not really".to_vec());
            }
            if received.path.ends_with("/text") {
                let headers = vec![of("Content-Type", "text/plain"), of("X-Other", "kept")];
                return (404, headers, b"nothing here".to_vec());
            }
            let headers: serde_json::Map<String, Value> = (received.headers.iter())
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            let body = json!({
                "method": received.method,
                "path": received.path,
                "headers": headers,
                "body": String::from_utf8_lossy(&received.body),
                "length": received.body.len(),
            });
            let headers = vec![
                of("Content-Type", "application/json"),
                of("X-Triseal-Code", "SIG-001"),
            ];
            (200, headers, body.to_string().into_bytes())
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut one = [0];
        stream.read_exact(&mut one).ok()?;
        head.push(one[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut target = lines.next()?.split(' ');
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = (headers.iter().find(|(name, _)| name == "content-length"))
        .map_or(Some(0), |(_, value)| value.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Received {
        method: target.next()?.to_owned(),
        path: target.next()?.to_owned(),
        headers,
        body,
    })
}

fn write(stream: &mut TcpStream, (status, headers, body): Said, head: bool) {
    let mut out = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        out.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    if !head {
        out.extend(body);
    }
    let _ = stream.write_all(&out);
}
