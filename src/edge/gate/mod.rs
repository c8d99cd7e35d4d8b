//! The HTTP gate: our own strict reading of HTTP/1.1 framing, in front of a lenient server library.
//!
//! [`Gate`] wraps the decrypted stream and stands below hyper. It follows every byte with [`Framing`] and hands on only
//! what has exactly one reading, so that hyper never sees a head that two parsers could read differently. It also bounds
//! the time for a head, the time between two requests, and that of a write that makes no progress. HTTP/2 does not come
//! here; path, host and headers are judged by `exchange::canonical`, body sizes and body times by the exchange.
//!
//! What holds, and what it rests on:
//! - A head is handed on whole or not at all. A bad head therefore looks to hyper like the end of the stream between two
//!   requests: it finishes what is in flight, flushes, and asks for shutdown. The gate then answers in its place.
//! - hyper reads only for the next head or for a body. This needs `half_close(true)`, which [`http1`] sets: without it
//!   hyper also reads while it handles a request, would take a bad pipelined head for a vanished client, and would drop
//!   the exchange in flight. (With it, an exchange that has begun is finished and recorded even if the client leaves.)
//! - A bad body gives the reader an error that carries the code ([`violation`]): the handler's refusal is the answer. If
//!   the handler gave none and not a byte was written since that head, the gate answers. hyper closes after such an
//!   answer, and after one to a body that was not read, but does not say so: the handler sets `Connection: close`.
//! - The gate writes an answer only where a whole answer, or none, stands before it.

mod answer;
mod framing;
mod head;
mod serve;
#[cfg(test)]
mod tests;
mod timer;

use crate::refusal::{Code, Violation};
use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use timer::{Timer, Wait};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use framing::{Framing, Passed, Stage};
pub use serve::{http1, http2, serve};

/// The largest room for held bytes that an idle connection keeps.
const HELD_KEPT: usize = 4 << 10;

/// The bounds of a gate.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Bytes of a request head.
    pub head_max_bytes: usize,
    /// Fields in a request head.
    pub headers_max: usize,
    /// Time from the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Time without a byte between two requests, and time for which a write may make no progress.
    pub idle_timeout: Duration,
}

impl From<&crate::config::Limits> for GateLimits {
    fn from(limits: &crate::config::Limits) -> Self {
        Self {
            head_max_bytes: limits.head_max_bytes,
            headers_max: limits.headers_max,
            head_timeout: Duration::from_millis(limits.head_timeout_ms),
            idle_timeout: Duration::from_millis(limits.idle_timeout_ms),
        }
    }
}

/// How a connection ended, for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why the gate refused something, if it did.
    pub refused: Option<Code>,
    /// Whether the gate itself wrote the refusal. If not, the handler did, or nobody could.
    pub answered: bool,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The client closed or was idle for too long, between two requests.
    Closed,
    /// The machine refused; it knows why.
    Refused,
    /// The stream failed.
    Broken,
}

/// The stream of one HTTP/1.1 connection, of which only well-framed requests come out.
pub struct Gate<S> {
    stream: S,
    framing: Framing,
    limits: GateLimits,
    /// What has been read and not yet handed on: first what passed, then the beginning of a head. Empty nearly always.
    held: Vec<u8>,
    /// How much of `held` passed, and how much of that was handed on.
    passed: usize,
    given: usize,
    over: Option<Over>,
    /// The reader has been told that no further request comes.
    told: bool,
    /// The reader has asked for shutdown: it has written all it ever will.
    shut: bool,
    /// Bytes were written since the last head passed.
    wrote: bool,
    /// Bytes were written since the last complete flush.
    unflushed: bool,
    reading: Wait,
    writing: Wait,
    timer: Timer,
}

