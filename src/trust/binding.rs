//! A binding: one certificate, tied to a party and a role for a time, with the public key ready for use.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::{
    Anchor, Anchors, Certificate, Fingerprint, RevocationView, Standing, Unusable, after, over,
    path, role,
    tls::{self, End, any_anchor},
};
use crate::{
    clock::Moment,
    config::{Algorithm, Role},
    keys::{ContentWrapKey, VerifyingKey, WrappingKey},
};

/// One certificate of one party in one role.
#[derive(Debug)]
pub struct Binding {
    pub(super) certificate: Arc<Certificate>,
    pub(super) chain: Vec<Arc<Certificate>>,
    pub(super) role: Role,
    pub(super) valid_from: Moment,
    pub(super) valid_until: Moment,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) anchors: Vec<String>,
    pub(super) organisation: Arc<str>,
    pub(super) verifying: Option<VerifyingKey>,
    pub(super) wrapping: Option<ContentWrapKey>,
    /// What the party as a whole has against it: a key in two roles, an issuer's key.
    pub(super) objection: Option<Unusable>,
}

impl Binding {
    /// The certificate.
    pub const fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// The certificates that came in its file after it. Only TLS uses them.
    pub fn chain(&self) -> &[Arc<Certificate>] {
        &self.chain
    }

    /// What it is for.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// From when it holds: the later of its own start and the certificate's.
    pub const fn valid_from(&self) -> Moment {
        self.valid_from
    }

    /// The last second in which it holds: the earlier of its own end and the certificate's.
    pub const fn valid_until(&self) -> Moment {
        self.valid_until
    }

    /// The one signature algorithm of its key (role signature).
    pub const fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The names of the anchors it may chain to.
    pub fn anchors(&self) -> &[String] {
        &self.anchors
    }

    /// The key that verifies its signatures (role signature), parsed once.
    pub const fn verifying_key(&self) -> Option<&VerifyingKey> {
        self.verifying.as_ref()
    }

    /// The key that content keys are wrapped to (role encryption), parsed once.
    pub const fn content_key(&self) -> Option<&ContentWrapKey> {
        self.wrapping.as_ref()
    }

    /// The same where it is RSA, which is all that MOSIP's own formats take.
    pub fn wrapping_key(&self) -> Option<&WrappingKey> {
        self.wrapping.as_ref().and_then(ContentWrapKey::rsa)
    }

    /// Whether it may be used now: everything of design section 4.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn judge(&self, anchors: &Anchors, now: Moment) -> Result<(), Unusable> {
        if now < self.valid_from {
            return Err(Unusable::NotYet(self.valid_from));
        }
        if over(self.valid_until, now) {
            return Err(Unusable::Expired(self.valid_until));
        }
        if let Some(objection) = &self.objection {
            return Err(objection.clone());
        }
        role::usage(&self.certificate, self.role)?;
        role::key_size(&self.certificate, self.role)?;
        if self.certificate.organisation() != Some(&*self.organisation) {
            return Err(Unusable::Organisation {
                expected: self.organisation.to_string(),
                found: self.certificate.organisation().map(str::to_owned),
            });
        }
        any_anchor(self.own_anchors(anchors), |anchor| match self.role {
            Role::Tls => self.judge_tls(anchor, now),
            Role::Encryption | Role::Signature => {
                path::find(&self.certificate, anchor, now, &|path| {
                    anchor.not_revoked(path, now)
                })
            }
        })
    }

    /// The revocation state of its whole path at its first anchor that has one, with source, age and seconds left: for evidence
    /// and metrics, not a verdict.
    pub fn revocation(&self, anchors: &Anchors, now: Moment) -> RevocationView {
        let seen = std::cell::RefCell::new(None);
        for anchor in self.own_anchors(anchors) {
            let looked = path::find(&self.certificate, anchor, now, &|path| {
                seen.replace(Some(anchor.standing(path, now)));
                Ok(())
            });
            if looked.is_ok() {
                break;
            }
        }
        seen.into_inner().unwrap_or(RevocationView {
            standing: Standing::Unknown,
            source: None,
            age_s: None,
            left_s: None,
            list: None,
        })
    }

    /// The earliest moment after `now` at which [`Binding::judge`] may say something else. It may be too early, never too
    /// late.
    pub fn next_change(&self, anchors: &Anchors, now: Moment) -> Option<Moment> {
        let own = [self.valid_from, after(self.valid_until)];
        let chain = self
            .chain
            .iter()
            .flat_map(|c| [c.not_before(), after(c.not_after())]);
        self.own_anchors(anchors)
            .flat_map(Anchor::changes)
            .chain(own)
            .chain(chain)
            .filter(|m| *m > now)
            .min()
    }

    fn own_anchors<'a>(&'a self, anchors: &'a Anchors) -> impl Iterator<Item = &'a Anchor> {
        self.anchors.iter().filter_map(|name| anchors.get(name))
    }

    fn judge_tls(&self, anchor: &Anchor, now: Moment) -> Result<(), Unusable> {
        let chain: Vec<CertificateDer<'_>> = self
            .chain
            .iter()
            .map(|c| CertificateDer::from(c.der()))
            .collect();
        let judge = |end| tls::judge(&self.certificate, &chain, anchor, end, now);
        match self.certificate.extended_key_usage() {
            Some(usage) if !usage.client_auth => judge(End::Server),
            _ => judge(End::Client),
        }
    }
}
