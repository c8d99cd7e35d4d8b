//! One face: from an accepted connection to exchanges.

use std::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, request::Parts};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    accept::Serves,
    gate::{self, GateLimits, Going},
    handshakes::Handshakes,
    idle::Idle,
    tls_socket::TlsSocket,
};
use crate::{
    config::FaceKind,
    exchange::{
        Accepts, Arrival, Connection, Gateway, Handlers, Limits, Shed, exchange, for_strangers,
        wait_for_strangers,
    },
    refusal::Code,
    upstream::{AnswerBody, CallerBody},
};

/// How long a connection that no longer admits may still finish what it is doing.
const LAST_EXCHANGE: Duration = Duration::from_secs(5);

/// How long a connection's first request is waited for when the gateway stops: whoever has just connected is about to ask.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// One face of the gateway.
pub(super) struct Face {
    gateway: Arc<Gateway>,
    handlers: Arc<Handlers>,
    name: Arc<str>,
    kind: FaceKind,
    handshakes: Handshakes,
    connections: AtomicUsize,
    /// Those of them whose certificate is no partner's.
    strangers: AtomicUsize,
    gauge: IntGauge,
    /// The runtime's own watch, begun by its first connection.
    watching: Once,
}

impl Face {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        handlers: Arc<Handlers>,
        name: &str,
        kind: FaceKind,
    ) -> Self {
        let limits = Arc::clone(gateway.snapshot().limits());
        let gauge = gateway.metrics().connections.with_label_values(&[name]);
        for code in Code::ALL {
            gateway.metrics().known_code(name, *code);
        }
        Self {
            gateway,
            handlers,
            name: Arc::from(name),
            kind,
            handshakes: Handshakes::new(limits.handshakes_max),
            connections: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            gauge,
            watching: Once::new(),
        }
    }

    fn handshake(&self, outcome: &str) {
        self.gateway
            .metrics()
            .handshakes
            .with_label_values(&[&*self.name, outcome])
            .inc();
    }

    async fn accept(&self, stream: TcpStream, peer: SocketAddr) {
        let snapshot = self.gateway.snapshot();
        let Some(face) = snapshot.face(&self.name) else {
            return;
        };
        let Some(config) = face.tls() else {
            let connection = Arc::new(Connection::new(
                Arc::clone(&self.name),
                self.kind,
                peer,
                None,
                None,
            ));
            return self.converse(stream, connection, false).await;
        };
        if self.gateway.reactor_delay(&self.name) > wait_for_strangers(snapshot.limits().queue_max)
        {
            // A handshake costs more than an exchange, and nobody is kept waiting for it that is known.
            self.handshake("overload");
            self.gateway.shed(&self.name, Shed::Handshake);
            return;
        }
        let limit = snapshot.limits().handshake_timeout;
        let acceptor = TlsAcceptor::from(Arc::clone(config));
        let place = self.handshakes.enter();
        let shaken = tokio::select! {
            biased;
            () = place.lost() => {
                self.handshake("displaced");
                tracing::info!(face = &*self.name, from = %peer.ip(), "TLS handshake gave its place to a newer one");
                return;
            }
            shaken = timeout(limit, acceptor.accept(TlsSocket::new(stream))) => shaken,
        };
        drop(place);
        let stream = match shaken {
            // In a box: every future that it passes through would keep room for it.
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => {
                self.handshake("refused");
                tracing::info!(face = &*self.name, from = %peer.ip(), cause = %error, "TLS handshake refused");
                return;
            }
            Err(_) => {
                self.handshake("timeout");
                tracing::info!(face = &*self.name, from = %peer.ip(), "TLS handshake took too long");
                return;
            }
        };
        self.handshake("accepted");
        let (_, session) = stream.get_ref();
        let leaf = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.clone().into_owned());
        let h2 = session.alpn_protocol() == Some(b"h2");
        let sni = session.server_name().map(str::to_owned);
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            // The other version that `tls.rs` speaks.
            _ => "1.2",
        };
        let connection = Connection::new(Arc::clone(&self.name), self.kind, peer, leaf, sni);
        let connection = Arc::new(connection.over_tls(version));
        if self.gateway.knows(&connection) {
            return self.converse(stream, connection, h2).await;
        }
        // Three quarters of the places of connections are out of a stranger's reach.
        let max = snapshot.limits().connections_max;
        let places = max.saturating_sub(for_strangers(max)).max(1);
        let _counted = Counted::one_more(&self.strangers);
        if self.strangers.load(Ordering::Relaxed) > places {
            self.gateway.shed(&self.name, Shed::Stranger);
            tracing::info!(face = &*self.name, from = %peer.ip(), "a stranger's connection is ended: their places are taken");
            return;
        }
        self.converse(stream, connection, h2).await;
    }

    async fn converse<S>(&self, stream: S, connection: Arc<Connection>, h2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = Arc::clone(self.gateway.snapshot().limits());
        let bounds = GateLimits {
            head_max_bytes: limits.head_max_bytes,
            headers_max: limits.headers_max,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            refusal_fields: connection.browser_fields(),
        };
        let going = Going::default();
        let began = Instant::now();
        // What is under way when the connection must go may be finished, but not for ever.
        let cut_off = async {
            match self.must_go(&connection, &going).await {
                Why::Stopping => {
                    going.go();
                    let first = began.checked_add(FIRST_REQUEST).unwrap_or(began);
                    tokio::time::sleep_until(first).await;
                    going.go_now();
                    // The end of the whole gateway has its own time.
                    std::future::pending::<()>().await;
                }
                Why::Unwelcome => {
                    going.go_now();
                    tokio::time::sleep(LAST_EXCHANGE).await;
                    tracing::info!(face = &*self.name, from = %connection.peer(), "a connection is cut off in an exchange");
                    going.cut();
                    if !h2 {
                        // Its exchange ends in this very task.
                        std::future::pending::<()>().await;
                    }
                }
            }
        };
        let serving = async {
            if h2 {
                // In a box: the room it needs is not the room of an HTTP/1.1 connection.
                Box::pin(self.serve_h2(stream, bounds, &limits, &connection, &going)).await;
                return;
            }
            let exchange =
                |parts, body| answer(&self.gateway, &self.handlers, &connection, parts, body);
            let clock = self.gateway.clock();
            let ended = gate::serve(stream, bounds, clock, exchange, &going).await;
            if let (Some(code), true) = (ended.refused, ended.answered) {
                self.gateway.refused_at_the_gate(&connection, code);
            }
        };
        tokio::select! {
            biased;
            () = cut_off => {}
            () = serving => {}
        }
    }

    /// HTTP/2: framing and its bounds are the library's; a connection without a stream is closed after a while.
    async fn serve_h2<S>(
        &self,
        stream: S,
        bounds: GateLimits,
        limits: &Limits,
        connection: &Arc<Connection>,
        going: &Going,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (gateway, handlers, connection) = (
            Arc::clone(&self.gateway),
            Arc::clone(&self.handlers),
            Arc::clone(connection),
        );
        // A stream that its client resets, or a connection that breaks, ends no exchange: what was begun is recorded with all that
        // came of it. So the bound of streams is not the bound of exchanges.
        let places = usize::try_from(limits.h2_streams_max).unwrap_or(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        let service = service_fn(move |request: Request<Incoming>| {
            let (gateway, handlers, connection) = (
                Arc::clone(&gateway),
                Arc::clone(&handlers),
                Arc::clone(&connection),
            );
            let places = Arc::clone(&places);
            async move {
                let place = places.acquire_owned().await.map_err(|_| Lost)?;
                // A stop waits for it, though its connection may be gone.
                let counted = gateway.connected();
                let under_way = tokio::spawn(async move {
                    let _until_its_end = (place, counted);
                    let (parts, body) = request.into_parts();
                    let (parts, body) = (Box::new(parts), CallerBody::http2(body));
                    *answer(&gateway, &handlers, &connection, parts, body).await
                });
                under_way.await.map_err(|_| Lost)
            }
        });
        let idle = Idle::new(limits.idle_timeout);
        let builder = gate::http2(TokioExecutor::new(), &bounds, limits.h2_streams_max);
        let watched = idle.watch(service);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), watched));
        tokio::select! {
            biased;
            _ = serving.as_mut() => return,
            () = going.told() => {}
            () = idle.over() => {}
        }
        serving.as_mut().graceful_shutdown();
        // A client that goes on all the same must not hold up a stop.
        let deaf = async {
            going.told_to_close().await;
            idle.quiet().await;
        };
        tokio::select! {
            biased;
            _ = serving.as_mut() => {}
            () = deaf => {}
        }
    }

    /// Resolves when the connection must go. On the way there it tells it to leave.
    async fn must_go(&self, connection: &Connection, going: &Going) -> Why {
        let mut pulse = self.gateway.pulse();
        let mut first = true;
        loop {
            let now = *pulse.borrow_and_update();
            if now.stopping {
                return Why::Stopping;
            }
            if now.leaving {
                going.leave();
            }
            // What is in force at its beginning admitted it, or refuses its first request.
            if !first && self.gateway.must_leave(connection) {
                return Why::Unwelcome;
            }
            first = false;
            if pulse.changed().await.is_err() {
                return Why::Stopping;
            }
        }
    }
}

