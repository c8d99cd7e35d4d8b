//! `private_key_jwt`: who a client is, by a JWT signed with its registered key (reference 4.3).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use josekit::{
    jwk::Jwk,
    jws::{self, ES256, JwsVerifier, PS256, RS256},
};
use serde_json::{Map, Value};

use super::{ClientRecord, Esignet, token::OauthError};
use crate::{clock::Moment, sandbox::web::Form};

/// The one kind of assertion.
const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest assertion.
const LONGEST: usize = 8 * 1024;

impl Esignet {
    /// The client that a form's assertion proves, for one of the endpoints.
    pub(super) fn authenticated(
        &self,
        form: &Form,
        endpoint: &str,
        now: Moment,
    ) -> Result<&ClientRecord, OauthError> {
        let refused = |why| OauthError("invalid_client", why);
        if form.get("client_assertion_type") != Some(KIND) {
            return Err(refused("client_assertion_type must be the jwt-bearer one"));
        }
        let assertion = form
            .get("client_assertion")
            .filter(|text| text.len() <= LONGEST)
            .ok_or_else(|| refused("client_assertion is missing or too long"))?;
        // Who it claims to be chooses the key, and nothing else, before the signature has been verified.
        let client = claimed(assertion)
            .as_ref()
            .and_then(|claims| claims.get("iss"))
            .and_then(Value::as_str)
            .and_then(|id| self.client(id))
            .ok_or_else(|| refused("iss is no registered client"))?;
        let claims = verified(assertion, &client.key)
            .ok_or_else(|| refused("the signature is not the client's, or alg is not allowed"))?;
        self.check(client, &claims, endpoint, now)?;
        if form.get("client_id").is_some_and(|id| id != client.id) {
            return Err(refused("client_id is not who the assertion says"));
        }
        Ok(client)
    }

    fn check(
        &self,
        client: &ClientRecord,
        claims: &Map<String, Value>,
        endpoint: &str,
        now: Moment,
    ) -> Result<(), OauthError> {
        let refused = |why| Err(OauthError("invalid_client", why));
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
        let leeway = self.config.lifetimes.leeway_s;
        if text("iss") != Some(&client.id) || text("sub") != Some(&client.id) {
            return refused("iss and sub must both be the client id");
        }
        let (issuer, ours) = (self.config.issuer(), endpoint);
        let for_us = |audience: &Value| {
            audience
                .as_str()
                .is_some_and(|audience| audience == ours || audience == issuer)
        };
        let audience = match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(for_us),
            Some(one) => for_us(one),
            None => false,
        };
        if !audience {
            return refused("aud has neither the token endpoint nor the issuer");
        }
        let (Some(expires), Some(issued)) = (seconds("exp"), seconds("iat")) else {
            return refused("exp and iat must be numbers");
        };
        if expires.saturating_add(leeway) <= now.s() {
            return refused("the assertion has expired");
        }
        if issued.saturating_sub(leeway) > now.s() {
            return refused("iat is in the future");
        }
        let Some(id) = text("jti").filter(|id| !id.is_empty()) else {
            return refused("jti is missing");
        };
        let until = now.plus_ms(self.config.lifetimes.jti_s.saturating_mul(1000));
        let name = format!("{}\0{id}", client.id);
        if !self.lock().assertions.put(name, (), until, now) {
            return refused("jti was used before");
        }
        Ok(())
    }
}

/// The claims, believed by nobody yet.
fn claimed(assertion: &str) -> Option<Map<String, Value>> {
    part(assertion, 1)
}

fn part(assertion: &str, which: usize) -> Option<Map<String, Value>> {
    let part = assertion.split('.').nth(which)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The claims, when the key signed them with an allowed algorithm.
fn verified(assertion: &str, key: &Value) -> Option<Map<String, Value>> {
    let key = Jwk::from_map(key.as_object()?.clone()).ok()?;
    let verifier: Box<dyn JwsVerifier> = match part(assertion, 0)?.get("alg")?.as_str()? {
        "RS256" => Box::new(RS256.verifier_from_jwk(&key).ok()?),
        "PS256" => Box::new(PS256.verifier_from_jwk(&key).ok()?),
        "ES256" => Box::new(ES256.verifier_from_jwk(&key).ok()?),
        _ => return None,
    };
    let (payload, _) = jws::deserialize_compact(assertion, verifier.as_ref()).ok()?;
    serde_json::from_slice(&payload).ok()
}
