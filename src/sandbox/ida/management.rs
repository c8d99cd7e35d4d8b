//! What IDA knows of others, and what partner management tells it while it runs.

use super::{
    Ida,
    records::{ApiKeyRecord, MispRecord, PartnerRecord, PolicyRecord, Status},
};

/// The records that partner management's events change.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) partners: Vec<PartnerRecord>,
    pub(super) misps: Vec<MispRecord>,
}

/// Whose state it is.
#[derive(Clone, Copy)]
pub(in crate::sandbox) enum Subject<'a> {
    /// The partner with this id.
    Partner(&'a str),
    /// This API key.
    ApiKey(&'a str),
    /// The licence of the MISP with this id.
    Licence(&'a str),
    /// The policy with this id.
    Policy(&'a str),
}

/// A record as it is now.
#[derive(Clone, Debug)]
pub(in crate::sandbox) enum Told {
    /// A partner.
    Partner(PartnerRecord),
    /// An API key.
    ApiKey(ApiKeyRecord),
    /// A MISP with its licence.
    Licence(MispRecord),
    /// A policy.
    Policy(PolicyRecord),
}

impl Ida {
    /// Takes note of a state, for every request from here on; `None` when nothing has that name.
    pub(in crate::sandbox) fn told(&self, about: Subject<'_>, status: Status) -> Option<Told> {
        let mut state = self.lock();
        let mut known = Known::clone(&state.known);
        let told = known.put(about, status)?;
        // Requests that are under way go on with what they began with.
        state.known = known.into();
        Some(told)
    }
}

impl Known {
    fn put(&mut self, about: Subject<'_>, status: Status) -> Option<Told> {
        let keys = self.partners.iter_mut().flat_map(|one| &mut one.api_keys);
        let mut told = None;
        match about {
            Subject::Partner(id) => {
                let partner = self.partners.iter_mut().find(|one| one.id == id)?;
                partner.status = status;
                told = Some(Told::Partner(partner.clone()));
            }
            Subject::ApiKey(text) => {
                for key in keys.filter(|one| one.key == text) {
                    key.status = status;
                    told = Some(Told::ApiKey(key.clone()));
                }
            }
            Subject::Licence(id) => {
                let misp = self.misps.iter_mut().find(|one| one.id == id)?;
                misp.status = status;
                told = Some(Told::Licence(misp.clone()));
            }
            Subject::Policy(id) => {
                // Each key has a copy.
                for policy in keys.map(|key| &mut key.policy).filter(|one| one.id == id) {
                    policy.status = status;
                    told = Some(Told::Policy(policy.clone()));
                }
            }
        }
        told
    }
}
