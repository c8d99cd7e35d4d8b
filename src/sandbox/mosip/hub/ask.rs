//! What the hub answers: form operations in the body, publishing by query, roles by topic (WebSub reference, 1.1, 1.2).

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

use super::{super::Mosip, subscriber_id};
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        mosip::{login::Bearer, misbehave::Fault},
        wire,
    },
};

const NO_MODE: &str = "The request does not include valid `hub.mode` form param.";
/// What a publisher may send.
const CONTENT: [&str; 4] = [
    "application/json",
    "application/xml",
    "application/octet-stream",
    "text/plain",
];

/// What somebody wants to do with a topic.
#[derive(Clone, Copy)]
enum Doing {
    Publish,
    Subscribe,
}

impl Mosip {
    /// `POST /hub`.
    pub(in super::super) fn ask_hub(
        &self,
        headers: &HeaderMap,
        query: &str,
        body: &[u8],
        now: Moment,
    ) -> IdaAnswer {
        if self.waits(Fault::HubStop) {
            return wire::text(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream");
        }
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if CONTENT.contains(&kind.as_str()) {
            return self.take_event(headers, query, body, now);
        }
        if kind != "application/x-www-form-urlencoded" {
            return wire::text(StatusCode::BAD_REQUEST, "Unsupported content type");
        }
        let Some(fields) = wire::form(body) else {
            return wire::text(StatusCode::BAD_REQUEST, "The form cannot be read");
        };
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let topic = field("hub.topic");
        match field("hub.mode") {
            "register" | "deregister" | "subscribe" | "unsubscribe" if topic.is_empty() => {
                wire::text(StatusCode::BAD_REQUEST, "Missing hub.topic")
            }
            "register" => self.register(headers, topic, now),
            "deregister" => self.deregister(headers, topic, now),
            mode @ ("subscribe" | "unsubscribe") => self.subscription(headers, mode, &fields, now),
            "publish" => self.take_event(headers, query, body, now),
            _ => wire::text(StatusCode::BAD_REQUEST, NO_MODE),
        }
    }

    fn register(&self, headers: &HeaderMap, topic: &str, now: Moment) -> IdaAnswer {
        if !self.may(headers, Doing::Publish, topic, now) {
            return denied(StatusCode::OK, "Publisher is not authorized");
        }
        let mut state = self.hub().lock();
        if state.topics.contains_key(&super::normal(topic)) {
            return denied(StatusCode::OK, "Topic has already registered with the Hub");
        }
        match state.topic(topic) {
            Some(_) => accepted(StatusCode::OK),
            None => denied(StatusCode::OK, "the hub has no room for topics"),
        }
    }

    fn deregister(&self, headers: &HeaderMap, topic: &str, now: Moment) -> IdaAnswer {
        if !self.may(headers, Doing::Publish, topic, now) {
            return denied(StatusCode::OK, "Publisher is not authorized");
        }
        match self.hub().lock().topics.remove(&super::normal(topic)) {
            Some(_) => accepted(StatusCode::OK),
            None => denied(StatusCode::OK, "Topic has not been registered in the Hub"),
        }
    }

    fn take_event(&self, headers: &HeaderMap, query: &str, body: &[u8], now: Moment) -> IdaAnswer {
        let fields = wire::form(query.as_bytes()).unwrap_or_default();
        if fields.get("hub.mode").map(String::as_str) != Some("publish") {
            return wire::text(StatusCode::BAD_REQUEST, NO_MODE);
        }
        let Some(topic) = fields.get("hub.topic").filter(|topic| !topic.is_empty()) else {
            return wire::text(StatusCode::BAD_REQUEST, "Missing hub.topic");
        };
        if !self.may(headers, Doing::Publish, topic, now) {
            self.say(format_args!("hub publish topic={topic:?} outcome=denied"));
            return denied(StatusCode::OK, "Publisher is not authorized");
        }
        let event = serde_json::from_slice::<Value>(body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
        match self.hub().publish(topic, &event) {
            Ok(()) => {
                self.say(format_args!("hub publish topic={topic:?} outcome=accepted"));
                accepted(StatusCode::OK)
            }
            Err(why) => denied(StatusCode::OK, &why),
        }
    }

    /// Subscribing and unsubscribing: 202 at once, everything else comes after it.
    fn subscription(
        &self,
        headers: &HeaderMap,
        mode: &str,
        fields: &BTreeMap<String, String>,
        now: Moment,
    ) -> IdaAnswer {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let (topic, callback) = (field("hub.topic"), field("hub.callback"));
        if callback.is_empty() {
            return wire::text(StatusCode::BAD_REQUEST, "Missing hub.callback");
        }
        if !self.may(headers, Doing::Subscribe, topic, now) {
            self.say(format_args!("hub {mode} topic={topic:?} outcome=denied"));
            return denied(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Subscriber is not authorized",
            );
        }
        self.say(format_args!(
            "hub {mode} topic={topic:?} id={:?} outcome=accepted",
            subscriber_id(topic, callback)
        ));
        let (mosip, fields) = (self.clone(), fields.clone());
        let subscribes = mode == "subscribe";
        tokio::spawn(async move {
            if subscribes {
                mosip.subscribe_if_meant(&fields).await;
            } else {
                mosip.unsubscribe_if_meant(&fields).await;
            }
        });
        accepted(StatusCode::ACCEPTED)
    }

    /// The role rules; only the cookie counts.
    fn may(&self, headers: &HeaderMap, doing: Doing, topic: &str, now: Moment) -> bool {
        let Some(bearer) = self.hub_bearer(headers, now) else {
            return false;
        };
        let user = bearer
            .user
            .strip_prefix("service-account-")
            .unwrap_or(&bearer.user);
        match (topic.split_once('/'), doing) {
            (Some((_, suffix)), Doing::Publish) => {
                bearer.has(&format!("PUBLISH_{suffix}_ALL_INDIVIDUAL"))
            }
            (Some((partner, suffix)), Doing::Subscribe) => {
                user == partner && bearer.has(&format!("SUBSCRIBE_{suffix}_INDIVIDUAL"))
            }
            (None, Doing::Publish) => bearer.has(&format!("PUBLISH_{topic}_GENERAL")),
            (None, Doing::Subscribe) => bearer.has(&format!("SUBSCRIBE_{topic}_GENERAL")),
        }
    }

    fn hub_bearer(&self, headers: &HeaderMap, now: Moment) -> Option<Bearer> {
        let cookies = wire::cookies(headers)?;
        let (_, value) = cookies.iter().find(|(name, _)| name == "Authorization")?;
        // What stands after the next `=` is cut off.
        self.bearer_of(value.split('=').next()?, now)
    }
}

fn accepted(status: StatusCode) -> IdaAnswer {
    reply(status, "hub.mode=accepted")
}

/// The reason is raw text, not percent-encoded.
fn denied(status: StatusCode, reason: &str) -> IdaAnswer {
    reply(status, &format!("hub.mode=denied&hub.reason={reason}"))
}

fn reply(status: StatusCode, body: &str) -> IdaAnswer {
    wire::answer(
        status,
        "application/x-www-form-urlencoded",
        body.as_bytes().to_vec(),
    )
}
