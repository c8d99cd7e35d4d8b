//! One HTTP/1.1 request head, line by line, in the narrow form this gateway takes (RFC 9112 sections 2 to 6).
//!
//! What is refused here is not all that is wrong with a request: only what two parsers could read differently, and what
//! would make a body's end uncertain. Meaning (which host, which path, which method) is `exchange::canonical`'s.
//!
//! Every decision rests on the bytes up to the one that decides, never on what happens to have arrived: however a head is
//! cut into reads, the outcome is the same.

use crate::{
    http1::{
        self, FieldAt, Line, Malformed,
        class::{ADDRESS, HOST, METHOD, NAME, TARGET, VALUE},
        span,
    },
    refusal::Code,
};
use std::ops::Range;

/// Longest method name looked at.
const METHOD_MAX: usize = 16;
/// Longest target; the URI type above takes no longer one.
const TARGET_MAX: usize = u16::MAX as usize - 2;
/// What must follow the target.
const VERSION: &[u8] = b"HTTP/1.1\r\n";
/// Where in [`VERSION`] its digits stand.
const VERSION_DIGITS: Range<usize> = 5..8;

/// How the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// After this many bytes.
    Sized(u64),
    /// With the last chunk.
    Chunked,
}

/// What is known of a head that is still arriving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Bytes of complete lines.
    read: usize,
    fields: usize,
    host: bool,
    expect: bool,
    chunked: bool,
    length: Option<u64>,
    /// The client asked to close after this request.
    close: bool,
    method: usize,
    target: usize,
}

impl Head {
    /// Before its first byte.
    pub(super) const NONE: Self = Self {
        read: 0,
        fields: 0,
        host: false,
        expect: false,
        chunked: false,
        length: None,
        close: false,
        method: 0,
        target: 0,
    };

    /// Follows the head, given from its first byte with all that has arrived of it so far. Gives its length and how its
    /// body ends once the head is complete.
    pub(super) fn follow(
        &mut self,
        bytes: &[u8],
        headers_max: usize,
        fields: &mut Vec<FieldAt>,
    ) -> Result<Option<(usize, Body)>, Code> {
        if self.read == 0 {
            let Some((method, target)) = request_line(bytes)? else {
                return Ok(None);
            };
            (self.method, self.target) = (method, target);
            self.read = [method, 1, target, 1, VERSION.len()]
                .into_iter()
                .fold(0, usize::saturating_add);
        }
        loop {
            let rest = bytes.get(self.read..).unwrap_or_default();
            match http1::field_line(rest, NAME, VALUE).map_err(refusal)? {
                Line::Incomplete => return Ok(None),
                Line::Field {
                    name,
                    value,
                    value_at,
                    length,
                } => {
                    self.fields = self.fields.saturating_add(1);
                    if self.fields > headers_max {
                        return Err(Code::HttpHeadSize);
                    }
                    self.note(name, value)?;
                    fields.push(self.place(name.len(), value_at, value.len()));
                    self.read = self.read.saturating_add(length);
                }
                Line::End => {
                    if !self.host {
                        return Err(Code::HttpHost);
                    }
                    let body = if self.chunked {
                        Body::Chunked
                    } else {
                        Body::Sized(self.length.unwrap_or(0))
                    };
                    return Ok(Some((self.read.saturating_add(2), body)));
                }
            }
        }
    }

    /// Where the field of the line that begins after those that were read stands.
    const fn place(&self, name: usize, value_at: usize, value: usize) -> FieldAt {
        let from = self.read.saturating_add(value_at);
        FieldAt {
            name: self.read..self.read.saturating_add(name),
            value: from..from.saturating_add(value),
        }
    }

    /// Where the method stands.
    pub(super) const fn method(&self) -> Range<usize> {
        0..self.method
    }

    /// Where the target stands.
    pub(super) const fn target(&self) -> Range<usize> {
        let from = self.method.saturating_add(1);
        from..from.saturating_add(self.target)
    }

