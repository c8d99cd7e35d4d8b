//! Changes of the registry that came while the gateway runs: said by MOSIP's events, or asked for by a partner and approved.
//!
//! The files stay the ground. A change is put onto what a file says, and the result goes through every check that files go
//! through ([`super::changed`]). What a file says explicitly is never widened: of two states the worse holds, of two spans
//! the common part. So a change can switch off what a file has on, and never switches on what a file has off.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::HashedSecret;
use crate::{
    clock::Moment,
    config::{self, PartnerKind, PeerCertificate, Role, State},
    store::Entry,
};

/// The kind of the store's entries in which changes are kept.
pub const ENTRY_KIND: &str = "registry";
/// Changes that are kept at all.
pub const CHANGES_MAX: usize = 20_000;

/// One fact about a partner, a key or a policy that no file says, or says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it came to be, as whoever says it has it, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who says it: `event APIKEY_UPDATED`, or which request.
    pub source: String,
    /// What is so.
    pub fact: Fact,
}

/// From when until when something holds, in milliseconds since 1970, and whether it is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Its state.
    pub state: State,
    /// Its first moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Its last moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// What is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// A partner's state.
    Partner {
        /// The partner.
        partner: String,
        /// Its state and dates.
        term: Term,
    },
    /// An API key. Without partner, it is about a key that is known already.
    ApiKey {
        /// The partner.
        partner: Option<String>,
        /// The key's hash, as in files.
        hash: String,
        /// The policy it stands for; needed when the key is new.
        policy: Option<String>,
        /// Its state and dates.
        term: Term,
    },
    /// A licence key of a MISP.
    Licence {
        /// The MISP.
        partner: String,
        /// The key's hash, as in files.
        hash: String,
        /// The policy, when the key is new.
        policy: Option<String>,
        /// Its state and dates.
        term: Term,
    },
    /// A policy of the configuration.
    Policy {
        /// Its id.
        policy: String,
        /// MOSIP's document, which narrows the one in the configuration.
        document: Option<String>,
        /// Its state and dates.
        term: Term,
    },
    /// A further certificate of a partner, beside those of its file.
    Certificate {
        /// The partner.
        partner: String,
        /// What it is for.
        role: Role,
        /// DER as base64url without padding: the leaf, then its issuers.
        chain: Vec<String>,
        /// From when it is used, in milliseconds since 1970.
        since_ms: Option<i64>,
    },
}

impl Change {
    /// Under which key it is kept: a newer one about the same replaces it.
    pub fn key(&self) -> String {
        match &self.fact {
            Fact::Partner { partner, .. } => format!("partner/{partner}"),
            Fact::ApiKey { hash, .. } => format!("api-key/{hash}"),
            Fact::Licence { hash, .. } => format!("licence/{hash}"),
            Fact::Policy { policy, .. } => format!("policy/{policy}"),
            Fact::Certificate {
                partner,
                role,
                chain,
                ..
            } => {
                let leaf = chain.first().map_or("", String::as_str);
                let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf.as_bytes());
                let print: String = (print.as_ref().iter().take(8))
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                format!("certificate/{partner}/{}/{print}", role.as_str())
            }
        }
    }

    /// Which partner it is about, when it says so.
    pub fn partner(&self) -> Option<&str> {
        match &self.fact {
            Fact::Partner { partner, .. }
            | Fact::Licence { partner, .. }
            | Fact::Certificate { partner, .. } => Some(partner),
            Fact::ApiKey { partner, .. } => partner.as_deref(),
            Fact::Policy { .. } => None,
        }
    }

    /// The moment it came to be.
    pub const fn at(&self) -> Moment {
        Moment::from_ms(self.at_ms)
    }

    /// What is kept in the store.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_body(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Whether this change has anything to do with a partner's file.
    pub(super) fn is_about(&self, raw: &config::Partner) -> bool {
        match &self.fact {
            Fact::ApiKey {
                partner: None,
                hash,
                ..
            } => raw.api_key.iter().any(|key| same(&key.hash, hash)),
            _ => self.partner() == Some(raw.id.as_str()),
        }
    }

    /// Puts it onto what a file says.
    ///
    /// # Errors
    /// Why it does not go with the file.
    pub(super) fn put_onto(&self, raw: &mut config::Partner) -> Result<(), String> {
        match &self.fact {
            Fact::Partner { term, .. } => {
                term.narrow(&mut raw.state, &mut raw.valid_from, &mut raw.valid_until);
            }
            Fact::ApiKey {
                hash, policy, term, ..
            } => {
                if let Some(key) = raw.api_key.iter_mut().find(|key| same(&key.hash, hash)) {
                    if policy.as_ref().is_some_and(|policy| *policy != key.policy) {
                        return Err(format!(
                            "the file has this API key for the policy `{}`",
                            key.policy
                        ));
                    }
                    term.narrow(&mut key.state, &mut key.valid_from, &mut key.valid_until);
                    return Ok(());
                }
                let policy = policy.clone().ok_or("nobody said of which policy it is")?;
                raw.api_key.push(config::ApiKey {
                    hash: hash.clone(),
                    policy,
                    state: term.state,
                    valid_from: term.from_ms.map(text),
                    valid_until: term.until_ms.map(text),
                });
            }
            Fact::Licence {
                hash, policy, term, ..
            } => {
                if raw.kind != PartnerKind::Misp {
                    return Err("only a MISP holds licence keys".to_owned());
                }
                if let Some(key) = raw.licence_key.iter_mut().find(|key| same(&key.hash, hash)) {
                    term.narrow(&mut key.state, &mut key.valid_from, &mut key.valid_until);
                    return Ok(());
                }
                raw.licence_key.push(config::LicenceKey {
                    hash: hash.clone(),
                    policy: policy.clone(),
                    state: term.state,
                    valid_from: term.from_ms.map(text),
                    valid_until: term.until_ms.map(text),
                });
            }
            Fact::Certificate {
                role,
                chain,
                since_ms,
                ..
            } => raw.certificate.push(PeerCertificate {
                role: *role,
                file: "registry".into(),
                algorithm: None,
                valid_from: since_ms.map(text),
                valid_until: None,
                chain: Some(chain.clone()),
            }),
            Fact::Policy { .. } => {}
        }
        Ok(())
    }
}

