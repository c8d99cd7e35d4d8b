//! All bindings of one party, and the rules that look at several of them: one key stands in one role, and for one party.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Anchors, Binding, Certificate, CertificateError, Fingerprint, Unusable, certificates_from_file,
};
use crate::{
    clock::Moment,
    config::{self, Algorithm, PeerCertificate, Report, Role, RoleAnchors},
    keys::{ContentWrapKey, VerifyingKey, default_algorithm},
};

/// What the configuration says of a party's certificates.
#[derive(Clone, Copy, Debug)]
pub struct PartySpec<'a> {
    /// The party's id.
    pub id: &'a str,
    /// The organisation its certificates name.
    pub organisation: &'a str,
    /// Its certificates.
    pub certificates: &'a [PeerCertificate],
    /// Where they must chain to.
    pub anchors: &'a RoleAnchors,
    /// Whether one key may stand in several roles.
    pub insecure_shared_keys: bool,
}

impl<'a> From<&'a config::Peer> for PartySpec<'a> {
    fn from(raw: &'a config::Peer) -> Self {
        Self {
            id: &raw.id,
            organisation: &raw.organisation,
            certificates: &raw.certificate,
            anchors: &raw.anchors,
            insecure_shared_keys: raw.insecure_shared_keys,
        }
    }
}

impl<'a> From<&'a config::Partner> for PartySpec<'a> {
    fn from(raw: &'a config::Partner) -> Self {
        Self {
            id: &raw.id,
            organisation: &raw.organisation,
            certificates: &raw.certificate,
            anchors: &raw.anchors,
            insecure_shared_keys: raw.insecure_shared_keys,
        }
    }
}

/// All bindings of one party.
#[derive(Debug)]
pub struct PartyCertificates {
    id: String,
    organisation: String,
    pub(super) bindings: Vec<Binding>,
}

impl PartyCertificates {
    /// Reads a party's certificates; `report` stands at the party. What cannot be read or contradicts itself is an error;
    /// what merely cannot be used now is a warning.
    pub fn build(
        spec: PartySpec<'_>,
        anchors: &Anchors,
        report: &mut Report<'_>,
        now: Moment,
    ) -> Self {
        check_names(spec.anchors, anchors, report);
        let mut made = Vec::new();
        for (i, raw) in spec.certificates.iter().enumerate() {
            let mut report = report.within(format!("certificate[{i}]"));
            if let Some(binding) = read_binding(spec, raw, &mut report) {
                made.push((i, binding));
            }
        }
        Self::from_bindings(
            spec.id,
            spec.organisation,
            made,
            spec.insecure_shared_keys,
            anchors,
            report,
            now,
        )
    }

    /// Looks at the bindings together; the number of each is its place in the configuration.
    pub(super) fn from_bindings(
        id: &str,
        organisation: &str,
        mut made: Vec<(usize, Binding)>,
        insecure_shared_keys: bool,
        anchors: &Anchors,
        report: &mut Report<'_>,
        now: Moment,
    ) -> Self {
        object_to_twins(&mut made, insecure_shared_keys, report);
        object_to_issuers(&mut made, anchors, report);
        for (i, binding) in &made {
            match binding.judge(anchors, now) {
                // The first is overlap prepared in time, the others are told as errors above.
                Ok(())
                | Err(Unusable::NotYet(_) | Unusable::SharedKey { .. } | Unusable::Issuer) => {}
                Err(reason) => report.within(format!("certificate[{i}]")).warning(
                    "",
                    format!(
                        "the {} certificate `{}` cannot be used: {reason}",
                        binding.role.as_str(),
                        binding.certificate.subject()
                    ),
                    "Replace it, or correct what is named.",
                ),
            }
        }
        Self {
            id: id.to_owned(),
            organisation: organisation.to_owned(),
            bindings: made.into_iter().map(|(_, b)| b).collect(),
        }
    }

    /// The party's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The organisation its certificates name.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// All bindings, usable or not.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// The first binding of that certificate, in whatever role. With `insecure_shared_keys` a certificate may have several:
    /// see [`PartyCertificates::find_in`].
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<&Binding> {
        self.bindings
            .iter()
            .find(|b| b.fingerprint() == *fingerprint)
    }

    /// The binding of that certificate in that role.
    pub fn find_in(&self, role: Role, fingerprint: &Fingerprint) -> Option<&Binding> {
        self.bindings
            .iter()
            .find(|b| b.role == role && b.fingerprint() == *fingerprint)
    }

