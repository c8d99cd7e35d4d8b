//! The envelope of MOSIP's kernel services: `{id, version, responsetime, metadata, response, errors}`.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    clock::Moment,
    sandbox::{ida::IdaAnswer, wire},
};

/// Success; id and version are those of the request.
pub(super) fn done(request: &Value, response: &Value, now: Moment) -> IdaAnswer {
    around(request, response, &Value::Null, now)
}

/// Failure, which MOSIP answers with 200 as a rule.
pub(super) fn failed(request: &Value, code: &str, message: &str, now: Moment) -> IdaAnswer {
    let errors = json!([{"errorCode": code, "message": message}]);
    around(request, &Value::Null, &errors, now)
}

/// Any answer.
pub(super) fn around(request: &Value, response: &Value, errors: &Value, now: Moment) -> IdaAnswer {
    let echo = |name| request.get(name).cloned().unwrap_or(Value::Null);
    wire::json(
        StatusCode::OK,
        &json!({
            "id": echo("id"), "version": echo("version"), "responsetime": wire::iso(now), "metadata": null,
            "response": response, "errors": errors,
        }),
    )
}
