//! Takes registrations from step to step. Each step may be done twice: a packet is overwritten by its id, a workflow that is
//! there is said to be there, and core takes a confirmation again.

use std::{future::Future, pin::Pin, sync::Arc};

use super::{
    confirm::{self, Confirmed},
    tokens::Issuer,
    transaction::{
        CONFIRMED, CREDENTIAL_RECEIVED, PACKET_CREATED, RECEIVED, Transaction, WORKFLOW_STARTED,
    },
};
use crate::{
    clock::Moment,
    config::OpenCrvs as Settings,
    exchange::{Gateway, Snapshot, errands::Doer, registrations::REGISTRATION},
    handlers::packet::{self, Again, PacketError},
    store::{Errand, Settlement},
};

/// Takes registrations from step to step.
#[derive(Debug)]
pub(super) struct Registering {
    issuer: Arc<Issuer>,
}

impl Registering {
    pub(super) const fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer }
    }
}

impl Doer for Registering {
    fn kind(&self) -> &'static str {
        REGISTRATION
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(attempt(gateway, errand))
    }

    fn tend<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.issuer.refresh(gateway))
    }
}

async fn attempt(gateway: &Gateway, errand: &Errand) -> Settlement {
    let snapshot = gateway.snapshot();
    let Some(registrations) = snapshot.registrations() else {
        return park("there is no [opencrvs] in the configuration any more");
    };
    let settings = registrations.settings();
    let Some(transaction) = Transaction::read(errand.body()) else {
        return park("the stored registration cannot be read");
    };
    match errand.step() {
        RECEIVED => create(gateway, &snapshot, settings, errand, &transaction).await,
        PACKET_CREATED => start(gateway, &snapshot, settings, errand, &transaction).await,
        WORKFLOW_STARTED => waiting(gateway, settings, errand),
        CREDENTIAL_RECEIVED => confirm(gateway, &snapshot, settings, errand, transaction).await,
        _ => park("the stored registration is in a step that this version does not know"),
    }
}

async fn create(
    gateway: &Gateway,
    snapshot: &Snapshot,
    settings: &Settings,
    errand: &Errand,
    transaction: &Transaction,
) -> Settlement {
    let Some(request) = &transaction.packet else {
        return park("the stored registration has no packet");
    };
    let created = packet::create(
        gateway,
        transaction.step(errand),
        snapshot,
        &settings.upstream,
        settings.envelope,
        request,
    )
    .await;
    match created {
        Ok(_) => Settlement::Next {
            step: PACKET_CREATED,
            body: None,
        },
        Err(error) => failed("createPacket", &error, settings, errand),
    }
}

async fn start(
    gateway: &Gateway,
    snapshot: &Snapshot,
    settings: &Settings,
    errand: &Errand,
    transaction: &Transaction,
) -> Settlement {
    let Some(request) = &transaction.workflow else {
        return park("the stored registration has no workflow");
    };
    let started = packet::start_workflow(
        gateway,
        transaction.step(errand),
        snapshot,
        &settings.upstream,
        settings.envelope,
        request,
    )
    .await;
    match started {
        Ok(_) => Settlement::Wait {
            step: WORKFLOW_STARTED,
            body: None,
            until: due(gateway.clock().now(), settings),
        },
        Err(error) => failed("workflowinstance", &error, settings, errand),
    }
}

/// The credential is late. MOSIP says nothing of a failure, so it may still come: the registration goes on waiting, and
/// health speaks of it.
fn waiting(gateway: &Gateway, settings: &Settings, errand: &Errand) -> Settlement {
    tracing::warn!(
        errand = errand.id(),
        "a registration still waits for its credential; look at MOSIP's side"
    );
    Settlement::Wait {
        step: WORKFLOW_STARTED,
        body: None,
        until: due(gateway.clock().now(), settings),
    }
}

async fn confirm(
    gateway: &Gateway,
    snapshot: &Snapshot,
    settings: &Settings,
    errand: &Errand,
    transaction: Transaction,
) -> Settlement {
    let Some(token) = transaction.token.clone() else {
        return park("the stored registration has no token to confirm with");
    };
    if transaction.token_expires_s <= gateway.clock().now().s() {
        return park(
            "the token ended before MOSIP had decided: OpenCRVS core would not take it. Send the registration again with a new token of the same event",
        );
    }
    let step = transaction.step(errand);
    match confirm::confirm(gateway, step, snapshot, settings, &transaction, &token).await {
        Confirmed::Yes => Settlement::Finish {
            step: CONFIRMED,
            body: transaction.finished().write(),
        },
        Confirmed::Later(reason) => again(reason, settings, errand),
        Confirmed::Never(reason) => Settlement::Park { reason },
    }
}

fn due(now: Moment, settings: &Settings) -> Moment {
    let ms = i64::try_from(settings.credential_due_s)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    now.plus_ms(ms)
}

fn park(reason: &str) -> Settlement {
    Settlement::Park {
        reason: reason.to_owned(),
    }
}

fn failed(what: &str, error: &PacketError, settings: &Settings, errand: &Errand) -> Settlement {
    let refusal = error.refusal();
    let stated = refusal
        .stated()
        .map(|code| format!(" {code}"))
        .unwrap_or_default();
    let reason = format!("{what}: {}{stated}", refusal.code());
    match error.again() {
        Again::Later => again(reason, settings, errand),
        Again::Never => Settlement::Park { reason },
    }
}

fn again(reason: String, settings: &Settings, errand: &Errand) -> Settlement {
    if errand.attempts().saturating_add(1) >= settings.attempts_max {
        return Settlement::Park {
            reason: format!(
                "given up after {} attempts: {reason}",
                settings.attempts_max
            ),
        };
    }
    Settlement::Retry {
        reason,
        after: errand.back_off(),
    }
}
