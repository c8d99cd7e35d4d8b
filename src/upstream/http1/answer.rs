//! The head of an upstream's answer, line by line, in the narrow form that is believed (RFC 9112 sections 2 to 6).
//!
//! An answer of which two readers could see different ends is an error: it may be the upstream's, or what somebody made of
//! it. Names and values are as wide as RFC 9110 has them; they are passed on, not judged.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::http1::{
    self, Chunk, FieldAt, Line,
    class::{TEXT, TOKEN},
    is,
};

/// Bytes of a head.
const HEAD_MAX: usize = 64 << 10;
/// Fields of a head.
const FIELDS_MAX: usize = 128;
/// Bytes of a reason.
const REASON_MAX: usize = 256;

/// How the body of an answer ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left {
    /// It has ended.
    Nothing,
    /// After so many bytes.
    Sized(u64),
    /// With the last chunk.
    Chunked(Chunk),
    /// With the connection.
    UntilClose,
}

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum Unbelievable {
    #[error("the answer's head is not well-formed HTTP/1.1")]
    Malformed,
    #[error("the answer's head is larger than 64 KiB or has more than 128 fields")]
    Large,
    #[error("the answer has several lengths, a length and chunks, or a length that is no number")]
    Length,
    #[error("the answer's transfer coding is not chunked alone")]
    Coding,
    #[error("the answer's chunks are not well-formed")]
    Chunks,
    #[error("the answer switches protocols, which nobody asked for")]
    Switch,
    #[error("more than 8 informational answers")]
    Informational,
}

/// What is known of a head that is still arriving.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes of complete lines.
    read: usize,
    status: u16,
    /// The version is 1.0.
    old: bool,
    close: bool,
    chunked: bool,
    length: Option<u64>,
    /// Lines seen, and those of them that are the answer's and not this connection's.
    count: usize,
    fields: Vec<FieldAt>,
}

/// Whether a field goes further than this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    Nowhere,
}

/// A head that is complete.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) status: StatusCode,
    /// How its body ends.
    pub(super) left: Left,
    /// Whether the connection may be used again after it.
    pub(super) keep: bool,
}

impl Head {
    /// Follows the head, given from its first byte with all that has arrived of it so far. Gives its length once complete.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unbelievable> {
        let within = bytes.get(..HEAD_MAX).unwrap_or(bytes);
        match self.follow_lines(within)? {
            None if bytes.len() >= HEAD_MAX => Err(Unbelievable::Large),
            outcome => Ok(outcome),
        }
    }

    fn follow_lines(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unbelievable> {
        if self.read == 0 {
            let Some(line) = status_line(bytes)? else {
                return Ok(None);
            };
            (self.status, self.old, self.read) = (line.status, line.old, line.length);
        }
        loop {
            let rest = bytes.get(self.read..).unwrap_or_default();
            let line = http1::field_line(rest, TOKEN, TEXT).map_err(|_| Unbelievable::Malformed)?;
            match line {
                Line::Incomplete => return Ok(None),
                Line::End => return Ok(Some(self.read.saturating_add(2))),
                Line::Field {
                    name,
                    value,
                    value_at,
                    length,
                } => {
                    if self.count >= FIELDS_MAX {
                        return Err(Unbelievable::Large);
                    }
                    self.count = self.count.saturating_add(1);
                    if self.note(name, value)? == Goes::On {
                        let from = self.read.saturating_add(value_at);
                        self.fields.push(FieldAt {
                            name: self.read..self.read.saturating_add(name.len()),
                            value: from..from.saturating_add(value.len()),
                        });
                    }
                    self.read = self.read.saturating_add(length);
                }
            }
        }
    }

    /// Notes the fields that decide about the end. What nearly every answer says of its connection alone ends here, where it
    /// costs nothing; the rest is `keep_end_to_end`'s, and so is a `Connection` that names other fields.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<Goes, Unbelievable> {
        let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
        match name.len() {
            10 if is("connection") => {
                let mut names_others = false;
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    let close = token.eq_ignore_ascii_case(b"close");
                    self.close |= close;
                    names_others |= !close && !token.eq_ignore_ascii_case(b"keep-alive");
                }
                if !names_others {
                    return Ok(Goes::Nowhere);
                }
            }
            10 if is("keep-alive") => return Ok(Goes::Nowhere),
            14 if is("content-length") => {
                if self.chunked || self.length.is_some() {
                    return Err(Unbelievable::Length);
                }
                self.length = Some(http1::length(value).ok_or(Unbelievable::Length)?);
            }
            17 if is("transfer-encoding") => {
                if self.length.is_some() {
                    return Err(Unbelievable::Length);
                }
                if self.chunked || self.old || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Unbelievable::Coding);
                }
                self.chunked = true;
                return Ok(Goes::Nowhere);
            }
            _ => {}
        }
        Ok(Goes::On)
    }

    /// Whether this is not yet the answer (RFC 9110 section 15.2).
    pub(super) fn is_informational(&self) -> Result<bool, Unbelievable> {
        match self.status {
            101 => Err(Unbelievable::Switch),
            100..=199 => Ok(true),
            _ => Ok(false),
        }
    }

    /// What a head that is complete says; `to_head` when the request was a HEAD (RFC 9112 section 6.3).
    pub(super) fn complete(&self, to_head: bool) -> Result<Complete, Unbelievable> {
        let left = match (self.chunked, self.length) {
            _ if to_head || matches!(self.status, 204 | 304) => Left::Nothing,
            (true, _) => Left::Chunked(Chunk::FIRST),
            (false, Some(0)) => Left::Nothing,
            (false, Some(length)) => Left::Sized(length),
            (false, None) => Left::UntilClose,
        };
        Ok(Complete {
            status: StatusCode::from_u16(self.status).map_err(|_| Unbelievable::Malformed)?,
            left,
            keep: !self.old && !self.close && !matches!(left, Left::UntilClose),
        })
    }

    /// Its fields, out of the bytes that were followed.
    pub(super) fn headers(&self, head: &Bytes) -> Result<HeaderMap, Unbelievable> {
        http1::headers(head, &self.fields).ok_or(Unbelievable::Malformed)
    }
}

