//! The partner step: who may use this path with this certificate, in MOSIP's exact order (reference, sections 2.2 and 8).

use openssl::sha::sha256;

use super::{
    failure::Failure,
    log::ExchangeLog,
    management::Known,
    records::{ApiKeyRecord, KeyKind, MispRecord, PartnerRecord, Status},
    route::Identifiers,
};
use crate::clock::Moment;

/// Who a request comes from, by IDA's records.
#[derive(Clone, Copy)]
pub(super) struct Parties<'a> {
    pub(super) partner: &'a PartnerRecord,
    pub(super) api_key: &'a ApiKeyRecord,
    pub(super) misp: &'a MispRecord,
}

/// Finds the parties; `signer` is the SHA-256 of the certificate in the signature header.
pub(super) fn find<'a>(
    known: &'a Known,
    path: Identifiers<'_>,
    signer: [u8; 32],
    now: Moment,
    log: &mut ExchangeLog,
) -> Result<Parties<'a>, Failure> {
    let partner = known
        .partners
        .iter()
        .find(|partner| partner.id == path.partner_id);
    let api_key = partner.and_then(|partner| {
        partner
            .api_keys
            .iter()
            // An OIDC client has a record of its own, whose deletion is answered further down.
            .find(|record| {
                record.key == path.api_key
                    && (record.status != Status::Deleted || record.kind != KeyKind::ApiKey)
            })
    });
    let (Some(partner), Some(api_key)) = (partner, api_key) else {
        return Err(unregistered());
    };
    match partner.status {
        Status::Deleted => return Err(unregistered()),
        Status::Inactive => return Err(deactivated()),
        Status::Active => log.passed("partner is active"),
    }
    policy(api_key, now)?;
    log.passed("policy is active");
    key(api_key, now)?;
    log.passed("API key is active");

    let misp = known
        .misps
        .iter()
        .find(|misp| misp.licence_key == path.licence_key);
    let by_misp = misp.is_some_and(|misp| sha256(&misp.certificate) == signer);
    if sha256(&partner.certificate) == signer {
        log.signed_by(&partner.id);
    } else if let (true, Some(misp)) = (by_misp, misp) {
        log.signed_by(&misp.id);
    } else {
        return Err(Failure::new(
            "IDA-MPA-021",
            "Partner (Auth) Certificate not matching with signature header certificate.",
        ));
    }
    log.passed("signer is the partner or its MISP");
    let misp = misp
        .filter(|misp| misp.status != Status::Deleted)
        .ok_or_else(unknown_licence)?;
    licence(misp, now)?;
    log.passed("licence is active");
    Ok(Parties {
        partner,
        api_key,
        misp,
    })
}

fn policy(api_key: &ApiKeyRecord, now: Moment) -> Result<(), Failure> {
    let policy = &api_key.policy;
    match policy.status {
        Status::Deleted => Err(Failure::new(
            "IDA-MPA-018",
            "Policy ID does not belong to a registered Partner",
        )),
        Status::Active if policy.validity.begun(now) && !policy.validity.over(now) => Ok(()),
        Status::Active | Status::Inactive => {
            Err(Failure::new("IDA-MPA-019", "Partner policy is not active"))
        }
    }
}

fn key(api_key: &ApiKeyRecord, now: Moment) -> Result<(), Failure> {
    match (&api_key.kind, api_key.status) {
        (KeyKind::ApiKey, Status::Deleted) => Err(unregistered()),
        (KeyKind::ApiKey, Status::Inactive) => Err(deactivated()),
        (KeyKind::ApiKey, Status::Active)
            if !api_key.validity.begun(now) || api_key.validity.over(now) =>
        {
            Err(Failure::new(
                "IDA-MPA-039",
                "Partner API is expired or using before Commence Start Date.",
            ))
        }
        (KeyKind::OidcClient { .. }, Status::Deleted) => {
            Err(Failure::new("IDA-MPA-028", "OIDC Client is not registered"))
        }
        (KeyKind::OidcClient { .. }, Status::Inactive) => {
            Err(Failure::new("IDA-MPA-027", "OIDC Client is deactivated"))
        }
        (KeyKind::ApiKey | KeyKind::OidcClient { .. }, Status::Active) => Ok(()),
    }
}

fn licence(misp: &MispRecord, now: Moment) -> Result<(), Failure> {
    if misp.status != Status::Active {
        return Err(Failure::new(
            "IDA-MPA-017",
            "License key of MISP is blocked",
        ));
    }
    if !misp.validity.begun(now) {
        return Err(unknown_licence());
    }
    if misp.validity.over(now) {
        return Err(Failure::new(
            "IDA-MPA-008",
            "License key of MISP has expired",
        ));
    }
    Ok(())
}

fn unregistered() -> Failure {
    Failure::new("IDA-MPA-009", "Partner is not registered")
}

fn deactivated() -> Failure {
    Failure::new("IDA-MPA-012", "Partner is deactivated")
}

fn unknown_licence() -> Failure {
    Failure::new(
        "IDA-MPA-007",
        "License key does not belong to a registered MISP",
    )
}