/// An exchange came to no answer: its stream is reset.
#[derive(Debug, thiserror::Error)]
#[error("the exchange came to no answer")]
struct Lost;

/// Why a connection must go.
enum Why {
    /// The gateway stops.
    Stopping,
    /// The certificate it came with no longer admits.
    Unwelcome,
}

async fn answer(
    gateway: &Arc<Gateway>,
    handlers: &Handlers,
    connection: &Arc<Connection>,
    parts: Box<Parts>,
    body: CallerBody,
) -> Box<Response<AnswerBody>> {
    let arrival = Arrival {
        parts,
        body,
        connection: Arc::clone(connection),
        snapshot: gateway.snapshot(),
    };
    exchange(gateway, handlers, arrival).await.into_response()
}

impl Serves for Face {
    type Accepting = Accepts;

    fn begins(&self) -> Accepts {
        self.gateway.accepts()
    }

    async fn enough(&self) {
        // Without a gateway there is nothing to serve either.
        let _ = self.gateway.pulse().wait_for(|pulse| pulse.stopping).await;
    }

    fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.watching.call_once(|| {
            let (gateway, name) = (Arc::clone(&self.gateway), Arc::clone(&self.name));
            tokio::spawn(async move { gateway.watch_reactor(&name).await });
        });
        let limit = self.gateway.snapshot().limits().connections_max;
        let (face, connected) = (Arc::clone(self), self.gateway.connected());
        async move {
            let _counted = (Counted::one_more(&face.connections), connected);
            if face.connections.load(Ordering::Relaxed) > limit {
                face.handshake("overload");
                face.gateway.shed(&face.name, Shed::Handshake);
                return;
            }
            face.gauge.inc();
            face.accept(stream, peer).await;
            face.gauge.dec();
        }
    }
}

/// Gives the place of a connection back, however it ends.
struct Counted<'f>(&'f AtomicUsize);

impl<'f> Counted<'f> {
    fn one_more(count: &'f AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