impl Term {
    /// Of two states the worse, of two spans the common part.
    pub fn narrow(&self, state: &mut State, from: &mut Option<String>, until: &mut Option<String>) {
        *state = worse(*state, self.state);
        if let Some(ours) = self.until_ms
            && moment(until.as_deref()).is_none_or(|theirs| ours < theirs)
        {
            *until = Some(text(ours));
        }
        if let Some(ours) = self.from_ms
            && moment(from.as_deref()).is_none_or(|theirs| ours > theirs)
        {
            *from = Some(text(ours));
        }
        // Nothing in common: over before it began.
        if let (Some(first), Some(last)) = (moment(from.as_deref()), moment(until.as_deref()))
            && first > last
        {
            from.clone_from(until);
        }
    }
}

/// The worse of two states.
pub(super) const fn worse(one: State, other: State) -> State {
    match (one, other) {
        (State::Deleted, _) | (_, State::Deleted) => State::Deleted,
        (State::Inactive, _) | (_, State::Inactive) => State::Inactive,
        (State::Active, State::Active) => State::Active,
    }
}

/// Whether two texts are one hash. What is none is the same as nothing.
fn same(one: &str, other: &str) -> bool {
    matches!((HashedSecret::parse(one), HashedSecret::parse(other)), (Ok(a), Ok(b)) if a == b)
}

/// As files have it. What lies beyond the years that can be written is written as the last of them.
fn text(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms).saturating_mul(1_000_000))
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
}

/// What a file has, when it is a moment; the check of files says so when it is not.
fn moment(text: Option<&str>) -> Option<i64> {
    let at = OffsetDateTime::parse(text?, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// All changes, as one generation of the configuration sees them. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub(super) Arc<BTreeMap<String, Change>>);

/// A change that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its key.
    pub key: String,
    /// Why.
    pub why: String,
}

impl Changes {
    /// What the store has. Entries that cannot be read are named beside it: what they switched off is not known.
    pub fn read(entries: &[Entry]) -> (Self, Vec<String>) {
        let (mut all, mut unreadable) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            match serde_json::from_slice::<Change>(&entry.body) {
                Ok(change) if change.key() == entry.key => {
                    all.insert(entry.key.clone(), change);
                }
                Ok(_) | Err(_) => unreadable.push(entry.key.clone()),
            }
        }
        (Self(Arc::new(all)), unreadable)
    }

    /// The same with one more, for a trial.
    #[must_use]
    pub fn with(&self, change: Change) -> Self {
        let mut all = BTreeMap::clone(&self.0);
        all.insert(change.key(), change);
        Self(Arc::new(all))
    }

    /// The same with only those that take something away, for when the others do harm.
    #[must_use]
    pub fn narrowing(&self) -> Self {
        let narrows = |change: &Change| match &change.fact {
            Fact::Partner { .. } | Fact::Policy { .. } => true,
            Fact::ApiKey { term, .. } | Fact::Licence { term, .. } => {
                term.state != State::Active || term.until_ms.is_some()
            }
            Fact::Certificate { .. } => false,
        };
        let all = (self.0.iter())
            .filter(|(_, change)| narrows(change))
            .map(|(key, change)| (key.clone(), change.clone()))
            .collect();
        Self(Arc::new(all))
    }

    /// Each with its key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.0.iter().map(|(key, change)| (key.as_str(), change))
    }

    /// The one kept under this key.
    pub fn get(&self, key: &str) -> Option<&Change> {
        self.0.get(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
