//! What MOSIP's packet manager and workflow manager answer, judged by content: both say HTTP 200 to nearly everything
//! (packet reference 3.1 and 3.2).

use http::StatusCode;
use serde_json::{Map, Value};

use super::problem::{Again, PacketError};
use crate::{
    envelope::json,
    exchange::outward::Answered,
    handlers::relay::stated_code,
    refusal::{Code, Refusal},
};

/// The workflow manager's word for "this workflow is there already".
pub(super) const ALREADY: &str = "RPR-WIS-001";

/// Codes that the same request will get again: it, or MOSIP's configuration, is wrong.
const FINAL: [&str; 3] = ["KER-PUT-006", "RPR-WIN-000", "RPR-WIN-001"];

/// Errors that are looked at in one answer.
const ERRORS_MAX: usize = 32;

/// A packet that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// How many parts MOSIP made of it (`id`, `evidence`, `optional`).
    pub parts: usize,
}

/// A workflow that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// MOSIP's id of it; it is not told again for one that was there already.
    pub instance_id: Option<String>,
    /// Whether it was there already: an earlier try had arrived.
    pub already: bool,
}

/// Judges the answer to createPacket: `id` is that of the request.
pub(super) fn created(id: &str, answer: &Answered) -> Result<Created, PacketError> {
    let body = object(answer)?;
    if let Some(codes) = error_codes(&body)? {
        return Err(refused_by_mosip(&codes));
    }
    let parts = match body.get("response") {
        // The writer failed, and only its own log knows (packet reference 3.1).
        None | Some(Value::Null) => return Err(lost("createPacket: `response` is null")),
        Some(Value::Array(parts)) if parts.is_empty() => {
            return Err(lost("createPacket: `response` is empty"));
        }
        Some(Value::Array(parts)) => parts,
        Some(_) => return Err(other("createPacket: `response` is no array")),
    };
    let of_this = |part: &Value| part.get("id").and_then(Value::as_str) == Some(id);
    if !parts.iter().all(of_this) {
        return Err(other("createPacket: a part has another id"));
    }
    Ok(Created { parts: parts.len() })
}

/// Judges the answer to workflowinstance.
pub(super) fn started(answer: &Answered) -> Result<Started, PacketError> {
    let body = object(answer)?;
    if let Some(codes) = error_codes(&body)? {
        if codes.iter().all(|code| code == ALREADY) {
            return Ok(Started {
                instance_id: None,
                already: true,
            });
        }
        return Err(refused_by_mosip(&codes));
    }
    let response = match body.get("response") {
        None | Some(Value::Null) => return Err(lost("workflowinstance: `response` is null")),
        Some(Value::Object(response)) => response,
        Some(_) => return Err(other("workflowinstance: `response` is no object")),
    };
    // What a gateway behind us made of `RPR-WIS-001` (see `note`).
    let noted = (body.get("metadata"))
        .and_then(|m| m.get("note"))
        .and_then(Value::as_str)
        == Some(ALREADY);
    match response.get("workflowInstanceId") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= 128 => Ok(Started {
            instance_id: Some(id.clone()),
            already: false,
        }),
        None | Some(Value::Null) if noted => Ok(Started {
            instance_id: None,
            already: true,
        }),
        _ => Err(other("workflowinstance: no `workflowInstanceId`")),
    }
}

/// The body of an answer with HTTP 200, as a JSON object.
fn object(answer: &Answered) -> Result<Map<String, Value>, PacketError> {
    let parsed = json::object(&answer.body, answer.body.len());
    if answer.status == StatusCode::OK {
        // A bare JSON string is the workflow manager's way to say that it failed (packet reference 3.2).
        return parsed.map_err(|why| other(&format!("HTTP 200, but {why}")));
    }
    let codes = (parsed.ok()).and_then(|body| error_codes(&body).ok().flatten());
    let stated = codes.as_ref().and_then(|codes| codes.first());
    let status = answer.status.as_u16();
    let refusal = match stated_code(&answer.headers) {
        Some(code) => Refusal::new(code, format!("the gateway behind answered HTTP {status}")),
        None if matches!(status, 401 | 403) => {
            Refusal::new(Code::TokenRefused, format!("HTTP {status}"))
        }
        None => Refusal::new(Code::UpstreamForm, format!("HTTP {status}")),
    };
    let refusal = match stated {
        Some(code) => refusal.stating(code),
        None => refusal,
    };
    let never = stated.is_some_and(|code| FINAL.contains(&code.as_str()));
    Err(if never {
        PacketError::new(Again::Never, refusal)
    } else {
        refusal.into()
    })
}

/// MOSIP's codes in `errors`; `None` when there are none.
fn error_codes(body: &Map<String, Value>) -> Result<Option<Vec<String>>, PacketError> {
    match body.get("errors") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(errors)) if errors.is_empty() => Ok(None),
        Some(Value::Array(errors)) if errors.len() <= ERRORS_MAX => {
            let code = |error: &Value| {
                let code = error.get("errorCode").and_then(Value::as_str);
                code.unwrap_or_default().to_owned()
            };
            Ok(Some(errors.iter().map(code).collect()))
        }
        Some(_) => Err(other("`errors` is no short array")),
    }
}

fn refused_by_mosip(codes: &[String]) -> PacketError {
    let named = codes.iter().find(|code| !code.is_empty());
    let refusal = Refusal::new(Code::PacketErrors, "HTTP 200 with errors");
    let refusal = match named {
        Some(code) => refusal.stating(code),
        None => refusal,
    };
    let never = (refusal.stated()).is_some_and(|code| FINAL.contains(&code));
    PacketError::new(if never { Again::Never } else { Again::Later }, refusal)
}

fn lost(cause: &str) -> PacketError {
    PacketError::later(Refusal::new(Code::PacketLost, cause))
}

fn other(cause: &str) -> PacketError {
    PacketError::later(Refusal::new(Code::PacketAnswer, cause))
}
