//! hyper behind a gate: the one way in which an HTTP/1.1 connection is served.

use super::{Ended, Gate, GateLimits};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1::Builder,
    service::HttpService,
};
use hyper_util::rt::TokioIo;
use std::{error::Error, pin::pin};
use tokio::io::{AsyncRead, AsyncWrite};

/// hyper's default for the number of fields; beyond it, room is allocated for every request.
const HYPER_HEADERS: usize = 100;

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
