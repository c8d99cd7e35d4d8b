//! The load generator: one task for each connection, mutual TLS 1.3, HTTP/1.1, on the runtime of the caller.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs, version::TLS13};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    task::{JoinSet, yield_now},
};
use tokio_rustls::TlsConnector;

use crate::{
    histogram::Histogram,
    machine::{self, Cores},
    pki::{self, Pki},
};
use machine::CoreTime;

/// Makes the next request; none when there are no more.
pub type Next = Arc<dyn Fn() -> Option<Request<Full<Bytes>>> + Send + Sync>;
/// Judges an answer.
pub type Check = Arc<dyn Fn(&response::Parts, &Bytes) -> Result<(), String> + Send + Sync>;

/// An open connection.
pub type Connection = SendRequest<Full<Bytes>>;

/// Connects to one server, always with a full handshake.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    /// None to a service face on loopback.
    tls: Option<TlsConnector>,
}

impl Client {
    pub fn new(port: u16, pki: &Pki) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(pki.ca()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![pki.certificate(pki::PARTNER_TLS)],
                pki.key(pki::PARTNER_TLS),
            )
            .unwrap();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: Some(TlsConnector::from(Arc::new(config))),
        }
    }

    /// One without TLS.
    pub fn plain(port: u16) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: None,
        }
    }

    /// The value of the header `host`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    pub async fn connect(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect(self.address).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        match &self.tls {
            Some(tls) => speak(handshake(tls, stream).await?).await,
            None => speak(stream).await,
        }
    }

    /// Which cipher suite and key exchange a handshake ends with.
    pub async fn negotiated(&self) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let tls = self.tls.as_ref().expect("a client that speaks TLS");
        let stream = handshake(tls, stream).await.unwrap();
        let tls = stream.get_ref().1;
        let suite = tls.negotiated_cipher_suite().unwrap().suite();
        let group = tls.negotiated_key_exchange_group().unwrap().name();
        format!("TLS 1.3, {suite:?}, {group:?}")
    }
}

async fn handshake(
    tls: &TlsConnector,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = ServerName::try_from("localhost").expect("a name");
    tls.connect(name, stream).await.map_err(text)
}

async fn speak<S>(stream: S) -> Result<Connection, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    tokio::spawn(async move {
        // an error here is seen by the request it belongs to
        let _ = connection.await;
    });
    Ok(sender)
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The next one as soon as the answer is there.
    Closed,
    /// So many a second over all connections, whatever the answers do.
    Open { per_s: f64 },
    /// As `Closed`, with a new connection for each request.
    Reconnect,
}

/// The shape of one run.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub connections: u32,
    pub pace: Pace,
    pub warm: Duration,
    pub window: Duration,
    /// The generator never sleeps. In a virtual machine waking a core that sleeps can cost as much as a signature, and it is
    /// charged to whoever wakes it: the server.
    pub awake: bool,
}

/// What was seen in the window.
#[derive(Clone, Debug)]
pub struct Measured {
    pub done: u64,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub latency: Histogram,
    pub server_core: CoreTime,
    pub load_core: CoreTime,
    /// Requests came at a rate of ours.
    pub paced: bool,
    /// The generator never slept.
    pub awake: bool,
}

impl Measured {
    pub fn per_cpu_s(&self) -> f64 {
        self.done as f64 / self.cpu_s
    }

    pub fn per_wall_s(&self) -> f64 {
        self.done as f64 / self.wall_s
    }

    /// Share of the servers' core that other processes of this machine had.
    pub fn disturbance(&self) -> f64 {
        let core = self.server_core;
        ((core.total - core.idle - core.stolen - self.cpu_s) / core.total).max(0.0)
    }

    pub fn bottleneck(&self) -> &'static str {
        if self.paced {
            return "paced: the load core spins";
        }
        let (server, load) = (self.server_core.idle_share(), self.load_core.idle_share());
        match (server < 0.05, load < 0.05) {
            (true, _) => "server",
            (false, _) if self.awake => "not the server: the load core pauses",
            (false, true) => "load generator and upstream",
            (false, false) => "neither core was full",
        }
    }
}

