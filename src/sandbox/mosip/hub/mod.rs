//! MOSIP's WebSub hub as it behaves, not as the standard says (WebSub reference, 1.1 to 1.6).
//!
//! [`ask`] answers requests, [`intent`] asks subscribers whether they meant it, [`deliver`] is the consumer behind each
//! subscription. Events are kept per topic; a consumer begins where its group's commits end.

mod ask;
mod deliver;
mod intent;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

/// The most events of a topic, topics, and subscribers.
const MOST_EVENTS: usize = 20_000;
const MOST_TOPICS: usize = 1_000;
const MOST_SUBSCRIBERS: usize = 1_000;

/// How fast the hub is. The defaults are those of MOSIP's shipped configuration.
#[derive(Clone, Copy, Debug)]
pub struct HubPace {
    /// Before the first retry after a connection error.
    pub retry_interval: Duration,
    /// How many retries.
    pub retries: u32,
    /// By how much the interval grows.
    pub factor: u32,
    /// The longest interval.
    pub longest_interval: Duration,
    /// How long a subscriber may take to answer.
    pub patience: Duration,
    /// How many events are polled and, after the first success, committed together (`KAFKA_CONSUMER_MAX_POLL_RECORDS`).
    pub batch: usize,
}

impl Default for HubPace {
    fn default() -> Self {
        Self {
            retry_interval: Duration::from_secs(3),
            retries: 3,
            factor: 2,
            longest_interval: Duration::from_secs(20),
            patience: Duration::from_secs(60),
            batch: 3,
        }
    }
}

/// The hub's memory.
#[derive(Debug, Default)]
pub(super) struct Hub {
    state: Mutex<HubState>,
    news: Notify,
}

#[derive(Debug, Default)]
struct HubState {
    /// By normalised name: `a-b/X` and `a_b/X` are one.
    topics: BTreeMap<String, Vec<Arc<Vec<u8>>>>,
    /// By subscriber id.
    subscribers: BTreeMap<String, Subscriber>,
    /// Numbers the runs of consumers.
    runs: u64,
}

#[derive(Clone, Debug)]
struct Subscriber {
    topic: String,
    callback: String,
    secret: String,
    /// Everything before it is committed for its group.
    committed: usize,
    /// The run of its consumer, when it has one.
    run: Option<u64>,
    delivered: u64,
    last_status: Option<u16>,
}

/// A subscriber as it is shown; never its secret.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    topic: String,
    callback: String,
    active: bool,
    committed: usize,
    events: usize,
    delivered: u64,
    last_status: Option<u16>,
}

impl Hub {
    /// Puts an event into a topic, written anew: members may stand in another order than the publisher's.
    pub(super) fn publish(&self, topic: &str, event: &Value) -> Result<(), String> {
        let mut state = self.lock();
        let events = state.topic(topic).ok_or("the hub has no room for topics")?;
        if events.len() >= MOST_EVENTS {
            return Err("the topic is full".to_owned());
        }
        events.push(Arc::new(event.to_string().into_bytes()));
        drop(state);
        self.news.notify_waiters();
        Ok(())
    }

    /// All subscribers.
    pub(super) fn shown(&self) -> Vec<Shown> {
        let state = self.lock();
        state
            .subscribers
            .values()
            .map(|subscriber| Shown {
                topic: subscriber.topic.clone(),
                callback: subscriber.callback.clone(),
                active: subscriber.run.is_some(),
                committed: subscriber.committed,
                events: state
                    .topics
                    .get(&normal(&subscriber.topic))
                    .map_or(0, Vec::len),
                delivered: subscriber.delivered,
                last_status: subscriber.last_status,
            })
            .collect()
    }

    /// Forgets the commits of the last `events` events of a topic, as a hub does that restarts before its commit.
    pub(super) fn forget_commits(&self, topic: &str, events: usize) {
        let mut state = self.lock();
        let topic = normal(topic);
        for subscriber in state.subscribers.values_mut() {
            if normal(&subscriber.topic) == topic {
                subscriber.committed = subscriber.committed.saturating_sub(events);
                subscriber.run = None;
            }
        }
    }

    /// Whether a subscriber has this secret.
    #[cfg(test)]
    pub(super) fn holds_secret(&self, secret: &str) -> bool {
        let state = self.lock();
        state.subscribers.values().any(|s| s.secret == secret)
    }

    fn lock(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubState {
    /// A topic's events; the topic comes to be when it is not there.
    fn topic(&mut self, topic: &str) -> Option<&mut Vec<Arc<Vec<u8>>>> {
        let name = normal(topic);
        if self.topics.len() >= MOST_TOPICS && !self.topics.contains_key(&name) {
            return None;
        }
        Some(self.topics.entry(name).or_default())
    }

    fn next_run(&mut self) -> u64 {
        self.runs = self.runs.saturating_add(1);
        self.runs
    }
}

/// As Kafka topics and ids are written: whatever is neither letter nor digit is `_`.
fn normal(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// The id of a subscriber.
fn subscriber_id(topic: &str, callback: &str) -> String {
    normal(&format!("{topic}:::{callback}"))
}
