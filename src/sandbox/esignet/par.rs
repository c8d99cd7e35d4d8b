//! Pushed authorization requests (RFC 9126): the request comes from the client itself, which shows who it is as at the
//! token endpoint; the browser then carries a short name of it.

use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{
    Esignet,
    authorize::{Asked, Refused},
    token::{OauthError, oauth_error},
};
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        web::{Form, json, no_store, random_text},
    },
};

/// What every name of a pushed request begins with.
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

impl Esignet {
    /// `POST /oauth/par`.
    pub(super) fn push(&self, headers: &HeaderMap, body: &[u8], now: Moment) -> IdaAnswer {
        match self.push_checked(headers, body, now) {
            Ok(answer) => answer,
            Err(error) => oauth_error(&error),
        }
    }

    fn push_checked(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Moment,
    ) -> Result<IdaAnswer, OauthError> {
        let invalid = |what| OauthError("invalid_request", what);
        let form = super::token::form(headers, body)?;
        let client = self.authenticated(&form, &self.par_endpoint(), now)?;
        if form.get("request_uri").is_some() {
            return Err(invalid("a pushed request cannot name another"));
        }
        if form.get("client_id") != Some(client.id.as_str()) {
            return Err(invalid("client_id is not who the assertion says"));
        }
        if self.asked(&form).is_err() {
            return Err(invalid(
                "the authorization request itself is not acceptable",
            ));
        }
        let name = random_text(18).ok_or(OauthError("unknown_error", "no random bytes"))?;
        let until = now.plus_ms(self.config.lifetimes.pushed_s.saturating_mul(1000));
        self.lock().pushed.put(name.clone(), form, until, now);
        Ok(no_store(json(
            StatusCode::CREATED,
            &json!({"request_uri": format!("{PREFIX}{name}"), "expires_in": self.config.lifetimes.pushed_s}),
        )))
    }

    /// The request of a query, or the pushed one that it names. A name is good once.
    pub(super) fn pushed_or(&self, query: &Form, now: Moment) -> Result<Asked, Refused> {
        let Some(name) = query
            .get("request_uri")
            .and_then(|uri| uri.strip_prefix(PREFIX))
        else {
            return self.asked(query);
        };
        let pushed = self.lock().pushed.take(name, now);
        let pushed = pushed
            .filter(|form| form.get("client_id") == query.get("client_id"))
            .ok_or(Refused::Here(
                "This request has expired or was used before.",
            ))?;
        self.asked(&pushed)
    }
}
