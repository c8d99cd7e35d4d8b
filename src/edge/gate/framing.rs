//! Where each request on an HTTP/1.1 connection begins and ends: a machine over bytes, without any input or output.
//!
//! It passes a head whole or not at all, and a body as it arrives. What it has passed has exactly one reading; what it
//! refuses, nobody above ever sees. After a refusal it passes nothing more.

use super::head::{Body, Head};
use crate::{
    http1::{self, Chunk, FieldAt},
    refusal::Code,
};

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

/// What became of the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// None was taken: more have to come.
    More,
    /// So many are a whole head.
    Head(usize),
    /// So many are content of a body.
    Content(usize),
    /// So many are the framing of a body.
    Mark(usize),
}

/// The machine of one connection.
#[derive(Clone, Debug)]
pub struct Framing {
    head_max_bytes: usize,
    headers_max: usize,
    state: State,
    /// The head that is arriving, or was completed last.
    head: Head,
    fields: Vec<FieldAt>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Between,
    Head,
    Sized(u64),
    Chunked(Chunk),
    /// With the stage in which it happened.
    Refused(Code, Stage),
}

impl Framing {
    /// A machine before its first request, with the largest head in bytes and in fields.
    pub const fn new(head_max_bytes: usize, headers_max: usize) -> Self {
        Self {
            head_max_bytes,
            headers_max,
            state: State::Between,
            head: Head::NONE,
            fields: Vec::new(),
        }
    }

    /// Where the machine stands; after a refusal, where it stood then.
    pub const fn stage(&self) -> Stage {
        match self.state {
            State::Between => Stage::Between,
            State::Head => Stage::Head,
            State::Sized(_) | State::Chunked(_) => Stage::Body,
            State::Refused(_, stage) => stage,
        }
    }

    /// Why nothing more passes, if that is so.
    pub const fn refused(&self) -> Option<Code> {
        match self.state {
            State::Refused(code, _) => Some(code),
            State::Between | State::Head | State::Sized(_) | State::Chunked(_) => None,
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
            State::Head => self.refuse(Code::HttpMalformed),
            State::Sized(_) | State::Chunked(_) => self.refuse(Code::HttpBodyCut),
        }
    }

    /// One step over `bytes`, which follow those that the steps before took. Nothing but the end of the bytes, or a refusal,
    /// makes a step of none; what it left must stand at the front of the next step's bytes.
    ///
    /// # Errors
    /// The refusal, then and ever after.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Code> {
        let step = self.try_step(bytes);
        if let Err(code) = step {
            self.refuse(code);
        }
        step
    }

    fn try_step(&mut self, bytes: &[u8]) -> Result<Step, Code> {
        match self.state {
            State::Refused(code, _) => Err(code),
            _ if bytes.is_empty() => Ok(Step::More),
            State::Between | State::Head => {
                if matches!(self.state, State::Between) {
                    self.state = State::Head;
                    self.head = Head::NONE;
                    self.fields.clear();
                }
                let Some((length, body)) = self.follow_head(bytes)? else {
                    return Ok(Step::More);
                };
                self.state = match body {
                    Body::Sized(0) => State::Between,
                    Body::Sized(length) => State::Sized(length),
                    Body::Chunked => State::Chunked(Chunk::FIRST),
                };
                Ok(Step::Head(length))
            }
            State::Sized(left) => {
                let (now, after) = http1::take(bytes, left);
                self.state = if after == 0 {
                    State::Between
                } else {
                    State::Sized(after)
                };
                Ok(Step::Content(now))
            }
            State::Chunked(chunk) => {
                let followed = chunk.follow(bytes).ok_or(Code::HttpChunked)?;
                self.state = followed.next.map_or(State::Between, State::Chunked);
                Ok(if followed.content {
                    Step::Content(followed.bytes)
                } else {
                    Step::Mark(followed.bytes)
                })
            }
        }
    }

    fn follow_head(&mut self, bytes: &[u8]) -> Result<Option<(usize, Body)>, Code> {
        // Only as much is looked at as a head may have, so that it does not matter how much has arrived.
        let within = bytes.get(..self.head_max_bytes).unwrap_or(bytes);
        let followed = self
            .head
            .follow(within, self.headers_max, &mut self.fields)?;
        match followed {
            None if bytes.len() >= self.head_max_bytes => Err(Code::HttpHeadSize),
            outcome => Ok(outcome),
        }
    }

    /// The head that was completed last, and its fields.
    pub(super) fn last_head(&self) -> (&Head, &[FieldAt]) {
        (&self.head, &self.fields)
    }

    /// How many bytes of content are still to come, where the head said so.
    pub(super) const fn left(&self) -> Option<u64> {
        match self.state {
            State::Sized(left) => Some(left),
            State::Between => Some(0),
            State::Head | State::Chunked(_) | State::Refused(..) => None,
        }
    }

    /// Whether what comes next in a body is its framing.
    pub(super) const fn expects_mark(&self) -> bool {
        match self.state {
            State::Chunked(chunk) => !matches!(chunk, Chunk::Data(_)),
            State::Between | State::Head | State::Sized(_) | State::Refused(..) => false,
        }
    }
}
