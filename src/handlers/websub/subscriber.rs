//! A partner's subscription: its callback is asked before anything is delivered, and its lease ends.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::{FORM, kind, record};
use crate::{
    clock::Moment,
    config::Envelope,
    exchange::{
        Gateway,
        errands::Doer,
        outward::{Call, Step},
    },
    handlers::form,
    refusal::Refusal,
    store::{Errand, Settlement},
};

/// Attempts at asking a callback that cannot be reached.
const ATTEMPTS_MAX: u32 = 6;

/// How far away "when somebody asks again" is.
const NEVER_MS: i64 = 3_650 * 86_400_000;

/// What is known of a partner's subscription.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Record {
    /// What was asked and is not yet confirmed.
    pub(super) asked: Option<Asked>,
    /// What is in force.
    pub(super) active: Option<Active>,
}

/// A request that waits for the callback's word.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Asked {
    /// To subscribe.
    Subscribe(Active),
    /// To unsubscribe this callback.
    Unsubscribe(String),
}

/// A subscription in force.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Active {
    pub(super) callback: String,
    pub(super) secret: String,
    pub(super) lease_s: u64,
    pub(super) until_ms: i64,
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Active(..)")
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl Record {
    /// Reads it from an errand.
    pub(super) fn of(errand: &Errand) -> Self {
        record::head(errand.body()).unwrap_or_default()
    }

    /// For the store, which encrypts it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is in force now.
    pub(super) fn in_force(&self, now: Moment) -> Option<&Active> {
        self.active.as_ref().filter(|a| now.ms() < a.until_ms)
    }
}

/// One subscription for a partner and a topic. Neither has a line end in it.
pub(super) fn key(partner: &str, topic: &str) -> String {
    format!("{partner}\n{topic}")
}

/// Asks callbacks and ends leases.
#[derive(Debug)]
pub(super) struct Subscribers;

impl Doer for Subscribers {
    fn kind(&self) -> &'static str {
        kind::SUBSCRIBER
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(attempt(gateway, errand))
    }
}

async fn attempt(gateway: &Gateway, errand: &Errand) -> Settlement {
    let now = gateway.clock().now();
    let mut record = Record::of(errand);
    let Some(asked) = record.asked.clone() else {
        // Looked at when its lease ends.
        if record.in_force(now).is_none() {
            record.active = None;
        }
        return wait(&record, now);
    };
    let Some((partner, topic)) = errand.key().split_once('\n') else {
        return Settlement::Park {
            reason: "the record cannot be read".to_owned(),
        };
    };
    match confirmed(gateway, errand, (partner, topic), &asked).await {
        Ok(true) => {
            let (word, active) = match asked {
                Asked::Subscribe(mut active) => {
                    let lease = i64::try_from(active.lease_s).unwrap_or(i64::MAX);
                    active.until_ms = now.plus_ms(lease.saturating_mul(1000)).ms();
                    ("subscribed", Some(active))
                }
                Asked::Unsubscribe(callback) => {
                    let other = record.active.take().filter(|a| a.callback != callback);
                    ("unsubscribed", other)
                }
            };
            tracing::info!(
                partner,
                outcome = word,
                "a partner's callback has confirmed"
            );
            record.active = active;
        }
        Ok(false) => {
            tracing::warn!(
                partner,
                "a partner's callback did not confirm; nothing changes"
            );
        }
        Err(refusal) if errand.attempts() < ATTEMPTS_MAX => {
            return Settlement::Retry {
                reason: format!("the callback was not reached: {refusal}"),
                after: errand.back_off(),
            };
        }
        Err(refusal) => {
            tracing::warn!(partner, cause = %refusal, "a partner's callback was not reached; nothing changes");
        }
    }
    record.asked = None;
    wait(&record, now)
}

/// Whether the partner's callback says that it meant it.
async fn confirmed(
    gateway: &Gateway,
    errand: &Errand,
    (partner, topic): (&str, &str),
    asked: &Asked,
) -> Result<bool, Refusal> {
    let snapshot = gateway.snapshot();
    let subscribing = snapshot
        .directory()
        .partner(partner)
        .filter(|p| p.standing(gateway.clock().now()).is_ok())
        .and_then(|p| p.subscribing())
        .filter(|allowed| allowed.may(topic));
    // Its file has changed since it asked.
    let Some(subscribing) = subscribing else {
        return Ok(false);
    };
    let (mode, callback, lease) = match asked {
        Asked::Subscribe(active) => ("subscribe", &active.callback, Some(active.lease_s)),
        Asked::Unsubscribe(callback) => ("unsubscribe", callback, None),
    };
    let Some(path) = subscribing.callback(callback) else {
        return Ok(false);
    };
    let challenge = challenge()?;
    let lease = lease.map(|s| s.to_string());
    let mut question = vec![
        ("hub.mode", mode),
        ("hub.topic", topic),
        ("hub.challenge", &challenge),
    ];
    if let Some(lease) = &lease {
        question.push(("hub.lease_seconds", lease));
    }
    let question = form::written(&question);
    let mut call = Call {
        method: Method::GET,
        path_and_query: path.to_owned(),
        headers: HeaderMap::new(),
        media_type: None,
        body: Bytes::new(),
    };
    if subscribing.envelope() == Envelope::Jose {
        call.method = Method::POST;
        call.media_type = Some(HeaderValue::from_static(FORM));
        call.body = Bytes::from(question);
    } else {
        call.path_and_query = format!("{path}?{question}");
    }
    let step = Step {
        errand,
        correlation_id: &gateway.new_correlation_id(),
    };
    let (upstream, envelope) = (subscribing.upstream(), subscribing.envelope());
    let answer = gateway
        .call_for(step, &snapshot, upstream, envelope, call)
        .await?;
    Ok(answer.status.is_success() && answer.body == challenge.as_bytes())
}

fn challenge() -> Result<String, Refusal> {
    let mut random = [0_u8; 24];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Refusal::new(crate::refusal::Code::Fault, "no randomness"))?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}

fn wait(record: &Record, now: Moment) -> Settlement {
    let until = match record.in_force(now) {
        Some(active) => Moment::from_ms(active.until_ms),
        None => now.plus_ms(NEVER_MS),
    };
    Settlement::Wait {
        step: "active",
        body: Some(record.bytes()),
        until,
    }
}
