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
    Streamed {
        incoming: Incoming,
        stall: Duration,
        // Armed only when the upstream pauses: an answer that is there at once costs no timer.
        pause: Option<Pin<Box<Sleep>>>,
    },
}

impl AnswerBody {
    /// A whole body.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Coming::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body as it comes; a pause longer than `stall` is an error, and so is an early end. The connection to the caller is
    /// reset then: a cut body never looks like a whole one.
    pub const fn streamed(incoming: Incoming, stall: Duration) -> Self {
        Self(Coming::Streamed {
            incoming,
            stall,
            pause: None,
        })
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
            Coming::Streamed {
                incoming,
                stall,
                pause,
            } => {
                if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) {
                    *pause = None;
                    return Poll::Ready(match frame {
                        None => None,
                        Some(Err(e)) => Some(Err(io::Error::other(e))),
                        Some(Ok(frame)) => frame.into_data().ok().map(|d| Ok(Frame::data(d))),
                    });
                }
                let timer = pause.get_or_insert_with(|| {
                    let until = Instant::now()
                        .checked_add(*stall)
                        .unwrap_or_else(Instant::now);
                    Box::pin(tokio::time::sleep_until(until))
                });
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the upstream's answer stalled",
                ))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Coming::Whole(bytes) => bytes.is_none(),
            Coming::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Coming::Whole(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)),
            ),
            Coming::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}
