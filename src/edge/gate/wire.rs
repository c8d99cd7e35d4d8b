//! One HTTP/1.1 connection: what was read and not yet taken, what is to be written, and its deadlines.

use super::{
    GateLimits,
    framing::{Framing, Stage, Step},
    timer::Wait,
};
use crate::{
    http1::{self, give_back_output, poll_read_into},
    patience::Timer,
    refusal::{Code, Violation},
    upstream::Source,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Uri, request::Parts, uri::PathAndQuery};
use std::{
    fmt, io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The client closed or was idle for too long, between two requests, or we stop.
    Closed,
    /// The machine refused; it knows why.
    Refused,
    /// The stream failed, or must look so.
    Broken,
}

/// A request's head, in a box: it goes through many hands.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) parts: Box<Parts>,
    /// Whether a body follows.
    pub(super) body: bool,
    /// Whether the client asked to close after it.
    pub(super) close: bool,
}

/// A connection, shared by the loop that serves it and the body that is read from it.
pub(super) struct Shared<S>(Mutex<Wire<S>>);

impl<S> Shared<S> {
    pub(super) fn new(stream: S, limits: GateLimits) -> Self {
        Self(Mutex::new(Wire {
            stream,
            framing: Framing::new(limits.head_max_bytes, limits.headers_max),
            limits,
            input: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            unflushed: false,
            request: 0,
            asks: false,
            over: None,
            reading: Wait::default(),
            writing: Wait::default(),
            timer: Timer::default(),
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Wire<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No content: what is held is a client's bytes.
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Source for Shared<S> {
    fn poll_content(&self, request: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut wire = self.lock();
        if wire.request != request {
            return Poll::Ready(None);
        }
        wire.poll_content(cx)
    }

    fn left(&self, request: u64) -> Option<u64> {
        let wire = self.lock();
        if wire.request == request {
            wire.framing.left()
        } else {
            Some(0)
        }
    }
}

/// The state of a connection.
pub(super) struct Wire<S> {
    pub(super) stream: S,
    pub(super) framing: Framing,
    pub(super) limits: GateLimits,
    /// Read, and not yet taken. Empty and without room while the client is silent.
    pub(super) input: BytesMut,
    /// To be written, and how much of it was. Empty and without room when all was.
    pub(super) output: Vec<u8>,
    written: usize,
    /// Bytes were written since the last complete flush.
    unflushed: bool,
    /// The number of the request whose head came last.
    pub(super) request: u64,
    /// The client waits to be asked for its body.
    asks: bool,
    pub(super) over: Option<Over>,
    reading: Wait,
    writing: Wait,
    timer: Timer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Closes the stream as far as that goes at once; nothing is read from it or written to it any more.
    pub(super) fn sever(&mut self, cx: &mut Context<'_>) {
        if self.over != Some(Over::Broken) {
            self.over = Some(Over::Broken);
            // Whether the client hears of it makes no difference.
            let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        }
    }

    /// The next request's head, or why none comes. When `going`, none is waited for.
    pub(super) fn poll_head(
        &mut self,
        going: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, Over>> {
        loop {
            if let Some(over) = self.over {
                return Poll::Ready(Err(over));
            }
            match self.framing.step(&self.input) {
                Ok(Step::Head(length)) => {
                    self.reading = Wait::default();
                    self.request = self.request.wrapping_add(1);
                    return Poll::Ready(self.receive(length).map_err(|code| self.refuse(code)));
                }
                Ok(Step::More) => {}
                // A body that was left unread ended the connection before this.
                Ok(Step::Content(_) | Step::Mark(_)) => return Poll::Ready(Err(Over::Broken)),
                Err(_) => return Poll::Ready(Err(self.ended(Over::Refused))),
            }
            // Also when going: what has arrived is served, since its sender could not know.
            match poll_read_into(&mut self.stream, cx, &mut self.input) {
                Poll::Ready(Ok(0)) => {
                    self.framing.end();
                    let refused = self.framing.refused().is_some();
                    let over = if refused { Over::Refused } else { Over::Closed };
                    return Poll::Ready(Err(self.ended(over)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(self.ended(Over::Broken))),
                Poll::Pending if going && self.framing.stage() == Stage::Between => {
                    return Poll::Ready(Err(self.ended(Over::Closed)));
                }
                Poll::Pending => {
                    ready!(self.waited_too_long(cx));
                }
            }
        }
    }

    fn ended(&mut self, over: Over) -> Over {
        self.over = Some(over);
        over
    }

    pub(super) fn refuse(&mut self, code: Code) -> Over {
        self.framing.refuse(code);
        self.ended(Over::Refused)
    }

    /// Nothing to read now: ready once it has stayed so for too long.
    fn waited_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stage = self.framing.stage();
        let limit = match stage {
            Stage::Between => self.limits.idle_timeout,
            Stage::Head | Stage::Body => self.limits.head_timeout,
        };
        if !self.reading.expired(stage, limit, &mut self.timer, cx) {
            return Poll::Pending;
        }
        if stage == Stage::Between {
            self.ended(Over::Closed);
        } else {
            self.refuse(Code::HttpSlow);
        }
        Poll::Ready(())
    }

    /// The head of so many bytes as a request. It shares its bytes with what was read.
    fn receive(&mut self, length: usize) -> Result<Received, Code> {
        let bytes = take(&mut self.input, length);
        let (head, fields) = self.framing.last_head();
        let slice = |range: std::ops::Range<usize>| {
            let inside = bytes.get(range.clone()).is_some();
            inside
                .then(|| bytes.slice(range))
                .ok_or(Code::HttpMalformed)
        };
        let method = bytes.get(head.method()).unwrap_or_default();
        let target = PathAndQuery::from_maybe_shared(slice(head.target())?);
        let mut parts = Box::new(Request::new(()).into_parts().0);
        parts.method = Method::from_bytes(method).map_err(|_| Code::HttpMalformed)?;
        parts.uri = Uri::from(target.map_err(|_| Code::HttpPath)?);
        let headers: Option<HeaderMap> = http1::headers(&bytes, fields);
        parts.headers = headers.ok_or(Code::HttpHeader)?;
        let body = self.framing.stage() == Stage::Body;
        self.asks = body && head.expects();
        Ok(Received {
            parts,
            body,
            close: head.closes(),
        })
    }

    /// The next piece of the body that is being read.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if self.over == Some(Over::Broken) {
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
            }
            if self.framing.stage() == Stage::Between {
                return Poll::Ready(None);
            }
            match self.framing.step(&self.input) {
                Ok(Step::Content(length)) => {
                    let data = take(&mut self.input, length);
                    self.skip_marks();
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(Step::Mark(length)) => drop(take(&mut self.input, length)),
                Ok(Step::Head(_)) => return Poll::Ready(None),
                Ok(Step::More) => {
                    ready!(self.poll_ask(cx))?;
                    if ready!(poll_read_into(&mut self.stream, cx, &mut self.input))? == 0 {
                        self.framing.end();
                    }
                    self.asks = false;
                }
                Err(code) => {
                    self.over = Some(Over::Refused);
                    let error = io::Error::new(io::ErrorKind::InvalidData, Violation(code));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Goes over what is framing of a chunked body, so that its end is seen with its content.
    pub(super) fn skip_marks(&mut self) {
        while self.framing.expects_mark() {
            match self.framing.step(&self.input) {
                Ok(Step::Mark(length)) => drop(take(&mut self.input, length)),
                _ => return,
            }
        }
    }

    /// Goes over what was read of a body that nobody wants.
    pub(super) fn skip_content(&mut self) {
        while self.framing.stage() == Stage::Body {
            match self.framing.step(&self.input) {
                Ok(Step::Mark(length) | Step::Content(length)) => {
                    drop(take(&mut self.input, length));
                }
                _ => return,
            }
        }
    }

    /// Asks for the body, where the client waits for that (RFC 9110 section 10.1.1).
    fn poll_ask(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.asks && self.output.is_empty() {
            self.output
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.asks = false;
        }
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_out(cx)
    }

    /// Writes all that is to be written. A write that makes no progress for too long is an error.
    pub(super) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.over == Some(Over::Broken) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let outcome = self.poll_write_on(cx);
        match &outcome {
            Poll::Ready(Ok(())) => self.writing = Wait::default(),
            Poll::Ready(Err(_)) => self.over = Some(Over::Broken),
            Poll::Pending => {
                let limit = self.limits.idle_timeout;
                if self
                    .writing
                    .expired(Stage::Body, limit, &mut self.timer, cx)
                {
                    self.over = Some(Over::Broken);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        outcome
    }

    fn poll_write_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = self.output.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written = self.written.saturating_add(written);
            self.unflushed = true;
            self.writing = Wait::default();
        }
        give_back_output(std::mem::take(&mut self.output));
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes so many bytes; where that is all, the buffer goes with them.
fn take(input: &mut BytesMut, length: usize) -> Bytes {
    if length >= input.len() {
        std::mem::take(input).freeze()
    } else {
        input.split_to(length).freeze()
    }
}
