//! What the rules refuse, each by its near miss.

mod parties;
mod paths;
mod replacement;
mod revocation;
mod roles;
mod tls;

use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::{testing::*, *};
use crate::config::{Algorithm, Mistakes, Revocation, Role};

/// The verdict on one certificate under one fresh root.
fn verdict(role: Role, leaf: &Leaf) -> Result<(), Unusable> {
    let ca = Ca::root("root");
    verdict_of(&ca, role, &ca.issue(leaf), NOW)
}

fn verdict_of(ca: &Ca, role: Role, der: &[u8], now: Moment) -> Result<(), Unusable> {
    let mut world = World::of(ca);
    let anchors = world.anchors();
    let party = world.bound(&anchors, role, der);
    party.bindings()[0].judge(&anchors, now)
}

fn usage(verdict: &Result<(), Unusable>) -> bool {
    matches!(verdict, Err(Unusable::Usage(_)))
}

fn no_path(verdict: &Result<(), Unusable>) -> bool {
    matches!(
        verdict,
        Err(Unusable::NoPath(_) | Unusable::UnknownIssuer(_))
    )
}

fn says(mistakes: &Mistakes, what: &str) -> bool {
    mistakes.to_string().contains(what)
}
