//! Handler `packet`: MOSIP's createPacket and workflowinstance, on both faces.
//!
//! MOSIP says HTTP 200 to nearly everything, failures included. Here a request is checked before it goes out, and an answer
//! is judged by its content, on either side; what failed is told as a failure. The one failure that is none is
//! `RPR-WIS-001`: the workflow was started by an earlier try.

mod answer;
mod call;
mod problem;
mod request;
mod told;

pub use answer::{Created, Started};
pub use call::{create, start_workflow};
pub use problem::{Again, PacketError};

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::relay::identity_headers;
use crate::{
    config::{Envelope, FaceKind},
    exchange::{
        Content, Gateway, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail, json_only,
        outward::{Answered, Call},
        plain_refusal,
    },
    policy::PacketOperation,
    refusal::{Code, Refusal},
};

/// MOSIP's packet manager and workflow manager.
#[derive(Debug)]
pub struct Packet {
    gateway: Arc<Gateway>,
}

impl Packet {
    /// A handler that calls outward through `gateway`.
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    async fn serve(&self, permitted: Permitted, trail: &mut Trail) -> Result<Reply, Refusal> {
        let (content, handling) = permitted.begin(trail);
        let Content::Whole(body) = content else {
            return Err(Refusal::new(Code::Fault, "a packet route without its body"));
        };
        let route = Arc::clone(handling.route());
        let policy = (route.packet())
            .ok_or_else(|| Refusal::new(Code::Fault, "a packet route without its policy"))?;
        json_only(handling.headers())?;
        let operation = policy.operation();
        let asked = match operation {
            PacketOperation::Create => request::packet(&body)?,
            PacketOperation::StartWorkflow => request::workflow(&body)?,
        };
        policy.permits(handling.caller().partner().packet(), asked.for_policy())?;
        let answer = self.ask(&handling, body, trail).await?;
        let body = match operation {
            PacketOperation::Create => {
                answer::created(&asked.id, &answer).map_err(PacketError::into_refusal)?;
                answer.body
            }
            PacketOperation::StartWorkflow => {
                let started = answer::started(&answer).map_err(PacketError::into_refusal)?;
                if started.already {
                    told::already(trail.at())
                } else {
                    answer.body
                }
            }
        };
        Ok(handling.answer(StatusCode::OK, json_headers(), body))
    }

    /// Passes the exact bytes on: they were read, not written anew.
    async fn ask(
        &self,
        handling: &Handling,
        body: Bytes,
        trail: &mut Trail,
    ) -> Result<Answered, Refusal> {
        let route = handling.route();
        let mut headers = HeaderMap::new();
        if trail.face_kind() == FaceKind::Partner && route.to() == Envelope::InsecurePlain {
            identity_headers(
                &mut headers,
                handling.caller().partner().id().as_str(),
                trail,
            );
        }
        let call = Call {
            method: handling.method().clone(),
            path_and_query: handling.target().expose().to_owned(),
            headers,
            media_type: Some(HeaderValue::from_static("application/json")),
            body,
        };
        let upstream = route.upstream().unwrap_or_default();
        let began = Instant::now();
        let answer = (self.gateway)
            .call(
                handling.snapshot(),
                upstream,
                route.to(),
                call,
                trail.correlation_id(),
            )
            .await;
        trail.called_upstream(
            began.elapsed(),
            answer.as_ref().ok().map(|a| a.status.as_u16()),
        );
        trail.received(answer.as_ref().ok().and_then(|a| a.receipt.clone()));
        answer
    }
}

impl Handler for Packet {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(self.serve(permitted, trail))
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        // Who is not known yet does not speak MOSIP's protocol yet.
        let known = trail.caller_is_known();
        match trail.route().and_then(|route| route.packet()) {
            Some(policy) if known => told::refusal(policy.operation(), refusal, trail),
            _ => plain_refusal(refusal, trail),
        }
    }
}

fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers
}
