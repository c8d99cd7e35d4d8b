//! Judging a certificate as of a moment in the past, with nothing but files: for evidence, which is checked away from any
//! gateway and long after.
//!
//! The path check is that of the roles `encryption` and `signature` ([`super::path`]): an issuer must stand in the anchor's own
//! files. Certificates that came with the evidence are never issuers, because MOSIP's re-signed leaves are CA:TRUE and a partner
//! could issue below its own.

use std::path::Path;

use super::{
    Anchor, Certificate, CertificateError, Fingerprint, Standing, Unusable, over, path, revocation,
    role,
};
use crate::{clock::Moment, config};

/// What the revocation lists say of a certificate's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// No list covers an element of the path.
    Unknown {
        /// The issuer whose list is missing.
        issuer: String,
    },
    /// A list covers every element, and none is named.
    Good {
        /// When the oldest of them was made.
        as_of: Moment,
    },
}

impl Anchor {
    /// An anchor from a file of CA certificates, and revocation lists in DER.
    ///
    /// # Errors
    /// When the file cannot be read, holds no certificate, or one that is no CA, or none that is self-signed.
    pub fn offline(files: &[impl AsRef<Path>]) -> Result<Self, CertificateError> {
        let mut all = Vec::new();
        for file in files {
            all.extend(super::certificates_from_file(file.as_ref())?);
        }
        Self::from_certificates("given", all)
    }

    /// Adds a revocation list, when one of the anchor's certificates signed it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn add_list(&mut self, der: &[u8]) -> Result<(), String> {
        let list =
            revocation::RevocationList::read(der, Path::new("evidence"), self.certificates(), 0)?;
        self.push_list(list);
        Ok(())
    }

    /// Whether the certificate could be used in the role `signature` at that moment; gives the subjects of its path, the leaf's
    /// first.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn signature_path(
        &self,
        leaf: &Certificate,
        at: Moment,
    ) -> Result<(Vec<String>, Listed), Unusable> {
        role::usage(leaf, config::Role::Signature)?;
        role::key_size(leaf, config::Role::Signature)?;
        self.path_at(leaf, at)
    }

    /// The same without asking what the certificate is for.
    ///
    /// # Errors
    /// The first reason why not. A certificate that a list names is refused even where the list is younger than `at`: what its key
    /// signed before cannot be told from what it signed after.
    pub fn path_at(
        &self,
        leaf: &Certificate,
        at: Moment,
    ) -> Result<(Vec<String>, Listed), Unusable> {
        if at < leaf.not_before() {
            return Err(Unusable::NotYet(leaf.not_before()));
        }
        if over(leaf.not_after(), at) {
            return Err(Unusable::Expired(leaf.not_after()));
        }
        let found = std::cell::RefCell::new(None);
        path::find(leaf, self, at, &|path| {
            let listed = self.listed(path)?;
            let subjects = path.iter().map(|c| c.subject().to_owned()).collect();
            found.replace(Some((subjects, listed)));
            Ok(())
        })?;
        found
            .into_inner()
            .ok_or_else(|| Unusable::UnknownIssuer(leaf.issuer().to_owned()))
    }

    /// What all lists say of a path, whenever they were made.
    fn listed(&self, path: &[&Certificate]) -> Result<Listed, Unusable> {
        let (mut as_of, mut missing) = (Moment::from_ms(i64::MAX), None);
        for (certificate, issuer) in path.iter().zip(path.iter().skip(1)) {
            let view = revocation::standing(
                self.revocation_lists(),
                certificate,
                issuer,
                Moment::from_ms(i64::MAX),
            );
            match (view.standing, view.age_s) {
                (Standing::Revoked, _) => {
                    return Err(Unusable::Revoked {
                        subject: certificate.subject().to_owned(),
                    });
                }
                (Standing::Unknown | Standing::Unchecked, _) | (_, None) => {
                    missing = Some(issuer.subject().to_owned());
                }
                (Standing::Good | Standing::Stale, Some(age_s)) => {
                    let made = Moment::from_ms(i64::MAX).s().saturating_sub(age_s);
                    as_of = as_of.min(Moment::from_s(made));
                }
            }
        }
        Ok(match missing {
            Some(issuer) => Listed::Unknown { issuer },
            None => Listed::Good { as_of },
        })
    }

    /// The certificate of that fingerprint in the anchor's files.
    pub fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.certificates().any(|c| c.fingerprint() == *fingerprint)
    }
}
