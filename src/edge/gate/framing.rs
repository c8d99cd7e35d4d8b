//! Where each request on an HTTP/1.1 connection begins and ends: a machine over bytes, without any input or output.
//!
//! It passes a head whole or not at all, and a body as it arrives. What it has passed has exactly one reading; what it
//! refuses, nobody above ever sees. After a refusal it passes nothing more.

use super::head::{Body, Head};
use crate::refusal::Code;

/// Where in a connection the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Between two requests (or before the first): not a byte of the next head has arrived.
    Between,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body,
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many of the bytes may be handed on, counted from the first.
    pub bytes: usize,
    /// How many heads were completed among them.
    pub heads: usize,
    /// Why nothing that follows those bytes will ever be handed on.
    pub refused: Option<Code>,
}

/// The machine of one connection.
#[derive(Clone, Debug)]
pub struct Framing {
    head_max_bytes: usize,
    headers_max: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Between,
    Head(Head),
    Sized(u64),
    Chunked(Chunk),
    /// With the stage in which it happened.
    Refused(Code, Stage),
}

/// Where in a chunked body (RFC 9112 section 7.1, without extensions and trailers).
#[derive(Clone, Copy, Debug)]
enum Chunk {
    Size { value: u64, digits: u8 },
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    EndCr,
    EndLf,
}

impl Chunk {
    const FIRST: Self = Self::Size {
        value: 0,
        digits: 0,
    };
}

impl Framing {
    /// A machine before its first request, with the largest head in bytes and in fields.
    pub const fn new(head_max_bytes: usize, headers_max: usize) -> Self {
        Self {
            head_max_bytes,
            headers_max,
            state: State::Between,
        }
    }

    /// Where the machine stands; after a refusal, where it stood then.
    pub const fn stage(&self) -> Stage {
        match self.state {
            State::Between => Stage::Between,
            State::Head(_) => Stage::Head,
            State::Sized(_) | State::Chunked(_) => Stage::Body,
            State::Refused(_, stage) => stage,
        }
    }

    /// Why nothing more passes, if that is so.
    pub const fn refused(&self) -> Option<Code> {
        match self.state {
            State::Refused(code, _) => Some(code),
            State::Between | State::Head(_) | State::Sized(_) | State::Chunked(_) => None,
        }
    }

    /// Refuses all that follows, for a reason outside the bytes (a time limit).
    pub const fn refuse(&mut self, code: Code) {
        self.state = State::Refused(code, self.stage());
    }

    /// The stream has ended: well between two requests, and nowhere else.
    pub const fn end(&mut self) {
        match self.state {
            State::Between | State::Refused(..) => {}
            State::Head(_) => self.refuse(Code::HttpMalformed),
            State::Sized(_) | State::Chunked(_) => self.refuse(Code::HttpBodyCut),
        }
    }

    /// Follows `bytes`. Those that did not pass and were not refused are the beginning of a head: they must stand at the
    /// front of the next call's bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Passed {
        let mut passed = Passed::default();
        loop {
            let rest = bytes.get(passed.bytes..).unwrap_or_default();
            if rest.is_empty() && !matches!(self.state, State::Refused(..)) {
                return passed;
            }
            let step = match &mut self.state {
                State::Refused(code, _) => {
                    passed.refused = Some(*code);
                    return passed;
                }
                State::Between => {
                    self.state = State::Head(Head::default());
                    continue;
                }
                State::Head(head) => {
                    match follow_head(head, rest, self.head_max_bytes, self.headers_max) {
                        Ok(None) => return passed,
                        Ok(Some((length, body))) => {
                            passed.heads = passed.heads.saturating_add(1);
                            self.state = match body {
                                Body::Sized(0) => State::Between,
                                Body::Sized(length) => State::Sized(length),
                                Body::Chunked => State::Chunked(Chunk::FIRST),
                            };
                            Ok(length)
                        }
                        Err(code) => Err(code),
                    }
                }
                State::Sized(left) => {
                    let (now, after) = take(rest, *left);
                    self.state = if after == 0 {
                        State::Between
                    } else {
                        State::Sized(after)
                    };
                    Ok(now)
                }
                State::Chunked(chunk) => match follow_chunk(*chunk, rest) {
                    Ok((now, Some(next))) => {
                        self.state = State::Chunked(next);
                        Ok(now)
                    }
                    Ok((now, None)) => {
                        self.state = State::Between;
                        Ok(now)
                    }
                    Err(code) => Err(code),
                },
            };
            match step {
                Ok(length) => passed.bytes = passed.bytes.saturating_add(length),
                Err(code) => self.refuse(code),
            }
        }
    }

    /// Whether the next byte is content of a body, not its framing.
    #[cfg(test)]
    pub(super) const fn in_content(&self) -> bool {
        matches!(self.state, State::Sized(_) | State::Chunked(Chunk::Data(_)))
    }
}

fn follow_head(
    head: &mut Head,
    bytes: &[u8],
    head_max_bytes: usize,
    headers_max: usize,
) -> Result<Option<(usize, Body)>, Code> {
    // Only as much is looked at as a head may have, so that it does not matter how much has arrived.
    let within = bytes.get(..head_max_bytes).unwrap_or(bytes);
    match head.follow(within, headers_max)? {
        None if bytes.len() >= head_max_bytes => Err(Code::HttpHeadSize),
        outcome => Ok(outcome),
    }
}

/// How many of the bytes belong to the `left` that are awaited, and how many are awaited then.
fn take(bytes: &[u8], left: u64) -> (usize, u64) {
    let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if here >= left {
        (usize::try_from(left).unwrap_or(usize::MAX), 0)
    } else {
        (bytes.len(), left.saturating_sub(here))
    }
}

/// One step in a chunked body: how many bytes it took and where it leads; `None` when the body is complete.
fn follow_chunk(chunk: Chunk, bytes: &[u8]) -> Result<(usize, Option<Chunk>), Code> {
    const DIGITS_MAX: u8 = 16;
    let first = bytes.first().copied().unwrap_or_default();
    let next = match (chunk, first) {
        (Chunk::Data(left), _) => {
            let (now, after) = take(bytes, left);
            let next = if after == 0 {
                Chunk::DataCr
            } else {
                Chunk::Data(after)
            };
            return Ok((now, Some(next)));
        }
        (Chunk::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
            if digits < DIGITS_MAX =>
        {
            let digit = char::from(first).to_digit(16).unwrap_or_default();
            Some(Chunk::Size {
                value: (value << 4) | u64::from(digit),
                digits: digits.saturating_add(1),
            })
        }
        (Chunk::Size { value, digits: 1.. }, b'\r') => Some(Chunk::SizeLf(value)),
        (Chunk::SizeLf(0), b'\n') => Some(Chunk::EndCr),
        (Chunk::SizeLf(size), b'\n') => Some(Chunk::Data(size)),
        (Chunk::DataCr, b'\r') => Some(Chunk::DataLf),
        (Chunk::DataLf, b'\n') => Some(Chunk::FIRST),
        (Chunk::EndCr, b'\r') => Some(Chunk::EndLf),
        (Chunk::EndLf, b'\n') => None,
        (
            Chunk::Size { .. }
            | Chunk::SizeLf(_)
            | Chunk::DataCr
            | Chunk::DataLf
            | Chunk::EndCr
            | Chunk::EndLf,
            _,
        ) => return Err(Code::HttpChunked),
    };
    Ok((1, next))
}
