//! How callers are told, in MOSIP's envelope: `{id, version, responsetime, response, errors}`.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::ALREADY;
use crate::{
    clock::Moment,
    envelope::time,
    exchange::{RefusalAnswer, Trail},
    policy::PacketOperation,
    refusal::Refusal,
};

/// The `id` that MOSIP's own answers bear.
const fn id(operation: PacketOperation) -> &'static str {
    match operation {
        PacketOperation::Create => "mosip.registration.packet.writer",
        PacketOperation::StartWorkflow => "mosip.registration.processor.workflow.instance",
    }
}

/// A refusal: MOSIP's own code first, where it gave one, then ours.
pub(super) fn refusal(
    operation: PacketOperation,
    refusal: &Refusal,
    trail: &Trail,
) -> RefusalAnswer {
    let code = refusal.code();
    let mut errors = Vec::new();
    if let Some(stated) = refusal.stated() {
        errors.push(json!({"errorCode": stated, "message": "MOSIP's own code"}));
    }
    let mut message = code.remedy().to_owned();
    if let Some(member) = refusal.member() {
        message.push_str(&format!(" Member: {member}."));
    }
    errors.push(json!({"errorCode": code.as_str(), "message": message}));
    let body = json!({
        "id": id(operation),
        "version": "v1",
        "responsetime": time::format(trail.at()),
        "metadata": {"side": code.side().as_str(), "correlationId": trail.correlation_id()},
        "response": null,
        "errors": errors,
    });
    RefusalAnswer {
        status: StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        content_type: "application/json",
        body: Bytes::from(body.to_string()),
        signed: true,
    }
}

/// The answer to a workflow that was there already: as a success, with a note, so that whoever repeats a call whose answer
/// was lost comes to the same end.
pub(super) fn already(at: Moment) -> Bytes {
    let body: Value = json!({
        "id": id(PacketOperation::StartWorkflow),
        "version": "v1",
        "responsetime": time::format(at),
        "metadata": {"note": ALREADY, "message": "The workflow had been started before."},
        "response": {"workflowInstanceId": null},
        "errors": null,
    });
    Bytes::from(body.to_string())
}