    /// The bindings of a role that may be used now, the newest first.
    pub fn usable<'a>(
        &'a self,
        role: Role,
        anchors: &'a Anchors,
        now: Moment,
    ) -> impl Iterator<Item = &'a Binding> {
        let mut usable: Vec<&Binding> = self
            .bindings
            .iter()
            .filter(|b| b.role == role && b.judge(anchors, now).is_ok())
            .collect();
        usable.sort_by_key(|b| std::cmp::Reverse((b.valid_from, b.certificate.not_before())));
        usable.into_iter()
    }

    /// The earliest moment after `now` at which a verdict on any binding may change.
    pub fn next_change(&self, anchors: &Anchors, now: Moment) -> Option<Moment> {
        self.bindings
            .iter()
            .filter_map(|b| b.next_change(anchors, now))
            .min()
    }
}

/// Certificates or keys that are bound to more than one party, with both parties. No snapshot may have any.
pub fn shared_between_parties<'a>(
    parties: impl Iterator<Item = &'a PartyCertificates>,
) -> Vec<(Fingerprint, String, String)> {
    let mut seen: std::collections::HashMap<&[u8], &str> = std::collections::HashMap::new();
    let mut shared = Vec::new();
    for party in parties {
        for binding in &party.bindings {
            // The same certificate has the same key, so the key says both.
            let first = *seen
                .entry(binding.certificate.key().raw())
                .or_insert(&party.id);
            if first != party.id {
                shared.push((binding.fingerprint(), first.to_owned(), party.id.clone()));
            }
        }
    }
    shared
}

/// What [`binding`] needs beside the certificate.
pub(super) struct Terms<'a> {
    pub(super) role: Role,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) anchors: &'a [String],
    pub(super) organisation: &'a str,
    pub(super) valid_from: Option<Moment>,
    pub(super) valid_until: Option<Moment>,
}

/// Makes a binding of certificates that were read; `report` stands at the certificate.
pub(super) fn binding(
    mut certificates: Vec<Certificate>,
    terms: &Terms<'_>,
    report: &mut Report<'_>,
) -> Option<Binding> {
    if certificates.is_empty() {
        return None;
    }
    let leaf = certificates.remove(0);
    let algorithm = match (terms.role, terms.algorithm) {
        (Role::Signature, wished) => wished.or_else(|| default_algorithm(leaf.key().kind())),
        (Role::Tls | Role::Encryption, None) => None,
        (Role::Tls | Role::Encryption, Some(_)) => {
            report.error(
                "algorithm",
                "only signature certificates have a signature algorithm",
                "Remove it.",
            );
            None
        }
    };
    let small = super::role::key_size(&leaf, terms.role).is_err();
    let verifying = algorithm.and_then(|a| match VerifyingKey::new(leaf.key(), a) {
        Ok(key) => Some(key),
        // A key of the wrong size is told when the binding is judged.
        Err(_) if small && terms.algorithm.is_none() => None,
        Err(_) => {
            report.error(
                "algorithm",
                format!(
                    "{a:?} does not go with the certificate's {} key",
                    leaf.key()
                ),
                "Use RS256 or PS256 for RSA, ES256 for P-256, EdDSA for Ed25519.",
            );
            None
        }
    });
    let wrapping = (terms.role == Role::Encryption)
        .then(|| ContentWrapKey::new(leaf.key()).ok())
        .flatten();
    let later = |a: Moment| terms.valid_from.map_or(a, |b| a.max(b));
    let earlier = |a: Moment| terms.valid_until.map_or(a, |b| a.min(b));
    Some(Binding {
        role: terms.role,
        valid_from: later(leaf.not_before()),
        valid_until: earlier(leaf.not_after()),
        algorithm,
        anchors: terms.anchors.to_vec(),
        organisation: Arc::from(terms.organisation),
        verifying,
        wrapping,
        objection: None,
        certificate: Arc::new(leaf),
        chain: certificates.into_iter().map(Arc::new).collect(),
    })
}

fn read_binding(
    spec: PartySpec<'_>,
    raw: &PeerCertificate,
    report: &mut Report<'_>,
) -> Option<Binding> {
    let anchors = for_role(spec.anchors, raw.role);
    if anchors.is_empty() {
        report.error(
            "role",
            format!(
                "the party has no anchors for its {} certificates",
                raw.role.as_str()
            ),
            format!("Add `{} = [..]` to its `anchors`.", raw.role.as_str()),
        );
    }
    let valid_from = date("valid_from", raw.valid_from.as_deref(), report);
    let valid_until = date("valid_until", raw.valid_until.as_deref(), report);
    let path = report.resolve(&raw.file);
    let read = (raw.chain.as_ref()).map_or_else(|| certificates_from_file(&path), |c| chain(c));
    let certificates = match read {
        Ok(certificates) => certificates,
        Err(e) => {
            report.error(
                "file",
                format!("{}: {e}", path.display()),
                "Name a PEM or DER file with the certificate.",
            );
            return None;
        }
    };
    let terms = Terms {
        role: raw.role,
        algorithm: raw.algorithm,
        anchors,
        organisation: spec.organisation,
        valid_from,
        valid_until,
    };
    binding(certificates, &terms, report)
}