struct StatusLine {
    status: u16,
    old: bool,
    length: usize,
}

fn status_line(bytes: &[u8]) -> Result<Option<StatusLine>, Unbelievable> {
    const VERSION: &[u8] = b"HTTP/1.";
    let wrong = Err(Unbelievable::Malformed);
    if bytes.iter().zip(VERSION).any(|(is, must)| is != must) {
        return wrong;
    }
    let Some(rest) = bytes.get(VERSION.len()..) else {
        return Ok(None);
    };
    let (old, status, rest) = match rest {
        [
            minor @ (b'0' | b'1'),
            b' ',
            a @ b'1'..=b'5',
            b,
            c,
            rest @ ..,
        ] if b.is_ascii_digit() && c.is_ascii_digit() => {
            let status = [a, b, c].into_iter().fold(0_u16, |sum, digit| {
                let digit = u16::from(digit.wrapping_sub(b'0'));
                sum.saturating_mul(10).saturating_add(digit)
            });
            (*minor == b'0', status, rest)
        }
        [b'0' | b'1', b' ', b'1'..=b'5', b] if b.is_ascii_digit() => return Ok(None),
        [] | [b'0' | b'1'] | [b'0' | b'1', b' '] | [b'0' | b'1', b' ', b'1'..=b'5'] => {
            return Ok(None);
        }
        _ => return wrong,
    };
    // A reason, perhaps empty, perhaps without the space before it: nobody reads it.
    let reason = rest.iter().take_while(|b| is(**b, TEXT)).count();
    if reason > REASON_MAX {
        return wrong;
    }
    match (rest.first(), rest.get(reason..).unwrap_or_default()) {
        (Some(b' ' | b'\r'), [b'\r', b'\n', ..]) => Ok(Some(StatusLine {
            status,
            old,
            length: [VERSION.len(), 5, reason, 2]
                .into_iter()
                .fold(0, usize::saturating_add),
        })),
        (None | Some(b' ' | b'\r'), [] | [b'\r']) => Ok(None),
        _ => wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head fed whole and in every two parts; both must come to the same.
    fn read(text: &str) -> Result<Option<(u16, String, bool)>, Unbelievable> {
        let follow = |parts: &[&[u8]]| {
            let (mut head, mut bytes) = (Head::default(), Vec::new());
            for part in parts {
                bytes.extend_from_slice(part);
                if head.follow(&bytes)?.is_some() {
                    let complete = head.complete(false)?;
                    head.headers(&Bytes::from(bytes))?;
                    let left = match complete.left {
                        Left::Nothing => "nothing".to_owned(),
                        Left::Sized(n) => n.to_string(),
                        Left::Chunked(_) => "chunked".to_owned(),
                        Left::UntilClose => "until close".to_owned(),
                    };
                    return Ok(Some((complete.status.as_u16(), left, complete.keep)));
                }
            }
            Ok(None)
        };
        let whole = follow(&[text.as_bytes()]);
        for cut in 1..text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(follow(&[a, b]), whole, "cut at {cut}: {text:?}");
        }
        whole
    }

    fn with(fields: &str) -> String {
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
    }

    #[track_caller]
    fn ends(text: &str, status: u16, left: &str, keep: bool) {
        assert_eq!(
            read(text),
            Ok(Some((status, left.to_owned(), keep))),
            "{text:?}"
        );
    }

    #[track_caller]
    fn refused(text: &str, why: Unbelievable) {
        assert_eq!(read(text), Err(why), "{text:?}");
    }

    #[test]
    fn each_end_of_a_body_is_read() {
        ends(&with("Content-Length: 5\r\n"), 200, "5", true);
        ends(&with("content-length:5\r\nX_y: \u{e9}\r\n"), 200, "5", true);
        ends(&with("Content-Length: 0\r\n"), 200, "nothing", true);
        ends(
            &with("Transfer-Encoding: Chunked\r\n"),
            200,
            "chunked",
            true,
        );
        ends(&with(""), 200, "until close", false);
        ends(
            &with("Content-Length: 5\r\nConnection: x, Close\r\n"),
            200,
            "5",
            false,
        );
        ends(
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
            "5",
            false,
        );
        ends("HTTP/1.1 204\r\n\r\n", 204, "nothing", true);
        ends(
            "HTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n",
            304,
            "nothing",
            true,
        );
    }

    #[test]
    fn what_is_the_connections_alone_does_not_go_on_and_a_connection_that_names_fields_is_left_to_be_followed()
     {
        let names = |fields: &str| {
            let text = with(fields);
            let mut head = Head::default();
            head.follow(text.as_bytes()).unwrap().unwrap();
            let headers = head.headers(&Bytes::from(text)).unwrap();
            let names: Vec<String> = headers.keys().map(ToString::to_string).collect();
            names.join(" ")
        };
        assert_eq!(
            names(
                "Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nX: y\r\nTransfer-Encoding: chunked\r\n"
            ),
            "x"
        );
        assert_eq!(names("Connection: close , keep-alive\r\nX: y\r\n"), "x");
        assert_eq!(names("Connection: close, X\r\nX: y\r\n"), "connection x");
        assert_eq!(names("Connection: keep-alive2\r\n"), "connection");
        assert_eq!(names("Keep-Alives: 5\r\n"), "keep-alives");
    }

    #[test]
    fn an_answer_to_head_has_no_body_whatever_it_says() {
        let mut head = Head::default();
        head.follow(with("Content-Length: 5\r\n").as_bytes())
            .unwrap();
        assert!(matches!(head.complete(true).unwrap().left, Left::Nothing));
    }

    #[test]
    fn lengths_are_one_plain_number_without_chunks() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 05\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        ] {
            refused(&with(fields), Unbelievable::Length);
        }
    }

    #[test]
    fn no_coding_but_chunked_alone_is_taken() {
        for fields in [
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: \u{b}chunked\r\n",
        ] {
            assert!(read(&with(fields)).is_err(), "{fields:?}");
        }
        refused(
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Unbelievable::Coding,
        );
    }

    #[test]
    fn lines_end_in_crlf_and_are_not_folded() {
        for text in [
            "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n X: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX\r\n\r\n",
        ] {
            refused(text, Unbelievable::Malformed);
        }
    }

    #[test]
    fn the_status_line_has_one_form() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 O\u{7f}K\r\n\r\n",
            " HTTP/1.1 200 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            refused(text, Unbelievable::Malformed);
        }
        assert_eq!(read("HTTP/1.1 200 OK\r\nX: y\r\n"), Ok(None));
    }

    #[test]
    fn a_head_up_to_its_bounds_is_taken_and_one_more_is_not() {
        let fields = |n: usize| with(&"X: y\r\n".repeat(n));
        let mut head = Head::default();
        assert!(
            head.follow(fields(FIELDS_MAX).as_bytes())
                .unwrap()
                .is_some()
        );
        let mut head = Head::default();
        assert_eq!(
            head.follow(fields(FIELDS_MAX + 1).as_bytes()),
            Err(Unbelievable::Large)
        );
        let fill = |n: usize| with(&format!("X: {}\r\n", "v".repeat(n)));
        let most = HEAD_MAX - fill(0).len();
        assert!(
            Head::default()
                .follow(fill(most).as_bytes())
                .unwrap()
                .is_some()
        );
        assert_eq!(
            Head::default().follow(fill(most + 1).as_bytes()),
            Err(Unbelievable::Large)
        );
    }

    #[test]
    fn informational_answers_are_told_from_the_answer() {
        let informational = |text: &str| {
            let mut head = Head::default();
            head.follow(text.as_bytes()).unwrap().unwrap();
            head.is_informational()
        };
        assert_eq!(informational("HTTP/1.1 100 Continue\r\n\r\n"), Ok(true));
        assert_eq!(
            informational("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"),
            Ok(true)
        );
        assert_eq!(
            informational("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
            Err(Unbelievable::Switch)
        );
        assert_eq!(informational("HTTP/1.1 200 OK\r\n\r\n"), Ok(false));
    }
}
