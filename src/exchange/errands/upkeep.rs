//! What the store needs besides: done errands are forgotten with age, and what is open or parked is counted.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    clock::Moment,
    exchange::{Gateway, rfc3339},
    observe::Metrics,
    store::{Standing, Store, StoreError},
};

const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Counts between two rounds of forgetting.
const FORGET_AFTER: u32 = 60;
/// Errands forgotten in one transaction.
const FORGET_BATCH: usize = 500;
const DAY_MS: i64 = 86_400_000;
/// An open errand that has been due for so long means that nobody gets to it.
const LATE_MS: i64 = 600_000;

/// Counts and forgets until the gateway stops.
pub(super) async fn run(gateway: Arc<Gateway>) {
    let Some(store) = gateway.store() else {
        return;
    };
    let mut rounds = 0_u32;
    loop {
        match store.count().await {
            // That is said once, by the store itself.
            Ok(()) | Err(StoreError::Unreachable(_)) => {}
            Err(error) => tracing::error!(%error, "errands cannot be counted"),
        }
        if rounds == 0 {
            forget(&gateway, store).await;
        }
        rounds = rounds.saturating_add(1) % FORGET_AFTER;
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

async fn forget(gateway: &Gateway, store: &Store) {
    let snapshot = gateway.snapshot();
    let Some(settings) = &snapshot.config().store else {
        return;
    };
    let kept_ms = i64::from(settings.retention_days).saturating_mul(DAY_MS);
    let before = gateway.clock().now().plus_ms(kept_ms.saturating_neg());
    loop {
        match store.forget_done(before, FORGET_BATCH).await {
            Ok(FORGET_BATCH..) => tokio::task::yield_now().await,
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%error, "done errands cannot be forgotten");
                return;
            }
        }
    }
}

/// Brings the gauges up to date.
pub(in crate::exchange) fn refresh_metrics(store: &Store, metrics: &Metrics, now: Moment) {
    metrics.errands.reset();
    metrics.errand_oldest.reset();
    for count in store.counts() {
        metrics
            .errands
            .with_label_values(&[
                count.kind.as_str(),
                count.standing.as_str(),
                count.step.as_str(),
            ])
            .set(i64::try_from(count.number).unwrap_or(i64::MAX));
        if count.standing == Standing::Open {
            let oldest = (metrics.errand_oldest).with_label_values(&[count.kind.as_str()]);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds fit")]
            let age = now.since_ms(count.oldest).max(0) as f64 / 1000.0;
            oldest.set(oldest.get().max(age));
        }
    }
}

/// What is wrong with errands and with the store.
pub(in crate::exchange) fn findings(store: &Store, now: Moment) -> Vec<Value> {
    let mut findings = store_findings(store, now);
    for count in store.counts() {
        let (kind, number) = (&count.kind, count.number);
        match count.standing {
            Standing::Parked => findings.push(json!({
                "what": format!("errands of kind {kind}: {number} parked; look at their reasons and have them tried again"),
                "parked": number,
            })),
            Standing::Open => {
                let late = now.since_ms(count.first_due);
                if late > LATE_MS {
                    findings.push(json!({
                        "what": format!("errands of kind {kind}: one has been due for {} s", late / 1000),
                        "open": number,
                    }));
                }
            }
            Standing::Done => {}
        }
    }
    findings
}

/// What is wrong with the store itself, and since when.
pub(in crate::exchange) fn store_findings(store: &Store, now: Moment) -> Vec<Value> {
    let Some(ailing) = store.ailing() else {
        return Vec::new();
    };
    let lasts = ailing.since.elapsed();
    let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
    vec![json!({
        "what": format!("store: {}; what needs it is refused", ailing.why),
        "since": rfc3339(now.plus_ms(lasts_ms.saturating_neg())),
        "lastsSeconds": lasts.as_secs(),
        "secondsLeft": 0,
    })]
}
