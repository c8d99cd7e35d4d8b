//! Confirmations on the wire: tRPC with the batch link and superjson's envelope (WebSub reference, 5.3).

use http::{StatusCode, header::AUTHORIZATION, request::Parts};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Action, Core, Status,
    control::FaultKind,
    token::{CONFIRM, Holder, REJECT},
};
use crate::sandbox::{ida::IdaAnswer, wire};

/// The most calls in one batch.
const MOST_CALLS: usize = 16;

/// What a confirmation says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    transaction_id: String,
    event_id: String,
    action_id: String,
    registration_number: Option<String>,
    #[serde(default)]
    declaration: Value,
}

/// A tRPC error: its name, its HTTP status, its words.
struct Failure(&'static str, u16, String);

fn failure(name: &'static str, status: u16, words: &str) -> Failure {
    Failure(name, status, words.to_owned())
}

impl Core {
    /// Answers a batch (or a single call).
    pub(super) async fn batch(&self, procedures: &str, parts: &Parts, body: &[u8]) -> IdaAnswer {
        let fault = self.next_fault();
        match fault {
            Some((FaultKind::Error500, _)) => {
                self.say(format_args!("{procedures} status=500 outcome=misbehaved"));
                return wire::json(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &json!([wrong(
                        procedures,
                        &failure("INTERNAL_SERVER_ERROR", 500, "as ordered")
                    )]),
                );
            }
            Some((FaultKind::Slow, delay)) => tokio::time::sleep(delay).await,
            Some((FaultKind::Cut, _)) | None => {}
        }
        let query =
            wire::form(parts.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
        let batched = query.get("batch").map(String::as_str) == Some("1");
        let inputs: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let holder = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.holder(token, self.now()));
        let names: Vec<&str> = if batched {
            procedures.split(',').take(MOST_CALLS).collect()
        } else {
            vec![procedures]
        };
        let mut statuses = Vec::new();
        let mut answers = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let input = if batched {
                inputs.get(at.to_string())
            } else {
                Some(&inputs)
            };
            let input = input.and_then(superjson);
            let result = self.procedure(name, input, holder.as_ref());
            match &result {
                Ok(_) => self.say(format_args!("{name} status=200 outcome=done")),
                Err(Failure(code, status, words)) => self.say(format_args!(
                    "{name} status={status} outcome=refused code={code} why={words:?}"
                )),
            }
            statuses.push(result.as_ref().map_or_else(|failure| failure.1, |_| 200));
            answers.push(match result {
                Ok(event) => json!({"result": {"data": {"json": event}}}),
                Err(failure) => wrong(name, &failure),
            });
        }
        let first = statuses.first().copied().unwrap_or(200);
        let status = if statuses.iter().all(|status| *status == first) {
            first
        } else {
            207
        };
        let body = if batched {
            Value::Array(answers)
        } else {
            answers.pop().unwrap_or(Value::Null)
        };
        let mut answer = wire::json(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &body,
        );
        if matches!(fault, Some((FaultKind::Cut, _))) {
            answer.cut_at = Some(answer.body.len() / 2);
        }
        answer
    }

    fn procedure(
        &self,
        name: &str,
        input: Option<Value>,
        holder: Option<&Holder>,
    ) -> Result<Value, Failure> {
        let (wanted, scope) = match name {
            "event.actions.register.accept" => (Status::Accepted, CONFIRM),
            "event.actions.register.reject" => (Status::Rejected, REJECT),
            other => {
                let words = format!("No procedure found on path \"{other}\"");
                return Err(Failure("NOT_FOUND", 404, words));
            }
        };
        let holder = holder.ok_or_else(|| failure("UNAUTHORIZED", 401, "UNAUTHORIZED"))?;
        let input: Input = serde_json::from_value(input.unwrap_or(Value::Null))
            .map_err(|error| Failure("BAD_REQUEST", 400, error.to_string()))?;
        let same = |own: &Option<String>, asked: &str| own.as_deref() == Some(asked);
        if !holder.scope.iter().any(|own| own == scope)
            || !same(&holder.event_id, &input.event_id)
            || !same(&holder.action_id, &input.action_id)
        {
            return Err(failure("FORBIDDEN", 403, "FORBIDDEN"));
        }
        let mut state = self.state();
        let action = state
            .actions
            .get_mut(&input.action_id)
            .filter(|action| action.event_id == input.event_id)
            .ok_or_else(|| failure("NOT_FOUND", 404, "Action not found"))?;
        settle(action, wanted, input)
    }
}

/// Changes the status once; repeating it is no mistake, changing one's mind is.
fn settle(action: &mut Action, wanted: Status, input: Input) -> Result<Value, Failure> {
    if wanted == Status::Accepted
        && input
            .registration_number
            .as_deref()
            .is_none_or(str::is_empty)
    {
        return Err(failure(
            "BAD_REQUEST",
            400,
            "registrationNumber is required",
        ));
    }
    match action.status {
        Status::Requested => {
            action.status = wanted;
            action.applied = action.applied.saturating_add(1);
            action.transaction_id = Some(input.transaction_id);
            action.registration_number = input.registration_number;
            action.declaration = input.declaration;
        }
        settled if settled == wanted => {}
        Status::Rejected => {
            return Err(failure(
                "BAD_REQUEST",
                400,
                "Action has already been rejected.",
            ));
        }
        Status::Accepted => {
            return Err(failure(
                "BAD_REQUEST",
                400,
                "Action has already been accepted.",
            ));
        }
    }
    action.calls = action.calls.saturating_add(1);
    Ok(json!({
        "id": action.event_id, "type": action.kind, "trackingId": action.tracking_id,
        "actions": [{
            "id": action.action_id, "type": "REGISTER", "status": action.status,
            "registrationNumber": action.registration_number, "declaration": action.declaration,
        }],
    }))
}

/// What superjson's envelope holds: `json` without the members that `meta` calls undefined. As in core, a dot in a key
/// counts as a step of the path: `declaration.child.nid` is not found where `child.nid` is one key, and its null stays.
fn superjson(envelope: &Value) -> Option<Value> {
    let mut value = envelope.get("json")?.clone();
    let named = envelope.pointer("/meta/values").and_then(Value::as_object);
    for (path, kinds) in named.into_iter().flatten() {
        let undefined = kinds
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|k| k == "undefined"));
        let parts: Vec<&str> = path.split('.').collect();
        if undefined && let Some((last, before)) = parts.split_last() {
            let place = before
                .iter()
                .try_fold(&mut value, |place: &mut Value, part| place.get_mut(*part))
                .and_then(Value::as_object_mut);
            place.map(|members: &mut Map<String, Value>| members.remove(*last));
        }
    }
    Some(value)
}

fn wrong(path: &str, failure: &Failure) -> Value {
    let Failure(name, status, words) = failure;
    let code = match *status {
        400 => -32600,
        401 => -32001,
        403 => -32003,
        404 => -32004,
        _ => -32603,
    };
    json!({"error": {"json": {
        "message": words, "code": code,
        "data": {"code": name, "httpStatus": status, "path": path},
    }}})
}
