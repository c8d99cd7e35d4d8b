//! Deliveries: what came in goes to its target, again and again with growing pauses, until it is there or parked.

use std::{future::Future, pin::Pin, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};

use super::{
    login,
    records::{DELIVER, Delivery, EXPECTED, Expected, KIND, KNOWN, OVER, Shown},
};
use crate::{
    config::Envelope,
    exchange::{
        Gateway, Snapshot,
        errands::Doer,
        outward::{Answered, Call, Step},
    },
    handlers::websub::DISCARD,
    policy::CallbackTarget,
    refusal::{Code, Refusal},
    store::{Errand, Settlement},
};

/// Does the token seeder's errands.
#[derive(Debug)]
pub(crate) struct Deliveries;

impl Doer for Deliveries {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(async move {
            match errand.step() {
                // Their time is over: what was kept for them is wiped.
                EXPECTED | KNOWN => Settlement::Next {
                    step: OVER,
                    body: Some(b"{}".to_vec()),
                },
                OVER => Settlement::Done,
                // An operator gave it up.
                DISCARD => Settlement::Next {
                    step: OVER,
                    body: Some(b"{}".to_vec()),
                },
                DELIVER => deliver(gateway, errand).await,
                step => Settlement::Park {
                    reason: format!("unknown step `{step}`"),
                },
            }
        })
    }
}

/// Why a delivery was not made.
pub(super) enum Failure {
    /// It may be made later.
    Later(String),
    /// It never will by itself.
    Never(String),
}

async fn deliver(gateway: &Arc<Gateway>, errand: &Errand) -> Settlement {
    let snapshot = gateway.snapshot();
    let attempts = snapshot.seeder().map_or(1, |policy| policy.attempts());
    match attempt(gateway, &snapshot, errand).await {
        Ok(()) => Settlement::Done,
        Err(Failure::Never(reason)) => Settlement::Park { reason },
        Err(Failure::Later(reason)) if errand.attempts().saturating_add(1) >= attempts => {
            Settlement::Park {
                reason: format!("{reason}; given up after {attempts} attempts"),
            }
        }
        Err(Failure::Later(reason)) => Settlement::Retry {
            reason,
            after: errand.back_off(),
        },
    }
}

async fn attempt(gateway: &Gateway, snapshot: &Snapshot, errand: &Errand) -> Result<(), Failure> {
    let never = |reason: &str| Failure::Never(reason.to_owned());
    let delivery: Delivery =
        serde_json::from_slice(errand.body()).map_err(|_| never("the record cannot be read"))?;
    let store = gateway.store().ok_or_else(|| never("there is no store"))?;
    let expected = Expected::find(store, &delivery.callback)
        .await
        .map_err(|refusal| Failure::Later(refusal.to_string()))?
        .ok_or_else(|| never("the time for this callback is over"))?;
    let target = snapshot
        .seeder()
        .and_then(|policy| policy.target(&expected.target))
        .ok_or_else(|| never("its target is no longer in the configuration"))?;
    let body = STANDARD
        .decode(&delivery.body)
        .map_err(|_| never("the record cannot be read"))?;
    let outward = Outward {
        gateway,
        snapshot,
        target,
        errand,
        correlation_id: format!("{KIND}-{}", delivery.id),
    };
    let headers = login::log_in(&outward, &expected.shown).await?;

    let mut path = expected.path.clone();
    if target.envelope() == Envelope::Jose {
        // The gateway there tells doubles by it.
        path.push('/');
        path.push_str(&delivery.id);
    }
    let method = Method::from_bytes(expected.method.as_bytes())
        .map_err(|_| never("the record has no method"))?;
    let media_type = delivery.media_type.as_deref();
    let call = Call {
        method,
        path_and_query: path,
        headers: headers.clone(),
        media_type: media_type.and_then(|text| HeaderValue::from_str(text).ok()),
        body: Bytes::from(body),
    };
    let answered = outward.deliver(call).await;
    if matches!(expected.shown, Shown::Odoo { .. }) {
        login::log_out(&outward, headers).await;
    }
    judge(target, &answered?)
}

/// A call to a target.
pub(super) struct Outward<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    pub(super) target: &'a CallbackTarget,
    errand: &'a Errand,
    correlation_id: String,
}

impl Outward<'_> {
    /// Delivers to the target's upstream; that leaves a record.
    async fn deliver(&self, call: Call) -> Result<Answered, Failure> {
        let step = Step {
            errand: self.errand,
            correlation_id: &self.correlation_id,
        };
        let (upstream, envelope) = (self.target.upstream(), self.target.envelope());
        self.gateway
            .call_for(step, self.snapshot, upstream, envelope, call)
            .await
            .map_err(|refusal| self.failed(&refusal))
    }

    /// Calls the target's upstream, and nothing else. For logins, of which there is no record.
    pub(super) async fn call(&self, call: Call) -> Result<Answered, Failure> {
        self.gateway
            .call(
                self.snapshot,
                self.target.upstream(),
                self.target.envelope(),
                call,
                &self.correlation_id,
            )
            .await
            .map_err(|refusal| self.failed(&refusal))
    }

    fn failed(&self, refusal: &Refusal) -> Failure {
        let reason = format!("{}: {}", self.target.name(), refusal.code());
        match refusal.code() {
            // Nothing that a moment changes.
            Code::Fault => Failure::Never(reason),
            _ => Failure::Later(reason),
        }
    }
}

/// Whether an answer says that the callback was taken.
fn judge(target: &CallbackTarget, answered: &Answered) -> Result<(), Failure> {
    let status = answered.status;
    let reason = format!("{} answered {}", target.name(), status.as_u16());
    match status {
        _ if status.is_success() => {
            if is_rpc_error(&answered.body) {
                return Err(Failure::Later(format!("{reason} with an error in it")));
            }
            Ok(())
        }
        _ if status.is_redirection() => Err(Failure::Never(format!(
            "{reason}: redirects are not followed"
        ))),
        _ if status.is_server_error() => Err(Failure::Later(reason)),
        // A session that ended between login and call, or a target that asks for patience.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::CONFLICT
        | StatusCode::TOO_MANY_REQUESTS => Err(Failure::Later(reason)),
        _ => Err(Failure::Never(reason)),
    }
}

/// Odoo says errors with 200.
fn is_rpc_error(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|said| {
        said.get("jsonrpc").is_some() && said.get("error").is_some_and(|e| !e.is_null())
    })
}
