//! The consumer behind each subscription: polls a batch, delivers event by event, commits the whole batch after the first
//! success, ends at the first final failure (1.5, 1.6). It loses events exactly where MOSIP's does.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderName, Method, StatusCode,
    header::{CONTENT_TYPE, LINK},
};
use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};

use super::{super::Mosip, Subscriber, normal};
use crate::sandbox::{
    mosip::misbehave::Fault,
    wire::{self, CallError},
};

/// How often a consumer without news looks by itself.
const IDLE: Duration = Duration::from_millis(200);

/// What came of a delivery.
enum Delivered {
    Done,
    Gone,
    Failed,
}

impl Mosip {
    /// Starts a consumer for each subscriber without one, as the hub does whenever it reads the consolidated list.
    pub(in super::super) fn start_missing_consumers(&self) {
        let mut starting = Vec::new();
        {
            let mut state = self.hub().lock();
            let idle: Vec<String> = state
                .subscribers
                .iter()
                .filter(|(_, subscriber)| subscriber.run.is_none())
                .map(|(id, _)| id.clone())
                .collect();
            for id in idle {
                let run = state.next_run();
                if let Some(subscriber) = state.subscribers.get_mut(&id) {
                    subscriber.run = Some(run);
                    starting.push((id, run));
                }
            }
        }
        for (id, run) in starting {
            let mosip = self.clone();
            tokio::spawn(async move { mosip.consume(&id, run).await });
        }
    }

    async fn consume(&self, id: &str, run: u64) {
        let mut position = None;
        loop {
            let news = self.hub().news.notified();
            let Some((subscriber, batch, end)) = self.poll(id, run, position) else {
                return;
            };
            if batch.is_empty() || self.waits(Fault::HubStop) {
                let _ = tokio::time::timeout(IDLE, news).await;
                continue;
            }
            position = Some(end);
            for event in batch {
                let result = self.deliver(&subscriber, &event).await;
                let mut state = self.hub().lock();
                let Some(stored) = state
                    .subscribers
                    .get_mut(id)
                    .filter(|stored| stored.run == Some(run))
                else {
                    return;
                };
                match result {
                    (status, Delivered::Done) => {
                        stored.committed = end;
                        stored.delivered = stored.delivered.saturating_add(1);
                        stored.last_status = status;
                    }
                    (_, Delivered::Gone) => {
                        state.subscribers.remove(id);
                        return;
                    }
                    (status, Delivered::Failed) => {
                        stored.last_status = status;
                        stored.run = None;
                        drop(state);
                        self.say(format_args!("hub consumer id={id:?} outcome=stopped"));
                        return;
                    }
                }
            }
        }
    }

    /// The next batch after a position, or after what is committed; nothing when this run is over.
    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn poll(
        &self,
        id: &str,
        run: u64,
        position: Option<usize>,
    ) -> Option<(Subscriber, Vec<Arc<Vec<u8>>>, usize)> {
        let state = self.hub().lock();
        let subscriber = state.subscribers.get(id)?;
        if subscriber.run != Some(run) {
            return None;
        }
        let from = position.unwrap_or(subscriber.committed);
        let events = state.topics.get(&normal(&subscriber.topic));
        let batch: Vec<_> = events
            .into_iter()
            .flatten()
            .skip(from)
            .take(self.config().pace.hub.batch.max(1))
            .cloned()
            .collect();
        let end = from.saturating_add(batch.len());
        Some((subscriber.clone(), batch, end))
    }

    async fn deliver(&self, subscriber: &Subscriber, event: &[u8]) -> (Option<u16>, Delivered) {
        if let Some(delay) = self.strikes(Fault::DeliverLater) {
            tokio::time::sleep(delay).await;
        }
        let unsigned = self.strikes(Fault::DeliverUnsigned).is_some();
        let signed_over: &[u8] = if self.strikes(Fault::DeliverWrongSignature).is_some() {
            b"other bytes"
        } else {
            event
        };
        let signature = (!unsigned)
            .then(|| hmac(&subscriber.secret, signed_over))
            .flatten();
        let twice = self.strikes(Fault::DeliverTwice).is_some();
        let mut result = self.push(subscriber, event, signature.as_deref()).await;
        if twice && matches!(result.1, Delivered::Done) {
            result = self.push(subscriber, event, signature.as_deref()).await;
        }
        result
    }

    /// One delivery, with retries after connection errors only.
    async fn push(
        &self,
        subscriber: &Subscriber,
        event: &[u8],
        signature: Option<&str>,
    ) -> (Option<u16>, Delivered) {
        // The topic stands without angle brackets in MOSIP's.
        let link = format!(
            "<{}>; rel=\"hub\", {}; rel=\"self\"",
            self.config().hub_url,
            subscriber.topic
        );
        let mut headers = vec![(CONTENT_TYPE, "application/json".to_owned()), (LINK, link)];
        if let Some(signature) = signature {
            let name = HeaderName::from_static("x-hub-signature");
            headers.push((name, format!("sha256={signature}")));
        }
        let pace = self.config().pace.hub;
        let mut wait = pace.retry_interval;
        for attempt in 0..=pace.retries {
            let sent = wire::call(
                Method::POST,
                &subscriber.callback,
                &headers,
                event.to_vec(),
                pace.patience,
            )
            .await;
            match sent {
                Ok((status, _)) => {
                    self.say(format_args!(
                        "hub deliver topic={:?} bytes={} status={}",
                        subscriber.topic,
                        event.len(),
                        status.as_u16()
                    ));
                    let result = match status {
                        _ if status.is_success() => Delivered::Done,
                        StatusCode::GONE => Delivered::Gone,
                        _ => Delivered::Failed,
                    };
                    return (Some(status.as_u16()), result);
                }
                Err(CallError::Address) => break,
                Err(CallError::Connection(why)) => {
                    self.say(format_args!(
                        "hub deliver topic={:?} attempt={attempt} outcome=no-answer why={why:?}",
                        subscriber.topic
                    ));
                    if attempt < pace.retries {
                        tokio::time::sleep(wait).await;
                        wait = wait.saturating_mul(pace.factor).min(pace.longest_interval);
                    }
                }
            }
        }
        (None, Delivered::Failed)
    }
}

/// Lower-case hex of HMAC-SHA256.
fn hmac(secret: &str, bytes: &[u8]) -> Option<String> {
    let key = PKey::hmac(secret.as_bytes()).ok()?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key).ok()?;
    signer.update(bytes).ok()?;
    let mac = signer.sign_to_vec().ok()?;
    Some(mac.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::hmac;

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        assert_eq!(
            hmac("Jefe", b"what do ya want for nothing?").unwrap(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
