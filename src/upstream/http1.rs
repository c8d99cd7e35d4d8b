//! HTTP/1.1 connections to one address, each driven by the exchange that uses it.
//!
//! A client library gives every connection a task, channels and a parse of its own; for a relay that is a third of the
//! processor's work (bench/README.md). Here the exchange writes to its connection and reads from it, and a connection that
//! nobody uses rests in the pool, without a buffer. Consequences, all handled: whether a resting connection was closed is
//! found out when it is taken, and resting connections are put away by [`Pool::put_away`], not by a timer of their own.
//!
//! A connection goes back to its pool only when the request was sent whole, the answer was read whole, neither side said
//! `close`, and not a byte lies behind the answer: the next answer can then be nobody else's.

mod answer;
mod request;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, uri::Authority};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    runtime::{self, Handle},
};

use self::{
    answer::{Head, Left, Unbelievable},
    request::Sending,
};
use super::{
    Outgoing, RequestBody,
    connector::{Connector, Link},
};
use crate::http1::poll_read_into;

/// Informational answers before the one that counts.
const INFORMATIONAL_MAX: usize = 8;

/// Resting connections of one address.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    target: Uri,
    host: HeaderValue,
    resting: Mutex<VecDeque<Resting>>,
    resting_max: usize,
    rest: Duration,
}

/// A connection that nobody uses.
#[derive(Debug)]
struct Resting {
    link: Link,
    home: Home,
    since: Instant,
}

/// The runtime that hears what happens on a connection; none outside of one. Used from another one, each exchange would wake
/// both, so a runtime takes from the pool what it made.
type Home = Option<runtime::Id>;