    /// Whether the client asked to close after this request.
    pub(super) const fn closes(&self) -> bool {
        self.close
    }

    /// Whether the client waits to be asked for the body.
    pub(super) const fn expects(&self) -> bool {
        self.expect
    }

    /// Notes the fields that decide about framing, and refuses those that have no place here.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Code> {
        let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
        // Told apart by length first: most fields are none of these.
        match name.len() {
            4 if is("host") => {
                if self.host || !host_is_well_formed(value) {
                    return Err(Code::HttpHost);
                }
                self.host = true;
            }
            6 if is("expect") => {
                if self.expect || !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Code::HttpExpect);
                }
                self.expect = true;
            }
            10 if is("connection") => {
                self.close |= value
                    .split(|b| *b == b',')
                    .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            7 if is("upgrade") => return Err(Code::HttpUpgrade),
            7 if is("trailer") => return Err(Code::HttpChunked),
            14 if is("http2-settings") => return Err(Code::HttpUpgrade),
            14 if is("content-length") => {
                if self.chunked || self.length.is_some() {
                    return Err(Code::HttpLength);
                }
                self.length = Some(http1::length(value).ok_or(Code::HttpLength)?);
            }
            17 if is("transfer-encoding") => {
                if self.length.is_some() {
                    return Err(Code::HttpLength);
                }
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Code::HttpChunked);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

const fn refusal(malformed: Malformed) -> Code {
    match malformed {
        Malformed::Framing => Code::HttpMalformed,
        Malformed::Field => Code::HttpHeader,
    }
}

/// The request line; gives the lengths of method and target, or `None` when it is not complete.
fn request_line(bytes: &[u8]) -> Result<Option<(usize, usize)>, Code> {
    let (method, rest) = span(bytes, METHOD);
    if method.len() > METHOD_MAX {
        return Err(Code::HttpMalformed);
    }
    let rest = match rest.split_first() {
        None => return Ok(None),
        Some((b' ', rest)) if !method.is_empty() => rest,
        Some(_) => return Err(Code::HttpMalformed),
    };
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(Code::HttpUpgrade);
    }

    // The origin form only: what the absolute, authority and asterisk forms say differs from one server to the next.
    match rest.first() {
        None => return Ok(None),
        Some(b'/') => {}
        Some(b' ' | b'\r' | b'\n' | 0) => return Err(Code::HttpMalformed),
        Some(_) => return Err(Code::HttpPath),
    }
    let (target, rest) = span(rest, TARGET);
    if target.len() > TARGET_MAX {
        return Err(Code::HttpHeadSize);
    }
    let rest = match rest.split_first() {
        None => return Ok(None),
        Some((b' ', rest)) => rest,
        Some((b'\r' | b'\n' | 0, _)) => return Err(Code::HttpMalformed),
        Some(_) => return Err(Code::HttpPath),
    };

    let wrong = rest.iter().zip(VERSION).position(|(is, must)| is != must);
    if let Some(at) = wrong {
        let digit = rest.get(at).is_some_and(u8::is_ascii_digit);
        // HTTP/1.0 and HTTP/2.0 are well-formed, but not spoken on this road.
        return Err(if digit && VERSION_DIGITS.contains(&at) {
            Code::HttpUpgrade
        } else {
            Code::HttpMalformed
        });
    }
    Ok((rest.len() >= VERSION.len()).then_some((method.len(), target.len())))
}

/// A name, an IPv4 address or an IPv6 address in brackets, then at most one port. Which names are served is decided later.
fn host_is_well_formed(value: &[u8]) -> bool {
    let (name, port) = match value.strip_prefix(b"[") {
        Some(inside) => {
            let (address, rest) = span(inside, ADDRESS);
            let Some(port) = rest.strip_prefix(b"]") else {
                return false;
            };
            (address, port)
        }
        None => span(value, HOST),
    };
    let port_is_well_formed = match port.strip_prefix(b":") {
        Some(digits) => (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        None => port.is_empty(),
    };
    (1..=255).contains(&name.len()) && port_is_well_formed
}
