//! Anchors: the certificates in which trust starts, those that may stand below them, and their revocation lists.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::{
    Certificate, ListView, RevocationView, Standing, Unusable, after,
    certificate::certificates_from_file,
    over,
    revocation::{self, RevocationList},
    unusable::shown,
};
use crate::{
    clock::Moment,
    config::{self, Report, Revocation},
    keys::PublicKey,
};

/// One anchor of the configuration.
pub struct Anchor {
    name: String,
    /// The self-signed ones.
    roots: Vec<Certificate>,
    /// The same, in the same order, as webpki wants them.
    trust_anchors: Vec<TrustAnchor<'static>>,
    /// All others: they may stand between a root and a leaf.
    intermediates: Vec<Certificate>,
    revocation: Revocation,
    lists: Vec<RevocationList>,
}

impl Anchor {
    /// An anchor of these certificates, without lists, for judging offline.
    pub(super) fn from_certificates(
        name: &str,
        certificates: Vec<Certificate>,
    ) -> Result<Self, super::CertificateError> {
        let mut anchor = Self {
            name: name.to_owned(),
            roots: Vec::new(),
            trust_anchors: Vec::new(),
            intermediates: Vec::new(),
            revocation: Revocation::Required,
            lists: Vec::new(),
        };
        for certificate in certificates {
            if !certificate.is_ca() {
                return Err(super::CertificateError::NoCa(
                    certificate.subject().to_owned(),
                ));
            }
            if certificate.self_signed() {
                anchor.roots.push(certificate);
            } else {
                anchor.intermediates.push(certificate);
            }
        }
        if anchor.roots.is_empty() {
            return Err(super::CertificateError::NoRoot);
        }
        Ok(anchor)
    }

    /// One revocation list more.
    pub(super) fn push_list(&mut self, list: RevocationList) {
        self.lists.push(list);
    }

    /// All revocation lists.
    pub(super) fn revocation_lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every certificate of its files, the self-signed ones first.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.roots.iter().chain(&self.intermediates)
    }

    /// Its revocation lists, for metrics and health pages.
    pub fn lists(&self) -> impl Iterator<Item = ListView<'_>> {
        self.lists.iter().map(|l| l.view(&self.name))
    }

    /// Whether revocation is looked at.
    pub const fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// The self-signed ones, as webpki wants them.
    pub(super) fn trust_anchors(&self) -> &[TrustAnchor<'static>] {
        &self.trust_anchors
    }

    /// The certificate behind one of [`Anchor::trust_anchors`].
    pub(super) fn root_of(&self, trust_anchor: &TrustAnchor<'_>) -> Option<&Certificate> {
        self.roots
            .iter()
            .zip(&self.trust_anchors)
            .find(|(_, a)| {
                a.subject == trust_anchor.subject
                    && a.subject_public_key_info == trust_anchor.subject_public_key_info
            })
            .map(|(root, _)| root)
    }

    pub(super) fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The revocation state of a whole path, leaf first and root last: that of its worst element, and the shortest time left.
    pub(super) fn standing(&self, path: &[&Certificate], now: Moment) -> RevocationView {
        let mut worst = RevocationView {
            standing: Standing::Unchecked,
            source: None,
            age_s: None,
            left_s: None,
            list: None,
        };
        if self.revocation == Revocation::InsecureNone {
            return worst;
        }
        for (certificate, issuer) in path.iter().zip(path.iter().skip(1)) {
            let here = revocation::standing(&self.lists, certificate, issuer, now);
            let left_s = match (worst.left_s, here.left_s) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            // Of two that are as good, the one that ends first.
            let sooner = match (&here.list, &worst.list) {
                (Some(a), Some(b)) => a.next_update < b.next_update,
                _ => false,
            };
            if here.standing > worst.standing || (here.standing == worst.standing && sooner) {
                worst = here;
            }
            worst.left_s = left_s;
        }
        worst
    }

    /// Whether no element of the path is revoked, unknown, or stale beyond grace.
    pub(super) fn not_revoked(&self, path: &[&Certificate], now: Moment) -> Result<(), Unusable> {
        if self.revocation == Revocation::InsecureNone {
            return Ok(());
        }
        for (certificate, issuer) in path.iter().zip(path.iter().skip(1)) {
            let view = revocation::standing(&self.lists, certificate, issuer, now);
            let issuer = issuer.subject().to_owned();
            match view.standing {
                Standing::Good | Standing::Unchecked => {}
                Standing::Revoked => {
                    return Err(Unusable::Revoked {
                        subject: certificate.subject().to_owned(),
                    });
                }
                Standing::Unknown => return Err(Unusable::RevocationUnknown { issuer }),
                Standing::Stale => {
                    let left_s = view.left_s.unwrap_or(i64::MIN);
                    if left_s < 0 {
                        let deadline = Moment::from_s(now.s().saturating_add(left_s));
                        return Err(Unusable::RevocationStale { issuer, deadline });
                    }
                }
            }
        }
        Ok(())
    }

    /// The moments at which a verdict under this anchor can change.
    pub(super) fn changes(&self) -> impl Iterator<Item = Moment> {
        let certificates = self
            .certificates()
            .flat_map(|c| [c.not_before(), after(c.not_after())]);
        certificates.chain(self.lists.iter().flat_map(RevocationList::changes))
    }
}