fn here() -> Home {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// A connection in use; goes back to its pool when the answer was read to its end, and is closed otherwise.
#[derive(Debug)]
pub(super) struct Lease {
    link: Option<Link>,
    home: Home,
    pool: Arc<Pool>,
    sending: Sending,
    /// Read, and not yet taken.
    input: BytesMut,
    left: Left,
    keep: bool,
    /// Of the answer's head.
    headers: HeaderMap,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// No connection: not a byte was sent.
    #[error(transparent)]
    Connect(io::Error),
    /// The caller's own body came to a bad end.
    #[error("the caller's body: {0}")]
    Body(#[source] io::Error),
    /// The connection failed; the request may have arrived.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// What came is no answer.
    #[error(transparent)]
    Unbelievable(#[from] Unbelievable),
    /// A mistake of ours.
    #[error("the target is not in origin form")]
    Target,
}

/// An answer's status, and the connection that its body comes by; the fields of its head wait there.
pub(super) type Received = (StatusCode, Box<Lease>);

impl Pool {
    pub(super) fn new(
        connector: Connector,
        scheme: &str,
        authority: &Authority,
        resting_max: usize,
        rest: Duration,
    ) -> Result<Self, http::Error> {
        let target = Uri::builder()
            .scheme(scheme)
            .authority(authority.clone())
            .path_and_query("/")
            .build()?;
        Ok(Self {
            connector,
            target,
            host: HeaderValue::from_str(authority.as_str())?,
            resting: Mutex::new(VecDeque::new()),
            resting_max,
            rest,
        })
    }

    /// Sends a request on a resting connection or a new one, and gives the head of its answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        outgoing: &Outgoing,
        body: RequestBody,
    ) -> Result<Received, Failed> {
        let sending = Sending::new(outgoing, &self.host, body)?;
        let home = here();
        let link = match self.take(home) {
            Some(link) => link,
            None => {
                let connect = self.connector.clone().connect(&self.target);
                // In a box: it is large, and seldom.
                Box::pin(connect).await.map_err(Failed::Connect)?
            }
        };
        let mut lease = Box::new(Lease {
            link: Some(link),
            home,
            pool: Arc::clone(self),
            sending,
            input: BytesMut::new(),
            left: Left::UntilClose,
            keep: true,
            headers: HeaderMap::new(),
        });
        let status = lease.exchange(outgoing.method == Method::HEAD).await?;
        Ok((status, lease))
    }

    /// The connection of this runtime that rested last and is still open: the others may then grow old and be put away.
    fn take(&self, home: Home) -> Option<Link> {
        loop {
            let Resting {
                mut link, since, ..
            } = {
                let mut resting = self.lock();
                let at = resting.iter().rposition(|one| one.home == home)?;
                resting.remove(at)?
            };
            if since.elapsed() < self.rest && is_silent(&mut link) {
                return Some(link);
            }
        }
    }

    fn give_back(&self, link: Link, home: Home) {
        let since = Instant::now();
        let mut resting = self.lock();
        resting.push_back(Resting { link, home, since });
        // Whoever has rested longest goes: it may be another runtime's, and this one would never come to keep any.
        if resting.len() > self.resting_max {
            resting.pop_front();
        }
    }

    /// Closes connections that have rested for too long.
    pub(super) fn put_away(&self) {
        let mut resting = self.lock();
        while resting
            .front()
            .is_some_and(|one| one.since.elapsed() >= self.rest)
        {
            resting.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other side has said nothing, not even that it closes.
fn is_silent(link: &mut Link) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    let mut byte = [0];
    Pin::new(link)
        .poll_read(&mut context, &mut ReadBuf::new(&mut byte))
        .is_pending()
}

impl Lease {
    /// Sends, and reads as far as the end of the answer's head.
    async fn exchange(&mut self, to_head: bool) -> Result<StatusCode, Failed> {
        let mut head = Head::default();
        let mut informational = 0_usize;
        let mut unsent = None;
        poll_fn(|cx| {
            if unsent.is_none() {
                match self.poll_send(cx) {
                    Poll::Pending | Poll::Ready(Ok(())) => {}
                    // It may have answered before it stopped reading.
                    Poll::Ready(Err(Failed::Broken(error))) => unsent = Some(error),
                    Poll::Ready(Err(failed)) => return Poll::Ready(Err(failed)),
                }
            }
            loop {
                if let Some(length) = head.follow(&self.input)? {
                    if !head.is_informational()? {
                        let bytes = self.take(length);
                        let complete = head.complete(to_head)?;
                        (self.left, self.keep) = (complete.left, complete.keep && unsent.is_none());
                        self.headers = head.headers(&bytes)?;
                        return Poll::Ready(Ok(complete.status));
                    }
                    informational = informational.saturating_add(1);
                    if informational > INFORMATIONAL_MAX {
                        return Poll::Ready(Err(Unbelievable::Informational.into()));
                    }
                    let _ = self.take(length);
                    head = Head::default();
                    continue;
                }
                match ready!(self.poll_fill(cx)) {
                    Ok(0) => {
                        let error = unsent.take().unwrap_or_else(|| cut("before its answer"));
                        return Poll::Ready(Err(error.into()));
                    }
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(unsent.take().unwrap_or(error).into())),
                }
            }
        })
        .await
    }

    /// The fields of the answer's head; none after that.
    pub(super) fn take_headers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.headers)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.sending.is_done() {
            return Poll::Ready(Ok(()));
        }
        match &mut self.link {
            Some(link) => self.sending.poll(link, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &mut self.link {
            Some(link) => poll_read_into(link, cx, &mut self.input),
            None => Poll::Ready(Ok(0)),
        }
    }

    /// Takes so many bytes of what was read; where that is all, the buffer goes with them.
    fn take(&mut self, length: usize) -> Bytes {
        if length >= self.input.len() {
            std::mem::take(&mut self.input).freeze()
        } else {
            self.input.split_to(length).freeze()
        }
    }

    /// How many bytes of the body are still to come, where that is known.
    pub(super) const fn left(&self) -> Option<u64> {
        match self.left {
            Left::Nothing => Some(0),
            Left::Sized(left) => Some(left),
            Left::Chunked(_) | Left::UntilClose => None,
        }
    }

    /// The next piece of the body. With its last one the connection goes back.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let outcome = self.poll_body(cx);
        match &outcome {
            Poll::Ready(Some(Err(_))) => self.link = None,
            Poll::Ready(_) if matches!(self.left, Left::Nothing) => self.end(),
            Poll::Ready(_) | Poll::Pending => {}
        }
        outcome
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        // An upstream may answer while it is still being told.
        match self.poll_send(cx) {
            Poll::Ready(Err(Failed::Broken(_))) => self.keep = false,
            Poll::Ready(Err(failed)) => return Poll::Ready(Some(Err(io::Error::other(failed)))),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        loop {
            if let Some(data) = self.next_piece()? {
                return Poll::Ready(Some(Ok(data)));
            }
            if matches!(self.left, Left::Nothing) {
                return Poll::Ready(None);
            }
            if ready!(self.poll_fill(cx))? == 0 {
                if !matches!(self.left, Left::UntilClose) {
                    return Poll::Ready(Some(Err(cut("in its answer"))));
                }
                self.left = Left::Nothing;
            }
        }
    }

    /// What was read of the body's content and not yet taken.
    fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        while !self.input.is_empty() {
            let (bytes, content, left) = match self.left {
                Left::Nothing => return Ok(None),
                Left::UntilClose => (self.input.len(), true, Left::UntilClose),
                Left::Sized(left) => match crate::http1::take(&self.input, left) {
                    (now, 0) => (now, true, Left::Nothing),
                    (now, after) => (now, true, Left::Sized(after)),
                },
                Left::Chunked(chunk) => {
                    let followed = chunk
                        .follow(&self.input)
                        .ok_or_else(|| io::Error::other(Unbelievable::Chunks))?;
                    let left = followed.next.map_or(Left::Nothing, Left::Chunked);
                    (followed.bytes, followed.content, left)
                }
            };
            self.left = left;
            let data = self.take(bytes);
            if content {
                // The end of the last chunk is seen with its content, where it is there.
                self.skip_marks()?;
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Goes over what is framing of chunks.
    fn skip_marks(&mut self) -> io::Result<()> {
        while let Left::Chunked(chunk) = self.left {
            if self.input.is_empty() || matches!(chunk, crate::http1::Chunk::Data(_)) {
                break;
            }
            let followed = chunk
                .follow(&self.input)
                .ok_or_else(|| io::Error::other(Unbelievable::Chunks))?;
            self.left = followed.next.map_or(Left::Nothing, Left::Chunked);
            let _ = self.take(followed.bytes);
        }
        Ok(())
    }

    /// The answer was read to its end: gives the connection back, if nothing speaks against it.
    fn end(&mut self) {
        let clean = self.keep && self.sending.is_done() && self.input.is_empty();
        if let Some(link) = self.link.take()
            && clean
        {
            self.pool.give_back(link, self.home);
        }
    }
}

impl Drop for Lease {
    /// An answer without a body is at its end before anybody asks for it.
    fn drop(&mut self) {
        if matches!(self.left, Left::Nothing) {
            self.end();
        }
    }
}

fn cut(where_: &str) -> io::Error {
    let cause = format!("the upstream closed the connection {where_}");
    io::Error::new(io::ErrorKind::UnexpectedEof, cause)
}
