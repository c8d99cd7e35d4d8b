//! Answers in the middleware's words.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    exchange::{Handling, RefusalAnswer, Reply, Trail},
    refusal::{Refusal, Side},
};

/// A JSON answer.
pub(super) fn json(handling: Handling, status: StatusCode, body: impl Into<Bytes>) -> Reply {
    handling.answer(
        status,
        typed("application/json; charset=utf-8"),
        body.into(),
    )
}

/// A text with status 200.
pub(super) fn text(handling: Handling, body: &'static str) -> Reply {
    let body = Bytes::from_static(body.as_bytes());
    handling.answer(StatusCode::OK, typed("text/plain; charset=utf-8"), body)
}

fn typed(media_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
}

/// `error` is what the middleware says where callers look at it: `Unauthorized`, and one text for all that is not the
/// caller's doing. The code, what to change and the correlation id stand beside it.
pub(super) fn refusal(refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
    let code = refusal.code();
    let error = match (code.status(), code.side()) {
        (401, _) => "Unauthorized",
        (403, _) => "Forbidden",
        (_, Side::Caller) => code.remedy(),
        (_, Side::Gateway | Side::Upstream) => "An unexpected error occurred",
    };
    let mut body = json!({
        "error": error,
        "code": code.as_str(),
        "message": code.remedy(),
        "correlationId": trail.correlation_id(),
    });
    if let Some(body) = body.as_object_mut() {
        if let Some(member) = refusal.member() {
            body.insert("member".to_owned(), json!(member));
        }
        if let Some(code) = refusal.stated() {
            body.insert("mosipCode".to_owned(), json!(code));
        }
    }
    RefusalAnswer {
        status: StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        content_type: "application/json; charset=utf-8",
        body: Bytes::from(body.to_string()),
        signed: false,
    }
}
