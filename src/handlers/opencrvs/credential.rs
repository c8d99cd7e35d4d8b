//! A credential has come: the seam between handler `websub`, which has opened and verified it, and the registration that
//! waits for it.

use std::{future::Future, pin::Pin, sync::Arc};

use serde_json::{Map, Value};

use super::transaction::{CREDENTIAL_RECEIVED, Credential, Kind, Transaction};
use crate::{
    exchange::{Gateway, registrations::REGISTRATION},
    handlers::websub::{Delivered, Taken, Takes},
    store::{Errand, Revision, Standing, StoreError},
};

/// A national id is so long.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 8..=19;

/// A credential whose encryption and proof were checked.
#[derive(Clone)]
pub struct CredentialReceived {
    /// `data.registrationId` of the event, where it names one.
    pub registration_id: Option<String>,
    /// The last part of `credentialSubject.id`, which the proof covers: MOSIP's registration id, our transaction id.
    pub subject_id: String,
    /// The members of `credentialSubject` that the proof covers.
    pub proven: Map<String, Value>,
    /// The members that it does not cover. They are held against what is known, and never taken for true.
    pub unproven: Map<String, Value>,
}

impl std::fmt::Debug for CredentialReceived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialReceived(..)")
    }
}

/// What became of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialTaken {
    /// The registration goes on with it.
    Taken,
    /// The registration has it already.
    Duplicate,
    /// No registration has that id, here or any more.
    Unknown,
    /// It is not believed, for this reason; no secrets, no persons.
    Refused(&'static str),
}

/// Takes the deliveries of subscriptions that say `hand_on.opencrvs`.
#[derive(Debug)]
pub struct Credentials;

impl Takes for Credentials {
    fn take<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        delivered: &'a Delivered,
    ) -> Pin<Box<dyn Future<Output = Taken> + Send + 'a>> {
        Box::pin(hand_on(gateway, delivered))
    }
}

async fn hand_on(gateway: &Gateway, delivered: &Delivered) -> Taken {
    let Some(verified) = delivered.credential() else {
        return Taken::Never("the subscription does not open credentials".to_owned());
    };
    let Some(subject_id) = verified.subject_segment() else {
        return Taken::Never("the credential is about nobody".to_owned());
    };
    let registration_id = (delivered.event().get("event"))
        .and_then(|event| event.get("data")?.get("registrationId")?.as_str())
        .map(str::to_owned);
    let received = CredentialReceived {
        registration_id,
        subject_id: subject_id.to_owned(),
        proven: subject(verified.proven()),
        unproven: subject(verified.unproven()),
    };
    let subject_id = received.subject_id.clone();
    match receive(gateway, received).await {
        // A duplicate may be one that was taken and not recorded.
        Ok(CredentialTaken::Taken | CredentialTaken::Duplicate) => {
            recorded(gateway, &subject_id, delivered.correlation_id()).await
        }
        Ok(CredentialTaken::Unknown) => {
            Taken::Never("no registration with that id is here".to_owned())
        }
        Ok(CredentialTaken::Refused(why)) => Taken::Never(why.to_owned()),
        Err(error) => Taken::Later(error.to_string()),
    }
}

/// The record that ties the delivery to its registration.
async fn recorded(gateway: &Gateway, subject_id: &str, cause: &str) -> Taken {
    let later = |why: String| Taken::Later(why);
    let Some(store) = gateway.store() else {
        return later(StoreError::Closed.to_string());
    };
    let errand = match store.find_alias(REGISTRATION, subject_id).await {
        Ok(Some(errand)) => errand,
        Ok(None) => return Taken::Done,
        Err(error) => return later(error.to_string()),
    };
    let Some(transaction) = Transaction::read(errand.body()) else {
        return later("the stored registration cannot be read".to_owned());
    };
    let snapshot = gateway.snapshot();
    let step = transaction.step(&errand);
    match gateway
        .record_taken(&snapshot, step, CREDENTIAL_RECEIVED, cause)
        .await
    {
        Ok(()) => Taken::Done,
        Err(refusal) => later(refusal.to_string()),
    }
}

fn subject(of: &Map<String, Value>) -> Map<String, Value> {
    let members = of.get("credentialSubject").and_then(Value::as_object);
    members.cloned().unwrap_or_default()
}

/// Gives a credential to the registration that waits for it. When this returns, the registration is on disk with it.
///
/// # Errors
/// When the store fails: try again.
pub async fn receive(
    gateway: &Gateway,
    received: CredentialReceived,
) -> Result<CredentialTaken, StoreError> {
    let Some(store) = gateway.store() else {
        return Err(StoreError::Closed);
    };
    let snapshot = gateway.snapshot();
    let Some(registrations) = snapshot.registrations() else {
        return Ok(CredentialTaken::Refused(
            "there is no [opencrvs] in the configuration",
        ));
    };
    let other = |id: &String| *id != received.subject_id;
    if received.registration_id.as_ref().is_some_and(other) {
        return Ok(CredentialTaken::Refused(
            "the event and the credential in it name different registrations",
        ));
    }
    let found = store.find_alias(REGISTRATION, &received.subject_id).await?;
    let Some(errand) = found else {
        return Ok(CredentialTaken::Unknown);
    };
    let member = registrations.settings().credential_member.clone();
    let now = gateway.clock().now();
    let taken = store
        .revise(REGISTRATION, errand.key(), now, move |errand| {
            meet(errand, &received, &member, now.ms())
        })
        .await?;
    Ok(taken.unwrap_or(CredentialTaken::Unknown))
}

fn meet(
    errand: &Errand,
    received: &CredentialReceived,
    member: &str,
    now_ms: i64,
) -> (Revision, CredentialTaken) {
    let refuse = |why| (Revision::Keep, CredentialTaken::Refused(why));
    let Some(mut transaction) = Transaction::read(errand.body()) else {
        return refuse("the stored registration cannot be read");
    };
    let said = |name: &str| {
        let value = received
            .proven
            .get(name)
            .or_else(|| received.unproven.get(name));
        value.filter(|v| !v.is_null()).cloned()
    };
    let certificate = match transaction.kind {
        Kind::Birth => said("birthCertificateNumber"),
        Kind::Death => said("deathCertificateNumber"),
    };
    if certificate.is_some_and(|c| c != transaction.registration_number.as_str()) {
        return refuse("the credential names another certificate number than the registration");
    }
    let number = match transaction.kind {
        Kind::Death => None,
        Kind::Birth => {
            let number = received.proven.get(member).and_then(Value::as_str);
            let fits = |n: &&str| {
                NUMBER_DIGITS.contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit())
            };
            match number.filter(fits) {
                Some(number) => Some(number.to_owned()),
                None if received.unproven.contains_key(member) => {
                    return refuse("the national id in the credential is not covered by its proof");
                }
                None => return refuse("the credential has no national id of digits alone"),
            }
        }
    };
    if let Some(known) = &transaction.credential {
        if known.number != number {
            return refuse("the registration has another national id already");
        }
        return (Revision::Keep, CredentialTaken::Duplicate);
    }
    if errand.standing() == Standing::Done {
        return refuse("the registration is done without a credential");
    }
    transaction.credential = Some(Credential {
        number,
        received_ms: now_ms,
    });
    let reopen = Revision::Reopen {
        step: CREDENTIAL_RECEIVED.to_owned(),
        body: transaction.write(),
    };
    (reopen, CredentialTaken::Taken)
}

#[cfg(test)]
mod tests;
