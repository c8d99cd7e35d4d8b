//! The loop of an HTTP/1.1 connection, and hyper's HTTP/2 server, set as this gateway needs it.

use super::{
    Ended, GateLimits,
    respond::{Manner, body_in_the_way, respond},
    wire::{Received, Shared},
};
use crate::{
    clock::Clock,
    upstream::{AnswerBody, CallerBody},
};
use http::{Method, Response, request::Parts};
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};

/// HTTP/2: streams reset by the peer before we took them, streams we reset for its errors, bytes of answers that wait for
/// its window; beyond them the connection is closed, or the stream waits.
const RESETS_UNSEEN: usize = 20;
const RESETS_OURS: usize = 64;
const H2_SEND_BYTES: usize = 256 << 10;

/// How far a connection is on its way out. Told from the task that serves it, which looks again at once.
#[derive(Debug, Default)]
pub struct Going {
    leaving: AtomicBool,
    going: AtomicBool,
    gone: AtomicBool,
    cut: AtomicBool,
    told: Notify,
}

impl Going {
    /// The next answer is its last, and says so; HTTP/2 says that no stream may be begun.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// It is closed unless a request has arrived, or its first one still has to.
    pub fn go(&self) {
        self.going.store(true, Ordering::Relaxed);
        self.leave();
    }

    /// It is closed unless a request has arrived.
    pub fn go_now(&self) {
        self.gone.store(true, Ordering::Relaxed);
        self.go();
    }

    /// It is closed whatever is under way on it. An exchange that is under way goes to its end, and its record is written; its answer
    /// reaches nobody.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.go_now();
    }

    /// Resolves when it has to go in any way.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// Resolves when an idle connection is closed.
    pub async fn told_to_close(&self) {
        while !self.gone.load(Ordering::Relaxed) {
            self.told().await;
        }
    }

    fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether an idle connection is closed.
    fn closes(&self, served: bool) -> bool {
        self.gone.load(Ordering::Relaxed) || (served && self.going.load(Ordering::Relaxed))
    }
}

/// hyper's HTTP/2 server. The library does the framing; what a peer can make us keep or do is bounded here: streams at once,
/// bytes of a head (continuation frames included), streams reset before they were looked at (rapid reset) and streams we
/// had to reset. Pings find a peer that is gone; idle peers are the caller's, who knows whether a stream is open.
pub fn http2<E: Clone>(executor: E, limits: &GateLimits, streams_max: u32) -> http2::Builder<E> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams_max)
        .max_header_list_size(u32::try_from(limits.head_max_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(RESETS_OURS)
        .max_send_buf_size(H2_SEND_BYTES)
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(limits.head_timeout);
    builder
}

/// Serves one HTTP/1.1 connection to its end. When it must go, the exchange in flight is finished and no further one begun;
/// whoever tells [`Going`] does so in the task of this future.
pub async fn serve<S, F, A>(
    stream: S,
    limits: GateLimits,
    clock: &Clock,
    exchange: F,
    going: &Going,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Box<Parts>, CallerBody) -> A,
    A: Future<Output = Box<Response<AnswerBody>>>,
{
    let shared = Arc::new(Shared::new(stream, limits));
    let mut served = false;
    loop {
        let next = poll_fn(|cx| shared.lock().poll_head(going.closes(served), cx)).await;
        served = true;
        let Ok(Received { parts, body, close }) = next else {
            break;
        };
        let to_head = parts.method == Method::HEAD;
        let body = if body {
            let request = shared.lock().request;
            CallerBody::http1(Arc::clone(&shared) as _, request)
        } else {
            CallerBody::none()
        };
        let mut under_way = pin!(async {
            let response = exchange(parts, body).await;
            // A body that somebody still reads may be read to its end while the answer is written.
            let unwanted = Arc::strong_count(&shared) == 1 && body_in_the_way(&shared);
            let manner = Manner {
                to_head,
                close: close || unwanted || going.leaving(),
                now: clock.now(),
            };
            respond(&shared, response, manner).await && !body_in_the_way(&shared)
        });
        let goes_on = poll_fn(|cx| {
            if going.cut.load(Ordering::Relaxed) {
                shared.lock().sever(cx);
            }
            under_way.as_mut().poll(cx)
        });
        if !goes_on.await {
            break;
        }
    }
    super::answer::finish(&shared).await
}