impl std::fmt::Debug for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchor")
            .field("name", &self.name)
            .field("certificates", &self.certificates().collect::<Vec<_>>())
            .field("lists", &self.lists.len())
            .finish_non_exhaustive()
    }
}

/// Every anchor of the configuration.
#[derive(Debug, Default)]
pub struct Anchors(Vec<Anchor>);

impl Anchors {
    /// Reads all anchors; `report` stands at the top of the document.
    pub fn build(raw: &[config::Anchor], report: &mut Report<'_>, now: Moment) -> Self {
        let mut all: Vec<Anchor> = Vec::new();
        for (i, raw) in raw.iter().enumerate() {
            let mut report = report.within(format!("anchor[{i}]"));
            if all.iter().any(|a| a.name == raw.name) {
                report.error(
                    "name",
                    format!("there is another anchor `{}`", raw.name),
                    "Give each anchor a name of its own.",
                );
            }
            all.push(build_one(raw, &mut report, now));
        }
        Self(all)
    }

    /// The anchor of that name.
    pub fn get(&self, name: &str) -> Option<&Anchor> {
        self.0.iter().find(|a| a.name == name)
    }

    /// All anchors.
    pub fn iter(&self) -> impl Iterator<Item = &Anchor> {
        self.0.iter()
    }

    /// The names of all anchors.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|a| a.name.clone()).collect()
    }

    /// The self-signed certificates of the named anchors, as rustls wants them. For verdicts use
    /// [`super::client_verifier`] and [`super::server_verifier`], which know of revocation and grace.
    pub fn roots(&self, names: &[String]) -> RootCertStore {
        RootCertStore {
            roots: names
                .iter()
                .filter_map(|n| self.get(n))
                .flat_map(|a| a.trust_anchors.iter().cloned())
                .collect(),
        }
    }

    /// Whether a certificate with this key stands in the files of any anchor, and so may issue others.
    pub fn issues_with(&self, key: &PublicKey) -> bool {
        self.0
            .iter()
            .flat_map(Anchor::certificates)
            .any(|c| c.key().same_key(key))
    }
}

fn build_one(raw: &config::Anchor, report: &mut Report<'_>, now: Moment) -> Anchor {
    let mut anchor = Anchor {
        name: raw.name.clone(),
        roots: Vec::new(),
        trust_anchors: Vec::new(),
        intermediates: Vec::new(),
        revocation: raw.revocation,
        lists: Vec::new(),
    };
    let before = report.errors();
    for (i, file) in raw.certificates.iter().enumerate() {
        let path = report.resolve(file);
        match certificates_from_file(&path) {
            Ok(all) => {
                for certificate in all {
                    anchor.add(certificate, &format!("certificates[{i}]"), report, now);
                }
            }
            Err(e) => report.error(
                &format!("certificates[{i}]"),
                format!("{}: {e}", path.display()),
                "Name a PEM or DER file with CA certificates.",
            ),
        }
    }
    if anchor.roots.is_empty() && report.errors() == before {
        report.error(
            "certificates",
            "none of the certificates is self-signed (with an algorithm that is taken), so no chain can end here",
            "Add the root certificate.",
        );
    }
    anchor.add_lists(raw, report, now);
    anchor
}

