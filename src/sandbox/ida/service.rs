//! The sandbox's IDA as a service on a socket, with the few paths that exist in the sandbox only:
//!
//! | path | what |
//! |---|---|
//! | `GET /sandbox/otp/{transactionID}` | the one-time password that a person would have got |
//! | `GET /sandbox/people` | the table of identities |
//! | `GET /sandbox/health` | 200 |
//! | `POST /sandbox/fault` | an order to misbehave ([`super::FaultOrder`]) |

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use serde_json::json;

use super::{FaultOrder, Ida, IdaAnswer, json_answer, plain, time};
use crate::{
    clock::{Clock, Moment},
    sandbox::{
        people,
        server::{Caller, Handler},
    },
};

/// [`Ida`] with a clock, for [`crate::sandbox::server::serve`].
#[derive(Debug)]
pub struct IdaService {
    ida: Arc<Ida>,
    clock: Clock,
}

impl IdaService {
    /// Puts the two together.
    pub const fn new(ida: Arc<Ida>, clock: Clock) -> Self {
        Self { ida, clock }
    }
}

#[async_trait]
impl Handler for IdaService {
    async fn handle(&self, caller: &Caller, request: Request<Bytes>) -> IdaAnswer {
        let now = self.clock.now();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if let Some(rest) = path.strip_prefix("/sandbox/") {
            return self.ida.only_here(&parts.method, rest, &body, now);
        }
        if parts.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        }
        let leaf = caller.tls_certificate.as_deref();
        self.ida
            .answer_over(leaf, path, &parts.headers, &body, now)
            .await
    }
}

impl Ida {
    /// The one-time password of a transaction, as long as it can be used.
    pub fn otp_of(&self, transaction: &str) -> Option<String> {
        self.lock()
            .otp
            .delivered(transaction)
            .map(|delivered| delivered.code.to_owned())
    }

    /// Orders a fault; `false` when too many wait already.
    pub fn misbehave(&self, order: FaultOrder) -> bool {
        self.lock().faults.order(order)
    }

    fn only_here(&self, method: &Method, path: &str, body: &[u8], now: Moment) -> IdaAnswer {
        match (method, path) {
            (&Method::GET, "health") => {
                json_answer(json!({"status": "UP"}).to_string().into_bytes())
            }
            (&Method::GET, "people") => {
                let mut headers = HeaderMap::new();
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/markdown;charset=UTF-8"),
                );
                IdaAnswer {
                    headers,
                    ..json_answer(
                        people::table_of(&self.config.identities.everybody()).into_bytes(),
                    )
                }
            }
            (&Method::POST, "fault") => match serde_json::from_slice::<FaultOrder>(body) {
                Ok(order) if self.misbehave(order) => json_answer(
                    json!({"kind": order.kind.name(), "times": order.times})
                        .to_string()
                        .into_bytes(),
                ),
                Ok(_) => plain(StatusCode::TOO_MANY_REQUESTS, "Too many orders wait"),
                Err(error) => plain(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            (&Method::GET, path) => path
                .strip_prefix("otp/")
                .and_then(|transaction| self.outbox(transaction, now))
                .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "Not Found")),
            _ => plain(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    fn outbox(&self, transaction: &str, now: Moment) -> Option<IdaAnswer> {
        let state = self.lock();
        let delivered = state.otp.delivered(transaction)?;
        let body = json!({
            "transactionID": transaction,
            "otp": delivered.code,
            "expires": time::format(delivered.expires, None),
            "expired": delivered.expires <= now,
        });
        Some(json_answer(body.to_string().into_bytes()))
    }
}
