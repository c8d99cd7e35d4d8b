//! Partner, policy, API key and licence, asked in MOSIP's order (IDA reference 2.2), so that the first answer is the one
//! that MOSIP would give.
//!
//! MOSIP compares the signer's certificate between API key and licence; here the signature is verified later on the road,
//! by `envelope`, and can only refuse more.

use crate::ida::Operation;
use std::sync::Arc;

use super::{AuthPolicy, Policies};
use crate::{
    clock::Moment,
    partners::{ApiKey, Directory, LicenceKey, Partner},
    refusal::Refusal,
};

/// What a request with these identifiers stands on.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'s> {
    api_key: &'s ApiKey,
    policy: &'s Arc<AuthPolicy>,
    misp: &'s Arc<Partner>,
    licence: &'s LicenceKey,
}

impl<'s> Admission<'s> {
    /// Asks everything that the identifiers alone can answer.
    ///
    /// # Errors
    /// In this order: `API-001` no such API key of this partner; `ID-008`, `ID-004`, `ID-005` the partner; `POL-001`,
    /// `POL-002` the policy; `API-002`, `API-003` the API key; `LIC-001` to `LIC-003` the licence key; on delegated
    /// routes `POL-011`, `POL-012` the MISP's policy; `POL-003` the policy does not permit the operation.
    pub fn ask(
        directory: &'s Directory,
        policies: &'s Policies,
        partner: &'s Partner,
        operation: Operation,
        presented: Presented<'_>,
        now: Moment,
    ) -> Result<Self, Refusal> {
        let api_key = directory.mapping(partner, presented.api_key)?;
        partner.standing(now)?;
        let policy = policies.active(api_key.policy(), now)?;
        api_key.standing(now)?;
        let (misp, licence) = directory.licence_key(presented.licence_key, now)?;
        if operation.delegated() {
            policies
                .misp(licence.policy(), now)?
                .permits_operation(operation)?;
        }
        policy.permits_operation(operation)?;
        Ok(Self {
            api_key,
            policy,
            misp,
            licence,
        })
    }

    /// The API key.
    pub const fn api_key(&self) -> &'s ApiKey {
        self.api_key
    }

    /// The policy behind it.
    pub const fn policy(&self) -> &'s Arc<AuthPolicy> {
        self.policy
    }

    /// The MISP whose licence it is.
    pub const fn misp(&self) -> &'s Arc<Partner> {
        self.misp
    }

    /// The licence key.
    pub const fn licence(&self) -> &'s LicenceKey {
        self.licence
    }
}

/// The secrets of a path. No `Debug`: they must not reach a log.
#[derive(Clone, Copy)]
pub struct Presented<'p> {
    /// The segment `{api_key}`.
    pub api_key: &'p str,
    /// The segment `{misp_lk}`.
    pub licence_key: &'p str,
}

#[cfg(test)]
mod tests;