/// Runs one server under load. Any answer that is not right ends the bench.
pub async fn measure(
    client: &Client,
    pids: &[u32],
    cores: Cores,
    shape: Shape,
    next: &Next,
    check: &Check,
) -> Measured {
    measure_in_turns(client, pids, cores, shape, next, check, 1, async || {}).await
}

/// The same with the window in so many pieces. After each all connections wait until `others_turn` is over. Processor time is
/// read before the first and after the last, while the server waits: of a process that runs it is as old as the kernel's last tick.
#[expect(
    clippy::too_many_arguments,
    reason = "what `measure` takes, and two more"
)]
pub async fn measure_in_turns(
    client: &Client,
    pids: &[u32],
    cores: Cores,
    shape: Shape,
    next: &Next,
    check: &Check,
    turns: u32,
    mut others_turn: impl AsyncFnMut(),
) -> Measured {
    // All are connected before the first one sends, so that no handshake falls into the window.
    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        connections.push(match shape.pace {
            Pace::Reconnect => None,
            Pace::Closed | Pace::Open { .. } => Some(client.connect().await.unwrap()),
        });
    }
    let phase = Arc::new(Phase::default());
    let mut workers = JoinSet::new();
    for (number, connection) in (0..).zip(connections) {
        let worker = Worker {
            client: client.clone(),
            phase: Arc::clone(&phase),
            next: Arc::clone(next),
            check: Arc::clone(check),
            tally: Histogram::default(),
        };
        workers.spawn(worker.run(connection, Schedule::new(shape, number)));
    }
    let awake = shape.awake.then(|| tokio::spawn(stay_awake()));
    tokio::time::sleep(shape.warm).await;
    let read = || Seen {
        at: Instant::now(),
        server_core: CoreTime::now(cores.server),
        load_core: CoreTime::now(cores.load),
    };
    let in_turns = turns > 1;
    if in_turns {
        phase.enter(SETTLING);
        phase.idle().await;
        others_turn().await;
    }
    let mut pieces = Vec::new();
    let cpu_before = machine::cpu_s(pids);
    for _ in 0..turns {
        let before = read();
        phase.enter(COUNTING);
        let exhausted = tokio::select! {
            () = tokio::time::sleep(shape.window / turns) => false,
            () = phase.exhausted.notified() => true,
        };
        if in_turns {
            phase.enter(HELD);
            phase.idle().await;
        }
        pieces.push((before, read()));
        others_turn().await;
        if exhausted {
            break;
        }
    }
    let cpu_s = machine::cpu_s(pids) - cpu_before;
    phase.enter(OVER);
    if let Some(awake) = awake {
        awake.abort();
    }
    let mut latency = Histogram::default();
    while let Some(worker) = workers.join_next().await {
        latency.merge(&worker.expect("a worker ends well"));
    }
    Measured {
        done: latency.count(),
        wall_s: sum(&pieces, |a, b| (b.at - a.at).as_secs_f64()),
        cpu_s,
        latency,
        server_core: sum(&pieces, |a, b| b.server_core.since(&a.server_core)),
        load_core: sum(&pieces, |a, b| b.load_core.since(&a.load_core)),
        paced: matches!(shape.pace, Pace::Open { .. }),
        awake: shape.awake,
    }
}

/// What is read at the beginning and at the end of a piece of the window.
struct Seen {
    at: Instant,
    server_core: CoreTime,
    load_core: CoreTime,
}

fn sum<T: std::iter::Sum>(pieces: &[(Seen, Seen)], between: impl Fn(&Seen, &Seen) -> T) -> T {
    pieces.iter().map(|(a, b)| between(a, b)).sum()
}

/// Waits with the processor's own pause, which leaves a core that two threads share to the other one.
async fn stay_awake() {
    loop {
        for _ in 0..PAUSES {
            std::hint::spin_loop();
        }
        yield_now().await;
    }
}

