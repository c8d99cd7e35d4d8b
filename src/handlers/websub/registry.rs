//! MOSIP's events about partners, keys, policies and licences, taken into the registry.
//!
//! The hub's signature is MOSIP's word for what its partner management has decided. It is not taken blindly: an event is
//! about partners and policies that the configuration knows, it never allows more than the files do, and what it brings goes
//! through the checks of files. What does not pass is parked with its reason, for a person to see to.
//!
//! API keys and licence keys stand in these events in clear. They are hashed here, at once; the hash alone goes on.

mod data;

use std::sync::Arc;

use super::delivery::{Delivered, Taken};
use crate::{
    config::State,
    exchange::{
        Gateway,
        registry::{Changed, Unchanged},
    },
    partners::{Change, Fact, Term},
};
use data::{Said, Topic};

/// How far an event's time may be ahead of ours: one from far ahead would keep out all that come before it.
const AHEAD_MS: i64 = 300_000;

/// Takes an event.
pub(super) async fn take(gateway: &Arc<Gateway>, delivered: &Delivered) -> Taken {
    let topic = Topic::named(delivered.topic());
    let (taken, outcome) = match attempt(gateway, delivered, topic).await {
        Ok(Changed::InForce) => (Taken::Done, "in-force"),
        Ok(Changed::Known) => (Taken::Done, "known"),
        Err(NotTaken::Later(why)) => (Taken::Later(why), "retried"),
        Err(NotTaken::Never(why)) => (Taken::Never(why), "parked"),
    };
    // A topic that is not known may have any name.
    let label = topic.map_or("other", |_| delivered.topic());
    gateway
        .metrics()
        .registry_events
        .with_label_values(&[label, outcome])
        .inc();
    tracing::info!(
        topic = delivered.topic(),
        event = delivered.event_id(),
        outcome,
        "an event about the registry"
    );
    taken
}

/// Why an event is not taken: for now, or for good.
enum NotTaken {
    Later(String),
    Never(String),
}

/// Whether something has changed.
async fn attempt(
    gateway: &Arc<Gateway>,
    delivered: &Delivered,
    topic: Option<Topic>,
) -> Result<Changed, NotTaken> {
    let Some(topic) = topic else {
        let why = "the registry knows no events of this topic".to_owned();
        return Err(NotTaken::Never(why));
    };
    let snapshot = gateway.snapshot();
    let said =
        Said::read(topic, delivered.event(), snapshot.directory()).map_err(NotTaken::Never)?;
    let ahead = said.at_ms.saturating_sub(gateway.clock().now().ms());
    if ahead > AHEAD_MS {
        return Err(NotTaken::Never(format!(
            "the event is from the future: it is {} s ahead of our clock",
            ahead / 1000
        )));
    }
    let mut changed = Changed::Known;
    // A partner's and a policy's state travel with the events about its keys; those have topics of their own.
    for fact in said.facts {
        let change = Change {
            at_ms: said.at_ms,
            source: format!("event {}", delivered.topic()),
            fact,
        };
        let key = change.key();
        let merge = |known: Option<&Change>| Ok(newer(known, change.clone()));
        match gateway.change(&key, merge).await {
            Ok(Changed::InForce) => {
                changed = Changed::InForce;
                tracing::info!(
                    change = key,
                    source = change.source,
                    "the registry is changed by an event"
                );
            }
            Ok(Changed::Known) => {
                tracing::info!(
                    change = key,
                    "an event is dropped: something as new is known already"
                );
            }
            Err(Unchanged::Objection(why)) => {
                return Err(NotTaken::Never(format!("{key}: {why}")));
            }
            Err(error @ (Unchanged::Store(_) | Unchanged::Busy)) => {
                return Err(NotTaken::Later(error.to_string()));
            }
        }
    }
    Ok(changed)
}

/// What is to be, given what is known: the newer of the two, with what only the older one says. Of two that are equally old,
/// the one that takes away.
fn newer(known: Option<&Change>, mut change: Change) -> Option<Change> {
    let Some(known) = known else {
        return Some(change);
    };
    match change.at_ms.cmp(&known.at_ms) {
        std::cmp::Ordering::Less => return None,
        std::cmp::Ordering::Equal if !takes_away(&change, known) => return None,
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => {}
    }
    match (&mut change.fact, &known.fact) {
        (
            Fact::ApiKey {
                partner, policy, ..
            },
            Fact::ApiKey {
                partner: old_partner,
                policy: old_policy,
                ..
            },
        ) => {
            fill(partner, old_partner);
            fill(policy, old_policy);
        }
        (Fact::Licence { policy, .. }, Fact::Licence { policy: old, .. }) => fill(policy, old),
        (Fact::Policy { document, .. }, Fact::Policy { document: old, .. }) => fill(document, old),
        _ => {}
    }
    Some(change)
}

fn fill(new: &mut Option<String>, old: &Option<String>) {
    if new.is_none() {
        new.clone_from(old);
    }
}

fn takes_away(change: &Change, known: &Change) -> bool {
    let state = |change: &Change| term(change).map_or(State::Active, |term| term.state);
    state(change) != State::Active && state(known) == State::Active
}

const fn term(change: &Change) -> Option<Term> {
    match &change.fact {
        Fact::Partner { term, .. }
        | Fact::ApiKey { term, .. }
        | Fact::Licence { term, .. }
        | Fact::Policy { term, .. } => Some(*term),
        Fact::Certificate { .. } => None,
    }
}

#[cfg(test)]
mod tests;
