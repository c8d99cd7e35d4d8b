//! What a configuration must have for the envelope `jose` to be spoken: on our side, at the upstream, and at every partner that
//! may use the route. Else the first message would find out.

use std::collections::BTreeMap;

use super::{Own, standing::Standings};
use crate::{
    clock::Moment,
    config::{Config, Envelope, PartnerKind, Report, Role},
    partners::Directory,
    trust::{Anchors, PartyCertificates},
};

/// What the checks look at.
pub(super) struct Parties<'a> {
    pub(super) own: &'a Own,
    pub(super) peers: &'a BTreeMap<String, PartyCertificates>,
    pub(super) directory: &'a Directory,
    pub(super) standings: &'a Standings,
    pub(super) anchors: &'a Anchors,
}

/// Reports what is missing; `report` stands at the document.
pub(super) fn check(config: &Config, parties: &Parties<'_>, report: &mut Report<'_>, now: Moment) {
    for (i, route) in config.route.iter().enumerate() {
        let from = route.from.envelope == Envelope::Jose;
        let to = (route.to.as_ref()).filter(|to| to.envelope == Envelope::Jose);
        if !from && to.is_none() {
            continue;
        }
        let mut here = report.within(format!("route[{i}]"));
        let side = if from { "from" } else { "to" };
        if route.query {
            here.error(
                "query",
                "a query string is not under the signature of the envelope jose",
                "Remove it, and let the path or the body say what the query would.",
            );
        }
        for role in [Role::Encryption, Role::Signature] {
            if !parties.has(parties.own.certificates(), role, now) {
                here.error(
                    side,
                    format!(
                        "messages are sealed, but we have no usable certificate in role {role:?}"
                    ),
                    "Add one to [party].",
                );
            }
        }
        if from {
            partners(&route.name, parties, &mut here);
        }
        let upstream = to.and_then(|to| config.upstream.iter().find(|u| u.name == to.upstream));
        if let Some(upstream) = upstream {
            peer(upstream.party.as_deref(), parties, &mut here, now);
        }
    }
}

/// Who may use the route can be verified and sealed to. Whether the certificates may be used at this moment is not asked: a
/// partner's certificate that runs out must not keep the gateway from starting.
fn partners(route: &str, parties: &Parties<'_>, here: &mut Report<'_>) {
    for partner in parties.directory.iter() {
        if partner.may_use(route).is_err() {
            continue;
        }
        let lacks = |role| {
            let bindings = partner.certificates().bindings();
            !bindings.iter().any(|b| b.role() == role)
        };
        let mut missing = Vec::new();
        if lacks(Role::Encryption) {
            missing.push("encryption");
        }
        // A service of ours may still sign with our own key.
        if lacks(Role::Signature) && partner.kind() != PartnerKind::Service {
            missing.push("signature");
        }
        for role in missing {
            here.error(
                "from",
                format!(
                    "`{}` may use the route, but has no certificate in role {role}",
                    partner.id()
                ),
                "Add one to its file, or take the route out of its `routes`.",
            );
        }
    }
}

fn peer(party: Option<&str>, parties: &Parties<'_>, here: &mut Report<'_>, now: Moment) {
    let Some(party) = party.and_then(|p| parties.peers.get(p)) else {
        here.error(
            "to.upstream",
            "messages are sealed to it, but it names no party",
            "Set `party` on the upstream, and describe it as a [[peer]].",
        );
        return;
    };
    for role in [Role::Encryption, Role::Signature] {
        if !parties.has(party, role, now) {
            here.error(
                "to.upstream",
                format!(
                    "the peer `{}` has no usable certificate in role {role:?}",
                    party.id()
                ),
                "Add one to the [[peer]].",
            );
        }
    }
}

impl Parties<'_> {
    fn has(&self, party: &PartyCertificates, role: Role, now: Moment) -> bool {
        self.standings
            .newest(party, role, self.anchors, now)
            .is_some()
    }
}
