//! Single-record tokens: made as core's auth service makes them, and checked as its events service does.

use josekit::{JoseError, jws::RS256, jwt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Core;
use crate::{
    clock::Moment,
    sandbox::{
        mosip::{fresh_key, sign},
        wire::uuid,
    },
};

/// Who makes tokens.
const ISSUER: &str = "opencrvs:auth-service";
/// For whom a single-record token is.
const AUDIENCE: [&str; 4] = [
    "opencrvs:gateway-user",
    "opencrvs:events-user",
    "opencrvs:countryconfig-user",
    "opencrvs:mosip-api-user",
];
/// The audience that the events service wants.
const OWN_AUDIENCE: &str = "opencrvs:events-user";
/// Seven days.
const LIFE_S: i64 = 604_800;
pub(super) const CONFIRM: &str = "record.confirm-registration";
pub(super) const REJECT: &str = "record.reject-registration";

/// What a token is to say; what is left out is as it should be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TokenOrder {
    pub(super) event_id: Option<String>,
    pub(super) action_id: Option<String>,
    pub(super) scope: Option<Vec<String>>,
    pub(super) aud: Option<Vec<String>>,
    pub(super) iss: Option<String>,
    /// Seconds from now; below zero for one that is over.
    pub(super) expires_in: Option<i64>,
    /// Signed with a key that is not core's.
    #[serde(default)]
    pub(super) forged: bool,
}

/// What a good token says.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) scope: Vec<String>,
    pub(super) event_id: Option<String>,
    pub(super) action_id: Option<String>,
}

impl Core {
    /// Makes a token.
    pub(super) fn token(&self, order: &TokenOrder, now: Moment) -> Result<String, JoseError> {
        let random = || uuid().map_err(|e| JoseError::InvalidClaim(e.into()));
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let claims = json!({
            "iss": order.iss.as_deref().unwrap_or(ISSUER),
            "aud": order.aud.clone().unwrap_or_else(|| words(&AUDIENCE)),
            "scope": order.scope.clone().unwrap_or_else(|| words(&[CONFIRM, REJECT])),
            "sub": random()?, "userType": "system",
            "iat": now.s(), "exp": now.s().saturating_add(order.expires_in.unwrap_or(LIFE_S)),
            "eventId": order.event_id.clone().map_or_else(random, Ok)?,
            "actionId": order.action_id.clone().map_or_else(random, Ok)?,
        });
        if order.forged {
            let stranger = fresh_key().map_err(|e| JoseError::InvalidKeyFormat(e.into()))?;
            return sign(&stranger, claims);
        }
        sign(&self.config().key, claims)
    }

    /// The holder of a token that is core's, alive and for the events service.
    pub(super) fn holder(&self, token: &str, now: Moment) -> Option<Holder> {
        let verifier = RS256
            .verifier_from_der(self.config().key.public_key_to_der().ok()?)
            .ok()?;
        let (claims, _) = jwt::decode_with_verifier(token, &verifier).ok()?;
        let claims = claims.claims_set();
        let text = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name| -> Vec<String> {
            let values = claims.get(name).and_then(Value::as_array);
            let words = values.into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        };
        let alive = claims.get("exp").and_then(Value::as_i64)? > now.s();
        let ours = text("iss").as_deref() == Some(ISSUER)
            && list("aud").iter().any(|audience| audience == OWN_AUDIENCE);
        (alive && ours).then(|| Holder {
            scope: list("scope"),
            event_id: text("eventId"),
            action_id: text("actionId"),
        })
    }
}