impl<S> fmt::Debug for Gate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No content: what is held is a client's bytes.
        f.debug_struct("Gate")
            .field("framing", &self.framing)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl<S> Gate<S> {
    /// A gate before a stream from which nothing has been read.
    pub fn new(stream: S, limits: GateLimits) -> Self {
        Self {
            stream,
            framing: Framing::new(limits.head_max_bytes, limits.headers_max),
            limits,
            held: Vec::new(),
            passed: 0,
            given: 0,
            over: None,
            told: false,
            shut: false,
            wrote: false,
            unflushed: false,
            reading: Wait::default(),
            writing: Wait::default(),
            timer: Timer::default(),
        }
    }

    /// The stream, to look at (peer address, TLS session).
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// Hands on what has passed and still lies here. Says whether there was anything.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let waiting = self.held.get(self.given..self.passed).unwrap_or_default();
        if waiting.is_empty() {
            return false;
        }
        let now = waiting.get(..buf.remaining()).unwrap_or(waiting);
        buf.put_slice(now);
        self.given = self.given.saturating_add(now.len());
        if self.given == self.passed {
            self.held.drain(..self.passed);
            (self.passed, self.given) = (0, 0);
            if self.held.is_empty() && self.held.capacity() > HELD_KEPT {
                self.held = Vec::new();
            }
        }
        true
    }

    /// Follows what was just read into `buf` behind its first `before` bytes; leaves in `buf` what may be handed on.
    fn follow(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let new = buf.filled().get(before..).unwrap_or_default();
        let outcome = if self.held.is_empty() {
            // The common road: what was read passes where it lies.
            let outcome = self.framing.push(new);
            if outcome.refused.is_none() {
                let rest = new.get(outcome.bytes..).unwrap_or_default();
                self.held.extend_from_slice(rest);
            }
            buf.set_filled(before.saturating_add(outcome.bytes));
            outcome
        } else {
            self.held.extend_from_slice(new);
            buf.set_filled(before);
            let outcome = self.framing.push(&self.held);
            self.passed = outcome.bytes;
            if outcome.refused.is_some() {
                self.held.truncate(outcome.bytes);
            }
            outcome
        };
        if outcome.heads > 0 {
            self.wrote = false;
            self.reading = Wait::default();
        }
        if outcome.refused.is_some() {
            self.over = Some(Over::Refused);
        }
    }

    /// Tells the reader that nothing more comes, in the way that fits what happened.
    fn tell(&mut self, over: Over) -> io::Result<()> {
        match (over, self.framing.refused()) {
            (Over::Refused, Some(code)) if self.framing.stage() == Stage::Body => {
                Err(io::Error::new(io::ErrorKind::InvalidData, Violation(code)))
            }
            (Over::Broken, _) => Err(io::ErrorKind::ConnectionReset.into()),
            (Over::Refused | Over::Closed, _) => {
                self.told = true;
                Ok(())
            }
        }
    }

    /// Nothing to read now: whether it has stayed so for too long. Bodies are timed by the exchange.
    fn read_waits(&mut self, cx: &mut Context<'_>) -> bool {
        let (limit, stage) = match self.framing.stage() {
            Stage::Between => (self.limits.idle_timeout, Stage::Between),
            Stage::Head => (self.limits.head_timeout, Stage::Head),
            Stage::Body => return false,
        };
        if !self.reading.expired(stage, limit, &mut self.timer, cx) {
            return false;
        }
        if stage == Stage::Head {
            self.framing.refuse(Code::HttpSlow);
            self.over = Some(Over::Refused);
        } else {
            self.over = Some(Over::Closed);
        }
        true
    }

    /// Keeps account of a write; turns one that makes no progress for too long into an error.
    fn wrote<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = Wait::default();
            return outcome;
        }
        let limit = self.limits.idle_timeout;
        if self
            .writing
            .expired(Stage::Body, limit, &mut self.timer, cx)
        {
            self.over = Some(Over::Broken);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if gate.give(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(over) = gate.over {
                return Poll::Ready(gate.tell(over));
            }
            let before = buf.filled().len();
            match Pin::new(&mut gate.stream).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() == before => {
                    gate.framing.end();
                    gate.over = Some(match gate.framing.refused() {
                        Some(_) => Over::Refused,
                        None => Over::Closed,
                    });
                }
                Poll::Ready(Ok(())) => {
                    gate.follow(buf, before);
                    if buf.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(error)) => {
                    gate.over = Some(Over::Broken);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    if !gate.read_waits(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let outcome = Pin::new(&mut gate.stream).poll_write(cx, bytes);
        (gate.wrote, gate.unflushed) = (true, true);
        gate.wrote(outcome, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let outcome = Pin::new(&mut gate.stream).poll_write_vectored(cx, slices);
        (gate.wrote, gate.unflushed) = (true, true);
        gate.wrote(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let outcome = Pin::new(&mut gate.stream).poll_flush(cx);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            gate.unflushed = false;
        }
        gate.wrote(outcome, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        gate.shut = true;
        if gate.must_answer().is_some() {
            // Our refusal comes first; `finish` shuts down after it.
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(&mut gate.stream).poll_shutdown(cx);
        gate.wrote(outcome, cx)
    }
}
