//! Refusals in the token seeder's own envelope and codes, so that its callers understand them.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use crate::{
    exchange::{RefusalAnswer, Trail, plain_refusal},
    refusal::{Code, Refusal},
};

/// Its code for one of ours; none for whoever does not speak its protocol yet.
const fn seeder_code(code: Code) -> &'static str {
    match code {
        Code::SeederForm | Code::SeederCallback | Code::HttpBodySize => "ATS-REQ-102",
        Code::SeederProgram => "ATS-REQ-103",
        Code::SeederUnknown => "ATS-REQ-016",
        // Its word for everything else; our own code stands beside it.
        _ => "ATS-REQ-100",
    }
}

/// The answer to a refusal.
pub(super) fn refusal(refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
    let plain = plain_refusal(refusal, trail);
    if trail.route().is_none() {
        return plain;
    }
    let code = refusal.code();
    let message = format!(
        "{} (code {}, correlation id {})",
        code.remedy(),
        code.as_str(),
        trail.correlation_id()
    );
    let body = json!({
        "id": "mosip.token.seeder",
        "version": "1.0",
        "metadata": {},
        "responsetime": crate::exchange::rfc3339(trail.at()),
        "errors": [{"errorCode": seeder_code(code), "errorMessage": message}],
        "response": null,
    });
    RefusalAnswer {
        status: StatusCode::from_u16(code.status()).unwrap_or(plain.status),
        body: Bytes::from(body.to_string()),
        ..plain
    }
}
