//! All partners and services of one snapshot, and the indexes by which they are found.
//!
//! Reading the folder, and everything that only shows between files: two files with one id, one certificate or one key,
//! two services with one network or one token. Immutable once built.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Beside, HashedSecret, LeftOut, LicenceKey, Network, Partner, PartnerId, Pepper, SecretKind,
    changed::{self, FromFile},
    load::{self, Surroundings},
};
use crate::{
    clock::Moment,
    config::{Document, Mistake, Mistakes, PolicyKind, Report, Severity, partner_schema},
    keys::Secret,
    trust::{Anchors, Binding, Fingerprint},
};

/// Partner files in one folder.
pub const PARTNERS_MAX: usize = 10_000;
/// Networks of all services together, and tokens of all services together: every request from a service walks them.
pub const ACCESS_TOTAL_MAX: usize = 1_024;

/// The partners and services of one snapshot.
#[derive(Debug, Default)]
pub struct Directory {
    pepper: Option<Pepper>,
    partners: BTreeMap<PartnerId, Arc<Partner>>,
    /// Whose a certificate is, in whatever role.
    leaves: HashMap<Fingerprint, Arc<Partner>>,
    licences: HashMap<HashedSecret, (Arc<Partner>, usize)>,
    pub(super) tokens: Vec<(HashedSecret, Arc<Partner>)>,
    pub(super) networks: Vec<(Network, Arc<Partner>)>,
    left_out: Vec<LeftOut>,
}

/// What the rest of the configuration knows that partner files lean on.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The names of routes.
    pub routes: &'a [&'a str],
    /// The ids of policies.
    pub policies: &'a [&'a str],
    /// Which kind a policy is of.
    pub kind_of: &'a dyn Fn(&str) -> Option<PolicyKind>,
    /// What is put onto the files.
    pub beside: &'a Beside,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// A partner with what it was made from, while the directory is put together.
struct Loaded {
    document: Document,
    partner: Arc<Partner>,
}

/// Whose a public key is, by its hash.
type Keys = HashMap<Fingerprint, PartnerId>;

impl Directory {
    /// A directory without partners, for a gateway that has no folder of them.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads every `*.toml` of a folder, hidden ones excepted, in the order of their names. All mistakes of all files are
    /// reported; the directory may be used only when none of them is an error. Changes are put onto what the files say; those
    /// that do not pass the checks of files are left out.
    pub fn load(
        folder: &Path,
        pepper: Option<&Secret>,
        anchors: &Anchors,
        known: Known<'_>,
        now: Moment,
        mistakes: &mut Mistakes,
    ) -> Self {
        let pepper = pepper.and_then(|secret| match Pepper::new(secret) {
            Ok(pepper) => Some(pepper),
            Err(e) => {
                let remedy = "Make one of 32 random bytes, such as with `openssl rand -hex 32`.";
                mistakes.0.push(of_folder(folder, e.to_string(), remedy));
                None
            }
        });
        let files = match files(folder) {
            Ok(files) => files,
            Err(e) => {
                let remedy = "Check gateway.partners and the permissions of the folder.";
                mistakes.0.push(of_folder(
                    folder,
                    format!("the folder of partners cannot be read: {e}"),
                    remedy,
                ));
                return Self {
                    pepper,
                    ..Self::default()
                };
            }
        };
        if files.len() > PARTNERS_MAX {
            let what = format!("{} partner files are more than {PARTNERS_MAX}", files.len());
            mistakes.0.push(of_folder(
                folder,
                what,
                "Use one gateway for each group of partners.",
            ));
            return Self {
                pepper,
                ..Self::default()
            };
        }
        let around = Surroundings {
            anchors,
            routes: known.routes,
            policies: known.policies,
            kept: &known.beside.kept,
            pepper: pepper.is_some(),
            now,
        };
        let schema = partner_schema();
        let mut read: Vec<FromFile> = files
            .iter()
            .filter_map(|file| read(file, &schema, &around, mistakes))
            .collect();
        let left_out = changed::put_onto(&mut read, &known.beside.changes, &around, known.kind_of);
        let loaded = read.into_iter().map(|file| Loaded {
            document: file.document,
            partner: Arc::new(file.partner),
        });
        Self {
            left_out,
            ..Self::assemble(pepper, loaded, mistakes)
        }
    }

