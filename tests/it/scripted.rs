//! A plain service that answers as a test says, and remembers what it was asked.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The first field of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str())
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut one = [0];
            stream.read_exact(&mut one).ok()?;
            head.push(one[0]);
        }
        let head = String::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let mut asked = Self {
            method: first.next()?.to_owned(),
            path: first.next()?.to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        if let Some(length) = asked.header("content-length") {
            asked.body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut asked.body).ok()?;
        } else if asked.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut line = Vec::new();
                while !line.ends_with(b"\r\n") {
                    let mut one = [0];
                    stream.read_exact(&mut one).ok()?;
                    line.push(one[0]);
                }
                let size = usize::from_str_radix(String::from_utf8(line).ok()?.trim(), 16).ok()?;
                let mut chunk = vec![0; size + 2];
                stream.read_exact(&mut chunk).ok()?;
                chunk.truncate(size);
                asked.body.extend(&chunk);
                if size == 0 {
                    break;
                }
            }
        }
        Some(asked)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Said {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    after: Duration,
}

impl Said {
    /// A status with a JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// A status with a body of some type.
    pub fn text(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), media_type.to_owned())],
            body: body.into(),
            after: Duration::ZERO,
        }
    }

    /// With one more header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Said only after a while.
    pub const fn after(mut self, wait: Duration) -> Self {
        self.after = wait;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        [text.as_bytes(), &self.body].concat()
    }
}

type Script = Box<dyn Fn(&Asked) -> Said + Send + Sync>;

/// The service.
pub struct Scripted {
    /// Where it listens.
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Scripted {
    /// Starts it.
    pub fn start(script: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
            script: Arc::new(Mutex::new(Arc::new(Box::new(script)))),
        };
        let (asked, script) = (Arc::clone(&this.asked), Arc::clone(&this.script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, script) = (Arc::clone(&asked), Arc::clone(&script));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    while let Some(one) = Asked::read(&mut stream) {
                        asked.lock().unwrap().push(one.clone());
                        let now = Arc::clone(&script.lock().unwrap());
                        let said = now(&one);
                        thread::sleep(said.after);
                        if stream.write_all(&said.bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        this
    }

    /// Lets it answer otherwise from now on.
    pub fn now(&self, script: impl Fn(&Asked) -> Said + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(Box::new(script));
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often it was asked.
    pub fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}
