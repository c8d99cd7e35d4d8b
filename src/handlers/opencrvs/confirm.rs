//! The confirmation to OpenCRVS core, byte for byte as the middleware makes it, and what core says to it (reference 5.3).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use super::transaction::{Kind, Transaction};
use crate::{
    config::{Envelope, OpenCrvs as Settings},
    envelope::json,
    exchange::{
        Gateway, Snapshot,
        outward::{Answered, Call, Step},
    },
};

const PATH: &str = "/events/event.actions.register.accept?batch=1";

/// What came of a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// Core has it, now or from an earlier try.
    Yes,
    /// It may be taken later.
    Later(String),
    /// It will not be taken as it is; somebody has to look.
    Never(String),
}

/// superjson's envelope; nothing in a confirmation needs its `meta`.
#[derive(Serialize)]
struct Batch<'t> {
    #[serde(rename = "0")]
    first: Envelope1<'t>,
}

#[derive(Serialize)]
struct Envelope1<'t> {
    json: Input<'t>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'t> {
    transaction_id: &'t str,
    event_id: &'t str,
    action_id: &'t str,
    registration_number: &'t str,
    declaration: Map<String, Value>,
}

/// The body. The middleware gives a death `child.nid: null`, which core keeps; an empty declaration changes nothing there.
pub(super) fn body(settings: &Settings, transaction: &Transaction) -> Option<Vec<u8>> {
    let mut declaration = Map::new();
    if transaction.kind == Kind::Birth {
        let number = transaction.credential.as_ref()?.number.clone()?;
        declaration.insert(settings.declaration_field.clone(), Value::from(number));
    }
    serde_json::to_vec(&Batch {
        first: Envelope1 {
            json: Input {
                transaction_id: &transaction.confirmation_id,
                event_id: &transaction.event_id,
                action_id: &transaction.action_id,
                registration_number: &transaction.registration_number,
                declaration,
            },
        },
    })
    .ok()
}

/// Confirms a registration.
pub(super) async fn confirm(
    gateway: &Gateway,
    step: Step<'_>,
    snapshot: &Snapshot,
    settings: &Settings,
    transaction: &Transaction,
    token: &str,
) -> Confirmed {
    let Some(body) = body(settings, transaction) else {
        return Confirmed::Never("there is no national id to confirm a birth with".to_owned());
    };
    let mut headers = HeaderMap::new();
    let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {token}")) else {
        return Confirmed::Never("the stored token is no header value".to_owned());
    };
    bearer.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let call = Call {
        method: Method::POST,
        path_and_query: PATH.to_owned(),
        headers,
        media_type: Some(HeaderValue::from_static("application/json")),
        body: Bytes::from(body),
    };
    let answer = gateway
        .call_for(
            step,
            snapshot,
            &settings.core,
            Envelope::InsecurePlain,
            call,
        )
        .await;
    match answer {
        Ok(answer) => judge(&answer),
        // It may have arrived; core takes it twice.
        Err(refusal) => Confirmed::Later(format!("OpenCRVS core: {}", refusal.code())),
    }
}

/// Judges core's answer by its content; its words are not repeated, because they may speak of persons.
fn judge(answer: &Answered) -> Confirmed {
    let status = answer.status.as_u16();
    let said = said(&answer.body);
    let code = match &said {
        Some(Said::Result) if answer.status == StatusCode::OK => return Confirmed::Yes,
        Some(Said::Error(code, status)) => (code.as_str(), *status),
        Some(Said::Result) | None => ("", status),
    };
    let (name, status) = code;
    let named = match name {
        "" => format!("HTTP {status}"),
        name => format!("HTTP {status} {name}"),
    };
    match status {
        401 => Confirmed::Never(format!(
            "operator needed: OpenCRVS core does not take the token (it is over, or core has another key): {named}"
        )),
        403 => Confirmed::Never(format!(
            "OpenCRVS core forbids the confirmation: the token lacks the scope, or is for another event or action: {named}"
        )),
        404 => Confirmed::Never(format!("OpenCRVS core does not know the action: {named}")),
        408 | 425 | 429 => Confirmed::Later(format!("OpenCRVS core: {named}")),
        400 => Confirmed::Never(match rejected(&answer.body) {
            true => format!("OpenCRVS core has already rejected the action: {named}"),
            false => format!("OpenCRVS core does not take the confirmation: {named}"),
        }),
        402..=499 => Confirmed::Never(format!("OpenCRVS core refuses the confirmation: {named}")),
        _ => Confirmed::Later(format!("OpenCRVS core: {named}")),
    }
}

enum Said {
    Result,
    /// tRPC's code and HTTP status.
    Error(String, u16),
}

/// The one answer of the batch.
fn said(body: &[u8]) -> Option<Said> {
    let one = one(body)?;
    if let Some(error) = one.get("error") {
        let data = error.get("json").unwrap_or(error).get("data");
        let code = data
            .and_then(|d| d.get("code"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let known = !code.is_empty()
            && code.len() <= 40
            && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let status = data
            .and_then(|d| d.get("httpStatus"))
            .and_then(Value::as_u64);
        let status = status.and_then(|s| u16::try_from(s).ok()).unwrap_or(500);
        return Some(Said::Error(
            if known {
                code.to_owned()
            } else {
                String::new()
            },
            status,
        ));
    }
    one.get("result")?.get("data").map(|_| Said::Result)
}

fn rejected(body: &[u8]) -> bool {
    let message = one(body).and_then(|one| {
        let message = one
            .get("error")?
            .get("json")?
            .get("message")?
            .as_str()?
            .to_owned();
        Some(message)
    });
    message.is_some_and(|m| m.contains("already been rejected"))
}

fn one(body: &[u8]) -> Option<Value> {
    // An array is no object: strict reading is of objects.
    let text = std::str::from_utf8(body).ok()?;
    let wrapped = format!("{{\"batch\":{text}}}");
    let read = json::object(wrapped.as_bytes(), wrapped.len()).ok()?;
    match read.get("batch")?.as_array()?.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
