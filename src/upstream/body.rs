//! Bodies that come and go: whole or as they come, without a box around each.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::http1::Lease;
use crate::refusal::{Code, Violation};

/// An HTTP/1.1 connection that bodies of requests are read from. The number says which request: a body that is kept for
/// longer than its request must not read the next one's.
pub trait Source: fmt::Debug + Send + Sync {
    /// The next piece of the body's content.
    fn poll_content(&self, request: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

    /// How many bytes are still to come, where that is known.
    fn left(&self, request: u64) -> Option<u64>;
}

/// The body of a caller's request.
#[derive(Debug)]
pub struct CallerBody(Caller);

#[derive(Debug)]
enum Caller {
    Nothing,
    Http1(Arc<dyn Source>, u64),
    Http2(Incoming),
}

impl CallerBody {
    /// No body.
    pub const fn none() -> Self {
        Self(Caller::Nothing)
    }

    /// The body of that request on an HTTP/1.1 connection.
    pub const fn http1(source: Arc<dyn Source>, request: u64) -> Self {
        Self(Caller::Http1(source, request))
    }

    /// The body of an HTTP/2 stream.
    pub const fn http2(incoming: Incoming) -> Self {
        Self(Caller::Http2(incoming))
    }

    /// The next piece. An error carries a [`Violation`] where the gate refused the body.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.0 {
            Caller::Nothing => Poll::Ready(None),
            Caller::Http1(source, request) => source.poll_content(*request, cx),
            Caller::Http2(incoming) => poll_incoming(incoming, cx),
        }
    }

    /// How many bytes are still to come, where that is known.
    fn left(&self) -> Option<u64> {
        match &self.0 {
            Caller::Nothing => Some(0),
            Caller::Http1(source, request) => source.left(*request),
            Caller::Http2(incoming) if incoming.is_end_stream() => Some(0),
            Caller::Http2(incoming) => incoming.size_hint().exact(),
        }
    }
}

impl Body for CallerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        frame(self.get_mut().poll_data(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        hint(self.left())
    }
}

/// The body of a request to an upstream.
#[derive(Debug)]
pub struct RequestBody(Outgoing);

#[derive(Debug)]
enum Outgoing {
    Whole(Option<Bytes>),
    Streamed { body: CallerBody, left: u64 },
}

impl RequestBody {
    /// A whole body.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Outgoing::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body as it arrives, of at most `max` bytes; one more is an error, which resets the upstream's connection.
    pub const fn streamed(body: CallerBody, max: u64) -> Self {
        Self(Outgoing::Streamed { body, left: max })
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.is_end_stream()
    }

    /// Whether nothing more will come, as far as that is known without asking.
    pub(super) fn is_sent(&self) -> bool {
        match &self.0 {
            Outgoing::Whole(bytes) => bytes.is_none(),
            Outgoing::Streamed { .. } => false,
        }
    }

    /// The next piece.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.0 {
            Outgoing::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Outgoing::Streamed { body, left } => {
                let data = ready!(body.poll_data(cx));
                Poll::Ready(data.map(|data| {
                    let data = data?;
                    let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    *left = left.checked_sub(size).ok_or_else(|| {
                        io::Error::new(io::ErrorKind::InvalidData, Violation(Code::HttpBodySize))
                    })?;
                    Ok(data)
                }))
            }
        }
    }

    fn left(&self) -> Option<u64> {
        match &self.0 {
            Outgoing::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                Some(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Outgoing::Streamed { body, .. } => body.left(),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        frame(self.get_mut().poll_data(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        hint(self.left())
    }
}

/// The body of an answer on its way to the caller.
#[derive(Debug)]
pub struct AnswerBody(Coming);

#[derive(Debug)]
enum Coming {
    Whole(Option<Bytes>),
    Streamed(Streamed),
}

/// Where an upstream's answer comes from.
#[derive(Debug)]
pub(super) enum Answering {
    Http1(Box<Lease>),
    Negotiated(Incoming),
}

/// A body as it comes from an upstream.
#[derive(Debug)]
pub(super) struct Streamed {
    from: Answering,
    stall: Duration,
    /// Armed only when the upstream pauses: an answer that is there at once costs no timer.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Streamed {
    pub(super) const fn new(from: Answering, stall: Duration) -> Self {
        Self {
            from,
            stall,
            pause: None,
        }
    }

    /// How many bytes are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.from {
            Answering::Http1(lease) => lease.left(),
            Answering::Negotiated(incoming) if incoming.is_end_stream() => Some(0),
            Answering::Negotiated(incoming) => incoming.size_hint().exact(),
        }
    }

    /// The next piece; an error when it stalls or ends early.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let data = match &mut self.from {
            Answering::Http1(lease) => lease.poll_data(cx),
            Answering::Negotiated(incoming) => poll_incoming(incoming, cx),
        };
        if data.is_ready() {
            self.pause = None;
            return data;
        }
        let stall = self.stall;
        let timer = self.pause.get_or_insert_with(|| {
            let until = Instant::now()
                .checked_add(stall)
                .unwrap_or_else(Instant::now);
            Box::pin(tokio::time::sleep_until(until))
        });
        ready!(timer.as_mut().poll(cx));
        let cause = "the upstream's answer stalled";
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, cause))))
    }
}

impl AnswerBody {
    /// A whole body.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Coming::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body as it comes; a pause longer than its limit is an error, and so is an early end. The connection to the caller
    /// is reset then: a cut body never looks like a whole one.
    pub(super) const fn streamed(streamed: Streamed) -> Self {
        Self(Coming::Streamed(streamed))
    }

    /// The next piece.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.0 {
            Coming::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Coming::Streamed(streamed) => streamed.poll_data(cx),
        }
    }

    /// How many bytes are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Coming::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                Some(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Coming::Streamed(streamed) => streamed.left(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        frame(self.get_mut().poll_data(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        hint(self.left())
    }
}

/// The next data of a body that hyper reads; trailers are not passed on.
fn poll_incoming(incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
    loop {
        match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

fn frame(data: Poll<Option<io::Result<Bytes>>>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    data.map(|data| data.map(|data| data.map(Frame::data)))
}

fn hint(left: Option<u64>) -> SizeHint {
    left.map_or_else(SizeHint::default, SizeHint::with_exact)
}
