//! What WebSub hands on to OpenCRVS: the credential of a registration that waits for it.

use std::{future::Future, pin::Pin, sync::Arc};

use serde_json::{Map, Value};

use super::credential::{CredentialReceived, CredentialTaken, receive};
use crate::{
    credential::Verified,
    exchange::Gateway,
    handlers::websub::{Delivered, Taken, Takes},
};

/// Gives verified credentials to the registrations that wait for them.
#[derive(Debug)]
pub struct ToRegistrations;

impl Takes for ToRegistrations {
    fn take<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        delivered: &'a Delivered,
    ) -> Pin<Box<dyn Future<Output = Taken> + Send + 'a>> {
        Box::pin(async move {
            let Some(received) = delivered.credential().and_then(|c| of(delivered, c)) else {
                return Taken::Never("the delivery has no credential of a registration".to_owned());
            };
            match receive(gateway, received).await {
                Ok(CredentialTaken::Taken | CredentialTaken::Duplicate) => Taken::Done,
                Ok(CredentialTaken::Unknown) => {
                    Taken::Never("no registration waits for this credential".to_owned())
                }
                Ok(CredentialTaken::Refused(why)) => Taken::Never(why.to_owned()),
                Err(error) => Taken::Later(error.to_string()),
            }
        })
    }
}

fn of(delivered: &Delivered, credential: &Verified) -> Option<CredentialReceived> {
    let subject = |members: &Map<String, Value>| match members.get("credentialSubject") {
        Some(Value::Object(subject)) => subject.clone(),
        _ => Map::new(),
    };
    let stated = (delivered.event().get("event"))
        .and_then(|event| event.get("data"))
        .and_then(|data| data.get("registrationId"))
        .and_then(Value::as_str);
    Some(CredentialReceived {
        registration_id: stated.map(str::to_owned),
        subject_id: credential.subject_segment()?.to_owned(),
        proven: subject(credential.proven()),
        unproven: subject(credential.unproven()),
    })
}
