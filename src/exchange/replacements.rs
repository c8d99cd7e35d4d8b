//! Certificates that partners replaced themselves: what the configuration says of that, where they are kept, and how they come into
//! force, here at once and at the other gateways of the store within seconds.

use std::{future::Future, path::Path, pin::Pin, sync::Arc};

use super::{Gateway, Snapshot, StartError, errands::Doer};
use crate::{
    clock::{Clock, Moment},
    config::{Config, HandlerKind, Report, Role},
    keys::PublicKey,
    partners::{Kept, KeptReplacement},
    refusal::{Code, Refusal},
    store::{Errand, Filter, NewErrand, Put, Revision, Settlement, Standing, Store, StoreError},
    trust::{Binding, Certificate, Fingerprint, Replacement},
};

/// Checks the settings, and that there is a place to keep what partners do.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let routed = |route: &crate::config::Route| route.handler == HandlerKind::Certificates;
    let routes = config.route.iter().filter(|route| routed(route)).count();
    if routes > 0 && config.store.is_none() {
        report.error(
            "store",
            "partners may replace their certificates, and there is no store to keep them in",
            "Add [store] with a url.",
        );
    }
    let Some(raw) = &config.certificates else {
        return;
    };
    let mut here = report.within("certificates");
    if routes == 0 {
        here.warning(
            "",
            "no route lets partners replace their certificates",
            "Add a [[route]] with handler = \"certificates\", or remove the section.",
        );
    }
    if !(1..=366).contains(&raw.overlap_days) {
        here.error(
            "overlap_days",
            "not between 1 and 366",
            "30 days are the default.",
        );
    }
    if raw.ahead_days > 366 {
        here.error("ahead_days", "more than 366", "30 days are the default.");
    }
    if !(2..=16).contains(&raw.live_max) {
        here.error("live_max", "not between 2 and 16", "3 is the default.");
    }
}

impl Snapshot {
    /// Whether a key is bound to anybody: to us, to a peer, to any partner.
    pub fn knows_key(&self, key: &PublicKey) -> bool {
        let parties = std::iter::once(self.own().certificates())
            .chain(self.peers())
            .chain(self.directory().iter().map(|p| p.certificates()));
        parties
            .flat_map(|party| party.bindings())
            .any(|bound| bound.certificate().key().same_key(key))
    }
}

/// What they are stored as: errands that are never due, one for each.
pub const KIND: &str = "certificate-replacement";
/// The step of one that is bound.
const BOUND: &str = "bound";
/// The step of one that the operator took back.
const WITHDRAWN: &str = "withdrawn";
/// The most that are read.
const KEPT_MAX: usize = 50_000;
/// Nothing is to be done with them.
const NEVER: Moment = Moment::from_s(253_402_300_799);

/// One as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Its number.
    pub id: i64,
    /// Its key in the store.
    pub key: String,
    /// Whether the operator took it back.
    pub withdrawn: bool,
    /// What was replaced; `None` when that cannot be read.
    pub replacement: Option<KeptReplacement>,
}

/// All that are stored, the newest first.
///
/// # Errors
/// When the store fails.
pub async fn stored(store: &Store) -> Result<Vec<Stored>, StoreError> {
    let filter = Filter {
        kind: Some(KIND.to_owned()),
        standing: None,
        limit: KEPT_MAX,
    };
    let all = store.list(filter).await?;
    if all.len() >= KEPT_MAX {
        tracing::error!(
            "more than {KEPT_MAX} replaced certificates are stored: older ones are not bound"
        );
    }
    let read = |errand: &Errand| Stored {
        id: errand.id(),
        key: errand.key().to_owned(),
        withdrawn: errand.step() == WITHDRAWN || errand.standing() == Standing::Done,
        replacement: serde_json::from_slice(errand.body()).ok(),
    };
    Ok(all.iter().map(read).collect())
}

/// Those that are to be bound.
///
/// # Errors
/// When the store fails.
pub async fn kept(store: &Store) -> Result<Kept, StoreError> {
    let all = stored(store).await?;
    let bound = all.into_iter().filter(|one| !one.withdrawn);
    Ok(bound
        .filter_map(|one| {
            if one.replacement.is_none() {
                tracing::error!(
                    number = one.id,
                    "a replaced certificate cannot be read and is not bound"
                );
            }
            one.replacement
        })
        .fold(Kept::default(), Kept::with))
}

/// Takes one back: what it replaced holds again as its file says. Says whether it was there.
///
/// # Errors
/// When that is not on disk.
pub async fn withdraw(store: &Store, key: &str, now: Moment) -> Result<bool, StoreError> {
    let revised = store.revise(KIND, key, now, |errand| {
        let step = WITHDRAWN.to_owned();
        let body = errand.body().to_vec();
        (Revision::Reopen { step, body }, ())
    });
    Ok(revised.await?.is_some())
}

