//! What the health page says of the log.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};

use super::Evidence;
use crate::clock::Moment;

/// A commit that took longer is reported.
const SLOW: Duration = Duration::from_millis(500);
/// With less time until the disk is full, it is reported.
const FULL_SOON_S: i64 = 86_400;
/// A clock that is further behind the last record is reported, in milliseconds.
const BEHIND_MS: i64 = 1_000;

impl Evidence {
    /// What is wrong, and how long it can last.
    pub fn findings(&self, now: Moment) -> Vec<Value> {
        let mut findings = Vec::new();
        if let Some(trouble) = self.queue.trouble() {
            findings.push(json!({"what": format!("evidence: {trouble}"), "secondsLeft": 0}));
        }
        let left = self.queue.seconds_left.load(Ordering::Relaxed);
        if left < FULL_SOON_S {
            let what = "evidence: the disk will be full at the present growth";
            findings.push(json!({"what": what, "secondsLeft": left}));
        }
        let took = Duration::from_micros(self.queue.commit_us.load(Ordering::Relaxed));
        if took > SLOW {
            let what = format!(
                "evidence: the disk is slow, the last commit took {} ms",
                took.as_millis()
            );
            findings.push(json!({"what": what}));
        }
        let last = self.queue.lock().last_time;
        let behind = last.map_or(0, |last| last.since_ms(now));
        if behind > BEHIND_MS {
            let what = format!(
                "evidence: the clock is {} s behind the last record; until it has caught up, records bear that record's time",
                behind / 1000
            );
            findings.push(json!({"what": what, "secondsLeft": behind / 1000}));
        }
        let lost = self.metrics.lost.get();
        if lost > 0 {
            findings.push(json!({"what": format!("evidence: {lost} records could not be written since the start"), "lost": lost}));
        }
        findings
    }
}
