//! The bounds in force, in the units they are used in.

use std::time::Duration;

use crate::config;

/// The bounds of a snapshot.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections of one face.
    pub connections_max: usize,
    /// TLS handshakes at once on one face.
    pub handshakes_max: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Exchanges at once.
    pub exchanges_max: usize,
    /// Exchanges at once of one partner.
    pub exchanges_per_partner_max: usize,
    /// The longest that work may wait for a processor.
    pub queue_max: Duration,
    /// Bytes of a request head.
    pub head_max_bytes: usize,
    /// Header fields in a request head.
    pub headers_max: usize,
    /// Time for a head.
    pub head_timeout: Duration,
    /// Bytes of a body where the route does not say otherwise.
    pub body_max_bytes: usize,
    /// Time for a whole body.
    pub body_timeout: Duration,
    /// Time for a whole exchange.
    pub exchange_timeout: Duration,
    /// Time a connection may be idle.
    pub idle_timeout: Duration,
    /// Streams at once on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Time between two checks of all certificates.
    pub recheck: Duration,
    /// How long a stop is announced on `/readyz` before anything else changes.
    pub stop_delay: Duration,
    /// How long clients are asked to reconnect, before idle connections are closed.
    pub farewell: Duration,
    /// Time given to open exchanges at a stop.
    pub stop_timeout: Duration,
}

impl Limits {
    pub(super) fn new(raw: &config::Config) -> Self {
        let limits = &raw.limits;
        let ms = Duration::from_millis;
        Self {
            connections_max: limits.connections_max,
            handshakes_max: limits.handshakes_max,
            handshake_timeout: ms(limits.handshake_timeout_ms),
            exchanges_max: limits.exchanges_max,
            exchanges_per_partner_max: limits.exchanges_per_partner_max,
            queue_max: ms(limits.queue_max_ms),
            head_max_bytes: limits.head_max_bytes,
            headers_max: limits.headers_max,
            head_timeout: ms(limits.head_timeout_ms),
            body_max_bytes: limits.body_max_bytes,
            body_timeout: ms(limits.body_timeout_ms),
            exchange_timeout: ms(limits.exchange_timeout_ms),
            idle_timeout: ms(limits.idle_timeout_ms),
            h2_streams_max: limits.h2_streams_max,
            recheck: ms(limits.recheck_ms),
            stop_delay: ms(limits.stop_delay_ms),
            farewell: ms(limits.farewell_ms),
            stop_timeout: ms(limits.stop_timeout_ms),
        }
    }

    /// The head's bound as HTTP/2 wants it.
    pub fn head_max_u32(&self) -> u32 {
        u32::try_from(self.head_max_bytes).unwrap_or(u32::MAX)
    }

    /// Every bound must let something through.
    pub(super) fn check(raw: &config::Limits, report: &mut config::Report<'_>) {
        let mut report = report.within("limits");
        let positive: [(&str, u64); 14] = [
            ("connections_max", small(raw.connections_max)),
            ("handshakes_max", small(raw.handshakes_max)),
            ("handshake_timeout_ms", raw.handshake_timeout_ms),
            ("exchanges_max", small(raw.exchanges_max)),
            (
                "exchanges_per_partner_max",
                small(raw.exchanges_per_partner_max),
            ),
            ("queue_max_ms", raw.queue_max_ms),
            ("head_max_bytes", small(raw.head_max_bytes)),
            ("headers_max", small(raw.headers_max)),
            ("head_timeout_ms", raw.head_timeout_ms),
            ("body_timeout_ms", raw.body_timeout_ms),
            ("exchange_timeout_ms", raw.exchange_timeout_ms),
            ("idle_timeout_ms", raw.idle_timeout_ms),
            ("h2_streams_max", u64::from(raw.h2_streams_max)),
            ("replay_max", small(raw.replay_max)),
        ];
        for (name, value) in positive {
            if value == 0 {
                report.error(
                    name,
                    "0 would let nothing through",
                    "Leave it out for the safe default.",
                );
            }
        }
    }
}

fn small(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
