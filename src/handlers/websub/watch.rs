//! What an operator sees of subscriptions: a gauge, and findings for health. What is parked is counted with all errands.

use serde_json::{Value, json};

use super::subscribing;
use crate::{
    clock::Moment,
    exchange::{Gateway, rfc3339},
};

/// Brings gauges and findings up to date.
pub(super) async fn look(gateway: &Gateway) {
    let mut findings = Vec::new();
    subscriptions(gateway, &mut findings).await;
    gateway.report("websub", findings);
}

async fn subscriptions(gateway: &Gateway, findings: &mut Vec<Value>) {
    let snapshot = gateway.snapshot();
    let Some(all) = snapshot.subscriptions() else {
        return;
    };
    let names: Vec<&str> = all.iter().map(|one| one.name()).collect();
    let states = subscribing::states(gateway, &names).await;
    let now = gateway.clock().now();
    for one in all.iter() {
        let (state, failed) = states.get(one.name()).cloned().unwrap_or_default();
        let verified = state.verified_ms.map(Moment::from_ms);
        let heard = verified.max(gateway.last_heard(one.name()));
        let silent_s = heard.map(|at| now.since_ms(at).max(0) / 1000);
        if let Some(silent) = silent_s {
            let gauge = gateway
                .metrics()
                .websub_silent
                .with_label_values(&[one.name()]);
            gauge.set(silent);
        }
        let lease = i64::try_from(one.lease().as_secs()).unwrap_or(i64::MAX);
        let name = one.name();
        let what = match (heard, silent_s) {
            (None, _) | (_, None) => {
                let why = failed.map_or_else(String::new, |why| format!(": {why}"));
                format!("subscription {name}: the hub has not verified it{why}")
            }
            (Some(at), Some(silent)) if silent > lease => format!(
                "subscription {name}: nothing was heard of the hub since {}, longer than the lease",
                rfc3339(at)
            ),
            _ if state.denied.is_some() => format!(
                "subscription {name}: the hub denied it: {}",
                state.denied.unwrap_or_default()
            ),
            // It may go on delivering; whether it does is not known.
            _ if failed.is_some() => format!(
                "subscription {name}: it cannot be renewed: {}",
                failed.unwrap_or_default()
            ),
            _ => continue,
        };
        findings.push(json!({"what": what, "secondsLeft": 0}));
    }
}
