//! One HTTP/1.1 request head, line by line, in the narrow form this gateway takes (RFC 9112 sections 2 to 6).
//!
//! What is refused here is not all that is wrong with a request: only what two parsers could read differently, and what
//! would make a body's end uncertain. Meaning (which host, which path, which method) is `exchange::canonical`'s.
//!
//! Every decision rests on the bytes up to the one that decides, never on what happens to have arrived: however a head is
//! cut into reads, the outcome is the same.

use crate::refusal::Code;

/// Longest method name looked at.
const METHOD_MAX: usize = 16;
/// Longest field name looked at.
const NAME_MAX: usize = 128;
/// Longest target; the URI type above takes no longer one.
const TARGET_MAX: usize = u16::MAX as usize - 2;
/// What must follow the target.
const VERSION: &[u8] = b"HTTP/1.1\r\n";
/// Where in [`VERSION`] its digits stand.
const VERSION_DIGITS: std::ops::Range<usize> = 5..8;

/// How the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// After this many bytes.
    Sized(u64),
    /// With the last chunk.
    Chunked,
}

/// What is known of a head that is still arriving.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Bytes of complete lines.
    read: usize,
    fields: usize,
    host: bool,
    expect: bool,
    chunked: bool,
    length: Option<u64>,
}

impl Head {
    /// Follows the head, given from its first byte with all that has arrived of it so far. Gives its length and how its
    /// body ends once the head is complete.
    pub(super) fn follow(
        &mut self,
        bytes: &[u8],
        headers_max: usize,
    ) -> Result<Option<(usize, Body)>, Code> {
        if self.read == 0 {
            let Some(length) = request_line(bytes)? else {
                return Ok(None);
            };
            self.read = length;
        }
        loop {
            let rest = bytes.get(self.read..).unwrap_or_default();
            match field_line(rest)? {
                Line::Incomplete => return Ok(None),
                Line::Field {
                    name,
                    value,
                    length,
                } => {
                    self.fields = self.fields.saturating_add(1);
                    if self.fields > headers_max {
                        return Err(Code::HttpHeadSize);
                    }
                    self.note(name, value)?;
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
            7 if is("upgrade") => return Err(Code::HttpUpgrade),
            7 if is("trailer") => return Err(Code::HttpChunked),
            14 if is("http2-settings") => return Err(Code::HttpUpgrade),
            14 if is("content-length") => {
                if self.chunked || self.length.is_some() {
                    return Err(Code::HttpLength);
                }
                self.length = Some(length(value)?);
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

/// The request line; gives its length with the line end, or `None` when it is not complete.
fn request_line(bytes: &[u8]) -> Result<Option<usize>, Code> {
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
    Ok((rest.len() >= VERSION.len()).then(|| {
        [method.len(), 1, target.len(), 1, VERSION.len()]
            .into_iter()
            .fold(0, usize::saturating_add)
    }))
}

enum Line<'a> {
    Incomplete,
    End,
    Field {
        name: &'a [u8],
        value: &'a [u8],
        length: usize,
    },
}

/// One field line, or the empty line that ends the head.
fn field_line(bytes: &[u8]) -> Result<Line<'_>, Code> {
    let (name, rest) = span(bytes, NAME);
    if name.len() > NAME_MAX {
        return Err(Code::HttpHeader);
    }
    let rest = match rest.split_first() {
        None => return Ok(Line::Incomplete),
        Some((b':', rest)) if !name.is_empty() => rest,
        Some((b'\r', rest)) if name.is_empty() => {
            return match rest.first() {
                None => Ok(Line::Incomplete),
                Some(b'\n') => Ok(Line::End),
                Some(_) => Err(Code::HttpMalformed),
            };
        }
        // A line that begins with white space continues the one before (obsolete folding).
        Some((b' ' | b'\t', _)) if name.is_empty() => return Err(Code::HttpMalformed),
        Some((b'\r' | b'\n' | 0, _)) => return Err(Code::HttpMalformed),
        Some(_) => return Err(Code::HttpHeader),
    };
    let (value, rest) = value_span(rest);
    match rest.split_first() {
        None => return Ok(Line::Incomplete),
        Some((b'\r', rest)) => match rest.first() {
            None => return Ok(Line::Incomplete),
            Some(b'\n') => {}
            Some(_) => return Err(Code::HttpMalformed),
        },
        Some((b'\n' | 0, _)) => return Err(Code::HttpMalformed),
        Some(_) => return Err(Code::HttpHeader),
    }
    let length = name.len().saturating_add(value.len()).saturating_add(3);
    Ok(Line::Field {
        name,
        value: value.trim_ascii(),
        length,
    })
}

/// RFC 9110 section 8.6, narrowed: 1 to 19 digits, no leading zero, so that nobody reads it as octal.
fn length(value: &[u8]) -> Result<u64, Code> {
    let leading_zero = value.len() > 1 && value.first() == Some(&b'0');
    if value.is_empty() || value.len() > 19 || leading_zero {
        return Err(Code::HttpLength);
    }
    value.iter().try_fold(0_u64, |sum, b| match b {
        b'0'..=b'9' => Ok(sum
            .saturating_mul(10)
            .saturating_add(u64::from(b.wrapping_sub(b'0')))),
        _ => Err(Code::HttpLength),
    })
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

/// Splits after the leading bytes of a class.
fn span(bytes: &[u8], class: u8) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|b| !is(*b, class))
        .unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// Like [`span`] for field values, which are long (signatures, certificates): many bytes at a time, in a form that
/// compiles to vector instructions.
fn value_span(bytes: &[u8]) -> (&[u8], &[u8]) {
    const BLOCK: usize = 32;
    let visible = |b: &u8| b.wrapping_sub(0x20) < 0x5f;
    let blocks = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| block.iter().fold(true, |whole, b| whole & visible(b)))
        .count();
    let plain = blocks.saturating_mul(BLOCK);
    let tail = bytes.get(plain..).unwrap_or_default();
    let end = plain.saturating_add(span(tail, VALUE).0.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// Upper-case letters.
const METHOD: u8 = 1;
/// The characters of an origin-form target, RFC 3986 sections 3.3 and 3.4. No `#`, which the URI type above would cut off
/// in silence.
const TARGET: u8 = 2;
/// Letters, digits and hyphens. RFC 9110 allows more, but servers that turn names into variables fold `_`, `.` and others
/// into one, and then `x_triseal_partner` is `x-triseal-partner`.
const NAME: u8 = 4;
/// Visible ASCII, space and tab; not the bytes above (obs-text), which have no agreed meaning.
const VALUE: u8 = 8;
/// Names and IPv4 addresses.
const HOST: u8 = 16;
/// IPv6 addresses.
const ADDRESS: u8 = 32;

/// The classes of every byte.
static CLASSES: [u8; 256] = classes();

fn is(b: u8, class: u8) -> bool {
    CLASSES
        .get(usize::from(b))
        .is_some_and(|classes| classes & class != 0)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at build time, where a wrong index does not compile"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut b = u8::MAX;
    loop {
        let mut class = match b {
            b'A'..=b'Z' => METHOD | TARGET | NAME | HOST,
            b'a'..=b'z' | b'0'..=b'9' | b'-' => TARGET | NAME | HOST,
            b'.' | b'_' => TARGET | HOST,
            b'/' | b'?' | b'%' | b'~' | b':' | b'@' => TARGET,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => TARGET,
            _ => 0,
        };
        if b.is_ascii_hexdigit() || b == b':' || b == b'.' {
            class |= ADDRESS;
        }
        if b.is_ascii_graphic() || b == b' ' || b == b'\t' {
            class |= VALUE;
        }
        classes[b as usize] = class;
        if b == 0 {
            return classes;
        }
        b = b.wrapping_sub(1);
    }
}