impl Anchor {
    fn add(&mut self, certificate: Certificate, field: &str, report: &mut Report<'_>, now: Moment) {
        if self
            .certificates()
            .any(|c| c.fingerprint() == certificate.fingerprint())
        {
            return;
        }
        if !certificate.is_ca() {
            report.error(
                field,
                format!("`{}` is not a CA certificate", certificate.subject()),
                "List only CA certificates here; a party's own certificate belongs to the party.",
            );
            return;
        }
        if over(certificate.not_after(), now) {
            report.warning(
                field,
                format!(
                    "`{}` was valid until {}",
                    certificate.subject(),
                    shown(certificate.not_after())
                ),
                "Everything below it is refused. Replace it.",
            );
        }
        if !certificate.self_signed() {
            self.intermediates.push(certificate);
            return;
        }
        let der = CertificateDer::from(certificate.der());
        match webpki::anchor_from_trusted_cert(&der).map(|a| a.to_owned()) {
            Ok(trust_anchor) => {
                self.roots.push(certificate);
                self.trust_anchors.push(trust_anchor);
            }
            Err(e) => report.error(
                field,
                format!("`{}` cannot be an anchor: {e}", certificate.subject()),
                "Replace it.",
            ),
        }
    }

    fn add_lists(&mut self, raw: &config::Anchor, report: &mut Report<'_>, now: Moment) {
        let mut lists = Vec::new();
        for (i, file) in raw.crls.iter().enumerate() {
            let path = report.resolve(file);
            let field = format!("crls[{i}]");
            match self.lists_of(&path, raw.grace_s) {
                Ok(read) => {
                    for list in &read {
                        warn_of_age(&list.view(&self.name), &field, report, now);
                    }
                    lists.extend(read);
                }
                Err(why) => report.error(
                    &field,
                    format!("{}: {why}", path.display()),
                    "Replace the file by the issuer's current, complete list.",
                ),
            }
        }
        self.lists = lists;
        match self.revocation {
            Revocation::Required if raw.crls.is_empty() => report.error(
                "crls",
                "revocation is required and there is no list, so everything would be refused",
                "List the revocation lists of the anchor and of every issuer below it, or say `revocation = \"insecure_none\"`.",
            ),
            Revocation::Required => {
                for issuer in self.certificates() {
                    if !self.lists.iter().any(|l| l.is_of(issuer)) {
                        report.warning(
                            "crls",
                            format!("no list of `{}` is here", issuer.subject()),
                            "Everything it issues is refused. Add its list.",
                        );
                    }
                }
            }
            Revocation::InsecureNone => report.warning(
                "revocation",
                "revoked certificates below this anchor are not noticed",
                "Use lists as soon as the anchor publishes them.",
            ),
        }
    }

    fn lists_of(&self, path: &Path, grace_s: u64) -> Result<Vec<RevocationList>, String> {
        revocation::lists_from_file(path)
            .map_err(|e| match e {
                super::CertificateError::None => "it holds no revocation list".to_owned(),
                e => e.to_string(),
            })?
            .iter()
            .map(|der| RevocationList::read(der, path, self.certificates(), grace_s))
            .collect()
    }
}

fn warn_of_age(list: &ListView<'_>, field: &str, report: &mut Report<'_>, now: Moment) {
    let what = if list.this_update > now {
        format!("starts only at {}", shown(list.this_update))
    } else if over(list.deadline, now) {
        format!(
            "is out of date and its grace ended {}: everything it covers is refused",
            shown(list.deadline)
        )
    } else if over(list.next_update, now) {
        format!(
            "is out of date since {}; it is used until {}",
            shown(list.next_update),
            shown(list.deadline)
        )
    } else {
        return;
    };
    report.warning(
        field,
        format!("the list of `{}` {what}", list.issuer),
        "Fetch the issuer's current list.",
    );
}
