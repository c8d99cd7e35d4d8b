//! Certificates that partners replaced themselves: what the configuration says of that, and whose key a new one must not have.

use super::Snapshot;
use crate::{
    config::{Config, HandlerKind, Report},
    keys::PublicKey,
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

/// Keeps what a partner replaced.
///
/// # Errors
/// `GW-004` when it cannot be kept.
pub async fn keep(
    _gateway: &super::Gateway,
    _partner: &str,
    _replacement: &crate::trust::Replacement,
) -> Result<(), crate::refusal::Refusal> {
    Err(crate::refusal::Refusal::new(
        crate::refusal::Code::StoreDown,
        "no registry of changes",
    ))
}