/// Some tens of microseconds. Between two rows of pauses the reactor asks the kernel for events, which is work: with rows of a few
/// microseconds it was a sixth of the waiting.
const PAUSES: u32 = 2_000;

const COUNTING: u8 = 1;
const HELD: u8 = 2;
const OVER: u8 = 3;
/// Held after the warm-up: what ends now is not counted.
const SETTLING: u8 = 4;

/// Warming up, and settling after it; counting, and held in between while somebody else has the core; over.
#[derive(Default)]
struct Phase {
    at: AtomicU8,
    entered: Notify,
    exhausted: Notify,
    /// Exchanges.
    under_way: AtomicU32,
    ended: Notify,
}

impl Phase {
    fn enter(&self, phase: u8) {
        self.at.store(phase, Ordering::Relaxed);
        self.entered.notify_waiters();
    }

    fn is(&self, phase: u8) -> bool {
        self.at.load(Ordering::Relaxed) == phase
    }

    /// Returns when connections may send. All tasks are of one thread, so nothing happens between the look and the wait.
    async fn sending(&self) {
        while self.is(HELD) || self.is(SETTLING) {
            self.entered.notified().await;
        }
    }

    /// Returns when no exchange is under way.
    async fn idle(&self) {
        while self.under_way.load(Ordering::Relaxed) > 0 {
            self.ended.notified().await;
        }
    }

    /// What ends after the connections are held is still counted: it is paid for.
    fn counts(&self) -> bool {
        self.is(COUNTING) || self.is(HELD)
    }
}

struct Worker {
    client: Client,
    phase: Arc<Phase>,
    next: Next,
    check: Check,
    tally: Histogram,
}

impl Worker {
    /// Works over one connection, or over a new one for each request.
    async fn run(
        mut self,
        mut connection: Option<Connection>,
        mut schedule: Schedule,
    ) -> Histogram {
        loop {
            self.phase.sending().await;
            let start = schedule.wait().await;
            if self.phase.is(OVER) {
                return self.tally;
            }
            let Some(request) = (self.next)() else {
                self.phase.exhausted.notify_one();
                return self.tally;
            };
            self.phase.under_way.fetch_add(1, Ordering::Relaxed);
            match &mut connection {
                Some(open) => self.exchange(open, request).await,
                None => {
                    let mut new = self.client.connect().await.unwrap();
                    self.exchange(&mut new, request).await;
                }
            }
            self.phase.under_way.fetch_sub(1, Ordering::Relaxed);
            self.phase.ended.notify_one();
            if self.phase.counts() {
                self.tally.record(start.elapsed());
            }
        }
    }

    async fn exchange(&self, connection: &mut Connection, request: Request<Full<Bytes>>) {
        let (head, body) = exchange(connection, request).await.unwrap();
        if let Err(why) = (self.check)(&head, &body) {
            panic!("{why}\n{head:?}\n{}", String::from_utf8_lossy(&body));
        }
    }
}

/// One request and its whole answer.
pub async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<(response::Parts, Bytes), String> {
    connection.ready().await.map_err(text)?;
    let answer = connection.send_request(request).await.map_err(text)?;
    let (head, body) = answer.into_parts();
    Ok((head, body.collect().await.map_err(text)?.to_bytes()))
}

/// When a worker sends. Latency counts from the moment a request was due, so that a slow server is not spared.
struct Schedule {
    due: Option<(Instant, Duration)>,
}

impl Schedule {
    fn new(shape: Shape, number: u32) -> Self {
        let due = match shape.pace {
            Pace::Closed | Pace::Reconnect => None,
            Pace::Open { per_s } => {
                let step = Duration::from_secs_f64(f64::from(shape.connections) / per_s);
                Some((Instant::now() + step * number / shape.connections, step))
            }
        };
        Self { due }
    }

    /// Spins instead of sleeping: the timer's grain of a millisecond would send requests in bursts.
    async fn wait(&mut self) -> Instant {
        let Some((next, step)) = &mut self.due else {
            return Instant::now();
        };
        let due = *next;
        *next += *step;
        while Instant::now() < due {
            yield_now().await;
        }
        due
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
