//! Whether a subscriber meant it: a `GET` to its callback whose answer must be the challenge, byte for byte (1.4).

use std::collections::BTreeMap;

use http::Method;

use super::{super::Mosip, MOST_SUBSCRIBERS, Subscriber, subscriber_id};
use crate::sandbox::wire::{self, CallError};

/// When none or no number is given.
const LEASE_S: u64 = 86_400;
const ALREADY: &str = "Subscriber has already registered with the Hub";
const NOT_YET: &str = "Subscriber has not been registered with the Hub";

impl Mosip {
    /// What follows a 202 to `subscribe`.
    pub(in super::super) async fn subscribe_if_meant(&self, fields: &BTreeMap<String, String>) {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let (topic, callback) = (field("hub.topic"), field("hub.callback"));
        let id = subscriber_id(topic, callback);
        let Some(secret) = fields.get("hub.secret") else {
            // The validation casts it to a string and falls over.
            self.say(format_args!(
                "hub subscribe id={id:?} outcome=fell-over why=\"no hub.secret\""
            ));
            return;
        };
        let active = |of: &Subscriber| of.run.is_some();
        if self.hub().lock().subscribers.get(&id).is_some_and(active) {
            self.say(format_args!("hub subscribe id={id:?} outcome=already"));
            self.say_denied(topic, callback, ALREADY).await;
            return;
        }
        let lease = field("hub.lease_seconds").parse().unwrap_or(LEASE_S);
        if !self
            .is_meant("subscribe", topic, callback, Some(lease))
            .await
        {
            self.say(format_args!("hub subscribe id={id:?} outcome=not-meant"));
            return;
        }
        {
            let mut state = self.hub().lock();
            let room = state.subscribers.len() < MOST_SUBSCRIBERS;
            let Some(events) = state.topic(topic).map(|events| events.len()) else {
                return;
            };
            // A stored record stays as it is: its secret, its group, its place. A new one begins at the latest event.
            if room && !state.subscribers.contains_key(&id) {
                state.subscribers.insert(
                    id.clone(),
                    Subscriber {
                        topic: topic.to_owned(),
                        callback: callback.to_owned(),
                        secret: secret.clone(),
                        committed: events,
                        run: None,
                        delivered: 0,
                        last_status: None,
                    },
                );
            }
        }
        self.say(format_args!("hub subscribe id={id:?} outcome=verified"));
        self.start_missing_consumers();
    }

    /// What follows a 202 to `unsubscribe`.
    pub(super) async fn unsubscribe_if_meant(&self, fields: &BTreeMap<String, String>) {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let (topic, callback) = (field("hub.topic"), field("hub.callback"));
        let id = subscriber_id(topic, callback);
        if !self.hub().lock().subscribers.contains_key(&id) {
            // The library says so, and asks for the intent all the same.
            self.say_denied(topic, callback, NOT_YET).await;
        }
        if self.is_meant("unsubscribe", topic, callback, None).await {
            self.hub().lock().subscribers.remove(&id);
            self.say(format_args!("hub unsubscribe id={id:?} outcome=verified"));
            self.start_missing_consumers();
        }
    }

    async fn is_meant(&self, mode: &str, topic: &str, callback: &str, lease: Option<u64>) -> bool {
        let Ok(challenge) = wire::uuid() else {
            return false;
        };
        let mut query = format!("hub.mode={mode}&hub.topic={topic}&hub.challenge={challenge}");
        if let Some(lease) = lease {
            query.push_str(&format!("&hub.lease_seconds={lease}"));
        }
        // The status is not looked at.
        self.ask_callback(callback, &query)
            .await
            .is_some_and(|body| body == challenge.as_bytes())
    }

    async fn say_denied(&self, topic: &str, callback: &str, reason: &str) {
        let query = format!("hub.mode=denied&hub.topic={topic}&hub.reason={reason}");
        let _ = self.ask_callback(callback, &query).await;
    }

    async fn ask_callback(&self, callback: &str, query: &str) -> Option<Vec<u8>> {
        let joint = if callback.contains('?') { '&' } else { '?' };
        // Values are sent as they are; only what cannot stand in a request line is encoded.
        let address = format!("{callback}{joint}{query}").replace(' ', "%20");
        let pace = self.config().pace.hub;
        let mut wait = pace.retry_interval;
        for attempt in 0..=pace.retries {
            match wire::call(Method::GET, &address, &[], Vec::new(), pace.patience).await {
                Ok((_, body)) => return Some(body.to_vec()),
                Err(CallError::Address) => return None,
                Err(CallError::Connection(_)) if attempt < pace.retries => {
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(pace.factor).min(pace.longest_interval);
                }
                Err(CallError::Connection(_)) => {}
            }
        }
        None
    }
}
