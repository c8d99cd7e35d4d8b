//! Handler `opencrvs`: the HTTP API of OpenCRVS' MOSIP middleware, with the gateway in the middleware's place.
//!
//! | path | what |
//! |---|---|
//! | `POST …/events/registration` | a birth or death: stored, then made a packet, sent, and confirmed when MOSIP has answered |
//! | `POST …/verify` | a yes or no from IDA |
//! | `POST …/esignet/get-oidp-user-info` | who has logged in at E-Signet |
//!
//! Every one of them wants a token of OpenCRVS that is checked in full ([`tokens`]). A caller's mistake is a 4xx that says what
//! to change; the middleware's 500 made country configuration reject registrations. A slash at the end of a path is refused by
//! the gate, and the middleware's debug routes, one of which gives away tokens, are not here.

mod answer;
mod confirm;
pub mod credential;
mod doer;
mod fields;
mod ida;
mod packet;
mod register;
mod tokens;
mod transaction;
mod userinfo;
mod verify;

pub use credential::Credentials;
pub use transaction::summary;

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::{
    config::OpenCrvs as Settings,
    envelope::bearer::Claims,
    exchange::{
        Content, Gateway, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail,
        errands::Doer,
        json_only,
        registrations::{CrvsOperation, Registrations},
    },
    refusal::{Code, Refusal},
};
use tokens::Issuer;

/// OpenCRVS' MOSIP middleware.
#[derive(Debug)]
pub struct OpenCrvs {
    gateway: Arc<Gateway>,
    issuer: Arc<Issuer>,
}

/// The handler, and what does its errands.
pub fn pair(gateway: &Arc<Gateway>) -> (OpenCrvs, Box<dyn Doer>) {
    let issuer = Arc::new(Issuer::default());
    let handler = OpenCrvs {
        gateway: Arc::clone(gateway),
        issuer: Arc::clone(&issuer),
    };
    (handler, Box::new(doer::Registering::new(issuer)))
}

impl OpenCrvs {
    async fn serve(&self, permitted: Permitted, trail: &mut Trail) -> Result<Reply, Refusal> {
        let (content, handling) = permitted.begin(trail);
        let Content::Whole(body) = content else {
            let cause = "an opencrvs route without its body";
            return Err(Refusal::new(Code::Fault, cause));
        };
        if handling.method() == Method::OPTIONS {
            // What the browser asked for is in headers that the seal step adds.
            return Ok(handling.answer(StatusCode::NO_CONTENT, HeaderMap::new(), Bytes::new()));
        }
        if handling.method() != Method::POST {
            let cause = "only POST is served";
            return Err(Refusal::new(Code::MethodNotAllowed, cause));
        }
        let operation = CrvsOperation::of(handling.route())
            .ok_or_else(|| Refusal::new(Code::Fault, "a path of no operation"))?;
        let snapshot = Arc::clone(handling.snapshot());
        let registrations = (snapshot.registrations())
            .ok_or_else(|| Refusal::new(Code::Fault, "an opencrvs route without [opencrvs]"))?;
        let scopes = scopes(registrations.settings(), operation)?;
        let (claims, token) = self.bearer(&handling, registrations, scopes, trail)?;
        json_only(handling.headers())?;
        match operation {
            CrvsOperation::Register => {
                let asked = register::Asked::read(&body)?;
                register::put(&self.gateway, registrations, &claims, token, asked, trail).await?;
                Ok(answer::json(handling, StatusCode::ACCEPTED, "{}"))
            }
            CrvsOperation::Verify => {
                let verdict =
                    verify::ask(&self.gateway, &snapshot, registrations, &body, trail).await?;
                Ok(answer::text(handling, verdict))
            }
            CrvsOperation::UserInfo => {
                let settings = (registrations.settings().esignet.as_ref())
                    .ok_or_else(|| Refusal::new(Code::Fault, "no [opencrvs.esignet]"))?;
                let query = handling.near().query();
                let told =
                    userinfo::ask(&self.gateway, &snapshot, settings, query, &body, trail).await?;
                Ok(answer::json(handling, StatusCode::OK, told.to_string()))
            }
        }
    }

    /// The token of the request, checked in full.
    fn bearer<'h>(
        &self,
        handling: &'h Handling,
        registrations: &Registrations,
        scopes: &[String],
        trail: &Trail,
    ) -> Result<(Claims, &'h str), Refusal> {
        let token = (handling.headers().get(header::AUTHORIZATION))
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty())
            .ok_or_else(|| Refusal::new(Code::BearerMissing, "no bearer token"))?;
        let claims = self
            .issuer
            .check(registrations, token, scopes, trail.at())?;
        Ok((claims, token))
    }
}

impl Handler for OpenCrvs {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(self.serve(permitted, trail))
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        answer::refusal(refusal, trail)
    }
}

/// The scopes of which a caller needs one.
fn scopes(settings: &Settings, operation: CrvsOperation) -> Result<&[String], Refusal> {
    let missing = || Refusal::new(Code::Fault, "a route without its section");
    Ok(match operation {
        CrvsOperation::Register => &settings.token.scopes,
        CrvsOperation::Verify => &settings.verify.as_ref().ok_or_else(missing)?.scopes,
        CrvsOperation::UserInfo => &settings.esignet.as_ref().ok_or_else(missing)?.scopes,
    })
}
