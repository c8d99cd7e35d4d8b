//! Prometheus metrics. Labels come from configuration and from the list of codes, never from a request.

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::EvidenceMetrics;
use crate::refusal::Code;

/// One histogram a step, each found once: an exchange touches two of them.
#[derive(Clone, Debug)]
pub struct CryptoSeconds {
    /// Verifying and opening a caller's message.
    pub open: Histogram,
    /// Signing a message for the upstream.
    pub sign_request: Histogram,
    /// Opening the identity of an upstream's answer.
    pub open_identity: Histogram,
    /// Sealing and signing an answer.
    pub seal: Histogram,
}

impl CryptoSeconds {
    fn of(steps: &HistogramVec) -> Self {
        let step = |name| steps.with_label_values(&[name]);
        Self {
            open: step("open"),
            sign_request: step("sign_request"),
            open_identity: step("open_identity"),
            seal: step("seal"),
        }
    }
}

/// Every metric of the gateway.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Exchanges by route, partner and outcome (`answered` or a code).
    pub exchanges: IntCounterVec,
    /// Refusals by face and code, also of strangers.
    pub refusals: IntCounterVec,
    /// Seconds from arrival to answer, by route.
    pub exchange_seconds: HistogramVec,
    /// Seconds spent on the upstream, by upstream.
    pub upstream_seconds: HistogramVec,
    /// Upstream failures by upstream and code.
    pub upstream_failures: IntCounterVec,
    /// Seconds of private-key and other heavy cryptography in an exchange.
    pub crypto_seconds: CryptoSeconds,
    /// Seconds of the operator's rules in an exchange, by hook (`admit`, `permit`).
    pub rules_seconds: HistogramVec,
    /// Exchanges under way, by face.
    pub in_flight: IntGaugeVec,
    /// Open connections, by face.
    pub connections: IntGaugeVec,
    /// TLS handshakes by face and outcome.
    pub handshakes: IntCounterVec,
    /// How late the reactor is: the queue time of private-key work.
    pub reactor_delay: Histogram,
    /// Certificate end, as seconds since 1970, by party and role.
    pub certificate_expiry: GaugeVec,
    /// Seconds until a revocation list stops being accepted, by anchor.
    pub revocation_seconds_left: GaugeVec,
    /// Tokens fetched from MOSIP's authmanager, by login and outcome (`fetched` or a code).
    pub logins: IntCounterVec,
    /// Seconds for which a login's token still holds, by login.
    pub login_token_seconds_left: GaugeVec,
    /// Seconds until E-Signet's keys are too old to be used.
    pub esignet_keys_seconds_left: IntGauge,
    /// Messages remembered against replay.
    pub replay_entries: IntGauge,
    /// Generation of the snapshot in force.
    pub snapshot_generation: IntGauge,
    /// Reloads by outcome.
    pub reloads: IntCounterVec,
    /// WebSub deliveries by subscription and outcome.
    pub websub_deliveries: IntCounterVec,
    /// Events about the registry by topic and outcome.
    pub registry_events: IntCounterVec,
    /// Seconds since the hub of a subscription was last heard of.
    pub websub_silent: IntGaugeVec,
    /// Access log lines lost.
    pub access_log_lost: IntCounter,
    /// Errands that are not done, by kind, standing and step.
    pub errands: IntGaugeVec,
    /// Seconds since the oldest open errand was stored, by kind.
    pub errand_oldest: GaugeVec,
    /// Attempts at errands by kind and what came of them.
    pub errand_attempts: IntCounterVec,
    /// Seconds of each commit of the store.
    pub store_commit_seconds: Histogram,
    /// Commits of the store that failed.
    pub store_failures: IntCounter,
    /// What was refused as overload, by face and who it was.
    pub shed: IntCounterVec,
    /// Whether the shared state is there.
    pub shared_up: IntGauge,
    /// Seconds for which this gateway may go on without it.
    pub shared_alone_left: IntGauge,
    /// Certificates that partners replaced themselves, by role.
    pub replacements: IntCounterVec,
    /// When the process started, as seconds since 1970.
    pub start_time: Gauge,
    /// The evidence log.
    pub evidence: EvidenceMetrics,
}

/// Two names for one metric, or one that Prometheus does not take: a mistake in this file.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

