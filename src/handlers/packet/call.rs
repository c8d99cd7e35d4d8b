//! Making packets and starting workflows in an errand's steps.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::{
    answer::{self, Created, Started},
    problem::PacketError,
};
use crate::{
    config::Envelope,
    envelope::time,
    exchange::{
        Gateway, Snapshot,
        outward::{Call, Step},
    },
};

const CREATE_PATH: &str = "/commons/v1/packetmanager/createPacket";
const WORKFLOW_PATH: &str = "/registrationprocessor/v1/workflowmanager/workflowinstance";

/// Makes a packet. `packet` is what stands in `request` (packet reference 3.1); the envelope around it is made here. Making
/// it again overwrites it, so a call whose outcome is not known may be repeated as long as its workflow has not started.
///
/// # Errors
/// Whether it is worth asking again is in the error.
pub async fn create(
    gateway: &Gateway,
    step: Step<'_>,
    snapshot: &Snapshot,
    upstream: &str,
    envelope: Envelope,
    packet: &Value,
) -> Result<Created, PacketError> {
    let id = (packet.get("id").and_then(Value::as_str)).unwrap_or_default();
    let body = json!({
        "id": "mosip.registration.packet.writer",
        "version": "v1",
        "requesttime": time::format(gateway.clock().now()),
        "request": packet,
    });
    let call = call(Method::PUT, CREATE_PATH, &body);
    let answer = gateway
        .call_for(step, snapshot, upstream, envelope, call)
        .await?;
    answer::created(id, &answer)
}

/// Starts the workflow of a packet. `workflow` is what stands in `request` (packet reference 3.2); the envelope around it is
/// made here. Starting it again is answered with [`Started::already`].
///
/// # Errors
/// Whether it is worth asking again is in the error.
pub async fn start_workflow(
    gateway: &Gateway,
    step: Step<'_>,
    snapshot: &Snapshot,
    upstream: &str,
    envelope: Envelope,
    workflow: &Value,
) -> Result<Started, PacketError> {
    let body = json!({
        "id": "mosip.registration.processor.workflow.instance",
        "version": "v1",
        "requesttime": time::format(gateway.clock().now()),
        "request": workflow,
    });
    let call = call(Method::POST, WORKFLOW_PATH, &body);
    let answer = gateway
        .call_for(step, snapshot, upstream, envelope, call)
        .await?;
    answer::started(&answer)
}

fn call(method: Method, path: &str, body: &Value) -> Call {
    Call {
        method,
        path_and_query: path.to_owned(),
        headers: HeaderMap::new(),
        media_type: Some(HeaderValue::from_static("application/json")),
        body: Bytes::from(body.to_string()),
    }
}
