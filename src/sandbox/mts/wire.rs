//! The envelope around every answer, and the error codes (reference 6.1 and 6.2).

use http::StatusCode;
use serde_json::{Value, json};
use time::macros::format_description;

use crate::{
    clock::Moment,
    sandbox::{ida::IdaAnswer, web, wire::iso},
};

/// An error, with the status it is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// What the framework's validation says.
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::new(422, "ATS-REQ-102", what)
    }

    /// An answer with this error, and perhaps something beside.
    pub(super) fn answer(&self, response: &Value, now: Moment) -> IdaAnswer {
        let errors = json!([{"errorCode": self.code, "errorMessage": self.message}]);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        web::json(status, &envelope(&errors, response, now))
    }
}

/// An answer without errors.
pub(super) fn answer(response: &Value, now: Moment) -> IdaAnswer {
    web::json(StatusCode::OK, &envelope(&Value::Null, response, now))
}

fn envelope(errors: &Value, response: &Value, now: Moment) -> Value {
    json!({
        "id": "mosip.token.seeder", "version": "1.0", "metadata": {},
        "responsetime": iso(now), "errors": errors, "response": response,
    })
}

/// Whether a text is what `%Y-%m-%dT%H:%M:%S.%fZ` reads.
pub(super) fn is_timestamp(text: &str) -> bool {
    let Some((seconds, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_once('.'))
    else {
        return false;
    };
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    (1..=6).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && time::PrimitiveDateTime::parse(seconds, format).is_ok()
}
