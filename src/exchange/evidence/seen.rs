//! What of a snapshot stands in every record: the configuration's digest, and what is known of a certificate's revocation.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock::Moment,
    config::Role,
    envelope::sha256,
    exchange::{Snapshot, Trail, rfc3339},
    partners::Beside,
    trust::{Binding, Fingerprint},
};

/// What of a snapshot stands in every record: computed once, not for every exchange.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Seen {
    pub(super) configuration: String,
    bindings: RwLock<HashMap<(Fingerprint, Role), Held>>,
}

#[derive(Debug)]
struct Held {
    json: Arc<str>,
    /// The first moment at which it may be another.
    until: Option<Moment>,
}

impl Seen {
    /// The digest is over the files that say who may do what, and what holds beside them; private keys, secrets and revocation lists
    /// are left out.
    pub(in crate::exchange) fn of<'f>(
        file: &Path,
        generation: u64,
        read: impl Iterator<Item = &'f PathBuf>,
        beside: &Beside,
    ) -> Self {
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let mut all = Vec::new();
        for path in read {
            let named = path.extension().and_then(|e| e.to_str());
            if !matches!(
                named,
                Some("toml" | "json" | "cedar" | "cedarschema" | "pem")
            ) {
                continue;
            }
            let Ok(content) = std::fs::read(path) else {
                continue;
            };
            let has = |word: &[u8]| content.windows(word.len()).any(|w| w == word);
            if named == Some("pem") && (has(b"PRIVATE KEY") || has(b"X509 CRL")) {
                continue;
            }
            let name = path
                .strip_prefix(base)
                .unwrap_or(path)
                .to_string_lossy()
                .into_owned();
            all.push((name, sha256(&content)));
        }
        if let Some(json) = beside.as_json() {
            // No file that counts has a name like this: they have extensions.
            all.push(("(beside)".to_owned(), sha256(json.as_bytes())));
        }
        all.sort();
        let mut input = Vec::new();
        for (name, digest) in &all {
            input.extend_from_slice(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            input.extend_from_slice(name.as_bytes());
            input.extend_from_slice(digest);
        }
        let digest = URL_SAFE_NO_PAD.encode(sha256(&input));
        Self {
            configuration: format!(r#"{{"digest":"{digest}","generation":{generation}}}"#),
            bindings: RwLock::default(),
        }
    }

    /// What was known of the caller's certificates that were relied on.
    pub(super) fn revocation(
        &self,
        snapshot: &Snapshot,
        trail: &Trail,
        now: Moment,
    ) -> Option<String> {
        let certificates = trail.caller.as_ref()?.partner().certificates();
        let tls =
            (trail.caller.as_ref()?.fingerprint()).and_then(|f| certificates.find_in(Role::Tls, f));
        let signature = trail.signed_by.and_then(|f| {
            let own = || snapshot.own().certificates().find_in(Role::Signature, &f);
            certificates.find_in(Role::Signature, &f).or_else(own)
        });
        let mut json = String::new();
        for binding in [tls, signature].into_iter().flatten() {
            json.push(if json.is_empty() { '[' } else { ',' });
            json.push_str(&self.binding(snapshot, binding, now));
        }
        if json.is_empty() {
            return None;
        }
        json.push(']');
        Some(json)
    }

    /// Bounded by the number of bindings in the snapshot.
    pub(super) fn binding(&self, snapshot: &Snapshot, binding: &Binding, now: Moment) -> Arc<str> {
        let key = (binding.fingerprint(), binding.role());
        {
            let held = self.bindings.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(held) = held.get(&key)
                && held.until.is_none_or(|until| now < until)
            {
                return Arc::clone(&held.json);
            }
        }
        let view = binding.revocation(snapshot.anchors(), now);
        let mut members = serde_json::Map::new();
        members.insert("role".to_owned(), binding.role().as_str().into());
        members.insert("fingerprint".to_owned(), key.0.to_string().into());
        members.insert("standing".to_owned(), view.standing.as_str().into());
        if let Some(list) = &view.list {
            members.insert("list".to_owned(), list.issuer.clone().into());
            members.insert("thisUpdate".to_owned(), rfc3339(list.this_update).into());
            members.insert("nextUpdate".to_owned(), rfc3339(list.next_update).into());
        }
        let json: Arc<str> = ordered(&members).into();
        let held = Held {
            json: Arc::clone(&json),
            until: binding.next_change(snapshot.anchors(), now),
        };
        self.bindings
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, held);
        json
    }
}

/// The members in the order of the format, whatever order the map has.
fn ordered(members: &serde_json::Map<String, serde_json::Value>) -> String {
    let names = [
        "role",
        "fingerprint",
        "standing",
        "list",
        "thisUpdate",
        "nextUpdate",
    ];
    let all: Vec<String> = names
        .iter()
        .filter_map(|name| {
            members
                .get(*name)
                .map(|value| format!("\"{name}\":{value}"))
        })
        .collect();
    format!("{{{}}}", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::State,
        partners::{Change, Changes, Fact, Term},
    };

    #[test]
    fn what_holds_beside_the_files_is_under_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, "x").unwrap();
        let files = [file.clone()];
        let digest = |state: Option<State>| {
            let change = |state| Change {
                at_ms: 1,
                source: "event PARTNER_UPDATED".to_owned(),
                fact: Fact::Partner {
                    partner: "crvs".to_owned(),
                    term: Term {
                        state,
                        ..Term::default()
                    },
                },
            };
            let all = Changes::default();
            let beside = Beside {
                changes: match state {
                    Some(state) => all.with(change(state)),
                    None => all,
                },
                ..Beside::default()
            };
            Seen::of(&file, 1, files.iter(), &beside).configuration
        };
        let digests = [None, Some(State::Active), Some(State::Inactive)].map(digest);
        assert_ne!(digests[0], digests[1]);
        assert_ne!(digests[1], digests[2]);
        assert_eq!(digest(Some(State::Inactive)), digests[2]);
    }
}