/// Certificates of a change of the registry.
fn chain(encoded: &[String]) -> Result<Vec<Certificate>, CertificateError> {
    if encoded.is_empty() {
        return Err(CertificateError::None);
    }
    (encoded.iter())
        .map(|text| {
            let der = URL_SAFE_NO_PAD.decode(text);
            Certificate::from_der(der.map_err(|_| CertificateError::Form)?)
        })
        .collect()
}

fn for_role(anchors: &RoleAnchors, role: Role) -> &[String] {
    match role {
        Role::Tls => &anchors.tls,
        Role::Encryption => &anchors.encryption,
        Role::Signature => &anchors.signature,
    }
}

fn check_names(raw: &RoleAnchors, anchors: &Anchors, report: &mut Report<'_>) {
    let mut report = report.within("anchors");
    for role in [Role::Tls, Role::Encryption, Role::Signature] {
        unknown_names(for_role(raw, role), role.as_str(), anchors, &mut report);
    }
}

/// Reports names that no anchor has.
pub(super) fn unknown_names(
    names: &[String],
    field: &str,
    anchors: &Anchors,
    report: &mut Report<'_>,
) {
    for (i, name) in names.iter().enumerate() {
        if anchors.get(name).is_none() {
            report.error(
                &format!("{field}[{i}]"),
                format!("there is no anchor `{name}`"),
                format!("Anchors are: {}.", anchors.names().join(", ")),
            );
        }
    }
}

fn date(field: &str, text: Option<&str>, report: &mut Report<'_>) -> Option<Moment> {
    let text = text?;
    let format = &time::format_description::well_known::Rfc3339;
    match time::OffsetDateTime::parse(text, format) {
        Ok(date) => Some(Moment::from_s(date.unix_timestamp())),
        Err(_) => {
            report.error(
                field,
                format!("`{text}` is not a date and time"),
                "Write it as 2027-01-31T00:00:00Z (RFC 3339).",
            );
            None
        }
    }
}

/// One key in two roles, or one certificate twice in a role.
fn object_to_twins(made: &mut [(usize, Binding)], allowed: bool, report: &mut Report<'_>) {
    let keys: Vec<_> = made
        .iter()
        .map(|(i, b)| (*i, b.role, Arc::clone(&b.certificate)))
        .collect();
    for (i, binding) in made.iter_mut() {
        for (j, role, other) in keys.iter().filter(|(j, ..)| j != i) {
            let mut report = report.within(format!("certificate[{i}]"));
            if *role == binding.role {
                if j < i && other.fingerprint() == binding.fingerprint() {
                    report.error(
                        "",
                        "the same certificate is listed twice in this role",
                        "Remove one.",
                    );
                }
            } else if other.key().same_key(binding.certificate.key()) {
                let what = format!(
                    "the key of this {} certificate is also that of the {} certificate",
                    binding.role.as_str(),
                    role.as_str()
                );
                if allowed {
                    if j < i {
                        report.warning(
                            "",
                            format!("INSECURE: {what}; allowed by `insecure_shared_keys`"),
                            "Who can make it sign can make it decrypt. Give each role a key of its own.",
                        );
                    }
                    continue;
                }
                if j < i {
                    report.error(
                        "",
                        what,
                        "Give each role a key of its own, or set `insecure_shared_keys = true` for this party.",
                    );
                }
                binding.objection = Some(Unusable::SharedKey { with: *role });
            }
        }
    }
}

/// A party's key that is also an issuer's: whoever holds it could make certificates for others.
fn object_to_issuers(made: &mut [(usize, Binding)], anchors: &Anchors, report: &mut Report<'_>) {
    for (i, binding) in made {
        if anchors.issues_with(binding.certificate.key()) {
            report.within(format!("certificate[{i}]")).error(
                "",
                "this certificate or its key stands in the files of an anchor, so the party could issue certificates for others",
                "Remove it from the anchor's files; list only CAs there.",
            );
            binding.objection = Some(Unusable::Issuer);
        }
    }
}
