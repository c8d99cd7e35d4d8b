//! `triseal run`: one gateway, until told to stop, or until a new process goes on in its place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use clap::Args;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::supervisor::Supervisor;
use crate::{
    clock::Clock,
    config::Mistakes,
    edge::{
        self, Ended, Listeners,
        handover::{self, Door},
    },
    envelope::Handed,
    exchange::{
        Gateway, Snapshot, StartError,
        errands::{self, Doer},
    },
    handlers, observe,
};

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the store and the logs may take to be given back.
const RELEASE: Duration = Duration::from_secs(2);

/// How long a process lives on after its successor was named, so that a service manager hears of it first.
const LAST_WORD: Duration = Duration::from_millis(200);

/// Run a gateway in the foreground.
///
/// The configuration is checked as a whole before anything listens. It is read again when a file of it changes and at
/// SIGHUP; a version with mistakes is reported and the running one stays. SIGTERM finishes what is under way and stops,
/// SIGINT stops at once. SIGUSR2 starts this program anew, which takes everything over without a failed exchange.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: PathBuf,
    /// Write the operator's log as JSON lines.
    #[arg(long)]
    log_json: bool,
    /// Take over from the gateway that runs with this state folder: its listening sockets, and what it remembers against
    /// replay. Until that is complete it goes on serving, whatever fails here.
    #[arg(long)]
    upgrade: bool,
}

/// Runs it.
pub fn run(args: &Run) -> ExitCode {
    observe::start_operator_log(args.log_json);
    super::process::harden();
    // Before anything of pingora's, which would install another provider.
    if crate::tls::provider()
        .as_ref()
        .clone()
        .install_default()
        .is_err()
    {
        tracing::debug!("a crypto provider was installed before");
    }
    match live(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(NotStarted { why, code }) => {
            tracing::error!("not started: {why}");
            ExitCode::from(code)
        }
    }
}

/// Why it does not run, and with which exit code it ends.
struct NotStarted {
    why: String,
    code: u8,
}

impl<E: std::error::Error> From<E> for NotStarted {
    fn from(error: E) -> Self {
        Self {
            why: error.to_string(),
            code: 2,
        }
    }
}

/// What serves, and the sockets it serves on.
struct Life {
    gateway: Arc<Gateway>,
    listeners: Listeners,
}

