//! Putting changes onto partner files, so that the checks of files judge them.
//!
//! A change that does not pass is left out and named; what the files say is never broken by one.

use std::collections::{BTreeSet, HashMap};

use super::{
    Change, Changes, Fact, HashedSecret, LeftOut, Partner, PartnerId,
    load::{self, Surroundings},
};
use crate::{
    config::{self, Document, Mistakes, PolicyKind, Report},
    trust::Fingerprint,
};

/// A partner file that was read.
pub(super) struct FromFile {
    pub(super) document: Document,
    pub(super) raw: config::Partner,
    pub(super) partner: Partner,
    /// Whether nothing is wrong with the file itself.
    pub(super) sound: bool,
}

/// What belongs to one partner alone, over all files and changes.
#[derive(Default)]
struct Claims {
    keys: HashMap<Fingerprint, PartnerId>,
    licences: HashMap<HashedSecret, PartnerId>,
}

impl Claims {
    fn clash(&self, partner: &Partner) -> Option<String> {
        let other = |owner: Option<&PartnerId>| owner.is_some_and(|id| id != partner.id());
        for key in keys(partner) {
            if other(self.keys.get(&key)) {
                return Some("its key is another partner's already".to_owned());
            }
        }
        for licence in partner.licence_keys() {
            if other(self.licences.get(&licence.hash)) {
                return Some("another MISP has this licence key".to_owned());
            }
        }
        None
    }

    fn add(&mut self, partner: &Partner) {
        for key in keys(partner) {
            self.keys.entry(key).or_insert_with(|| partner.id().clone());
        }
        for licence in partner.licence_keys() {
            let mine = || partner.id().clone();
            self.licences.entry(licence.hash).or_insert_with(mine);
        }
    }
}

fn keys(partner: &Partner) -> impl Iterator<Item = Fingerprint> {
    (partner.certificates().bindings().iter())
        .map(|binding| Fingerprint::of(binding.certificate().key().raw()))
}

/// Puts changes onto files; gives what was left out.
pub(super) fn put_onto(
    files: &mut [FromFile],
    changes: &Changes,
    around: &Surroundings<'_>,
    kind_of: &dyn Fn(&str) -> Option<PolicyKind>,
) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    if changes.is_empty() {
        return left_out;
    }
    let mut claims = Claims::default();
    files.iter().for_each(|file| claims.add(&file.partner));
    let mut taken = BTreeSet::new();
    // Keys are found by partner first: most files have no change at all.
    let mut by_time: Vec<(&str, &Change)> = changes
        .iter()
        .filter(|(_, change)| !matches!(change.fact, Fact::Policy { .. }))
        .collect();
    by_time.sort_by_key(|(_, change)| (named_first(change), change.at_ms));
    let named: BTreeSet<&str> = by_time.iter().filter_map(|(_, c)| c.partner()).collect();
    let unnamed = by_time.iter().any(|(_, change)| change.partner().is_none());
    for file in files.iter_mut() {
        if !unnamed && !named.contains(file.raw.id.as_str()) {
            continue;
        }
        let mine: Vec<(&str, &Change)> = (by_time.iter().copied())
            .filter(|(_, change)| {
                change.is_about(&file.raw) || change.partner() == Some(&file.raw.id)
            })
            .collect();
        taken.extend(mine.iter().map(|(key, _)| *key));
        if !file.sound || mine.is_empty() {
            continue;
        }
        if let Ok((raw, partner)) = attempt(file, &mine, &claims, around, kind_of) {
            (file.raw, file.partner) = (raw, partner);
        } else {
            for one in &mine {
                match attempt(file, &[*one], &claims, around, kind_of) {
                    Ok((raw, partner)) => (file.raw, file.partner) = (raw, partner),
                    Err(why) => left_out.push(LeftOut {
                        key: one.0.to_owned(),
                        why,
                    }),
                }
            }
        }
        claims.add(&file.partner);
    }
    for (key, change) in by_time.iter().filter(|(key, _)| !taken.contains(key)) {
        let why = change.partner().map_or_else(
            || "no partner has this API key".to_owned(),
            |partner| format!("there is no partner `{partner}`"),
        );
        left_out.push(LeftOut {
            key: (*key).to_owned(),
            why,
        });
    }
    left_out
}

/// A key that is made by one change may be what another is about, so those that name their partner come first.
const fn named_first(change: &Change) -> bool {
    matches!(change.fact, Fact::ApiKey { partner: None, .. })
}

fn attempt(
    file: &FromFile,
    changes: &[(&str, &Change)],
    claims: &Claims,
    around: &Surroundings<'_>,
    kind_of: &dyn Fn(&str) -> Option<PolicyKind>,
) -> Result<(config::Partner, Partner), String> {
    let mut raw = file.raw.clone();
    for (_, change) in changes {
        change.put_onto(&mut raw)?;
        let (policy, wanted) = match &change.fact {
            Fact::ApiKey { policy, .. } => (policy, PolicyKind::Auth),
            Fact::Licence { policy, .. } => (policy, PolicyKind::Misp),
            Fact::Partner { .. } | Fact::Policy { .. } | Fact::Certificate { .. } => continue,
        };
        if let Some(found) = policy.as_deref().and_then(kind_of)
            && found != wanted
        {
            return Err("its policy is of another kind".to_owned());
        }
    }
    let mut found = Mistakes::default();
    let partner = load::partner(&raw, around, &mut Report::new(&file.document, &mut found));
    let mut objections = found.0.iter().filter(|mistake| {
        // What cannot be used would be a mere warning of a file; as a change it is no change at all.
        mistake.severity == config::Severity::Error
            || new_certificate(file, mistake.at.as_str(), &raw)
    });
    if let Some(first) = objections.next() {
        return Err(format!("{}: {}", first.at, first.what));
    }
    let partner = partner.ok_or("it has no usable id")?;
    match claims.clash(&partner) {
        Some(why) => Err(why),
        None => Ok((raw, partner)),
    }
}

/// Whether a place is one of the certificates that the file did not have.
fn new_certificate(file: &FromFile, at: &str, raw: &config::Partner) -> bool {
    (file.raw.certificate.len()..raw.certificate.len())
        .any(|i| at.starts_with(&format!("certificate[{i}]")))
}
