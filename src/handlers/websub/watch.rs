//! What an operator sees of WebSub: gauges, and findings for health.

use serde_json::{Value, json};

use super::{kind, subscribing};
use crate::{
    clock::Moment,
    exchange::{Gateway, rfc3339},
    store::Standing,
};

/// Brings gauges and findings up to date.
pub(super) async fn look(gateway: &Gateway) {
    let mut findings = Vec::new();
    subscriptions(gateway, &mut findings).await;
    let Some(store) = gateway.store() else {
        return;
    };
    for (kind, what) in [
        (kind::DELIVERY, "deliveries are parked"),
        (kind::OUTBOUND, "deliveries to partners are parked"),
        (
            kind::QUARANTINE,
            "deliveries without the hub's signature are in quarantine",
        ),
    ] {
        match store.count(kind, Some(Standing::Parked)).await {
            Ok(parked) => {
                let gauge = gateway.metrics().websub_parked.with_label_values(&[kind]);
                gauge.set(i64::try_from(parked).unwrap_or(i64::MAX));
                if parked > 0 {
                    findings.push(json!({
                        "what": format!("{parked} {what}: `triseal deliveries list --kind {kind}`"),
                    }));
                }
            }
            Err(error) => tracing::error!(%error, "errands cannot be counted"),
        }
    }
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
        let state = states.get(one.name()).cloned().unwrap_or_default();
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
            (None, _) | (_, None) => format!("subscription {name}: the hub has not verified it"),
            (Some(at), Some(silent)) if silent > lease => format!(
                "subscription {name}: nothing was heard of the hub since {}, longer than the lease",
                rfc3339(at)
            ),
            _ if state.denied.is_some() => format!(
                "subscription {name}: the hub denied it: {}",
                state.denied.unwrap_or_default()
            ),
            _ => continue,
        };
        findings.push(json!({"what": what, "secondsLeft": 0}));
    }
}
