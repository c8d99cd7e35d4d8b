//! A small HTTP/1.1 and HTTP/2 server for the sandbox: plain on loopback, or over the TLS it is given, which decides
//! whether clients must show a certificate. It hands whole requests to a [`Handler`] and stops gracefully.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::ida::IdaAnswer;

/// The largest request body.
const LARGEST_BODY: usize = 8 * 1024 * 1024;
/// How long a handshake, a head or a body may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long open exchanges may take to end after the stop.
const LEAVE: Duration = Duration::from_secs(5);
/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its address.
    pub address: SocketAddr,
    /// The TLS client certificate (DER), when it showed one.
    pub tls_certificate: Option<Vec<u8>>,
}

/// What answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The answer to a request.
    async fn handle(&self, caller: &Caller, request: Request<Bytes>) -> IdaAnswer;
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets open exchanges end, and returns when all have or after a few seconds.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Serves until [`Running::stop`]. The TLS configuration should offer `h2` and `http/1.1` by ALPN.
///
/// # Errors
/// When the listener has no address.
pub fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    handler: Arc<H>,
) -> io::Result<Running> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(
        listener,
        tls.map(TlsAcceptor::from),
        handler,
        stopped,
    ));
    Ok(Running {
        address,
        stop,
        task,
    })
}

async fn accept<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stopped) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    connections.spawn(connection(stream, address, tls.clone(), handler.clone(), stopped.clone()));
                }
                // Out of descriptors, most likely: let some connections end first.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    let _ = timeout(LEAVE, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn connection<H: Handler>(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let mut caller = Caller {
        address,
        tls_certificate: None,
    };
    let Some(tls) = tls else {
        if let Ok(Some(http2)) = timeout(PATIENCE, begins_http2(&stream)).await {
            talk(stream, http2, caller, handler, stopped).await;
        }
        return;
    };
    let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await else {
        return;
    };
    let session = stream.get_ref().1;
    let http2 = session.alpn_protocol() == Some(b"h2");
    caller.tls_certificate = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.to_vec());
    talk(stream, http2, caller, handler, stopped).await;
}

/// Whether the first bytes are HTTP/2's; nothing when the connection ends before that is clear.
async fn begins_http2(stream: &TcpStream) -> Option<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let length = stream
            .peek(&mut first)
            .await
            .ok()
            .filter(|length| *length > 0)?;
        let seen = first.get(..length)?;
        if !PREFACE.starts_with(seen) {
            return Some(false);
        }
        if length == PREFACE.len() {
            return Some(true);
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn talk<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
    caller: Caller,
    handler: Arc<H>,
    mut stopped: watch::Receiver<bool>,
) {
    let caller = Arc::new(caller);
    let service = service_fn(move |request| {
        let (caller, handler) = (caller.clone(), handler.clone());
        async move {
            Ok::<_, std::convert::Infallible>(exchange(&caller, handler.as_ref(), request).await)
        }
    });
    let io = TokioIo::new(stream);
    if http2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(100);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => {}
            () = told(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => {}
            () = told(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// Returns when the server is to stop, or when nobody is left to say so.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn exchange<H: Handler>(
    caller: &Caller,
    handler: &H,
    request: Request<Incoming>,
) -> Response<Sent> {
    let (parts, body) = request.into_parts();
    let collected = timeout(PATIENCE, Limited::new(body, LARGEST_BODY).collect()).await;
    let Ok(Ok(body)) = collected else {
        let mut response = Response::new(Sent::default());
        *response.status_mut() = match collected {
            Ok(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Err(_) => StatusCode::REQUEST_TIMEOUT,
        };
        return response;
    };
    let answer = handler
        .handle(caller, Request::from_parts(parts, body.to_bytes()))
        .await;
    let mut response = Response::new(Sent::new(answer.body.into(), answer.cut_at));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// A body that announces its whole length and may break off before.
#[derive(Default)]
struct Sent {
    left: Bytes,
    announced: u64,
    cut: Option<Pin<Box<Sleep>>>,
}

impl Sent {
    fn new(mut body: Bytes, cut_at: Option<usize>) -> Self {
        let announced = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if let Some(length) = cut_at {
            body.truncate(length);
        }
        Self {
            left: body,
            announced,
            // A moment for what was sent to arrive; an error at once would take it back.
            cut: cut_at.map(|_| Box::pin(sleep(Duration::from_millis(50)))),
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.left.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.left)))));
        }
        let Some(moment) = &mut self.cut else {
            return Poll::Ready(None);
        };
        moment
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(io::Error::other("cut as ordered"))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
