//! E-Signet on a socket: which path is what.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::json;

use super::{Esignet, EsignetFaultOrder, page};
use crate::{
    clock::Clock,
    sandbox::{
        ida::IdaAnswer,
        server::{Caller, Handler},
        web::{self, Form},
    },
};

/// [`Esignet`] with a clock, for [`crate::sandbox::server::serve`].
#[derive(Clone, Debug)]
pub struct EsignetService {
    esignet: Arc<Esignet>,
    clock: Clock,
}

impl EsignetService {
    /// Puts the two together.
    pub const fn new(esignet: Arc<Esignet>, clock: Clock) -> Self {
        Self { esignet, clock }
    }
}

#[async_trait]
impl Handler for EsignetService {
    async fn handle(&self, _: &Caller, request: Request<Bytes>) -> IdaAnswer {
        let now = self.clock.now();
        let (parts, body) = request.into_parts();
        let esignet = &*self.esignet;
        let path = parts.uri.path();
        let query = || Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let ok = |value| web::json(StatusCode::OK, &value);
        match (&parts.method, path) {
            (&Method::GET, "/authorize") => match query() {
                Some(query) => esignet.begin(&query, now),
                None => page::problem(StatusCode::BAD_REQUEST, "The address is malformed."),
            },
            (&Method::POST, "/authorize/login" | "/authorize/consent") => {
                let form = Form::parse(&body).unwrap_or_default();
                if path.ends_with("login") {
                    esignet.log_in(&parts.headers, &form, now)
                } else {
                    esignet.consent(&parts.headers, &form, now)
                }
            }
            (&Method::GET, "/v1/esignet/oidc/.well-known/openid-configuration") => {
                ok(esignet.openid_configuration())
            }
            (&Method::GET, "/v1/esignet/oauth/.well-known/oauth-authorization-server") => {
                ok(esignet.authorization_server())
            }
            (&Method::GET, "/v1/esignet/oauth/.well-known/jwks.json") => {
                ok(esignet.keys.published())
            }
            (&Method::POST, "/v1/esignet/oauth/par") => esignet.push(&parts.headers, &body, now),
            (&Method::POST, "/v1/esignet/oauth/token") => {
                let endpoint = esignet.first_token_endpoint();
                esignet.token(&endpoint, &parts.headers, &body, now)
            }
            (&Method::POST, "/v1/esignet/oauth/v2/token") => {
                let endpoint = esignet.token_endpoint();
                esignet.token(&endpoint, &parts.headers, &body, now)
            }
            (&Method::GET, "/v1/esignet/oidc/userinfo") => esignet.userinfo(&parts.headers, now),
            (&Method::GET, "/sandbox/landing") => page::landing(&query().unwrap_or_default()),
            (&Method::GET, "/sandbox/health") => ok(json!({"status": "UP"})),
            (&Method::POST, "/sandbox/fault") => esignet.fault(&body),
            _ => web::json(
                StatusCode::NOT_FOUND,
                &json!({"status": 404, "error": "Not Found"}),
            ),
        }
    }
}

impl Esignet {
    fn fault(&self, body: &[u8]) -> IdaAnswer {
        match serde_json::from_slice::<EsignetFaultOrder>(body) {
            Ok(order) if self.misbehave(order) => web::json(StatusCode::OK, &json!({})),
            Ok(_) => web::json(
                StatusCode::TOO_MANY_REQUESTS,
                &json!({"error": "too many orders wait"}),
            ),
            Err(error) => web::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": error.to_string()}),
            ),
        }
    }

    /// Orders a fault; `false` when too many wait already.
    pub fn misbehave(&self, order: EsignetFaultOrder) -> bool {
        self.lock().faults.order(order)
    }
}
