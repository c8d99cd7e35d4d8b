//! `triseal run`: one gateway, until told to stop.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::Args;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    clock::Clock,
    config::Mistakes,
    edge,
    exchange::{
        Gateway, StartError,
        errands::{self, Doer},
    },
    handlers, observe,
};

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Run a gateway in the foreground.
///
/// The configuration is checked as a whole before anything listens. It is read again when a file of it changes and at
/// SIGHUP; a version with mistakes is reported and the running one stays. SIGTERM finishes what is under way and stops,
/// SIGINT stops at once.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: PathBuf,
    /// Write the operator's log as JSON lines.
    #[arg(long)]
    log_json: bool,
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
    // First of all: until somebody listens, SIGHUP ends a process.
    let reloads = match Reloads::listen() {
        Ok(reloads) => reloads,
        Err(error) => {
            tracing::error!("not started: SIGHUP cannot be followed: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (gateway, mistakes) = match Gateway::start(&args.config, Clock::system()) {
        Ok(started) => started,
        Err(StartError::Configuration(mistakes)) => {
            report(&mistakes);
            tracing::error!(
                "not started: {} in {}. `triseal check` shows the same without starting.",
                count(&mistakes),
                args.config.display()
            );
            return ExitCode::from(2);
        }
        Err(error) => {
            tracing::error!("not started: {error}");
            return ExitCode::from(2);
        }
    };
    report(&mistakes);
    let gateway = Arc::new(gateway);
    announce(&gateway);
    let watcher = Arc::clone(&gateway);
    let watching = std::thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || reloads.watch(&watcher));
    if let Err(error) = watching {
        tracing::error!(%error, "not started: no thread for reloads");
        return ExitCode::FAILURE;
    }
    let (handlers, doers) = handlers::all(&gateway);
    let doing = match Errands::begin(&gateway, doers) {
        Ok(doing) => doing,
        Err(error) => {
            tracing::error!(%error, "not started: no thread for errands");
            return ExitCode::FAILURE;
        }
    };
    let served = edge::run(&gateway, handlers);
    gateway.begin_stop();
    doing.end();
    gateway.stop();
    match served {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("not started: {error}");
            ExitCode::from(2)
        }
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

    /// Reloads on SIGHUP, on a change of a file, and when a certificate or list changes its standing.
    fn watch(self, gateway: &Gateway) {
        let Self {
            runtime,
            mut hangup,
        } = self;
        runtime.block_on(watch(gateway, &mut hangup));
    }
}

async fn watch(gateway: &Gateway, hangup: &mut Signal) {
    let mut seen = fingerprints(gateway);
    let mut last_check = gateway.clock().now();
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
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
        reload(gateway, why);
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
