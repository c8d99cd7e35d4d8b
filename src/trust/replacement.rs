//! A certificate in place of another of the same party and role: what it must be like to be taken, and how both hold for a while.
//!
//! The checks are those of a certificate from a file, made at once and without grace: what a file may prepare (a certificate whose
//! time has not come, a key that is bound twice) is not taken from a partner.

use super::{
    Anchors, Binding, Certificate, Fingerprint, PartyCertificates, Unusable, over,
    party::{Terms, binding},
};
use crate::{
    clock::Moment,
    config::{Algorithm, Document, Mistakes, Report, Role},
};

/// Certificates of one chain, the leaf first.
const CHAIN_MAX: usize = 6;

/// What is to be bound.
#[derive(Debug)]
pub struct Candidate {
    /// The leaf first, then its issuers.
    pub certificates: Vec<Certificate>,
    /// In place of whose certificate.
    pub role: Role,
    /// The signature algorithm of its key (role signature), where it is not the one of its kind.
    pub algorithm: Option<Algorithm>,
    /// From when it is to hold; before that the old one is alone.
    pub valid_from: Moment,
    /// How long what it replaces holds beside it, in milliseconds.
    pub overlap_ms: i64,
    /// Bindings of the role that may hold or wait at once, this one included.
    pub live_max: usize,
    /// Whether it may have the key that it replaces.
    pub same_key: bool,
}

/// A replacement that was taken: everything that a later start needs to make the same bindings again.
#[derive(Debug)]
pub struct Replacement {
    /// The leaf first, then its issuers.
    pub certificates: Vec<Certificate>,
    /// What it is for.
    pub role: Role,
    /// The signature algorithm (role signature).
    pub algorithm: Option<Algorithm>,
    /// From when it holds.
    pub valid_from: Moment,
    /// What it replaces.
    pub replaces: Vec<Fingerprint>,
    /// Until when that holds beside it.
    pub overlap_until: Moment,
}

/// Why a certificate does not take the place of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is none, or too many.
    #[error("a chain of {0} certificates; 1 to {CHAIN_MAX} are taken")]
    Chain(usize),
    /// The party has no certificate in that role.
    #[error("the party has no certificate in this role that could be replaced")]
    Nothing,
    /// As many as may be are bound already.
    #[error("{0} certificates hold or wait in this role already")]
    TooMany(usize),
    /// This very certificate is bound to the party.
    #[error("the certificate is bound already, in the role {0:?}")]
    Known(Role),
    /// Its key is bound to the party.
    #[error("its key is bound already, in the role {0:?}")]
    Key(Role),
    /// The key cannot be used with that algorithm.
    #[error("the algorithm does not go with its key")]
    Algorithm,
    /// It ends before it is to begin.
    #[error("it ends before it is to begin")]
    Ended,
    /// It does not pass what every binding must.
    #[error("{0}")]
    Unusable(Unusable),
}

impl PartyCertificates {
    /// The certificates of a role that hold, or wait for their time.
    pub fn live(&self, role: Role, now: Moment) -> Vec<Fingerprint> {
        let live = |b: &&Binding| b.role == role && !over(b.valid_until, now);
        let all = self.bindings.iter().filter(live);
        all.map(Binding::fingerprint).collect()
    }

