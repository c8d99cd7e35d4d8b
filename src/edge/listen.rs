//! The listeners: pingora's server around our faces, and what happens at a signal.
//!
//! SIGTERM and SIGQUIT: those exchanges that are under way are finished, then stop. SIGINT: stop at once. pingora could
//! hand its listeners to a new process at SIGQUIT; that waits for a replay memory that two processes can share.

use std::{net::TcpListener, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora_core::{
    listeners::ListenerConfig,
    protocols::l4::stream::L4BufferSettings,
    server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, configuration::ServerConf},
    services::listening::Service,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{admin::Admin, face::Face};
use crate::exchange::{Gateway, Handlers};

/// Why the listeners could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address cannot be bound.
    #[error(
        "cannot listen on {address} ({what}): {error}. Stop what listens there, or change the address."
    )]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// `face NAME` or `admin`.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Serves until told to stop.
///
/// # Errors
/// When an address cannot be bound.
pub fn run(gateway: &Arc<Gateway>, handlers: Handlers) -> Result<(), ListenError> {
    let snapshot = gateway.snapshot();
    let config = snapshot.config();
    // pingora ends the process on a bind error; say what is wrong before that.
    for face in &config.face {
        try_bind(face.listen, format!("face {}", face.name))?;
    }
    try_bind(config.admin.listen, "admin".to_owned())?;
    let workers = usize::from(config.gateway.workers.unwrap_or_else(cores).max(1));
    let stop_limit = snapshot.limits().stop_timeout;
    let conf = ServerConf {
        threads: workers,
        work_stealing: workers > 1,
        grace_period_seconds: Some(stop_limit.as_secs().max(1)),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let handlers = Arc::new(handlers);
    for face in &config.face {
        let app = Face::new(
            Arc::clone(gateway),
            Arc::clone(&handlers),
            &face.name,
            face.kind,
        );
        let mut service = Service::new(format!("face {}", face.name), app);
        service.add_listener(unbuffered(face.listen));
        server.add_service(service);
    }
    let mut admin = Service::new("admin".to_owned(), Admin::new(Arc::clone(gateway)));
    admin.add_listener(unbuffered(config.admin.listen));
    admin.threads = Some(1);
    server.add_service(admin);
    server.run(RunArgs {
        shutdown_signal: Box::new(Signals {
            gateway: Arc::clone(gateway),
            limit: stop_limit,
        }),
    });
    Ok(())
}

/// TLS and HTTP have buffers of their own; pingora's would cost 64 KiB for each connection and a copy for each read.
fn unbuffered(listen: std::net::SocketAddr) -> ListenerConfig {
    ListenerConfig::tcp(listen.to_string()).l4_buffer(L4BufferSettings::unbuffered())
}

fn cores() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX))
}

fn try_bind(address: std::net::SocketAddr, what: String) -> Result<(), ListenError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(ListenError::Bind {
            address,
            what,
            error,
        }),
    }
}

/// What a signal makes of us.
struct Signals {
    gateway: Arc<Gateway>,
    limit: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut term), Ok(mut int), Ok(mut quit)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
        ) else {
            tracing::error!("signals cannot be watched; stopping");
            return ShutdownSignal::FastShutdown;
        };
        let chosen = tokio::select! {
            _ = term.recv() => ShutdownSignal::GracefulTerminate,
            _ = int.recv() => ShutdownSignal::FastShutdown,
            _ = quit.recv() => ShutdownSignal::GracefulTerminate,
        };
        if matches!(chosen, ShutdownSignal::GracefulTerminate) {
            tracing::info!("stopping: finishing what is under way");
            self.gateway.begin_stop();
            // pingora would sleep its whole grace period; we stop as soon as nothing is under way.
            let quiet = async {
                while self.gateway.busy() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if tokio::time::timeout(self.limit, quiet).await.is_err() {
                tracing::warn!("some exchanges did not end in time and are cut off");
            }
            return ShutdownSignal::FastShutdown;
        }
        chosen
    }
}
