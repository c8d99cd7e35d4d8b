//! Metrics of the evidence log.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

/// What is measured of evidence.
#[derive(Clone, Debug)]
pub struct EvidenceMetrics {
    /// Records on disk since the start.
    pub records: IntCounter,
    /// Records that should have been written and were not.
    pub lost: IntCounter,
    /// Exchanges of strangers, which are counted and not recorded.
    pub strangers: IntCounter,
    /// Seconds of each group commit.
    pub commit_seconds: Histogram,
    /// Records in each group commit.
    pub batch: Histogram,
    /// Bytes written since the start.
    pub bytes: IntCounter,
    /// Records in the log.
    pub size: IntGauge,
    /// Records that no head covers yet.
    pub unsigned: IntGauge,
    /// Seconds until the disk is full at the growth of the last minutes.
    pub seconds_left: Gauge,
    /// Records whose time had to be moved forward because the clock stepped back.
    pub clock_back: IntCounter,
    /// 1 while records cannot be written.
    pub broken: IntGauge,
    /// Tree heads that were time-stamped.
    pub stamps: IntCounter,
    /// Tries that ended without a time stamp.
    pub stamp_failures: IntCounter,
    /// Records under the last stamped head.
    pub stamped: IntGauge,
}

impl EvidenceMetrics {
    /// Makes and registers them.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let made = IntCounter::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let made = IntGauge::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let made = Histogram::with_opts(options)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let seconds_left = Gauge::new(
            "triseal_evidence_seconds_left",
            "Until the disk is full at the present growth of the evidence log; +Inf where it does not grow.",
        )?;
        registry.register(Box::new(seconds_left.clone()))?;
        Ok(Self {
            records: counter("triseal_evidence_records_total", "Records on disk.")?,
            lost: counter(
                "triseal_evidence_lost_total",
                "Records that could not be written.",
            )?,
            strangers: counter(
                "triseal_evidence_strangers_total",
                "Refusals of strangers: counted, not recorded.",
            )?,
            commit_seconds: histogram(
                "triseal_evidence_commit_seconds",
                "Group commits: one write and one flush to disk.",
                &[
                    0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
                ],
            )?,
            batch: histogram(
                "triseal_evidence_commit_records",
                "Records in a group commit.",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0],
            )?,
            bytes: counter(
                "triseal_evidence_bytes_total",
                "Bytes written to the evidence log.",
            )?,
            size: gauge("triseal_evidence_size", "Records in the evidence log.")?,
            unsigned: gauge(
                "triseal_evidence_unsigned",
                "Records that no tree head covers yet.",
            )?,
            seconds_left,
            clock_back: counter(
                "triseal_evidence_clock_back_total",
                "Records whose time was moved forward because the clock stepped back.",
            )?,
            broken: gauge(
                "triseal_evidence_broken",
                "1 while records cannot be written.",
            )?,
            stamps: counter(
                "triseal_evidence_stamps_total",
                "Tree heads that the authority time-stamped.",
            )?,
            stamp_failures: counter(
                "triseal_evidence_stamp_failures_total",
                "Tries that ended without a time stamp.",
            )?,
            stamped: gauge(
                "triseal_evidence_stamped",
                "Records under the last time-stamped head.",
            )?,
        })
    }
}