    /// Whether the candidate may be bound to this party at this moment. Whose else its key is, the caller must ask all parties.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn fit(
        &self,
        candidate: Candidate,
        anchors: &Anchors,
        now: Moment,
    ) -> Result<Replacement, Unfit> {
        let Candidate { role, .. } = candidate;
        let of_role = || self.bindings.iter().filter(|b| b.role == role);
        let chain = candidate.certificates.len();
        let leaf = candidate.certificates.first();
        let leaf = leaf
            .filter(|_| chain <= CHAIN_MAX)
            .ok_or(Unfit::Chain(chain))?;
        let names = of_role().next().ok_or(Unfit::Nothing)?.anchors.clone();
        let replaces = self.live(role, now);
        if replaces.len() >= candidate.live_max {
            return Err(Unfit::TooMany(replaces.len()));
        }
        for bound in &self.bindings {
            if bound.fingerprint() == leaf.fingerprint() {
                return Err(Unfit::Known(bound.role));
            }
            let same = bound.certificate.key().same_key(leaf.key());
            if same && !(candidate.same_key && bound.role == role) {
                return Err(Unfit::Key(bound.role));
            }
        }
        if anchors.issues_with(leaf.key()) {
            return Err(Unfit::Unusable(Unusable::Issuer));
        }
        let Candidate {
            certificates,
            algorithm,
            valid_from,
            overlap_ms,
            ..
        } = candidate;
        let again = copies(&certificates)?;
        // Judged as of now, whenever it is to hold: a list that says nothing of the future would else stand in the way.
        let made = self.bound(again, role, algorithm, None, &names)?;
        made.judge(anchors, now).map_err(Unfit::Unusable)?;
        if over(made.valid_until, valid_from.max(now)) {
            return Err(Unfit::Ended);
        }
        let valid_from = valid_from.max(made.valid_from);
        Ok(Replacement {
            certificates,
            role,
            algorithm: made.algorithm,
            valid_from,
            replaces,
            overlap_until: valid_from.plus_ms(overlap_ms),
        })
    }

    /// Binds what was replaced before, beside what it replaces, which ends with the overlap. The anchors are those that the party has
    /// now for the role. What the configuration names itself by now needs no binding more.
    ///
    /// # Errors
    /// Why it is not bound: nothing changes then.
    pub fn replace(
        &mut self,
        replacement: Replacement,
        names: &[String],
        anchors: &Anchors,
    ) -> Result<(), Unfit> {
        let Replacement { role, .. } = replacement;
        let leaf = replacement.certificates.first().ok_or(Unfit::Chain(0))?;
        let known = self.find(&leaf.fingerprint()).map(|bound| bound.role);
        if known.is_none() {
            let twin = self
                .bindings
                .iter()
                .find(|bound| bound.role != role && bound.certificate.key().same_key(leaf.key()));
            if let Some(twin) = twin {
                return Err(Unfit::Key(twin.role));
            }
            if anchors.issues_with(leaf.key()) {
                return Err(Unfit::Unusable(Unusable::Issuer));
            }
            let made = self.bound(
                replacement.certificates,
                role,
                replacement.algorithm,
                Some(replacement.valid_from),
                names,
            )?;
            self.bindings.push(made);
        } else if known != Some(role) {
            return Err(known.map_or(Unfit::Nothing, Unfit::Known));
        }
        let replaced = self
            .bindings
            .iter_mut()
            .filter(|b| b.role == role && replacement.replaces.contains(&b.fingerprint()));
        for old in replaced {
            old.valid_until = old.valid_until.min(replacement.overlap_until);
        }
        Ok(())
    }

    fn bound(
        &self,
        certificates: Vec<Certificate>,
        role: Role,
        algorithm: Option<Algorithm>,
        valid_from: Option<Moment>,
        anchors: &[String],
    ) -> Result<Binding, Unfit> {
        let terms = Terms {
            role,
            algorithm,
            anchors,
            organisation: self.organisation(),
            valid_from,
            valid_until: None,
        };
        // There is no file for a mistake to be in; the only one that can be is the algorithm's.
        let document = Document::from_text(std::path::Path::new("replacement"), String::new());
        let mut mistakes = Mistakes::default();
        let made = binding(
            certificates,
            &terms,
            &mut Report::new(&document, &mut mistakes),
        );
        made.filter(|_| !mistakes.refuse()).ok_or(Unfit::Algorithm)
    }
}

impl Replacement {
    /// The new certificate.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.certificates.first()
    }
}

fn copies(certificates: &[Certificate]) -> Result<Vec<Certificate>, Unfit> {
    let read = |c: &Certificate| Certificate::from_der(c.der().to_vec());
    let all: Result<Vec<_>, _> = certificates.iter().map(read).collect();
    all.map_err(|_| Unfit::Chain(0))
}
