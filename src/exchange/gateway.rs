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

use super::{
    Connection, Shed, Snapshot, errands, evidence, identify, overload, reactor::Reactor,
    record::rfc3339, registry,
};
use crate::{
    clock::{Clock, Moment},
    config::Mistakes,
    envelope::{Handed, ReplayGuard},
    evidence::Evidence,
    observe::{AccessLog, Line, Metrics},
    partners::Beside,
    refusal::{Code, Refusal},
    shared::Shared,
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
    /// Whether balancers are told to send nothing more.
    pub unready: bool,
    /// Whether each answer says that it is its connection's last, and no errand is begun.
    pub leaving: bool,
    /// Whether the gateway stops: no connection is accepted and no exchange begun.
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
    shared: Shared,
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
    /// The runtime of each face that there is, by its name.
    reactors: BTreeMap<String, Reactor>,
    connections: AtomicUsize,
    /// Faces whose socket is bound and accepted from.
    accepting: AtomicUsize,
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
        let (snapshot, mistakes) = Self::read(config_file, &clock)?;
        let gateway = Self::open(config_file, clock, Arc::new(snapshot), None)?;
        Ok((gateway, mistakes))
    }

    /// Reads and checks the configuration and everything it names, and touches no state.
    ///
    /// # Errors
    /// Every mistake in the configuration.
    pub fn read(config_file: &Path, clock: &Clock) -> Result<(Snapshot, Mistakes), StartError> {
        let (snapshot, mistakes) = Snapshot::build(config_file, clock, None);
        match snapshot {
            Some(snapshot) => Ok((snapshot, mistakes)),
            None => Err(StartError::Configuration(mistakes)),
        }
    }

    /// Opens what a snapshot needs: state folder, store, logs. With what another process has handed over, it goes on where
    /// that one ended. Everything is given back when the gateway is dropped.
    ///
    /// # Errors
    /// A state folder, store or log that cannot be used.
    pub fn open(
        config_file: &Path,
        clock: Clock,
        snapshot: Arc<Snapshot>,
        handed: Option<Handed>,
    ) -> Result<Self, StartError> {
        let io = |what: String| move |error| StartError::Io { what, error };
        let now = clock.now();
        let config = snapshot.config();
        let state = snapshot.state_folder().to_path_buf();
        std::fs::create_dir_all(&state).map_err(io(format!("state folder {}", state.display())))?;
        let began = Instant::now();
        let faces = config.face.iter();
        let reactors = faces
            .map(|face| (face.name.clone(), Reactor::new(began)))
            .collect();
        let (window, replay_max) = (snapshot.window(), config.limits.replay_max);
        let metrics = Metrics::new()?;
        let store = snapshot
            .store()
            .map(|location| Store::open_watched(location, watch(&metrics)))
            .transpose()?;
        let snapshot = registry::at_start(config_file, &clock, snapshot, store.as_ref())?;
        let config = snapshot.config();
        let replay = match handed {
            Some(handed) => ReplayGuard::take_over(&state, window, replay_max, handed),
            None => ReplayGuard::open(&state, window, replay_max, now),
        }
        .map_err(io(format!("replay mark in {}", state.display())))?;
        let shared = Shared::open(snapshot.shared(), &state, &clock)
            .map_err(io(format!("shared state in {}", state.display())))?;
        snapshot.share_tokens(shared.tokens());
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
            snapshot: ArcSwap::new(snapshot),
            reloading: Mutex::new(()),
            pulse: watch::Sender::new(Pulse::default()),
            replay,
            shared,
            store,
            evidence,
            metrics,
            heard: Mutex::default(),
            reported: Mutex::default(),
            access,
            started: now,
            in_flight: AtomicUsize::new(0),
            reactors,
            connections: AtomicUsize::new(0),
            accepting: AtomicUsize::new(0),
            correlation_prefix: u64::from_be_bytes(random),
            correlation_next: AtomicU64::new(0),
        };
        Ok(gateway)
    }

    /// The configuration's file.
    pub(super) fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// Reads everything anew and publishes it when it is right; else the running configuration stays.
    ///
    /// # Errors
    /// Every mistake in the new version.
    pub fn reload(&self) -> Result<Mistakes, Mistakes> {
        self.reload_beside(None)
    }

    /// The same, with something else beside the files than is in force.
    pub(super) fn reload_beside(&self, beside: Option<Beside>) -> Result<Mistakes, Mistakes> {
        let _one = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let previous = self.snapshot();
        // Never back to what was before, when two have read the store one after the other.
        let beside = beside.filter(|new| new.revision > previous.beside().revision);
        let beside = beside.as_ref().unwrap_or_else(|| previous.beside());
        let (next, mut mistakes) =
            Snapshot::build_with(&self.config_file, &self.clock, Some(&previous), beside);
        let Some(next) = next else {
            self.metrics.reloads.with_label_values(&["refused"]).inc();
            return Err(mistakes);
        };
        previous.warn_of_fixed_settings(&next, &self.config_file, &mut mistakes);
        self.publish(next);
        Ok(mistakes)
    }

    /// Publishes everything anew with something more beside the files. `keep` runs when the new snapshot is right and before it is in force;
    /// when it fails, nothing has changed.
    ///
    /// # Errors
    /// Every mistake in the new version, or what `keep` said.
    pub(super) fn reload_with<E>(
        &self,
        beside: impl FnOnce(&Snapshot) -> Result<Beside, E>,
        keep: impl FnOnce() -> Result<(), E>,
        refuse: impl FnOnce(Mistakes) -> E,
    ) -> Result<(), E> {
        let _one = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let previous = self.snapshot();
        let beside = beside(&previous)?;
        let (next, mistakes) =
            Snapshot::build_with(&self.config_file, &self.clock, Some(&previous), &beside);
        let next = next.ok_or_else(|| refuse(mistakes))?;
        keep()?;
        self.publish(next);
        Ok(())
    }

    fn publish(&self, next: Snapshot) {
        let generation = next.generation();
        next.share_tokens(self.shared.tokens());
        if let Some(evidence) = &self.evidence {
            evidence::use_signer(evidence, &next, self.clock.now());
        }
        self.snapshot.store(Arc::new(next));
        self.metrics.reloads.with_label_values(&["published"]).inc();
        self.pulse
            .send_modify(|pulse| pulse.generation = generation);
    }

    /// The snapshot in force. A request takes it once.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Changes each time a snapshot is published, and when the gateway stops.
    pub fn pulse(&self) -> watch::Receiver<Pulse> {
        self.pulse.subscribe()
    }

    /// Says on `/readyz` that nothing more should be sent here, and serves on.
    pub fn begin_unready(&self) {
        self.pulse.send_modify(|pulse| pulse.unready = true);
    }

    /// Each answer is the last on its connection from here on, and no errand is begun.
    pub fn begin_leave(&self) {
        self.pulse.send_modify(|pulse| pulse.leaving = true);
    }

    /// No new connections, and no new exchanges on open ones; what is under way is finished.
    pub fn begin_stop(&self) {
        self.pulse.send_modify(|pulse| {
            pulse.leaving = true;
            pulse.stopping = true;
        });
    }

    /// Whether a face still accepts, or connections are still open.
    pub fn busy(&self) -> bool {
        self.accepting() > 0 || self.connections.load(Ordering::SeqCst) > 0
    }

    /// Whether connections are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Faces that accept connections now.
    pub fn accepting(&self) -> usize {
        self.accepting.load(Ordering::SeqCst)
    }

    /// Whether every face accepts connections.
    pub fn accepts_everywhere(&self) -> bool {
        self.accepting() >= self.reactors.len()
    }

    /// Counts a face as accepting for as long as the guard lives.
    pub fn accepts(self: &Arc<Self>) -> Accepts {
        self.accepting.fetch_add(1, Ordering::SeqCst);
        Accepts(Arc::clone(self))
    }

    /// The last act: what must outlive the process is written.
    pub fn stop(&self) {
        if let Err(error) = self.replay.close() {
            tracing::error!(%error, "the replay mark could not be written; the next start begins closed");
        }
        if let Err(error) = self.shared.close() {
            tracing::error!(%error, "the day's quotas could not be written; partners lose up to a hundredth of their day");
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

    /// What is shared with other gateways.
    pub const fn shared(&self) -> &Shared {
        &self.shared
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
            for byte in number.to_be_bytes() {
                for nibble in [byte >> 4, byte & 0xf] {
                    let digit = b"0123456789abcdef".get(usize::from(nibble));
                    id.push(char::from(*digit.unwrap_or(&b'0')));
                }
            }
        }
        id
    }

    /// The correlation id that something came with, or else one for what begins here.
    pub fn known_or_new(&self, known: String) -> String {
        if known.is_empty() {
            return self.new_correlation_id();
        }
        known
    }

    /// A place for one exchange.
    ///
    /// # Errors
    /// `GW-001` when all are taken, or work has to wait too long for a processor.
    pub(super) fn enter(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        connection: &Connection,
        now: Moment,
    ) -> Result<Place, Refusal> {
        let place = Place(Arc::clone(self));
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let delay = self.reactor_delay(&connection.face);
        overload::check(snapshot, connection, before, delay, now).map_err(|(who, refusal)| {
            self.shed(&connection.face, who);
            refusal
        })?;
        Ok(place)
    }

    /// Exchanges that have begun and not ended.
    pub(super) fn under_way(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How late the work of a face's runtime is.
    pub fn reactor_delay(&self, face: &str) -> Duration {
        let reactor = self.reactors.get(face);
        reactor.map_or(Duration::ZERO, |reactor| reactor.delay(Instant::now()))
    }

    /// Whether a connection is a partner's, as far as its certificate says, or one of our own services'.
    pub fn knows(&self, connection: &Connection) -> bool {
        overload::is_known(&self.snapshot(), connection, self.clock.now())
    }

    /// Counts what was refused as overload.
    pub fn shed(&self, face: &str, who: Shed) {
        (self.metrics.shed)
            .with_label_values(&[face, who.as_str()])
            .inc();
    }

    /// Watches how late the calling runtime is, which is that of `face`. Never returns for a face that there is.
    pub async fn watch_reactor(&self, face: &str) {
        if let Some(reactor) = self.reactors.get(face) {
            let histogram = &self.metrics.reactor_delay;
            reactor
                .watch(|late| histogram.observe(late.as_secs_f64()))
                .await;
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::SeqCst);
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
        let correlation_id = &*self.new_correlation_id();
        let partner = evidence::refused_at_the_gate(self, connection, code, correlation_id);
        self.access.write(&Line {
            time: self.clock.now(),
            gateway: &self.name,
            correlation_id,
            face: &connection.face,
            from: &connection.peer_text,
            http: "1.1",
            method: "-",
            route: None,
            partner: partner
                .as_ref()
                .map(|caller| caller.partner().id().as_str()),
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
        if let Some(redis) = self.shared.redis() {
            let gone = redis.gone().is_some();
            self.metrics.shared_up.set(i64::from(!gone));
            let alone_ms = redis.alone_ms(self.clock.now()).filter(|_| gone);
            self.metrics
                .shared_alone_left
                .set(alone_ms.unwrap_or(0) / 1000);
        }
        snapshot.refresh_metrics(&self.metrics, self.clock.now());
    }

    /// What is wrong, and how long it can last.
    pub fn health(&self) -> Value {
        let now = self.clock.now();
        let snapshot = self.snapshot();
        let mut findings = snapshot.findings(now);
        findings.extend(snapshot.left_out().map(|one| {
            let what = format!(
                "a change of the registry is not in force: {}: {}",
                one.key, one.why
            );
            json!({"what": what})
        }));
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        findings.extend(reported.values().flatten().cloned());
        drop(reported);
        if let Some((what, left)) = self.shared.finding(now) {
            findings.push(json!({"what": what, "secondsLeft": left}));
        }
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
        let pulse = *self.pulse.borrow();
        if pulse.unready {
            why.push("the gateway is stopping".to_owned());
        } else if !pulse.stopping && !self.accepts_everywhere() {
            why.push("not every face accepts connections yet".to_owned());
        }
        // Without its store a gateway serves what does not need it; a balancer that sent everything elsewhere would find the
        // same there.
        let without =
            (self.store.as_ref()).map_or_else(Vec::new, |s| errands::store_findings(s, now));
        let ready = why.is_empty();
        (
            ready,
            json!({"ready": ready, "why": why, "without": without}),
        )
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

/// A face that accepts connections; counted until dropped.
#[derive(Debug)]
pub struct Accepts(Arc<Gateway>);

impl Drop for Accepts {
    fn drop(&mut self) {
        self.0.accepting.fetch_sub(1, Ordering::SeqCst);
    }
}
