//! The process: what lives longer than a snapshot.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Connection, Limits, Snapshot, errands, evidence, identify, record::rfc3339};
use crate::{
    clock::{Clock, Moment},
    config::Mistakes,
    envelope::ReplayGuard,
    evidence::Evidence,
    observe::{AccessLog, Line, Metrics},
    refusal::{Code, Refusal},
    store::{Store, Watch},
};

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has mistakes.
    #[error("{0}")]
    Configuration(Mistakes),
    /// The state folder or a log cannot be used.
    #[error("{what}: {error}. Check the path and the permissions.")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The store cannot be used.
    #[error("{0}. Check `store` in the configuration.")]
    Store(#[from] crate::store::StoreError),
    /// The evidence log cannot be used.
    #[error("{0}")]
    Evidence(#[from] crate::evidence::LogError),
    /// A mistake of ours.
    #[error("{0}")]
    Metrics(#[from] crate::observe::MetricsError),
}

/// What open connections have to hear of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// The generation of the snapshot in force.
    pub generation: u64,
    /// Whether the gateway stops.
    pub stopping: bool,
}

/// One running gateway.
#[derive(Debug)]
pub struct Gateway {
    config_file: PathBuf,
    name: String,
    state: PathBuf,
    clock: Clock,
    snapshot: ArcSwap<Snapshot>,
    /// One reload at a time.
    reloading: Mutex<()>,
    pulse: watch::Sender<Pulse>,
    replay: ReplayGuard,
    store: Option<Store>,
    evidence: Option<Evidence>,
    metrics: Metrics,
    /// When a hub was last heard of, by subscription.
    heard: Mutex<BTreeMap<String, Moment>>,
    /// What those who do errands have found wrong.
    reported: Mutex<BTreeMap<&'static str, Vec<Value>>>,
    access: AccessLog,
    started: Moment,
    in_flight: AtomicUsize,
    /// How late the busiest reactor was when it last looked, in microseconds.
    reactor_delay_us: AtomicU64,
    connections: AtomicUsize,
    /// A random beginning and a counter: unique, and cheap.
    correlation_prefix: u64,
    correlation_next: AtomicU64,
}

impl Gateway {
    /// Reads the configuration and everything it names. Nothing listens yet.
    ///
    /// # Errors
    /// Every mistake in the configuration, or a state folder or log that cannot be used.
    pub fn start(config_file: &Path, clock: Clock) -> Result<(Self, Mistakes), StartError> {
        let io = |what: String| move |error| StartError::Io { what, error };
        let now = clock.now();
        let (snapshot, mistakes) = Snapshot::build(config_file, &clock, None);
        let Some(snapshot) = snapshot else {
            return Err(StartError::Configuration(mistakes));
        };
        let config = snapshot.config();
        let state = snapshot.state_folder().to_path_buf();
        std::fs::create_dir_all(&state).map_err(io(format!("state folder {}", state.display())))?;
        let replay = ReplayGuard::open(&state, snapshot.window(), config.limits.replay_max, now)
            .map_err(io(format!("replay mark in {}", state.display())))?;
        let metrics = Metrics::new()?;
        let store = snapshot
            .store()
            .map(|(url, base, keys)| Store::open_watched(url, base, keys, watch(&metrics)))
            .transpose()?;
        let evidence = evidence::start(&snapshot, &metrics.evidence, &clock)?;
        let access = AccessLog::start(snapshot.access_file().as_deref())
            .map_err(io("access log".to_owned()))?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        metrics.start_time.set(now.s() as f64);
        let mut random = [0_u8; 8];
        // Only uniqueness is asked of the id; without randomness the start time still gives it.
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            random = now.ms().to_be_bytes();
        }
        let gateway = Self {
            config_file: config_file.to_path_buf(),
            name: config.gateway.name.clone(),
            state,
            clock,
            snapshot: ArcSwap::from_pointee(snapshot),
            reloading: Mutex::new(()),
            pulse: watch::Sender::new(Pulse::default()),
            replay,
            store,
            evidence,
            metrics,
            heard: Mutex::default(),
            reported: Mutex::default(),
            access,
            started: now,
            in_flight: AtomicUsize::new(0),
            reactor_delay_us: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            correlation_prefix: u64::from_be_bytes(random),
            correlation_next: AtomicU64::new(0),
        };
        Ok((gateway, mistakes))
    }

    /// Reads everything anew and publishes it when it is right; else the running configuration stays.
    ///
    /// # Errors
    /// Every mistake in the new version.
    pub fn reload(&self) -> Result<Mistakes, Mistakes> {
        let _one = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let previous = self.snapshot();
        let (next, mut mistakes) = Snapshot::build(&self.config_file, &self.clock, Some(&previous));
        let Some(next) = next else {
            self.metrics.reloads.with_label_values(&["refused"]).inc();
            return Err(mistakes);
        };
        previous.warn_of_fixed_settings(&next, &self.config_file, &mut mistakes);
        let generation = next.generation();
        if let Some(evidence) = &self.evidence {
            evidence::use_signer(evidence, &next, self.clock.now());
        }
        self.snapshot.store(Arc::new(next));
        self.metrics.reloads.with_label_values(&["published"]).inc();
        self.pulse
            .send_modify(|pulse| pulse.generation = generation);
        Ok(mistakes)
    }

    /// The snapshot in force. A request takes it once.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Changes each time a snapshot is published, and when the gateway stops.
    pub fn pulse(&self) -> watch::Receiver<Pulse> {
        self.pulse.subscribe()
    }

    /// No new exchanges on open connections; what is under way is finished.
    pub fn begin_stop(&self) {
        self.pulse.send_modify(|pulse| pulse.stopping = true);
    }

    /// Whether connections are still open.
    pub fn busy(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }

    /// The last act: what must outlive the process is written.
    pub fn stop(&self) {
        if let Err(error) = self.replay.close() {
            tracing::error!(%error, "the replay mark could not be written; the next start begins closed");
        }
        if let Some(evidence) = &self.evidence {
            evidence.stop();
        }
        self.access.stop();
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder for state.
    pub fn state_folder(&self) -> &Path {
        &self.state
    }

    /// The clock.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The replay memory.
    pub const fn replay(&self) -> &ReplayGuard {
        &self.replay
    }

    /// The metrics.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The durable store, where one is configured.
    pub const fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The evidence log, where one is configured.
    pub const fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// Takes note that a hub was heard of: a delivery it signed, or its question.
    pub fn heard(&self, subscription: &str) {
        let now = self.clock.now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(subscription.to_owned(), now);
    }

    /// When a subscription's hub was last heard of, in this process.
    pub fn last_heard(&self, subscription: &str) -> Option<Moment> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(subscription).copied()
    }

    /// Replaces what is shown on the health page under this name.
    pub fn report(&self, who: &'static str, findings: Vec<Value>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(who, findings);
    }

    pub(super) const fn access(&self) -> &AccessLog {
        &self.access
    }

    /// A correlation id for what begins here.
    pub fn new_correlation_id(&self) -> String {
        let n = self.correlation_next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(32);
        for number in [self.correlation_prefix, n] {
            for nibble in (0..64_u32).step_by(4).rev() {
                let digit = u32::try_from((number >> nibble) & 0xf).unwrap_or_default();
                id.push(char::from_digit(digit, 16).unwrap_or('0'));
            }
        }
        id
    }

    /// A place for one exchange.
    ///
    /// # Errors
    /// `GW-001` when all are taken, or work has to wait too long for a processor.
    pub(super) fn enter(self: &Arc<Self>, limits: &Limits) -> Result<Place, Refusal> {
        let place = Place(Arc::clone(self));
        let max = limits.exchanges_max;
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= max {
            return Err(Refusal::new(
                Code::Overloaded,
                format!("{max} exchanges are under way"),
            ));
        }
        let delay = Duration::from_micros(self.reactor_delay_us.load(Ordering::Relaxed));
        if delay > limits.queue_max {
            return Err(Refusal::new(
                Code::Overloaded,
                format!("work waits {} ms for a processor", delay.as_millis()),
            ));
        }
        Ok(place)
    }

    /// Measures how late the calling runtime's timers are, again and again: the queue time of private-key work, which runs
    /// on the reactor itself. Never returns.
    pub async fn watch_reactor(&self) {
        const EVERY: Duration = Duration::from_millis(100);
        loop {
            let due = Instant::now().checked_add(EVERY);
            tokio::time::sleep(EVERY).await;
            let late = due.map_or(Duration::ZERO, |due| due.elapsed());
            self.metrics.reactor_delay.observe(late.as_secs_f64());
            let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            self.reactor_delay_us.store(late, Ordering::Relaxed);
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(self))
    }

    /// Whether an open connection has lost its right to be here.
    pub fn must_leave(&self, connection: &Connection) -> bool {
        let refused =
            identify::still_admitted(&self.snapshot(), connection, self.clock.now()).err();
        if let Some(refusal) = &refused {
            tracing::info!(face = &*connection.face, cause = %refusal, "an open connection is ended");
        }
        refused.is_some()
    }

    /// Records what the HTTP gate refused before it became a request.
    pub fn refused_at_the_gate(&self, connection: &Connection, code: Code) {
        self.metrics.refused(&connection.face, code);
        self.access.write(&Line {
            time: self.clock.now(),
            gateway: &self.name,
            correlation_id: &self.new_correlation_id(),
            face: &connection.face,
            from: &connection.peer_text,
            http: "1.1",
            method: "-",
            route: None,
            partner: None,
            tls_certificate: connection.leaf_fingerprint(),
            signed_by: None,
            outcome: "refused",
            code: Some(code.as_str()),
            cause: Some("refused by the HTTP gate"),
            status: code.status(),
            bytes_in: 0,
            bytes_out: 0,
            took_us: 0,
            upstream_us: 0,
            upstream_status: None,
        });
    }

    /// Brings the gauges up to date before they are read.
    pub fn refresh_metrics(&self) {
        let snapshot = self.snapshot();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics
            .replay_entries
            .set(number(self.replay.entries()));
        self.metrics
            .snapshot_generation
            .set(i64::try_from(snapshot.generation()).unwrap_or(i64::MAX));
        self.metrics
            .in_flight
            .with_label_values(&["all"])
            .set(number(self.in_flight.load(Ordering::Relaxed)));
        let lost = self
            .access
            .lost()
            .saturating_sub(self.metrics.access_log_lost.get());
        self.metrics.access_log_lost.inc_by(lost);
        if let Some(store) = &self.store {
            errands::refresh_metrics(store, &self.metrics, self.clock.now());
        }
        snapshot.refresh_metrics(&self.metrics, self.clock.now());
    }

    /// What is wrong, and how long it can last.
    pub fn health(&self) -> Value {
        let now = self.clock.now();
        let snapshot = self.snapshot();
        let mut findings = snapshot.findings(now);
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        findings.extend(reported.values().flatten().cloned());
        drop(reported);
        findings.extend(self.evidence.iter().flat_map(|e| e.findings(now)));
        if let Some(store) = &self.store {
            findings.extend(errands::findings(store, now));
            let registrations = snapshot.registrations();
            findings.extend(registrations.and_then(|r| r.finding(&store.counts(), now)));
        }
        json!({
            "gateway": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "status": if findings.is_empty() { "well" } else { "ailing" },
            "time": rfc3339(now),
            "uptimeSeconds": now.since_ms(self.started).max(0) / 1000,
            "configurationGeneration": snapshot.generation(),
            "replay": {
                "entries": self.replay.entries(),
                "capacity": self.replay.capacity(),
                "closedForMs": self.replay.closed_for_ms(now),
            },
            "findings": findings,
        })
    }

    /// Whether requests can be served, and if not, why.
    pub fn readiness(&self) -> (bool, Value) {
        let now = self.clock.now();
        let mut why = self.snapshot().blockers(now);
        if self.pulse.borrow().stopping {
            why.push("the gateway is stopping".to_owned());
        }
        (why.is_empty(), json!({"ready": why.is_empty(), "why": why}))
    }
}

fn watch(metrics: &Metrics) -> Watch {
    Watch {
        commit_seconds: metrics.store_commit_seconds.clone(),
        failures: metrics.store_failures.clone(),
    }
}

/// The place of one exchange; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Gateway>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open connection; counted until dropped.
#[derive(Debug)]
pub struct Connected(Arc<Gateway>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
