//! Certificates that partners replaced themselves: what the configuration says of that, where they are kept, and how they come into
//! force here. The other gateways of the store see them as they see every change (`registry`).

use std::sync::Arc;

use super::{Gateway, Snapshot};
use crate::{
    clock::Moment,
    config::{Config, HandlerKind, Report, Role},
    keys::PublicKey,
    partners::{Beside, Kept, KeptReplacement},
    refusal::{Code, Refusal},
    store::{Over, Store, StoreError},
    trust::{Certificate, Fingerprint, Replacement},
};

/// Checks the settings, and that there is a place to keep what partners do.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let wanted = wanted(config);
    if wanted && config.store.is_none() {
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
    if !wanted {
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

/// The kind of the store's entries in which they are kept, one for each.
pub(super) const ENTRY_KIND: &str = "certificate-replacement";
/// The most that are kept.
const KEPT_MAX: usize = 50_000;

/// One as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Its number.
    pub number: i64,
    /// Its key in the store.
    pub key: String,
    /// What was replaced; `None` when that cannot be read.
    pub replacement: Option<KeptReplacement>,
}

impl Stored {
    /// Whether it is to be bound.
    pub fn is_bound(&self) -> bool {
        self.replacement.as_ref().is_some_and(|one| !one.withdrawn)
    }
}

/// All that are stored, the newest first.
///
/// # Errors
/// When the store fails.
pub async fn stored(store: &Store) -> Result<Vec<Stored>, StoreError> {
    let entries = store.entries(ENTRY_KIND).await?;
    let mut all: Vec<Stored> = (entries.into_iter())
        .map(|entry| Stored {
            number: entry.revision,
            replacement: serde_json::from_slice(&entry.body).ok(),
            key: entry.key,
        })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.number));
    Ok(all)
}

/// Those that are to be bound.
pub(super) async fn kept(store: &Store) -> Result<Kept, StoreError> {
    let bound = |one: Stored| {
        if one.replacement.is_none() {
            tracing::error!(
                key = one.key,
                "a replaced certificate cannot be read and is not bound"
            );
        }
        one.replacement.filter(|one| !one.withdrawn)
    };
    let all = stored(store).await?.into_iter();
    Ok(all.filter_map(bound).fold(Kept::default(), Kept::with))
}

/// Takes one back: what it replaced holds again as its file says. Says whether it was still bound.
///
/// # Errors
/// When that is not on disk.
pub async fn withdraw(store: &Store, one: Stored, now: Moment) -> Result<bool, StoreError> {
    let Some(mut replacement) = one.replacement.filter(|one| !one.withdrawn) else {
        return Ok(false);
    };
    replacement.withdrawn = true;
    let body = serde_json::to_vec(&replacement).map_err(|e| StoreError::Engine(e.to_string()))?;
    let over = Over::Revision(one.number);
    store.put_entry(ENTRY_KIND, &one.key, over, body, now).await
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
    let key = format!("{partner} {} {leaf}", one.role.as_str());
    let (role, replaces) = (replacement.role, replacement.replaces.clone());
    let (gateway, whose) = (Arc::clone(gateway), partner.to_owned());
    let runtime = tokio::runtime::Handle::current();
    // Everything is read anew, and the store is waited for, one at a time.
    let kept = tokio::task::spawn_blocking(move || {
        gateway.reload_with(
            |current| {
                faster(current, &whose, role, &replaces, now)?;
                let beside = current.beside();
                if beside.kept.len() >= KEPT_MAX {
                    let cause = format!("{KEPT_MAX} replaced certificates are kept");
                    return Err(Refusal::new(Code::ReplacementTooMany, cause));
                }
                Ok(Beside {
                    kept: Arc::new(Kept::clone(&beside.kept).with(one)),
                    ..beside.clone()
                })
            },
            || {
                let store = gateway.store();
                let store = store.ok_or_else(|| Refusal::new(Code::StoreDown, "no store"))?;
                let put = store.put_entry(ENTRY_KIND, &key, Over::Nothing, body, now);
                match runtime.block_on(put) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(Refusal::new(
                        Code::ReplacementBound,
                        "this certificate was replaced before, here or at another gateway, or withdrawn",
                    )),
                    Err(e) => Err(Refusal::new(Code::StoreDown, e.to_string())),
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
    let live = partner.certificates().live(role, now);
    if live == replaces {
        return Ok(());
    }
    let cause = "another certificate of the role was replaced meanwhile";
    Err(Refusal::new(Code::ReplacementTooMany, cause))
}

/// Whether partners may replace their certificates.
pub(super) fn wanted(config: &Config) -> bool {
    let mut routes = config.route.iter();
    routes.any(|route| route.handler == HandlerKind::Certificates)
}
