//! The access log: one JSON object a line, written by a thread of its own so that no exchange waits for a disk.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{clock::Moment, http1::push_decimal};

/// Lines held back while the writer is busy; beyond that, lines are counted as lost.
const BUFFER_MAX_BYTES: usize = 8 << 20;
/// The longest a line waits before it is written.
const LINGER: Duration = Duration::from_millis(50);

/// Most lines are shorter.
const LINE_BYTES: usize = 512;

/// What is written about one exchange. This struct is the allow-list: no path, query, header or body has a place in it.
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Line<'a> {
    /// When it arrived; written as RFC 3339 with milliseconds, UTC.
    #[cfg_attr(test, serde(serialize_with = "tests::as_rfc3339"))]
    pub time: Moment,
    /// The gateway's name.
    pub gateway: &'a str,
    /// Ties the lines of all gateways on the way together.
    pub correlation_id: &'a str,
    /// The face.
    pub face: &'a str,
    /// The address it came from.
    pub from: &'a str,
    /// `1.1` or `2`.
    pub http: &'a str,
    /// The method.
    pub method: &'a str,
    /// The route's name, when one was found.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub route: Option<&'a str>,
    /// The partner, when identified.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub partner: Option<&'a str>,
    /// The fingerprint of the TLS certificate shown.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub tls_certificate: Option<&'a str>,
    /// The fingerprint of the certificate that signed the request, when it verified.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub signed_by: Option<&'a str>,
    /// `answered` or `refused`.
    pub outcome: &'a str,
    /// The code of the refusal.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub code: Option<&'a str>,
    /// Why, for the operator.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub cause: Option<&'a str>,
    /// The HTTP status answered.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body, where known.
    pub bytes_out: u64,
    /// Microseconds for the whole exchange.
    pub took_us: u64,
    /// Microseconds of it spent waiting for the upstream.
    pub upstream_us: u64,
    /// The upstream's status.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub upstream_status: Option<u16>,
}

impl Line<'_> {
    /// As one JSON object. By hand: every exchange pays for it, and the shape is fixed.
    fn write(&self, json: &mut Vec<u8>, second: &mut Second) {
        // Room for the usual line at once; names are written as constants, which the compiler makes into stores.
        json.reserve(LINE_BYTES);
        json.extend_from_slice(b"{\"time\":\"");
        second.push(self.time, json);
        json.extend_from_slice(b"\",\"gateway\":");
        push_text(json, self.gateway);
        json.extend_from_slice(b",\"correlation_id\":");
        push_text(json, self.correlation_id);
        json.extend_from_slice(b",\"face\":");
        push_text(json, self.face);
        json.extend_from_slice(b",\"from\":");
        push_text(json, self.from);
        json.extend_from_slice(b",\"http\":");
        push_text(json, self.http);
        json.extend_from_slice(b",\"method\":");
        push_text(json, self.method);
        if let Some(route) = self.route {
            json.extend_from_slice(b",\"route\":");
            push_text(json, route);
        }
        if let Some(partner) = self.partner {
            json.extend_from_slice(b",\"partner\":");
            push_text(json, partner);
        }
        if let Some(fingerprint) = self.tls_certificate {
            json.extend_from_slice(b",\"tls_certificate\":");
            push_text(json, fingerprint);
        }
        if let Some(fingerprint) = self.signed_by {
            json.extend_from_slice(b",\"signed_by\":");
            push_text(json, fingerprint);
        }
        json.extend_from_slice(b",\"outcome\":");
        push_text(json, self.outcome);
        if let Some(code) = self.code {
            json.extend_from_slice(b",\"code\":");
            push_text(json, code);
        }
        if let Some(cause) = self.cause {
            json.extend_from_slice(b",\"cause\":");
            push_text(json, cause);
        }
        json.extend_from_slice(b",\"status\":");
        push_decimal(json, u64::from(self.status));
        json.extend_from_slice(b",\"bytes_in\":");
        push_decimal(json, self.bytes_in);
        json.extend_from_slice(b",\"bytes_out\":");
        push_decimal(json, self.bytes_out);
        json.extend_from_slice(b",\"took_us\":");
        push_decimal(json, self.took_us);
        json.extend_from_slice(b",\"upstream_us\":");
        push_decimal(json, self.upstream_us);
        if let Some(status) = self.upstream_status {
            json.extend_from_slice(b",\"upstream_status\":");
            push_decimal(json, u64::from(status));
        }
        json.push(b'}');
    }
}

