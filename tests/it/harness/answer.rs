//! An HTTP/1.1 answer, read from a stream.

use std::io::Read;

use serde_json::Value;

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads one answer; `None` when the stream ends or fails before it is whole. Informational answers are skipped.
    pub fn read(stream: &mut impl Read) -> Option<Self> {
        loop {
            let answer = Self::read_any(stream)?;
            if answer.status >= 200 {
                return Some(answer);
            }
        }
    }

    /// Reads one answer, informational or not.
    pub fn read_any(stream: &mut impl Read) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(byte(stream)?);
        }
        let mut answer = Self::from_head(&String::from_utf8_lossy(&head))?;
        if answer.status < 200 || matches!(answer.status, 204 | 304) {
            return Some(answer);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut answer.body).ok()?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = chunk(stream)? {
                answer.body.extend(chunk);
            }
        } else {
            stream.read_to_end(&mut answer.body).ok()?;
        }
        Some(answer)
    }

    /// Status and header fields.
    pub fn from_head(head: &str) -> Option<Self> {
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// The first field of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Our code: from the header, else from the body; `-` when there is none.
    pub fn code(&self) -> String {
        self.header("x-triseal-code")
            .map(str::to_owned)
            .or_else(|| self.json()["code"].as_str().map(str::to_owned))
            .unwrap_or_else(|| "-".to_owned())
    }

    /// The correlation id.
    pub fn correlation_id(&self) -> &str {
        self.header("x-correlation-id").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// MOSIP's error codes, in order.
    pub fn mosip_codes(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .filter_map(|e| e["errorCode"].as_str().map(str::to_owned))
            .collect()
    }

    /// MOSIP's yes.
    pub fn says_yes(&self) -> bool {
        self.status == 200 && self.json()["response"]["authStatus"] == Value::Bool(true)
    }
}

fn byte(stream: &mut impl Read) -> Option<u8> {
    let mut one = [0];
    stream.read_exact(&mut one).ok()?;
    Some(one[0])
}

/// A chunk; the inner `None` is the last one.
fn chunk(stream: &mut impl Read) -> Option<Option<Vec<u8>>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(byte(stream)?);
    }
    let text = String::from_utf8(line).ok()?;
    let size = usize::from_str_radix(text.trim(), 16).ok()?;
    let mut data = vec![0; size + 2];
    stream.read_exact(&mut data).ok()?;
    data.truncate(size);
    Some((size > 0).then_some(data))
}
