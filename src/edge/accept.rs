//! From a listening socket to connections, inside a service of pingora's: its runtime and its workers, our sockets.
//!
//! pingora's own listener binds when its service starts, tries again for half a minute when it cannot, and cannot pause. Here
//! the socket is bound before anything serves, and accepting ends while the socket stays: connections that come meanwhile wait
//! in the kernel until somebody accepts from it again, this process or the next.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, ShutdownWatch},
    services::Service,
};
use tokio::net::{TcpListener, TcpStream};

/// How long nothing is accepted when the process has no more file descriptors: others must end first.
const BREATHER: Duration = Duration::from_secs(1);

/// What serves connections.
pub(super) trait Serves: Send + Sync + 'static {
    /// What lives as long as connections are accepted.
    type Accepting: Send;

    /// Accepting begins.
    fn begins(&self) -> Self::Accepting;

    /// Resolves when no more connections must be accepted.
    fn enough(&self) -> impl Future<Output = ()> + Send;

    /// Serves a connection. It counts as open from this call on, not from the first poll.
    fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// Accepts from one socket.
pub(super) struct Accepting<S> {
    name: String,
    socket: Option<std::net::TcpListener>,
    serves: Arc<S>,
    threads: Option<usize>,
}

impl<S> Accepting<S> {
    pub(super) fn new(
        name: String,
        socket: std::net::TcpListener,
        serves: S,
        threads: Option<usize>,
    ) -> Self {
        Self {
            name,
            socket: Some(socket),
            serves: Arc::new(serves),
            threads,
        }
    }
}

#[async_trait]
impl<S: Serves> Service for Accepting<S> {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        match TcpListener::from_std(socket) {
            Ok(listener) => accept_on(&listener, &self.serves).await,
            Err(error) => tracing::error!(%error, "{} cannot accept", self.name),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}

async fn accept_on<S: Serves>(listener: &TcpListener, serves: &Arc<S>) {
    let _accepting = serves.begins();
    let enough = serves.enough();
    tokio::pin!(enough);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut enough => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone when it was accepted");
                    continue;
                }
                tokio::spawn(serves.serve(stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                if no_descriptors(&error) {
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    }
}

fn no_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    errno == Some(Errno::MFILE.raw_os_error()) || errno == Some(Errno::NFILE.raw_os_error())
}
