//! What certificates are found to be, remembered until it can change: a path is verified once, not for every message.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use crate::{
    clock::Moment,
    config::Role,
    trust::{Anchors, Binding, Fingerprint, PartyCertificates, Unusable},
};

/// The verdicts of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Standings(RwLock<HashMap<(Fingerprint, Role), Held>>);

#[derive(Clone, Debug)]
struct Held {
    verdict: Result<(), Unusable>,
    /// The first moment at which the verdict may be another.
    until: Option<Moment>,
}

impl Standings {
    /// The verdict on a binding at `now`. The number of entries is bounded by the number of bindings in the snapshot.
    pub(super) fn judge(
        &self,
        binding: &Binding,
        anchors: &Anchors,
        now: Moment,
    ) -> Result<(), Unusable> {
        let key = (binding.fingerprint(), binding.role());
        {
            let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(held) = held.get(&key)
                && held.until.is_none_or(|until| now < until)
            {
                return held.verdict.clone();
            }
        }
        let verdict = binding.judge(anchors, now);
        let held = Held {
            verdict: verdict.clone(),
            until: binding.next_change(anchors, now),
        };
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, held);
        verdict
    }

    /// The newest usable binding of a party in a role.
    pub(super) fn newest<'p>(
        &self,
        party: &'p PartyCertificates,
        role: Role,
        anchors: &Anchors,
        now: Moment,
    ) -> Option<&'p Binding> {
        self.newest_that(party, role, anchors, now, |_| true)
    }

    /// The newest usable binding of a party in a role that a format can use.
    pub(super) fn newest_that<'p>(
        &self,
        party: &'p PartyCertificates,
        role: Role,
        anchors: &Anchors,
        now: Moment,
        fits: impl Fn(&Binding) -> bool,
    ) -> Option<&'p Binding> {
        party
            .bindings()
            .iter()
            .filter(|b| b.role() == role && fits(b) && self.judge(b, anchors, now).is_ok())
            .max_by_key(|b| b.valid_from())
    }
}
