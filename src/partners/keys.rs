//! API keys and licence keys: which one is presented, and may it be used now.
//!
//! The answers are the table of the IDA reference, section 8, in our codes. The order across partner, policy, key and
//! licence is kept by `policy::admission`.

use std::sync::Arc;

use super::{Directory, HashedSecret, Partner, Registered, Registration, SecretKind};
use crate::{
    clock::Moment,
    refusal::{Code, Refusal},
};

/// An API key (or OIDC client id) of a partner, with the policy it stands for.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub(super) hash: HashedSecret,
    pub(super) policy: String,
    pub(super) registration: Registration,
}

impl ApiKey {
    /// The policy's id.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Its state and dates.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Whether the key may be used now.
    ///
    /// # Errors
    /// `API-001` deleted, `API-002` inactive, `API-003` not commenced or expired.
    pub fn standing(&self, now: Moment) -> Result<(), Refusal> {
        let code = match self.registration.at(now) {
            Registered::Active => return Ok(()),
            Registered::Deleted => Code::ApiKeyUnknown,
            Registered::Inactive => Code::ApiKeyInactive,
            Registered::NotCommenced | Registered::Expired => Code::ApiKeyNotValid,
        };
        let word = self.registration.at(now).as_str();
        Err(Refusal::new(code, format!("the API key is {word}")))
    }
}

/// A licence key of a MISP.
#[derive(Clone, Debug)]
pub struct LicenceKey {
    pub(super) hash: HashedSecret,
    pub(super) policy: Option<String>,
    pub(super) registration: Registration,
}

impl LicenceKey {
    /// The id of the MISP's policy.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// Its state and dates.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }
}

/// What a licence's answer is, for the key itself and for the MISP that holds it.
const fn licence_code(registered: Registered) -> Option<Code> {
    match registered {
        Registered::Active => None,
        Registered::Deleted | Registered::NotCommenced => Some(Code::LicenceUnknown),
        Registered::Inactive => Some(Code::LicenceBlocked),
        Registered::Expired => Some(Code::LicenceExpired),
    }
}

impl Directory {
    /// The mapping of a partner to an API key, which comes before every state: a key of this partner that is not deleted.
    /// All of the partner's keys are compared, each in constant time.
    ///
    /// # Errors
    /// `API-001` when the partner has no such key.
    pub fn mapping<'p>(
        &self,
        partner: &'p Partner,
        presented: &str,
    ) -> Result<&'p ApiKey, Refusal> {
        let unknown = || {
            let id = partner.id();
            Refusal::new(Code::ApiKeyUnknown, format!("{id} has no such API key"))
        };
        let hash = self
            .hash(SecretKind::ApiKey, presented)
            .ok_or_else(unknown)?;
        let mut found = None;
        for key in partner.api_keys() {
            if bool::from(key.hash.fits(&hash)) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(unknown)?;
        if key.registration.state() == crate::config::State::Deleted {
            return Err(Refusal::new(Code::ApiKeyUnknown, "the API key is deleted"));
        }
        Ok(key)
    }

    /// The API key that is presented, when it may be used now.
    ///
    /// # Errors
    /// `API-001` unknown or deleted, `API-002` inactive, `API-003` not commenced or expired.
    pub fn api_key<'p>(
        &self,
        partner: &'p Partner,
        presented: &str,
        now: Moment,
    ) -> Result<&'p ApiKey, Refusal> {
        let key = self.mapping(partner, presented)?;
        key.standing(now)?;
        Ok(key)
    }

    /// The licence key that is presented, with the MISP that holds it. A MISP that is not active itself takes its
    /// licences with it; that goes beyond what MOSIP checks, with the same answers.
    ///
    /// # Errors
    /// `LIC-001` unknown, deleted or not commenced, `LIC-002` inactive, `LIC-003` expired.
    pub fn licence_key(
        &self,
        presented: &str,
        now: Moment,
    ) -> Result<(&Arc<Partner>, &LicenceKey), Refusal> {
        let (misp, licence) = self
            .hash(SecretKind::LicenceKey, presented)
            .and_then(|hash| self.licence_by_hash(&hash))
            .ok_or_else(|| Refusal::new(Code::LicenceUnknown, "no MISP has such a licence key"))?;
        let key_state = licence.registration.at(now);
        if let Some(code) = licence_code(key_state) {
            let cause = format!("the licence key of {} is {}", misp.id(), key_state.as_str());
            return Err(Refusal::new(code, cause));
        }
        let misp_state = misp.registration().at(now);
        if let Some(code) = licence_code(misp_state) {
            let cause = format!("the MISP {} is {}", misp.id(), misp_state.as_str());
            return Err(Refusal::new(code, cause));
        }
        Ok((misp, licence))
    }
}
