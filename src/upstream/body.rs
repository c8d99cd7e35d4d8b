//! Bodies that go out and come back: whole or as they come, without a box around each.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::http1::Lease;

/// The body of a request to an upstream.
#[derive(Debug)]
pub struct RequestBody(Outgoing);

#[derive(Debug)]
enum Outgoing {
    Whole(Option<Bytes>),
    Streamed { incoming: Incoming, left: u64 },
}

impl RequestBody {
    /// A whole body.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Outgoing::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body as it arrives, of at most `max` bytes; one more is an error, which resets the upstream's connection.
    pub const fn streamed(incoming: Incoming, max: u64) -> Self {
        Self(Outgoing::Streamed {
            incoming,
            left: max,
        })
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.is_end_stream()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().0 {
            Outgoing::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Outgoing::Streamed { incoming, left } => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(match frame {
                    None => None,
                    Some(Err(e)) => Some(Err(io::Error::other(e))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
                            match left.checked_sub(size) {
                                Some(rest) => {
                                    *left = rest;
                                    Some(Ok(Frame::data(data)))
                                }
                                None => Some(Err(io::Error::other(
                                    "the body is larger than the route's limit",
                                ))),
                            }
                        }
                        // Trailers are not passed on.
                        Err(_) => None,
                    },
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Outgoing::Whole(bytes) => bytes.is_none(),
            Outgoing::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Outgoing::Whole(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)),
            ),
            Outgoing::Streamed { incoming, .. } => incoming.size_hint(),
        }
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

/// A body as it comes from an upstream.
#[derive(Debug)]
pub(super) struct Streamed {
    incoming: Incoming,
    /// The connection it comes by, where nobody else drives it.
    lease: Option<Lease>,
    stall: Duration,
    /// Armed only when the upstream pauses: an answer that is there at once costs no timer.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Streamed {
    pub(super) const fn new(incoming: Incoming, lease: Option<Lease>, stall: Duration) -> Self {
        Self {
            incoming,
            lease,
            stall,
            pause: None,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// The next piece; an error when it stalls or ends early.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match self.poll_incoming(cx) {
                Poll::Ready(None) => {
                    if let Some(lease) = self.lease.take() {
                        lease.done();
                    }
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(e))) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(io::Error::other(e))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.pause = None;
                    // Trailers are not passed on.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Pending => {
                    let stall = self.stall;
                    let timer = self.pause.get_or_insert_with(|| {
                        let until = Instant::now()
                            .checked_add(stall)
                            .unwrap_or_else(Instant::now);
                        Box::pin(tokio::time::sleep_until(until))
                    });
                    ready!(timer.as_mut().poll(cx));
                    self.lease = None;
                    let cause = "the upstream's answer stalled";
                    return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, cause))));
                }
            }
        }
    }

    /// The body's next frame, with the connection driven where that is ours to do.
    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let first = Pin::new(&mut self.incoming).poll_frame(cx);
        let (Poll::Pending, Some(lease)) = (&first, &mut self.lease) else {
            return first;
        };
        // A connection that ends leaves its error, or the end, in the body.
        lease.drive(cx);
        Pin::new(&mut self.incoming).poll_frame(cx)
    }
}

impl Drop for Streamed {
    /// Whoever writes a body of known length may not ask for the end that it knows is there.
    fn drop(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.done();
        }
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
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().0 {
            Coming::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Coming::Streamed(streamed) => streamed
                .poll_data(cx)
                .map(|data| data.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Coming::Whole(bytes) => bytes.is_none(),
            Coming::Streamed(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Coming::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Coming::Streamed(streamed) => streamed.size_hint(),
        }
    }
}