    /// Changes that are not in force, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Every partner and service, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Partner>> {
        self.partners.values()
    }

    /// How many partners and services there are.
    pub fn len(&self) -> usize {
        self.partners.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.partners.is_empty()
    }

    /// The partner with this id.
    pub fn partner(&self, id: &str) -> Option<&Arc<Partner>> {
        self.partners.get(id)
    }

    /// The partner whose certificate this is, with the (first) binding of the certificate: exactly this certificate, in
    /// whatever role, so that a wrong role can be told from a stranger.
    pub fn by_leaf(&self, leaf: &Fingerprint) -> Option<(&Arc<Partner>, &Binding)> {
        let partner = self.leaves.get(leaf)?;
        Some((partner, partner.certificates().find(leaf)?))
    }

    /// The earliest moment after `now` at which a partner's state or the verdict on one of its certificates may change by
    /// itself. A snapshot must not cache verdicts beyond it.
    pub fn next_change(&self, anchors: &Anchors, now: Moment) -> Option<Moment> {
        self.iter()
            .flat_map(|p| {
                [
                    p.registration().next_change(now),
                    p.certificates().next_change(anchors, now),
                ]
            })
            .flatten()
            .min()
    }

    /// The hash of a secret as files have it; `None` when it cannot be one, or there is no pepper.
    pub fn hashed(&self, kind: SecretKind, secret: &str) -> Option<String> {
        self.hash(kind, secret).map(|hash| hash.to_string())
    }

    /// The hash of a presented secret; `None` when it cannot be one of ours.
    pub(super) fn hash(&self, kind: SecretKind, presented: &str) -> Option<HashedSecret> {
        self.pepper.as_ref()?.hash(kind, presented.as_bytes())
    }

    pub(super) fn licence_by_hash(
        &self,
        hash: &HashedSecret,
    ) -> Option<(&Arc<Partner>, &LicenceKey)> {
        let (misp, place) = self.licences.get(hash)?;
        Some((misp, misp.licence_keys().get(*place)?))
    }

    fn assemble(
        pepper: Option<Pepper>,
        loaded: impl Iterator<Item = Loaded>,
        mistakes: &mut Mistakes,
    ) -> Self {
        let mut this = Self {
            pepper,
            ..Self::default()
        };
        let mut keys = Keys::new();
        for Loaded { document, partner } in loaded {
            let mut report = Report::new(&document, mistakes);
            if this.partners.contains_key(partner.id()) {
                let what = format!("another file has the id `{}` already", partner.id());
                report.error("id", what, "Give each partner one file.");
                continue;
            }
            this.add_leaves(&partner, &mut keys, &mut report);
            this.add_licences(&partner, &mut report);
            this.add_access(&partner, &mut report);
            this.partners.insert(partner.id().clone(), partner);
        }
        this
    }

    fn add_leaves(&mut self, partner: &Arc<Partner>, keys: &mut Keys, report: &mut Report<'_>) {
        for binding in partner.certificates().bindings() {
            // The same certificate has the same key, so looking at the keys finds both.
            let key = Fingerprint::of(binding.certificate().key().raw());
            let first = keys.entry(key).or_insert_with(|| partner.id().clone());
            if first != partner.id() {
                report.error(
                    "certificate",
                    format!(
                        "the key of `{}` is also that of `{first}`",
                        binding.certificate().subject()
                    ),
                    "Give each partner certificates and keys of its own: they say who it is.",
                );
                continue;
            }
            self.leaves
                .insert(binding.fingerprint(), Arc::clone(partner));
        }
    }

    fn add_licences(&mut self, partner: &Arc<Partner>, report: &mut Report<'_>) {
        for (i, licence) in partner.licence_keys().iter().enumerate() {
            match self.licences.entry(licence.hash) {
                Entry::Vacant(free) => {
                    free.insert((Arc::clone(partner), i));
                }
                Entry::Occupied(taken) => {
                    let what = format!("`{}` has the same licence key", taken.get().0.id());
                    report.error(
                        &format!("licence_key[{i}].hash"),
                        what,
                        "A licence key belongs to one MISP.",
                    );
                }
            }
        }
    }

    fn add_access(&mut self, partner: &Arc<Partner>, report: &mut Report<'_>) {
        let report = &mut report.within("access");
        let access = partner.access();
        let tokens = self.tokens.len().saturating_add(access.tokens.len());
        let networks = self.networks.len().saturating_add(access.networks.len());
        if tokens.max(networks) > ACCESS_TOTAL_MAX {
            let what = format!(
                "all services together have more than {ACCESS_TOTAL_MAX} tokens or networks"
            );
            report.error("", what, "Remove those that are no longer used.");
            return;
        }
        for (i, token) in access.tokens.iter().enumerate() {
            if let Some((_, other)) = self.tokens.iter().find(|(t, _)| t == token) {
                let what = format!("`{}` has the same token", other.id());
                report.error(
                    &format!("token_hashes[{i}]"),
                    what,
                    "Give each service a token of its own.",
                );
            }
            self.tokens.push((*token, Arc::clone(partner)));
        }
        for (i, network) in access.networks.iter().enumerate() {
            let clash = self
                .networks
                .iter()
                .find(|(n, other)| other.id() != partner.id() && n.overlaps(network));
            if let Some((theirs, other)) = clash {
                let what = format!("`{network}` overlaps `{theirs}` of `{}`", other.id());
                report.error(
                    &format!("networks[{i}]"),
                    what,
                    "An address must tell which service it is: use separate networks, or tokens.",
                );
            }
            self.networks.push((*network, Arc::clone(partner)));
        }
    }
}

fn read(
    file: &Path,
    schema: &schemars::Schema,
    around: &Surroundings<'_>,
    mistakes: &mut Mistakes,
) -> Option<FromFile> {
    let document = match Document::read(file) {
        Ok(document) => document,
        Err(e) => {
            mistakes.0.push(e.0);
            return None;
        }
    };
    let before = mistakes.errors();
    let raw = document.parse(schema, mistakes)?;
    let partner = load::partner(&raw, around, &mut Report::new(&document, mistakes))?;
    Some(FromFile {
        document,
        raw,
        partner,
        sound: mistakes.errors() == before,
    })
}

/// The partner files, sorted by name. Hidden files (editors, Kubernetes' `..data`) and others are left alone.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        if !hidden && path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn of_folder(folder: &Path, what: String, remedy: &str) -> Mistake {
    Mistake {
        severity: Severity::Error,
        file: folder.to_path_buf(),
        line: 0,
        at: String::new(),
        what,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests;
