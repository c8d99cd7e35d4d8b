//! The paths that exist in the sandbox only. They answer callers on the same machine and nobody else.
//!
//! | path | what |
//! |---|---|
//! | `GET /sandbox/health` | 200 |
//! | `POST /sandbox/fault` | an order to misbehave ([`super::FaultOrder`]) |
//! | `GET /sandbox/packets/{id}`, `GET /sandbox/workflows/{id}` | what became of a registration |
//! | `GET /sandbox/issued` | the events with credentials that were published |
//! | `GET /sandbox/hub` | the hub's subscribers |
//! | `POST /sandbox/partner-management` | `{"partner" or "apiKey" or "licence" or "policy": …, "status": …}`: IDA learns of the state, and MOSIP's event goes to the hub ([`super::management`]) |
//! | `POST /sandbox/hub/again` | `{"topic": …, "events": n}`: the hub restarts and delivers the last n once more |

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{
    FaultOrder, Mosip,
    management::{Order, Unordered},
};
use crate::sandbox::{ida::IdaAnswer, server::Caller, wire};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    topic: String,
    events: usize,
}

impl Mosip {
    pub(super) fn only_here(
        &self,
        caller: &Caller,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> IdaAnswer {
        if !caller.address.ip().is_loopback() {
            return wire::text(StatusCode::FORBIDDEN, "from this machine only");
        }
        let ok = |body| wire::json(StatusCode::OK, &body);
        let wrong =
            |error: serde_json::Error| wire::text(StatusCode::BAD_REQUEST, &error.to_string());
        match (method, path) {
            (&Method::GET, "health") => ok(json!({"status": "UP"})),
            (&Method::GET, "issued") => ok(json!(self.state().issued)),
            (&Method::GET, "hub") => ok(json!(self.hub().shown())),
            (&Method::POST, "fault") => match serde_json::from_slice::<FaultOrder>(body) {
                Ok(order) => {
                    self.misbehave(order);
                    ok(json!({"kind": order.kind, "times": order.times}))
                }
                Err(error) => wrong(error),
            },
            (&Method::POST, "partner-management") => match serde_json::from_slice::<Order>(body) {
                Ok(order) => match self.manage(&order, self.now()) {
                    Ok(published) => ok(published),
                    Err(Unordered::Wrong(why)) => wire::text(StatusCode::BAD_REQUEST, &why),
                    Err(Unordered::Unknown(why)) => wire::text(StatusCode::NOT_FOUND, &why),
                    Err(Unordered::Unpublished(why)) => {
                        wire::text(StatusCode::SERVICE_UNAVAILABLE, &why)
                    }
                },
                Err(error) => wrong(error),
            },
            (&Method::POST, "hub/again") => match serde_json::from_slice::<Again>(body) {
                Ok(again) => {
                    self.hub().forget_commits(&again.topic, again.events);
                    self.start_missing_consumers();
                    ok(json!({}))
                }
                Err(error) => wrong(error),
            },
            (&Method::GET, path) => self
                .record(path)
                .unwrap_or_else(|| wire::text(StatusCode::NOT_FOUND, "Not Found")),
            _ => wire::text(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    fn record(&self, path: &str) -> Option<IdaAnswer> {
        let state = self.state();
        let shown = match path.split_once('/')? {
            ("packets", id) => {
                let packet = state.packets.get(id)?;
                json!({
                    "process": packet.process, "source": packet.source, "refId": packet.reference,
                    "written": packet.written, "fields": packet.fields,
                })
            }
            ("workflows", id) => {
                let workflow = state.workflows.get(id)?;
                let mut shown = workflow.stage.shown();
                shown
                    .as_object_mut()?
                    .insert("workflowInstanceId".to_owned(), json!(workflow.instance));
                shown
            }
            _ => return None,
        };
        Some(wire::json(StatusCode::OK, &shown))
    }
}
