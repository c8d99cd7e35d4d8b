//! Errands: what must be done outward although the exchange that asked for it is over, or its caller must not wait.
//!
//! An errand is in the store before anybody is told that it will be done. Whoever does errands of a kind is asked again and
//! again until it is done or parked: a crash in between means that the same step is asked for once more, so every step has
//! to be idempotent.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

mod upkeep;

pub(super) use upkeep::{findings, refresh_metrics, store_findings};

use super::Gateway;
use crate::store::{Errand, Settlement, Store, StoreError};

/// How often the store is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Errands of one kind under way at once.
const AT_ONCE: usize = 16;

/// Does errands of one kind.
pub trait Doer: Send + Sync + std::fmt::Debug {
    /// The kind.
    fn kind(&self) -> &'static str;

    /// Does the errand's next step.
    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>>;

    /// What the doer does besides, again and again, such as renewing a subscription. Called about once a second.
    fn tend<'a>(
        &'a self,
        _gateway: &'a Arc<Gateway>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }
}

/// Does errands until the gateway stops. Without a store there are none; what is done again and again is done all the same.
pub async fn run(gateway: Arc<Gateway>, doers: Vec<Box<dyn Doer>>) {
    let doers: Vec<Arc<dyn Doer>> = doers.into_iter().map(Arc::from).collect();
    let mut busy: JoinSet<&'static str> = JoinSet::new();
    let mut under_way: HashMap<&'static str, usize> = HashMap::new();
    let mut pulse = gateway.pulse();
    let mut tended: HashMap<&'static str, JoinSet<()>> = HashMap::new();
    let mut upkeep = JoinSet::new();
    upkeep.spawn(upkeep::run(Arc::clone(&gateway)));
    upkeep.spawn(super::registry::watch(Arc::clone(&gateway)));
    while !pulse.borrow().leaving {
        while let Some(ended) = busy.try_join_next() {
            if let Ok(kind) = ended
                && let Some(n) = under_way.get_mut(kind)
            {
                *n = n.saturating_sub(1);
            }
        }
        if busy.is_empty() {
            // An attempt that panicked gave no kind back.
            under_way.clear();
        }
        let due = due_kinds(&gateway).await;
        for doer in &doers {
            let tending = tended.entry(doer.kind()).or_default();
            while tending.try_join_next().is_some() {}
            if tending.is_empty() {
                let (gateway, doer) = (Arc::clone(&gateway), Arc::clone(doer));
                tending.spawn(async move { doer.tend(&gateway).await });
            }
            if !due.iter().any(|kind| kind == doer.kind()) {
                continue;
            }
            let n = under_way.entry(doer.kind()).or_default();
            let free = AT_ONCE.saturating_sub(*n);
            match take(&gateway, doer.kind(), free).await {
                Ok(errands) => {
                    for errand in errands {
                        *n = n.saturating_add(1);
                        let (gateway, doer) = (Arc::clone(&gateway), Arc::clone(doer));
                        busy.spawn(async move {
                            attempt(&gateway, doer.as_ref(), errand).await;
                            doer.kind()
                        });
                    }
                }
                // That is said once, by the store itself.
                Err(StoreError::Unreachable(_)) => {}
                Err(error) => tracing::error!(kind = doer.kind(), %error, "errands cannot be read"),
            }
        }
        let rung = async {
            match gateway.store() {
                Some(store) => store.rung().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = rung => {}
            _ = pulse.changed() => {}
            // Something ended: what waits for its place may begin.
            Some(kind) = busy.join_next(), if !busy.is_empty() => {
                if let Ok(kind) = kind && let Some(n) = under_way.get_mut(kind) {
                    *n = n.saturating_sub(1);
                }
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    // What is under way may end; what does not is taken up again after the next start.
    let limit = gateway.snapshot().limits().stop_timeout;
    let ending = async { while busy.join_next().await.is_some() {} };
    if tokio::time::timeout(limit, ending).await.is_err() {
        tracing::warn!(
            "some errands did not end in time; they are taken up again after the next start"
        );
    }
}

/// The kinds that have something to do: most of the time none, and then nothing more is asked.
async fn due_kinds(gateway: &Gateway) -> Vec<String> {
    let Some(store) = gateway.store() else {
        return Vec::new();
    };
    let due = store.due_kinds(gateway.clock().now()).await;
    due.unwrap_or_else(|error| {
        tracing::error!(%error, "errands cannot be read");
        Vec::new()
    })
}

async fn take(
    gateway: &Gateway,
    kind: &'static str,
    free: usize,
) -> Result<Vec<Errand>, StoreError> {
    match gateway.store() {
        Some(store) if free > 0 => {
            let now = gateway.clock().now();
            store.take(kind, now, store.lease(), free).await
        }
        _ => Ok(Vec::new()),
    }
}

async fn attempt(gateway: &Arc<Gateway>, doer: &dyn Doer, errand: Errand) {
    let Some(store) = gateway.store() else {
        return;
    };
    let settlement = tokio::select! {
        biased;
        settlement = doer.attempt(gateway, &errand) => settlement,
        () = lease_lost(gateway, store, &errand) => {
            // Another gateway does this step now, or will; that is harmless, and doing it twice at a time may not be.
            tracing::warn!(
                kind = doer.kind(),
                errand = errand.id(),
                "an attempt is broken off: the errand is not this gateway's any more"
            );
            return;
        }
    };
    let outcome = match &settlement {
        Settlement::Done | Settlement::Finish { .. } => "done",
        Settlement::Next { .. } => "next",
        Settlement::Wait { .. } => "wait",
        Settlement::Retry { .. } => "retry",
        Settlement::Park { .. } => "parked",
    };
    let attempts = &gateway.metrics().errand_attempts;
    attempts.with_label_values(&[doer.kind(), outcome]).inc();
    if let Settlement::Park { reason } = &settlement {
        tracing::error!(
            kind = doer.kind(),
            errand = errand.id(),
            step = errand.step(),
            reason,
            "an errand is parked"
        );
    }
    let now = gateway.clock().now();
    if let Err(error) = store.settle(&errand, settlement, now).await {
        // Its lease runs out, and it is attempted again.
        tracing::error!(kind = doer.kind(), errand = errand.id(), %error, "an errand's outcome could not be stored");
    }
}

/// Prolongs an errand's lease for as long as it is waited for; returns when it is lost, or may be by now.
async fn lease_lost(gateway: &Gateway, store: &Store, errand: &Errand) {
    let lease = store.lease();
    let quarter = lease.checked_div(4).unwrap_or(lease);
    // Counted from before the store was asked, so that it ends here before it does there.
    let mut held_since = Instant::now();
    loop {
        tokio::time::sleep(quarter).await;
        let asked = Instant::now();
        match store.renew(errand, gateway.clock().now(), lease).await {
            Ok(true) => held_since = asked,
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(errand = errand.id(), %error, "a lease could not be prolonged");
                if store.shared() && held_since.elapsed().saturating_add(quarter) >= lease {
                    return;
                }
            }
        }
    }
}
