//! One face: from an accepted connection to exchanges.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{Request, Response, request::Parts};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pingora_core::{
    apps::ServerApp,
    protocols::{GetSocketDigest, Stream, l4::stream::Stream as L4Stream},
    server::ShutdownWatch,
};
use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    gate::{self, GateLimits, Going},
    handshakes::Handshakes,
    idle::Idle,
};
use crate::{
    config::FaceKind,
    exchange::{
        Arrival, Connection, Gateway, Handlers, Limits, Shed, exchange, for_strangers,
        wait_for_strangers,
    },
    refusal::Code,
    upstream::{AnswerBody, CallerBody},
};

/// How long a connection that must go may still finish what it is doing.
const LAST_EXCHANGE: Duration = Duration::from_secs(5);

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

    async fn accept(&self, stream: L4Stream, peer: SocketAddr) {
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
            return self.serve(stream, connection, false).await;
        };
        if self.gateway.reactor_delay() > wait_for_strangers(snapshot.limits().queue_max) {
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
            shaken = timeout(limit, acceptor.accept(stream)) => shaken,
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
        let connection = Arc::new(Connection::new(
            Arc::clone(&self.name),
            self.kind,
            peer,
            leaf,
            sni,
        ));
        if self.gateway.knows(&connection) {
            return self.serve(stream, connection, h2).await;
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
        self.serve(stream, connection, h2).await;
    }

    async fn serve<S>(&self, stream: S, connection: Arc<Connection>, h2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = Arc::clone(self.gateway.snapshot().limits());
        let bounds = GateLimits {
            head_max_bytes: limits.head_max_bytes,
            headers_max: limits.headers_max,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
        };
        let going = Going::default();
        // What is under way when the connection must go may be finished, but not for ever.
        let cut_off = async {
            self.must_go(&connection).await;
            going.go();
            tokio::time::sleep(LAST_EXCHANGE).await;
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
            () = cut_off => {
                tracing::info!(face = &*self.name, from = %connection.peer(), "a connection is cut off in an exchange");
            }
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
        let service = service_fn(move |request: Request<Incoming>| {
            let (gateway, handlers, connection) = (
                Arc::clone(&gateway),
                Arc::clone(&handlers),
                Arc::clone(&connection),
            );
            async move {
                let (parts, body) = request.into_parts();
                let body = CallerBody::http2(body);
                Ok::<_, Infallible>(answer(&gateway, &handlers, &connection, parts, body).await)
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
        let _ = serving.await;
    }

    /// Resolves when the connection must go: the gateway stops, or the certificate it came with no longer admits.
    async fn must_go(&self, connection: &Connection) {
        let mut pulse = self.gateway.pulse();
        // What is in force now admitted it, or refuses its first request.
        while pulse.changed().await.is_ok() {
            let stopping = pulse.borrow_and_update().stopping;
            if stopping || self.gateway.must_leave(connection) {
                return;
            }
        }
    }
}

async fn answer(
    gateway: &Arc<Gateway>,
    handlers: &Handlers,
    connection: &Arc<Connection>,
    parts: Parts,
    body: CallerBody,
) -> Response<AnswerBody> {
    let arrival = Arrival {
        parts,
        body,
        connection: Arc::clone(connection),
        snapshot: gateway.snapshot(),
    };
    exchange(gateway, handlers, arrival).await.into_response()
}

#[async_trait]
impl ServerApp for Face {
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        // A TCP listener without TLS of its own always gives a plain stream.
        let stream = *stream.into_any().downcast::<L4Stream>().ok()?;
        self.watching.call_once(|| {
            let gateway = Arc::clone(&self.gateway);
            tokio::spawn(async move { gateway.watch_reactor().await });
        });
        let peer = stream
            .get_socket_digest()
            .and_then(|d| d.peer_addr().and_then(|a| a.as_inet()).copied())?;
        let limit = self.gateway.snapshot().limits().connections_max;
        let _counted = (
            Counted::one_more(&self.connections),
            self.gateway.connected(),
        );
        if self.connections.load(Ordering::Relaxed) > limit {
            self.handshake("overload");
            self.gateway.shed(&self.name, Shed::Handshake);
            return None;
        }
        self.gauge.inc();
        self.accept(stream, peer).await;
        self.gauge.dec();
        None
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
