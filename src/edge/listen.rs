//! The listeners: pingora's server around our faces, and what happens at a signal or when a new process knocks.
//!
//! - SIGTERM, SIGQUIT: `/readyz` says so for a while, clients are asked to reconnect, accepting ends, what is under way is
//!   finished, stop. SIGINT: stop at once.
//! - SIGUSR2: a new process is started, which asks for everything (`handover`).

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora_core::server::{
    RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, configuration::ServerConf,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};

use super::{
    Listeners,
    accept::Accepting,
    admin::{Admin, Closing},
    face::Face,
    handover::{Asked, Door},
};
use crate::exchange::{Gateway, Handlers, Limits};

/// How often it is looked whether everything has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long scrapers may take for what they have asked.
const ADMIN_LAST: Duration = Duration::from_millis(500);

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

/// Whoever runs the gateway, and hears how it goes.
pub trait Host: Send + Sync + std::fmt::Debug {
    /// Every face accepts connections.
    fn serving(&self);
    /// It stops.
    fn stopping(&self);
    /// A new process shall be started in its place.
    fn renew(&self);
}

/// How serving ended.
#[derive(Debug)]
pub enum Ended {
    /// A signal said so.
    Stopped,
    /// Another process wants to go on. Nobody accepts since the moment.
    Asked(Asked, Instant),
}

/// Serves on the sockets until told to stop, or until another process wants to go on.
///
/// # Errors
/// When a socket cannot be accepted from.
pub fn run(
    gateway: &Arc<Gateway>,
    handlers: Handlers,
    listeners: &Listeners,
    door: Option<Arc<Door>>,
    host: Arc<dyn Host>,
) -> Result<Ended, ListenError> {
    let snapshot = gateway.snapshot();
    let config = snapshot.config();
    let workers = usize::from(config.gateway.workers.unwrap_or_else(cores).max(1));
    let conf = ServerConf {
        threads: workers,
        work_stealing: workers > 1,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let handlers = Arc::new(handlers);
    for face in &config.face {
        let name = format!("face {}", face.name);
        let socket = listeners.copy(face.listen, &name)?;
        let face = Face::new(
            Arc::clone(gateway),
            Arc::clone(&handlers),
            &face.name,
            face.kind,
        );
        server.add_service(Accepting::new(name, socket, face, None));
    }
    let (admin, closing) = Admin::new(Arc::clone(gateway));
    let socket = listeners.copy(config.admin.listen, "admin")?;
    server.add_service(Accepting::new("admin".to_owned(), socket, admin, Some(1)));
    let ended = Arc::new(Mutex::new(Ended::Stopped));
    server.run(RunArgs {
        shutdown_signal: Box::new(Signals {
            gateway: Arc::clone(gateway),
            closing,
            door,
            host,
            ended: Arc::clone(&ended),
        }),
    });
    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::replace(&mut *ended, Ended::Stopped))
}

fn cores() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX))
}

/// What a signal makes of us.
struct Signals {
    gateway: Arc<Gateway>,
    closing: Closing,
    door: Option<Arc<Door>>,
    host: Arc<dyn Host>,
    ended: Arc<Mutex<Ended>>,
}

/// What came.
enum Came {
    Stop,
    StopAtOnce,
    Renew,
    Asked(Asked),
}

/// The signals that are followed.
struct Heard {
    term: Signal,
    quit: Signal,
    int: Signal,
    usr2: Signal,
}

impl Heard {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            int: signal(SignalKind::interrupt())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Came {
        tokio::select! {
            _ = self.term.recv() => Came::Stop,
            _ = self.quit.recv() => Came::Stop,
            _ = self.int.recv() => Came::StopAtOnce,
            _ = self.usr2.recv() => Came::Renew,
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut heard) = Heard::listen() else {
            tracing::error!("signals cannot be watched; stopping");
            return ShutdownSignal::FastShutdown;
        };
        let host = Arc::clone(&self.host);
        let gateway = Arc::clone(&self.gateway);
        tokio::spawn(async move {
            while !gateway.accepts_everywhere() {
                sleep(LOOK_EVERY).await;
            }
            host.serving();
        });
        loop {
            let asked = async {
                match &self.door {
                    Some(door) => door.asked().await,
                    None => std::future::pending().await,
                }
            };
            let came = tokio::select! {
                came = heard.next() => came,
                asked = asked => Came::Asked(asked),
            };
            match came {
                Came::StopAtOnce => break,
                Came::Renew => self.host.renew(),
                Came::Stop => {
                    self.stop(&mut heard).await;
                    break;
                }
                Came::Asked(asked) => {
                    self.hand_over(asked, &mut heard).await;
                    break;
                }
            }
        }
        // Not pingora's graceful end: it would sleep its whole grace period, and here nothing is under way any more.
        ShutdownSignal::FastShutdown
    }
}

impl Signals {
    async fn stop(&self, heard: &mut Heard) {
        tracing::info!("stopping: finishing what is under way");
        self.host.stopping();
        let limits = Arc::clone(self.gateway.snapshot().limits());
        let stop = async {
            self.gateway.begin_unready();
            sleep(limits.stop_delay).await;
            self.drain(&limits).await;
        };
        tokio::select! {
            _ = stop => {}
            () = hurried(heard) => {}
        }
    }

    async fn hand_over(&self, asked: Asked, heard: &mut Heard) {
        tracing::info!(
            pid = asked.pid(),
            "another process takes over: finishing what is under way"
        );
        let limits = Arc::clone(self.gateway.snapshot().limits());
        let came = tokio::select! {
            since = self.drain(&limits) => Ok(since),
            came = stop_asked(heard) => Err(came),
        };
        match came {
            Ok(since) => {
                let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
                *ended = Ended::Asked(asked, since);
            }
            Err(came) => {
                tracing::warn!("told to stop: nothing is handed over");
                // The new process hears it at once, and ends.
                drop(asked);
                if matches!(came, Came::Stop) {
                    self.stop(heard).await;
                }
            }
        }
    }

    /// Asks clients to reconnect, stops accepting and finishes what is under way. Gives the moment since which nobody
    /// accepts.
    async fn drain(&self, limits: &Limits) -> Instant {
        self.gateway.begin_leave();
        within(limits.farewell, || self.gateway.connections() == 0).await;
        let since = Instant::now();
        self.gateway.begin_stop();
        if !within(limits.stop_timeout, || !self.gateway.busy()).await {
            tracing::warn!("some exchanges did not end in time and are cut off");
        }
        if timeout(ADMIN_LAST, self.closing.close()).await.is_err() {
            tracing::debug!("an admin connection is cut off");
        }
        since
    }
}

/// SIGINT, while a stop takes its time.
async fn hurried(heard: &mut Heard) {
    while !matches!(heard.next().await, Came::StopAtOnce) {}
}

/// A signal to stop, while an upgrade takes its time.
fn stop_asked(heard: &mut Heard) -> impl Future<Output = Came> {
    async {
        loop {
            match heard.next().await {
                came @ (Came::Stop | Came::StopAtOnce) => return came,
                Came::Renew | Came::Asked(_) => {}
            }
        }
    }
}

/// Whether it became so within the time.
async fn within(limit: Duration, so: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !so() {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(limit, waiting).await.is_ok()
}