/// Keeps what a partner replaced, and publishes it: when this returns, it is on disk and in force here. `live_max` is asked once
/// more, of the partner as it is now.
///
/// # Errors
/// `GW-004` when it cannot be kept, `GW-002` when the configuration on disk has mistakes, `CRT-010` when another was faster.
pub async fn keep(
    gateway: &Arc<Gateway>,
    partner: &str,
    replacement: &Replacement,
) -> Result<(), Refusal> {
    let now = gateway.clock().now();
    let one = KeptReplacement::new(partner, replacement, now);
    let leaf = replacement.leaf().map(Certificate::fingerprint);
    let leaf =
        leaf.ok_or_else(|| Refusal::new(Code::Fault, "a replacement without a certificate"))?;
    let body = serde_json::to_vec(&one).map_err(|e| Refusal::new(Code::Fault, e.to_string()))?;
    let new = NewErrand {
        kind: KIND,
        key: format!("{partner} {} {leaf}", one.role),
        step: BOUND,
        body,
        due: NEVER,
    };
    let (role, replaces) = (replacement.role, replacement.replaces.clone());
    let (gateway, whose) = (Arc::clone(gateway), partner.to_owned());
    let runtime = tokio::runtime::Handle::current();
    // Everything is read anew, and the store is waited for, one at a time.
    let kept = tokio::task::spawn_blocking(move || {
        gateway.reload_with(
            |current| {
                faster(current, &whose, role, &replaces, now)?;
                Ok(Arc::new(Kept::clone(current.kept()).with(one)))
            },
            || {
                let store = gateway.store();
                let store = store.ok_or_else(|| Refusal::new(Code::StoreDown, "no store"))?;
                let put = runtime.block_on(store.put(new, now));
                let put = put.map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))?;
                match put {
                    Put::Stored => Ok(()),
                    Put::Known(_) => Err(Refusal::new(
                        Code::ReplacementBound,
                        "this certificate was replaced before, and withdrawn",
                    )),
                }
            },
            |mistakes| {
                let cause = format!("the configuration on disk has mistakes: {mistakes}");
                Refusal::new(Code::Fault, cause)
            },
        )
    });
    kept.await
        .map_err(|_| Refusal::new(Code::Fault, "keeping a replacement failed"))?
}

/// Whether the partner replaced something in the same role meanwhile.
fn faster(
    current: &Snapshot,
    partner: &str,
    role: Role,
    replaces: &[Fingerprint],
    now: Moment,
) -> Result<(), Refusal> {
    let partner = current.directory().partner(partner);
    let partner = partner.ok_or_else(|| Refusal::from(Code::PartnerUnknown))?;
    let bindings = partner.certificates().bindings().iter();
    let live: Vec<Fingerprint> = bindings
        .filter(|b| b.role() == role && b.valid_until().s() >= now.s())
        .map(Binding::fingerprint)
        .collect();
    if live == replaces {
        return Ok(());
    }
    let cause = "another certificate of the role was replaced meanwhile";
    Err(Refusal::new(Code::ReplacementTooMany, cause))
}

/// The snapshot with what is stored. When the store is away, the partner files alone are in force until it is back.
pub(super) fn at_start(
    file: &Path,
    clock: &Clock,
    snapshot: Arc<Snapshot>,
    store: Option<&Store>,
) -> Result<Arc<Snapshot>, StartError> {
    // Also where no route is left for it: what was replaced stays replaced.
    let Some(store) = store else {
        return Ok(snapshot);
    };
    // Somewhere else: whoever starts a gateway may be in a runtime or not.
    let read = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| e.to_string())?;
            runtime.block_on(kept(store)).map_err(|e| e.to_string())
        });
        reading
            .join()
            .unwrap_or_else(|_| Err("the thread failed".to_owned()))
    });
    let kept = match read {
        Ok(kept) => kept,
        Err(error) if !wanted(snapshot.config()) => {
            tracing::warn!(error, "what is in the store cannot be read yet");
            return Ok(snapshot);
        }
        Err(error) => {
            tracing::error!(
                error,
                "what partners replaced themselves cannot be read: their files alone hold until the store is back"
            );
            return Ok(snapshot);
        }
    };
    if kept.is_empty() {
        return Ok(snapshot);
    }
    let (next, mistakes) = Snapshot::build_with(file, clock, Some(&snapshot), &Arc::new(kept));
    next.map(Arc::new)
        .ok_or(StartError::Configuration(mistakes))
}

/// Looks at the store again and again, for what other gateways have kept and what was withdrawn.
#[derive(Debug)]
pub struct Follow;

impl Doer for Follow {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// What was withdrawn is done, and forgotten in time. What is bound is never due.
    fn attempt<'a>(
        &'a self,
        _: &'a Arc<Gateway>,
        _: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(std::future::ready(Settlement::Done))
    }

    fn tend<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(follow(gateway))
    }
}

/// Brings what is in the store into force.
async fn follow(gateway: &Arc<Gateway>) {
    let snapshot = gateway.snapshot();
    let Some(store) = gateway
        .store()
        .filter(|_| wanted(snapshot.config()) || !snapshot.kept().is_empty())
    else {
        return;
    };
    let kept = match kept(store).await {
        Ok(kept) if kept == **snapshot.kept() => return,
        Ok(kept) => Arc::new(kept),
        // The store says itself what is wrong with it.
        Err(error) => return tracing::debug!(%error, "replaced certificates cannot be read"),
    };
    // One that was kept here a moment ago may not be in what was read: then the next look is in time.
    let seen = snapshot.generation();
    let still = move |current: &Snapshot| {
        if current.generation() == seen {
            Ok(kept)
        } else {
            Err(None)
        }
    };
    let followed = {
        let gateway = Arc::clone(gateway);
        tokio::task::spawn_blocking(move || gateway.reload_with(still, || Ok(()), Some))
    };
    match followed.await.unwrap_or(Err(None)) {
        Ok(()) => tracing::info!(
            "certificates that partners replaced at another gateway, or that were withdrawn, are in force"
        ),
        Err(None) => {}
        Err(Some(mistakes)) => {
            tracing::error!(%mistakes, "replaced certificates are not in force: the configuration on disk has mistakes");
        }
    }
}

fn wanted(config: &Config) -> bool {
    let handlers = config.route.iter().map(|route| route.handler);
    handlers.into_iter().any(|h| h == HandlerKind::Certificates)
}
