//! hyper's servers, set as this gateway needs them: HTTP/1.1 behind a gate, HTTP/2 with its own bounds.

use super::{Ended, Gate, GateLimits};
use hyper::{
    body::{Body, Incoming},
    server::conn::{http1::Builder, http2},
    service::HttpService,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{error::Error, pin::pin};
use tokio::io::{AsyncRead, AsyncWrite};

/// hyper's default for the number of fields; beyond it, room is allocated for every request.
const HYPER_HEADERS: usize = 100;

/// HTTP/2: streams reset by the peer before we took them, streams we reset for its errors, bytes of answers that wait for
/// its window; beyond them the connection is closed, or the stream waits.
const RESETS_UNSEEN: usize = 20;
const RESETS_OURS: usize = 64;
const H2_SEND_BYTES: usize = 256 << 10;

/// hyper's HTTP/1 server, set as the gate needs it.
pub fn http1(limits: &GateLimits) -> Builder {
    let mut builder = Builder::new();
    // See the invariants in the module's documentation; time limits are the gate's.
    builder.half_close(true).header_read_timeout(None);
    if limits.headers_max > HYPER_HEADERS {
        builder.max_headers(limits.headers_max);
    }
    if limits.head_max_bytes > 256 << 10 {
        builder.max_buf_size(limits.head_max_bytes.saturating_mul(2));
    }
    builder
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

/// Serves one connection to its end. When `stop` resolves, the exchange in flight is finished and no further one begun.
pub async fn serve<S, V>(
    stream: S,
    limits: GateLimits,
    builder: &Builder,
    service: V,
    stop: impl Future<Output = ()>,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    V: HttpService<Incoming>,
    V::Error: Into<Box<dyn Error + Send + Sync>>,
    V::ResBody: 'static,
    <V::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut gate = Gate::new(stream, limits);
    {
        let mut connection = pin!(builder.serve_connection(TokioIo::new(&mut gate), service));
        // How it ended, hyper's error says less well than the gate.
        tokio::select! {
            biased;
            _ = connection.as_mut() => {}
            () = stop => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
    gate.finish().await
}
