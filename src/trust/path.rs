//! The path check of the roles `encryption` and `signature`.
//!
//! TLS certificates are judged by rustls-webpki ([`super::tls`]). MOSIP's re-signed leaves are CA:TRUE, without extended key usage
//! and often with negative serials, so no TLS verifier takes them as end entities; hence this one.
//!
//! It allows, beyond what webpki allows: a leaf that is CA:TRUE, any serial, a leaf without extended key usage.
//!
//! It demands: every issuer stands in the anchor's own files, and the last one is a self-signed one of them (certificates
//! that came with the leaf, or that are somebody's leaf, are never issuers: a MOSIP partner could issue below its own leaf);
//! each issuer's subject equals the issuer below it, byte for byte; each signature fits, with an algorithm of
//! [`super::signed`]; every element is valid now; issuers are CA:TRUE, with keyCertSign where they have key usage, and their path
//! lengths hold; no critical extension that is not understood, no name constraints (which are not evaluated here); at most
//! [`DEPTH_MAX`] certificates and [`SIGNATURES_MAX`] signature checks.

use super::{Anchor, Certificate, Unusable, over, signed, unusable::shown};
use crate::clock::Moment;

/// The longest path, leaf and anchor included.
const DEPTH_MAX: usize = 6;

/// Signature checks for one leaf under one anchor.
const SIGNATURES_MAX: u32 = 32;

/// Searches a path from `leaf` to a self-signed certificate of the anchor for which `accept` (given the path, leaf first) is
/// content.
pub(super) fn find<'a>(
    leaf: &'a Certificate,
    anchor: &'a Anchor,
    now: Moment,
    accept: &dyn Fn(&[&'a Certificate]) -> Result<(), Unusable>,
) -> Result<(), Unusable> {
    if let Some(id) = leaf.unknown_critical() {
        return Err(Unusable::NoPath(format!(
            "it has the unknown critical extension {id}"
        )));
    }
    let mut search = Search {
        anchor,
        now,
        accept,
        signatures_left: SIGNATURES_MAX,
        problem: (
            Rank::NoIssuer,
            Unusable::UnknownIssuer(leaf.issuer().to_owned()),
        ),
    };
    if search.climb(&mut vec![leaf]) {
        Ok(())
    } else {
        Err(search.problem.1)
    }
}

/// How far a search came: the problem of the furthest one is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    NoIssuer,
    Signature,
    Issuer,
    Accept,
    Bound,
}

struct Search<'a, 's> {
    anchor: &'a Anchor,
    now: Moment,
    accept: &'s dyn Fn(&[&'a Certificate]) -> Result<(), Unusable>,
    signatures_left: u32,
    problem: (Rank, Unusable),
}

impl<'a> Search<'a, '_> {
    fn climb(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let Some(last) = path.last().copied() else {
            return false;
        };
        let anchor = self.anchor;
        for issuer in anchor
            .certificates()
            .filter(|c| c.subject_der() == last.issuer_der())
        {
            if path.iter().any(|c| c.key().same_key(issuer.key())) {
                continue;
            }
            if path.len() >= DEPTH_MAX {
                self.note(
                    Rank::Bound,
                    "the path is longer than is followed".to_owned(),
                );
                return false;
            }
            let Some(left) = self.signatures_left.checked_sub(1) else {
                self.note(Rank::Bound, "there are too many paths to try".to_owned());
                return false;
            };
            self.signatures_left = left;
            match signed::verify(last.der(), issuer.key()) {
                Ok(()) => {}
                Err(signed::SignatureProblem::Wrong) => {
                    self.note(
                        Rank::Signature,
                        format!("`{}` did not sign it", issuer.subject()),
                    );
                    continue;
                }
                Err(signed::SignatureProblem::Algorithm) => {
                    self.note(
                        Rank::Signature,
                        format!(
                            "`{}` signed with an algorithm that is not taken",
                            issuer.subject()
                        ),
                    );
                    continue;
                }
            }
            if let Err(why) = may_issue(issuer, path, self.now) {
                self.note(Rank::Issuer, why);
                continue;
            }
            path.push(issuer);
            let found = if issuer.self_signed() {
                (self.accept)(path)
                    .map_err(|problem| self.keep(Rank::Accept, problem))
                    .is_ok()
            } else {
                self.climb(path)
            };
            path.pop();
            if found {
                return true;
            }
        }
        false
    }

    fn note(&mut self, rank: Rank, why: String) {
        self.keep(rank, Unusable::NoPath(why));
    }

    fn keep(&mut self, rank: Rank, problem: Unusable) {
        if rank > self.problem.0 {
            self.problem = (rank, problem);
        }
    }
}

/// Whether `issuer` may stand above `path`.
fn may_issue(issuer: &Certificate, path: &[&Certificate], now: Moment) -> Result<(), String> {
    let name = issuer.subject();
    let constraints = issuer
        .constraints()
        .filter(|c| c.ca)
        .ok_or_else(|| format!("`{name}` is not a CA"))?;
    if issuer.key_usage().is_some_and(|u| !u.key_cert_sign()) {
        return Err(format!("`{name}` may not sign certificates"));
    }
    // Issuers that stand between this one and the leaf; those that re-issued themselves do not count (RFC 5280 section 6.1.4).
    let between = path
        .iter()
        .skip(1)
        .filter(|c| c.subject_der() != c.issuer_der())
        .count();
    if let Some(most) = constraints.path_length
        && between > usize::try_from(most).unwrap_or(usize::MAX)
    {
        return Err(format!("the path below `{name}` is longer than it allows"));
    }
    if now < issuer.not_before() {
        return Err(format!(
            "`{name}` is not valid before {}",
            shown(issuer.not_before())
        ));
    }
    if over(issuer.not_after(), now) {
        return Err(format!(
            "`{name}` was valid until {}",
            shown(issuer.not_after())
        ));
    }
    if let Some(id) = issuer.unknown_critical() {
        return Err(format!("`{name}` has the unknown critical extension {id}"));
    }
    if issuer.has_name_constraints() {
        return Err(format!("`{name}` constrains names, which is not evaluated"));
    }
    Ok(())
}
