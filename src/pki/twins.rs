//! Wrong twins: a party's three certificates again, with keys of their own, each set wrong in exactly one way. For tests
//! and for showing attacks.

use super::{
    Authority, Hierarchy, Key, Party, PartyPlan, PkiError, Plan, Reason, Revoked, Serial, TwinKind,
    Validity,
    hierarchy::{AuthorityName, KeyPool, Password, ROLES, leaf_request},
};
use crate::{clock::Moment, config::Role};

const EXPIRED_SINCE_MS: i64 = 1_000;
const EXPIRED_BEGAN_MS: i64 = 30 * 86_400_000;

/// A party that is not who it says, or no longer.
#[derive(Debug)]
pub struct Twin {
    /// In which way it is wrong.
    pub kind: TwinKind,
    /// Its certificates and keys.
    pub party: Party,
    /// The other root and its CAs, for [`TwinKind::OtherRoot`].
    pub hierarchy: Option<Hierarchy>,
}

impl Twin {
    /// Makes a twin of a party. A revoked one is only revoked once the lists name [`Twin::revocations`].
    pub(super) fn make(
        kind: TwinKind,
        plan: &Plan,
        of: &PartyPlan,
        hierarchy: &Hierarchy,
        right: &Party,
        keys: &mut KeyPool,
    ) -> Result<Self, PkiError> {
        let mut other = None;
        let party = match kind {
            TwinKind::OtherRoot => {
                let made = Hierarchy::make_from(plan, keys)?;
                let party = made.issue_party_from(of, plan.leaves, keys)?;
                other = Some(made);
                party
            }
            TwinKind::Expired => hierarchy.issue_party_from(of, expired(plan.now), keys)?,
            TwinKind::NotYetValid => hierarchy.issue_party_from(of, after(plan.leaves), keys)?,
            TwinKind::Revoked => hierarchy.issue_party_from(of, plan.leaves, keys)?,
            TwinKind::RoleSwapped => role_swapped(plan, of, hierarchy, keys)?,
            TwinKind::OtherOrganisation => {
                let organisation = format!("{} (not)", of.organisation);
                hierarchy.issue_party_from(
                    &PartyPlan {
                        organisation,
                        ..of.clone()
                    },
                    plan.leaves,
                    keys,
                )?
            }
            TwinKind::SharedKey => shared_key(plan, of, hierarchy, keys)?,
            TwinKind::BelowPartner => below_partner(plan, of, right, keys)?,
        };
        Ok(Self {
            kind,
            party,
            hierarchy: other,
        })
    }

    /// The lines by which a CA revokes this twin; none unless it is the revoked one.
    pub(super) fn revocations(
        &self,
        plan: &Plan,
        of: &PartyPlan,
        by: AuthorityName,
    ) -> Result<Vec<Revoked>, PkiError> {
        let mut lines = Vec::new();
        if self.kind == TwinKind::Revoked {
            for role in ROLES
                .into_iter()
                .filter(|role| Hierarchy::issuer_for(of.kind, *role) == by)
            {
                lines.push(Revoked {
                    serial: Serial::of(&self.party.issued(role).certificate_der)?,
                    since: plan.lists.not_before,
                    reason: Reason::KeyCompromise,
                });
            }
        }
        Ok(lines)
    }
}

fn expired(now: Moment) -> Validity {
    Validity {
        not_before: now.plus_ms(-EXPIRED_BEGAN_MS),
        not_after: now.plus_ms(-EXPIRED_SINCE_MS),
    }
}

/// As long again, beginning when the right ones end: it stays wrong as long as they are of use.
const fn after(leaves: Validity) -> Validity {
    let length_ms = leaves.not_after.since_ms(leaves.not_before);
    Validity {
        not_before: leaves.not_after.plus_ms(1_000),
        not_after: leaves.not_after.plus_ms(length_ms),
    }
}

fn role_swapped(
    plan: &Plan,
    of: &PartyPlan,
    hierarchy: &Hierarchy,
    keys: &mut KeyPool,
) -> Result<Party, PkiError> {
    let mut issue = |role, usage| {
        let key = keys.take(of.algorithms.of(role))?;
        hierarchy.issue_role(of, role, usage, plan.leaves, key)
    };
    Ok(Party {
        id: of.id.clone(),
        organisation: of.organisation.clone(),
        tls: issue(Role::Tls, Role::Encryption)?,
        encryption: issue(Role::Encryption, Role::Signature)?,
        signature: issue(Role::Signature, Role::Encryption)?,
        password: Password::random()?,
    })
}

fn shared_key(
    plan: &Plan,
    of: &PartyPlan,
    hierarchy: &Hierarchy,
    keys: &mut KeyPool,
) -> Result<Party, PkiError> {
    let mut party = hierarchy.issue_party_from(of, plan.leaves, keys)?;
    let key = Key::from_der(party.encryption.key_pkcs8_der())?;
    party.signature =
        hierarchy.issue_role(of, Role::Signature, Role::Signature, plan.leaves, key)?;
    Ok(party)
}

/// MOSIP's re-signed certificates are CA:TRUE with keyCertSign, so their owners can issue below them (reference 5.3).
fn below_partner(
    plan: &Plan,
    of: &PartyPlan,
    right: &Party,
    keys: &mut KeyPool,
) -> Result<Party, PkiError> {
    let authority = Authority::load(
        right.signature.chain_der.clone(),
        Key::from_der(right.signature.key_pkcs8_der())?,
    )?;
    let mut issue = |role| {
        let algorithm = of.algorithms.of(role);
        authority.issue_with(
            &leaf_request(of, role, role, plan.leaves, algorithm),
            keys.take(algorithm)?,
        )
    };
    Ok(Party {
        id: of.id.clone(),
        organisation: of.organisation.clone(),
        tls: issue(Role::Tls)?,
        encryption: issue(Role::Encryption)?,
        signature: issue(Role::Signature)?,
        password: Password::random()?,
    })
}