fn live(args: &Run) -> Result<(), NotStarted> {
    // First of all: until somebody listens, these signals end a process.
    let reloads = Reloads::listen().map_err(no("SIGHUP cannot be followed"))?;
    reloads.heed_renewals().map_err(no("SIGUSR2"))?;
    let supervisor = Arc::new(Supervisor::new());
    let snapshot = read(args)?;
    let Life {
        mut gateway,
        mut listeners,
    } = if args.upgrade {
        take_over(args, snapshot)?
    } else {
        let listeners = Listeners::bind(snapshot.config(), &[])?;
        let gateway = open(args, snapshot, None)?;
        Life { gateway, listeners }
    };
    let door = open_door(&gateway, &listeners);
    let mut reloads = Some(reloads);
    loop {
        announce(&gateway);
        let reloads = match reloads.take() {
            Some(reloads) => reloads,
            None => Reloads::listen().map_err(no("SIGHUP cannot be followed"))?,
        };
        let ended = serve(&gateway, &listeners, door.clone(), &supervisor, reloads)?;
        let served = Instant::now();
        let Ended::Asked(asked, since) = ended else {
            gateway.stop();
            if let Some(door) = door {
                door.close();
            }
            tracing::info!("stopped");
            return Ok(());
        };
        // From here on nothing is accepted or done by this process. Sealed before the stop: the mark on disk covers everything
        // already, and need not be written while connections wait.
        let handed = gateway.replay().hand_over();
        gateway.stop();
        let snapshot = gateway.snapshot();
        release(gateway);
        let released = served.elapsed();
        let successor = asked.pid();
        match asked.give(&listeners, &handed, since) {
            Ok(()) => {
                supervisor.succeeded_by(successor);
                tracing::info!(
                    pid = successor,
                    drained_ms = millis(served.duration_since(since)),
                    released_ms = millis(released),
                    taken_ms = millis(served.elapsed().saturating_sub(released)),
                    "handed over"
                );
                std::thread::sleep(LAST_WORD);
                return Ok(());
            }
            Err(error) => {
                tracing::error!("nothing is handed over, this process goes on: {error}");
                Life { gateway, listeners } = again(args, snapshot, listeners, handed)?;
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn no(what: &'static str) -> impl FnOnce(std::io::Error) -> NotStarted {
    move |error| NotStarted {
        why: format!("{what}: {error}"),
        code: 1,
    }
}

/// The configuration as it is on disk.
fn read(args: &Run) -> Result<Arc<Snapshot>, NotStarted> {
    match Gateway::read(&args.config, &Clock::system()) {
        Ok((snapshot, mistakes)) => {
            report(&mistakes);
            Ok(Arc::new(snapshot))
        }
        Err(StartError::Configuration(mistakes)) => {
            report(&mistakes);
            Err(NotStarted {
                why: format!(
                    "{} in {}. `triseal check` shows the same without starting.",
                    count(&mistakes),
                    args.config.display()
                ),
                code: 2,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn open(
    args: &Run,
    snapshot: Arc<Snapshot>,
    handed: Option<Handed>,
) -> Result<Arc<Gateway>, NotStarted> {
    let gateway = Gateway::open(&args.config, Clock::system(), snapshot, handed)?;
    Ok(Arc::new(gateway))
}

/// Everything from the process that serves now. Whatever fails, that one goes on.
fn take_over(args: &Run, snapshot: Arc<Snapshot>) -> Result<Life, NotStarted> {
    let offered = handover::ask(&snapshot.state_folder(), snapshot.config())?;
    let (listeners, handed, given) = offered.go(snapshot.config())?;
    let remembered = handed.entries();
    let gateway = open(args, snapshot, Some(handed))?;
    let waited = given.confirm()?;
    tracing::info!(
        remembered,
        "took over; new connections waited {} ms",
        waited.as_millis()
    );
    Ok(Life { gateway, listeners })
}

/// Takes everything up again that nobody took.
fn again(
    args: &Run,
    snapshot: Arc<Snapshot>,
    listeners: Listeners,
    handed: Handed,
) -> Result<Life, NotStarted> {
    // What is on disk may be for another version by now; what was in force is at hand.
    let snapshot = match Gateway::read(&args.config, &Clock::system()) {
        Ok((fresh, _)) => Arc::new(fresh),
        Err(_) => snapshot,
    };
    let more = Listeners::bind(snapshot.config(), &listeners.addresses())?;
    let listeners = more.with(listeners, snapshot.config());
    let gateway = open(args, snapshot, Some(handed))?;
    Ok(Life { gateway, listeners })
}

fn open_door(gateway: &Gateway, listeners: &Listeners) -> Option<Arc<Door>> {
    let limits = Arc::clone(gateway.snapshot().limits());
    // Exchanges and errands are given their time one after the other.
    let longest = limits
        .farewell
        .saturating_add(limits.stop_timeout.saturating_mul(2))
        .saturating_add(RELEASE);
    match Door::open(gateway.state_folder(), gateway.name(), listeners, longest) {
        Ok(door) => Some(Arc::new(door)),
        Err(error) => {
            tracing::warn!("no new process will be able to take over: {error}");
            None
        }
    }
}

/// Serves until told to stop or asked to hand over.
fn serve(
    gateway: &Arc<Gateway>,
    listeners: &Listeners,
    door: Option<Arc<Door>>,
    supervisor: &Arc<Supervisor>,
    reloads: Reloads,
) -> Result<Ended, NotStarted> {
    let (watched, told) = (Arc::clone(gateway), Arc::clone(supervisor));
    let watching = std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || reloads.watch(&watched, &told))
        .map_err(no("no thread for reloads"))?;
    let (handlers, doers) = handlers::all(gateway);
    let doing = Errands::begin(gateway, doers).map_err(no("no thread for errands"))?;
    let host = Arc::clone(supervisor);
    let served = edge::run(gateway, handlers, listeners, door, host);
    gateway.begin_stop();
    doing.end();
    if watching.join().is_err() {
        tracing::error!("the reloads' thread panicked");
    }
    Ok(served?)
}

/// Lets go of everything that a process must have alone. What is still being dropped on other threads is waited for.
fn release(gateway: Arc<Gateway>) {
    let left: Weak<Gateway> = Arc::downgrade(&gateway);
    drop(gateway);
    let began = Instant::now();
    while left.strong_count() > 0 {
        if began.elapsed() > RELEASE {
            tracing::error!("something still holds the gateway; its store may not be free");
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The thread that does errands, and what is done again and again.
struct Errands(std::thread::JoinHandle<()>);

impl Errands {
    fn begin(gateway: &Arc<Gateway>, doers: Vec<Box<dyn Doer>>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let gateway = Arc::clone(gateway);
        let thread = std::thread::Builder::new()
            .name("errands".to_owned())
            .spawn(move || {
                runtime.block_on(errands::run(Arc::clone(&gateway), doers));
            })?;
        Ok(Self(thread))
    }

    /// Waits until what is under way has ended.
    fn end(self) {
        if self.0.join().is_err() {
            tracing::error!("the errands' thread panicked");
        }
    }
}

fn announce(gateway: &Gateway) {
    let snapshot = gateway.snapshot();
    for face in &snapshot.config().face {
        tracing::info!(face = face.name, kind = ?face.kind, listen = %face.listen, "serving");
    }
    tracing::info!(listen = %snapshot.config().admin.listen, "admin: /metrics /healthz /readyz");
    let closed_ms = gateway.replay().closed_for_ms(gateway.clock().now());
    if closed_ms > 0 {
        tracing::warn!(
            "no mark of what was accepted before: signed messages are refused for another {} s, so that none can be replayed",
            closed_ms.div_ceil(1000)
        );
    }
}

/// What asks for a reload, and the runtime that waits for it.
struct Reloads {
    runtime: Runtime,
    hangup: Signal,
}

impl Reloads {
    fn listen() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let hangup = {
            let _entered = runtime.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Self { runtime, hangup })
    }

    /// Keeps SIGUSR2 from ending the process until the listeners follow it.
    fn heed_renewals(&self) -> std::io::Result<()> {
        let _entered = self.runtime.enter();
        signal(SignalKind::user_defined2()).map(drop)
    }

    /// Reloads on SIGHUP, on a change of a file, and when a certificate or list changes its standing; until the gateway stops.
    fn watch(self, gateway: &Gateway, supervisor: &Supervisor) {
        let Self {
            runtime,
            mut hangup,
        } = self;
        runtime.block_on(watch(gateway, supervisor, &mut hangup));
    }
}

async fn watch(gateway: &Gateway, supervisor: &Supervisor, hangup: &mut Signal) {
    let mut seen = fingerprints(gateway);
    let mut last_check = gateway.clock().now();
    let mut pulse = gateway.pulse();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
            _ = pulse.wait_for(|pulse| pulse.stopping) => return,
        };
        let now = gateway.clock().now();
        let current = fingerprints(gateway);
        let snapshot = gateway.snapshot();
        snapshot.upstreams().for_each(|u| u.put_away_idle());
        let due = u64::try_from(now.since_ms(last_check)).unwrap_or(0)
            >= u64::try_from(snapshot.limits().recheck.as_millis()).unwrap_or(u64::MAX);
        let changed_standing = due && snapshot.next_change().is_some_and(|at| at <= now);
        if due {
            last_check = now;
        }
        let why = if asked {
            "SIGHUP"
        } else if current != seen {
            "a file changed"
        } else if changed_standing {
            "a certificate or list changed its standing"
        } else {
            continue;
        };
        if asked {
            supervisor.reloading();
        }
        reload(gateway, why);
        if asked {
            supervisor.reloaded();
        }
        seen = fingerprints(gateway);
    }
}

fn reload(gateway: &Gateway, why: &str) {
    match gateway.reload() {
        Ok(mistakes) => {
            report(&mistakes);
            tracing::info!(
                why,
                generation = gateway.snapshot().generation(),
                "configuration reloaded"
            );
        }
        Err(mistakes) => {
            report(&mistakes);
            tracing::error!(
                why,
                "the new configuration has {}; the running one stays in force",
                count(&mistakes)
            );
        }
    }
}

/// Time and size of every file that the configuration names, and the names in its folders.
fn fingerprints(gateway: &Gateway) -> BTreeMap<PathBuf, (Option<SystemTime>, u64)> {
    let snapshot = gateway.snapshot();
    let mut all = BTreeMap::new();
    for path in snapshot.watched() {
        all.insert(path.clone(), fingerprint(path));
        if let Ok(entries) = std::fs::read_dir(path) {
            let tomls = entries
                .flatten()
                .map(|e| e.path())
                .filter(|p| p.extension().is_some_and(|e| e == "toml"));
            for file in tomls {
                let found = fingerprint(&file);
                all.insert(file, found);
            }
        }
    }
    all
}

fn fingerprint(path: &Path) -> (Option<SystemTime>, u64) {
    std::fs::metadata(path).map_or((None, 0), |m| (m.modified().ok(), m.len()))
}

fn report(mistakes: &Mistakes) {
    for mistake in &mistakes.0 {
        match mistake.severity {
            crate::config::Severity::Error => tracing::error!("{mistake}"),
            crate::config::Severity::Warning => tracing::warn!("{mistake}"),
        }
    }
}

fn count(mistakes: &Mistakes) -> String {
    match mistakes.errors() {
        1 => "1 mistake".to_owned(),
        n => format!("{n} mistakes"),
    }
}