impl Metrics {
    /// Makes and registers all of them.
    ///
    /// # Errors
    /// Only for a mistake in this file.
    #[expect(clippy::too_many_lines, reason = "a list: one line for each metric")]
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let made = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(made.clone()))?;
                Ok(made)
            };
        let histograms =
            |name: &str, help: &str, labels: &[&str]| -> Result<HistogramVec, prometheus::Error> {
                let made = HistogramVec::new(
                    HistogramOpts::new(name, help).buckets(SECONDS.to_vec()),
                    labels,
                )?;
                registry.register(Box::new(made.clone()))?;
                Ok(made)
            };
        let gauges =
            |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
                let made = GaugeVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(made.clone()))?;
                Ok(made)
            };
        let int_gauges =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
                let made = IntGaugeVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(made.clone()))?;
                Ok(made)
            };
        let int_gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let made = IntGauge::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let reactor_delay = Histogram::with_opts(
            HistogramOpts::new(
                "triseal_reactor_delay_seconds",
                "How late timers fire: queue time of private-key work.",
            )
            .buckets(SECONDS.to_vec()),
        )?;
        registry.register(Box::new(reactor_delay.clone()))?;
        let access_log_lost =
            IntCounter::new("triseal_access_log_lost_total", "Access log lines lost.")?;
        registry.register(Box::new(access_log_lost.clone()))?;
        let store_commit_seconds = Histogram::with_opts(
            HistogramOpts::new("triseal_store_commit_seconds", "Commits of the store.")
                .buckets(SECONDS.to_vec()),
        )?;
        registry.register(Box::new(store_commit_seconds.clone()))?;
        let store_failures = IntCounter::new(
            "triseal_store_failures_total",
            "Commits of the store that failed.",
        )?;
        registry.register(Box::new(store_failures.clone()))?;
        let start_time = Gauge::new("process_start_time_seconds", "When the process started.")?;
        registry.register(Box::new(start_time.clone()))?;
        let evidence = EvidenceMetrics::new(&registry)?;
        Ok(Self {
            exchanges: counters(
                "triseal_exchanges_total",
                "Exchanges of identified callers by outcome.",
                &["route", "partner", "outcome"],
            )?,
            refusals: counters(
                "triseal_refusals_total",
                "Refusals by code.",
                &["face", "code", "side"],
            )?,
            exchange_seconds: histograms(
                "triseal_exchange_seconds",
                "Arrival to answer.",
                &["route"],
            )?,
            upstream_seconds: histograms(
                "triseal_upstream_seconds",
                "Waiting for the upstream.",
                &["upstream"],
            )?,
            upstream_failures: counters(
                "triseal_upstream_failures_total",
                "Calls that failed.",
                &["upstream", "code"],
            )?,
            crypto_seconds: CryptoSeconds::of(&histograms(
                "triseal_crypto_seconds",
                "Cryptography of one exchange.",
                &["step"],
            )?),
            rules_seconds: rules_seconds(&registry)?,
            in_flight: int_gauges(
                "triseal_exchanges_in_flight",
                "Exchanges under way.",
                &["face"],
            )?,
            connections: int_gauges("triseal_connections", "Open connections.", &["face"])?,
            handshakes: counters(
                "triseal_handshakes_total",
                "TLS handshakes.",
                &["face", "outcome"],
            )?,
            reactor_delay,
            certificate_expiry: gauges(
                "triseal_certificate_expiry_timestamp_seconds",
                "End of a bound certificate.",
                &["party", "role", "fingerprint"],
            )?,
            revocation_seconds_left: gauges(
                "triseal_revocation_list_seconds_left",
                "Until a revocation list is refused, grace included.",
                &["anchor"],
            )?,
            logins: counters(
                "triseal_logins_total",
                "Tokens asked of MOSIP's authmanager.",
                &["login", "outcome"],
            )?,
            login_token_seconds_left: gauges(
                "triseal_login_token_seconds_left",
                "Until the token of a login expires.",
                &["login"],
            )?,
            esignet_keys_seconds_left: int_gauge(
                "triseal_esignet_keys_seconds_left",
                "Until E-Signet's keys are too old to be used; 0 where none are fetched.",
            )?,
            replay_entries: int_gauge(
                "triseal_replay_entries",
                "Messages remembered against replay.",
            )?,
            snapshot_generation: int_gauge(
                "triseal_snapshot_generation",
                "Generation of the configuration in force.",
            )?,
            reloads: counters("triseal_reloads_total", "Reloads by outcome.", &["outcome"])?,
            websub_deliveries: counters(
                "triseal_websub_deliveries_total",
                "Deliveries of the hub by outcome.",
                &["subscription", "outcome"],
            )?,
            registry_events: counters(
                "triseal_registry_events_total",
                "Events about the registry by outcome.",
                &["topic", "outcome"],
            )?,
            websub_silent: int_gauges(
                "triseal_websub_silent_seconds",
                "Since the hub of a subscription was last heard of.",
                &["subscription"],
            )?,
            access_log_lost,
            errands: int_gauges(
                "triseal_errands",
                "Errands that are not done.",
                &["kind", "standing", "step"],
            )?,
            errand_oldest: gauges(
                "triseal_errand_oldest_age_seconds",
                "Since the oldest open errand was stored.",
                &["kind"],
            )?,
            errand_attempts: counters(
                "triseal_errand_attempts_total",
                "Attempts at errands by what came of them.",
                &["kind", "outcome"],
            )?,
            store_commit_seconds,
            store_failures,
            replacements: counters(
                "triseal_certificate_replacements_total",
                "Certificates that partners replaced themselves",
                &["role"],
            )?,
            shed: counters(
                "triseal_shed_total",
                "Refused as overload, by who it was.",
                &["face", "who"],
            )?,
            shared_up: int_gauge(
                "triseal_shared_up",
                "1 when the server of the shared state is there; 0 also where none is configured.",
            )?,
            shared_alone_left: int_gauge(
                "triseal_shared_alone_seconds_left",
                "While the shared state is gone: for how long this gateway goes on alone.",
            )?,
            start_time,
            evidence,
            registry,
        })
    }

    /// Lets the count of a code on a face begin at zero, so that its first refusal is seen as one.
    pub fn known_code(&self, face: &str, code: Code) {
        self.refusals
            .with_label_values(&[face, code.as_str(), code.side().as_str()]);
    }

    /// Counts a refusal.
    pub fn refused(&self, face: &str, code: Code) {
        self.refusals
            .with_label_values(&[face, code.as_str(), code.side().as_str()])
            .inc();
    }

    /// The text form that Prometheus reads.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics could not be written");
        }
        text
    }
}

/// A decision takes microseconds: buckets of its own.
fn rules_seconds(registry: &Registry) -> Result<HistogramVec, prometheus::Error> {
    const BUCKETS: &[f64] = &[
        0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.1,
    ];
    let options = HistogramOpts::new("triseal_rules_seconds", "Decisions of the rules.");
    let made = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["hook"])?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