/// A JSON string. Nearly all texts are ours and plain; the others serde_json escapes.
fn push_text(json: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().fold(true, |plain, b| {
        plain & (b >= 0x20) & (b != b'"') & (b != b'\\')
    });
    if plain {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else if serde_json::to_writer(&mut *json, text).is_err() {
        // Writing a text to memory does not fail; if it did, the line would still be JSON.
        json.extend_from_slice(b"null");
    }
}

/// Where lines go. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

/// The second last written, as text: thousands of lines share it.
#[derive(Debug, Default)]
struct Second {
    s: i64,
    text: Vec<u8>,
}

impl Second {
    fn push(&mut self, at: Moment, json: &mut Vec<u8>) {
        const MILLISECONDS: usize = "000Z".len();
        let (s, ms) = (at.ms().div_euclid(1000), at.ms().rem_euclid(1000));
        if self.text.is_empty() || self.s != s {
            self.text.clear();
            at.push_rfc3339(&mut self.text);
            let whole = self.text.len().saturating_sub(MILLISECONDS);
            self.text.truncate(whole);
            self.s = s;
        }
        json.extend_from_slice(&self.text);
        let digit = |unit: i64| {
            let digit = ms.checked_div(unit).unwrap_or_default().rem_euclid(10);
            b'0' | u8::try_from(digit).unwrap_or_default()
        };
        json.extend_from_slice(&[digit(100), digit(10), digit(1), b'Z']);
    }
}

/// Lines that wait for the writer.
#[derive(Debug)]
struct Lines {
    text: Vec<u8>,
    second: Second,
}

#[derive(Debug)]
struct Shared {
    buffer: Mutex<Lines>,
    wake: mpsc::SyncSender<Order>,
    lost: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Order {
    Write,
    Stop,
}

impl AccessLog {
    /// Starts the writer. Without a file, lines go to standard output.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn start(file: Option<&Path>) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match file {
            Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            None => Box::new(io::stdout()),
        };
        let (wake, orders) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared {
            buffer: Mutex::new(Lines {
                text: Vec::with_capacity(64 << 10),
                second: Second::default(),
            }),
            wake,
            lost: AtomicU64::new(0),
            writer: Mutex::new(None),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_on(&theirs, &orders, out))?;
        *shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// Hands a line over; never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        let mut buffer = self.0.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines { text, second } = &mut *buffer;
        if text.len() > BUFFER_MAX_BYTES {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = text.is_empty();
        line.write(text, second);
        text.push(b'\n');
        drop(buffer);
        if first {
            // A full channel means that the writer is already called.
            let _ = self.0.wake.try_send(Order::Write);
        }
    }

    /// Lines that were lost because the writer could not keep up.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Writes what is left and stops the writer.
    pub fn stop(&self) {
        let thread = self
            .0
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = self.0.wake.send(Order::Stop);
            let _ = thread.join();
        }
    }
}

fn write_on(shared: &Shared, orders: &mpsc::Receiver<Order>, mut out: Box<dyn Write + Send>) {
    let mut batch = Vec::new();
    loop {
        let stop = match orders.recv_timeout(Duration::from_secs(1)) {
            Ok(Order::Write) => {
                // Let a batch gather: one write for many lines.
                matches!(orders.recv_timeout(LINGER), Ok(Order::Stop))
            }
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        std::mem::swap(
            &mut batch,
            &mut shared
                .buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .text,
        );
        if !batch.is_empty() && (out.write_all(&batch).is_err() || out.flush().is_err()) {
            let lines = batch.iter().filter(|b| **b == b'\n').count();
            shared
                .lost
                .fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        batch.clear();
        if stop {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn as_rfc3339<S: serde::Serializer>(at: &Moment, to: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        at.push_rfc3339(&mut text);
        to.serialize_str(std::str::from_utf8(&text).unwrap())
    }

    fn line(text: &str) -> Line<'_> {
        Line {
            time: Moment::from_ms(784_111_777_042),
            gateway: text,
            correlation_id: "c",
            face: "f",
            from: text,
            http: "1.1",
            method: "GET",
            route: Some(text),
            partner: None,
            tls_certificate: Some("t"),
            signed_by: None,
            outcome: "refused",
            code: Some("HTTP-001"),
            cause: Some(text),
            status: 400,
            bytes_in: 0,
            bytes_out: u64::MAX,
            took_us: 10,
            upstream_us: 907,
            upstream_status: Some(204),
        }
    }

    #[test]
    fn the_time_of_a_line_is_its_own_whatever_the_line_before_it_said() {
        let mut second = Second::default();
        for ms in [
            784_111_777_042,
            784_111_777_999,
            784_111_778_000,
            784_111_777_001,
            -1,
            0,
            1000,
            i64::MAX,
        ] {
            let at = Moment::from_ms(ms);
            let (mut expected, mut written) = (Vec::new(), Vec::new());
            at.push_rfc3339(&mut expected);
            second.push(at, &mut written);
            if ms == i64::MAX {
                expected.truncate(expected.len() - 4);
                written.truncate(written.len() - 4);
            }
            assert_eq!(written, expected, "{ms}");
        }
    }

    #[test]
    fn a_line_is_what_a_json_library_would_write_whatever_stands_in_it() {
        let every: String = (0..0x250).filter_map(char::from_u32).collect();
        for text in [
            "",
            "plain",
            "a\"b",
            "a\\b",
            "\n",
            "\u{7f}\u{2028}é",
            "\0",
            &every,
        ] {
            let mut json = Vec::new();
            let line = line(text);
            line.write(&mut json, &mut Second::default());
            assert_eq!(
                String::from_utf8(json).unwrap(),
                serde_json::to_string(&line).unwrap()
            );
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut json = Vec::new();
        let line = Line {
            route: None,
            tls_certificate: None,
            code: None,
            cause: None,
            upstream_status: None,
            signed_by: Some("s"),
            partner: Some("p"),
            ..line("x")
        };
        line.write(&mut json, &mut Second::default());
        assert_eq!(
            String::from_utf8(json).unwrap(),
            serde_json::to_string(&line).unwrap()
        );
    }
}
