//! MOSIP's event around a delivery, and whether everything in it is about the same thing.
//!
//! The hub's signature covers the whole text, so its names and ids are the publisher's word. The credential's proof covers its
//! own members only. Where both name the same thing they have to agree.

use std::fmt;

use serde_json::{Map, Value};

use crate::{credential::Verified, envelope::json, exchange::subscriptions::Subscription};

/// Bytes of one event.
const EVENT_MAX: usize = 4 << 20;

/// Characters of an id.
const ID_MAX: usize = 256;

/// Why a delivery cannot be handed on: a stable word, and what to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem(pub(super) &'static str, pub(super) String);

/// An event. Its `Debug` shows nothing: the content is personal.
pub(super) struct Event {
    pub(super) message: Map<String, Value>,
    /// `event.id`.
    pub(super) id: Option<String>,
    /// `event.transactionId`.
    pub(super) transaction: Option<String>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event(..)")
    }
}

/// Where the credential of an event is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed<'e> {
    /// In the event.
    Here(&'e str),
    /// At this address.
    Shared(&'e str),
}

impl Event {
    /// Reads an event. Members may be absent, null or more than are known.
    pub(super) fn read(body: &[u8], subscription: &Subscription) -> Result<Self, Problem> {
        Self::of_topic(body, subscription.topic())
    }

    fn of_topic(body: &[u8], topic: &str) -> Result<Self, Problem> {
        let message = json::object(body, EVENT_MAX)
            .map_err(|e| Problem("event-json", format!("the event is not strict JSON: {e}")))?;
        match message.get("topic") {
            None | Some(Value::Null) => {}
            Some(Value::String(named)) if named == topic => {}
            Some(_) => {
                let why = "the event's own topic is not that of the subscription".to_owned();
                return Err(Problem("event-topic", why));
            }
        }
        let inner = message.get("event").and_then(Value::as_object);
        let id = |name: &str| -> Result<Option<String>, Problem> {
            match inner.and_then(|inner| inner.get(name)) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(id)) if id.is_empty() => Ok(None),
                Some(Value::String(id))
                    if id.len() <= ID_MAX && id.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    Ok(Some(id.clone()))
                }
                Some(_) => {
                    let why = format!("event.{name} is no text of visible characters");
                    Err(Problem("event-id", why))
                }
            }
        };
        let (id, transaction) = (id("id")?, id("transactionId")?);
        Ok(Self {
            id,
            transaction,
            message,
        })
    }

    fn data(&self) -> Option<&Map<String, Value>> {
        self.message.get("event")?.get("data")?.as_object()
    }

    /// The encrypted credential, or where it is.
    pub(super) fn credential(&self) -> Result<Sealed<'_>, Problem> {
        let data = self.data().ok_or_else(|| {
            Problem(
                "event-form",
                "the event has no object `event.data`".to_owned(),
            )
        })?;
        match data.get("credential") {
            Some(Value::String(text)) => Ok(Sealed::Here(text)),
            None | Some(Value::Null) => {
                let shared = self
                    .message
                    .get("event")
                    .and_then(|e| e.get("dataShareUri"))
                    .and_then(Value::as_str);
                shared.map(Sealed::Shared).ok_or_else(|| {
                    let why = "the event has neither a credential nor the address of one";
                    Problem("event-no-credential", why.to_owned())
                })
            }
            Some(_) => Err(Problem(
                "event-form",
                "`event.data.credential` is no text".to_owned(),
            )),
        }
    }

    /// Whether event and credential are about the same registration.
    pub(super) fn agrees(&self, credential: &Verified) -> Result<(), Problem> {
        let segment = credential.subject_segment().ok_or_else(|| {
            let why = "the credential's subject has no proven id".to_owned();
            Problem("credential-subject", why)
        })?;
        self.agrees_with(segment)
    }

    fn agrees_with(&self, segment: &str) -> Result<(), Problem> {
        match self.data().and_then(|data| data.get("registrationId")) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(id)) if id == segment => Ok(()),
            Some(_) => {
                let why = "data.registrationId is not the id of the credential's subject";
                Err(Problem("credential-other-registration", why.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "p/CREDENTIAL_ISSUED";

    fn read(text: &str) -> Result<Event, Problem> {
        Event::of_topic(text.as_bytes(), TOPIC)
    }

    fn refused(text: &str) -> &'static str {
        read(text).unwrap_err().0
    }

    #[test]
    fn members_may_be_absent_null_or_unknown() {
        for text in [
            "{}",
            r#"{"topic":null,"event":null,"more":[1]}"#,
            r#"{"topic":"p/CREDENTIAL_ISSUED","event":{"id":null,"data":{"x":1}}}"#,
        ] {
            assert_eq!(read(text).unwrap().id, None, "{text}");
        }
        let event = read(r#"{"event":{"id":"e-1","transactionId":"t-1"}}"#).unwrap();
        assert_eq!(event.id.as_deref(), Some("e-1"));
        assert_eq!(event.transaction.as_deref(), Some("t-1"));
    }

    #[test]
    fn another_topic_a_name_twice_and_odd_ids_are_refused() {
        assert_eq!(refused(r#"{"topic":"q/CREDENTIAL_ISSUED"}"#), "event-topic");
        assert_eq!(refused(r#"{"topic":7}"#), "event-topic");
        assert_eq!(refused(r#"{"event":{"id":"a","id":"b"}}"#), "event-json");
        assert_eq!(refused("[]"), "event-json");
        assert_eq!(refused(r#"{"event":{"id":7}}"#), "event-id");
        assert_eq!(refused(r#"{"event":{"transactionId":"a b"}}"#), "event-id");
        let long = format!(r#"{{"event":{{"id":"{}"}}}}"#, "x".repeat(ID_MAX + 1));
        assert_eq!(refused(&long), "event-id");
    }

    #[test]
    fn a_credential_that_is_not_there_is_said_so() {
        let of = |text: &str| {
            read(text).unwrap().credential().map(|sealed| match sealed {
                Sealed::Here(text) => format!("here {text}"),
                Sealed::Shared(address) => format!("at {address}"),
            })
        };
        for (text, place) in [
            (r#"{"event":{"data":{"credential":"abc"}}}"#, "here abc"),
            (
                r#"{"event":{"dataShareUri":"https://x.example/k","data":{}}}"#,
                "at https://x.example/k",
            ),
            // The one in the event is the one that the policy sent.
            (
                r#"{"event":{"dataShareUri":"https://x.example/k","data":{"credential":"abc"}}}"#,
                "here abc",
            ),
        ] {
            assert_eq!(of(text).unwrap(), place);
        }
        for (text, word) in [
            (r#"{"event":{}}"#, "event-form"),
            (r#"{"event":{"data":{}}}"#, "event-no-credential"),
            (
                r#"{"event":{"dataShareUri":["https://x.example/"],"data":{}}}"#,
                "event-no-credential",
            ),
            (r#"{"event":{"data":{"credential":{}}}}"#, "event-form"),
        ] {
            assert_eq!(of(text).unwrap_err().0, word, "{text}");
        }
    }

    #[test]
    fn the_registration_is_that_of_the_subject() {
        let of = |text: &str| read(text).unwrap().agrees_with("123");
        assert_eq!(of(r#"{"event":{"data":{"registrationId":"123"}}}"#), Ok(()));
        assert_eq!(of(r#"{"event":{"data":{}}}"#), Ok(()));
        for text in [
            r#"{"event":{"data":{"registrationId":"124"}}}"#,
            r#"{"event":{"data":{"registrationId":123}}}"#,
        ] {
            assert_eq!(of(text).unwrap_err().0, "credential-other-registration");
        }
    }
}
