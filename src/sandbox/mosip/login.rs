//! MOSIP's authmanager: the client login, real tokens, and `validateToken` (WebSub reference, section 2).

use http::{HeaderMap, HeaderValue, StatusCode, header};
use josekit::{
    JoseError,
    jws::{JwsHeader, RS256},
    jwt::{self, JwtPayload},
};
use openssl::{
    memcmp,
    pkey::{PKey, Private},
    sha::sha256,
};
use serde_json::{Value, json};

use super::{Mosip, envelope, misbehave::Fault};
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        wire::{self, uuid},
    },
};

/// `auth.jwt.expiry` of the shipped configuration: the cookie's age, whatever the token says of itself.
const COOKIE_AGE: u32 = 6_000_000;
/// The realms that exist, by `appId`.
const APPLICATIONS: [&str; 3] = ["admin", "registrationprocessor", "partner"];

/// A client that can log in.
#[derive(Clone)]
pub struct ClientRecord {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Its roles.
    pub roles: Vec<String>,
}

impl std::fmt::Debug for ClientRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientRecord")
            .field("id", &self.id)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// What a good token says.
#[derive(Clone, Debug)]
pub(super) struct Bearer {
    pub(super) user: String,
    pub(super) client: String,
    pub(super) roles: Vec<String>,
}

impl Bearer {
    pub(super) fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// What stands between a request and a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// No token or a bad one.
    Unknown,
    /// Role or audience are missing.
    Forbidden,
}

impl Barred {
    /// The answer of a resource service (section 2.2).
    pub(super) fn answer(self, now: Moment) -> IdaAnswer {
        let (status, code, message) = match self {
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                "KER-ATH-401",
                "Authentication Failed",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "KER-ATH-403", "Forbidden"),
        };
        wire::json(
            status,
            &json!({
                "id": null, "version": null, "responsetime": wire::iso(now), "metadata": null, "response": null,
                "errors": [{"errorCode": code, "message": message}],
            }),
        )
    }
}

impl Mosip {
    /// `POST …/authenticate/clientidsecretkey`.
    pub(super) async fn log_in(&self, body: &[u8], now: Moment) -> IdaAnswer {
        if let Some(delay) = self.strikes(Fault::LoginSlow) {
            tokio::time::sleep(delay).await;
        }
        if self.strikes(Fault::LoginDown).is_some() {
            return wire::text(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream");
        }
        let Ok(outer) = serde_json::from_slice::<Value>(body) else {
            return envelope::failed(&Value::Null, "KER-ATH-500", "Unable to parse request", now);
        };
        let member = |name: &str| {
            outer
                .pointer(&format!("/request/{name}"))
                .and_then(Value::as_str)
                .filter(|text| !text.trim().is_empty())
        };
        let (Some(id), Some(secret), Some(application)) =
            (member("clientId"), member("secretKey"), member("appId"))
        else {
            return envelope::failed(&outer, "KER-ATH-019", "field cannot be empty", now);
        };
        if !APPLICATIONS.contains(&application) {
            let message = format!("Realm not found:: {application}");
            return envelope::failed(&outer, "KER-ATH-026", &message, now);
        }
        let client = self.config().clients.iter().find(|client| client.id == id);
        let fits = |client: &&ClientRecord| {
            memcmp::eq(
                &sha256(client.secret.as_bytes()),
                &sha256(secret.as_bytes()),
            )
        };
        let Some(client) = client.filter(fits) else {
            self.say(format_args!("login client={id:?} outcome=refused"));
            // Keycloak's 401 is not translated.
            let mut answer = envelope::failed(&outer, "500", "401 Unauthorized", now);
            answer.status = StatusCode::INTERNAL_SERVER_ERROR;
            return answer;
        };
        let Ok(token) = self.token_for(client, now) else {
            return wire::text(StatusCode::INTERNAL_SERVER_ERROR, "no token could be made");
        };
        self.say(format_args!("login client={id:?} outcome=done"));
        let response = json!({"status": "Success", "message": "Clientid and Token combination had been validated successfully"});
        let mut answer = envelope::done(&outer, &response, now);
        let cookie = format!("Authorization={token}; Max-Age={COOKIE_AGE}; HttpOnly; Path=/");
        for (name, value) in [(header::AUTHORIZATION, token), (header::SET_COOKIE, cookie)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                answer.headers.insert(name, value);
            }
        }
        answer
    }

    /// `GET …/authorize/admin/validateToken`.
    pub(super) fn validate(&self, headers: &HeaderMap, now: Moment) -> IdaAnswer {
        let Some(cookies) = wire::cookies(headers) else {
            return envelope::failed(&Value::Null, "KER-ATH-006", "Cookies not found", now);
        };
        let Some((_, token)) = cookies.iter().find(|(name, _)| name == "Authorization") else {
            return envelope::failed(&Value::Null, "KER-ATH-007", "Token not found", now);
        };
        let Some(bearer) = self.bearer_of(token, now) else {
            let mut answer =
                envelope::failed(&Value::Null, "KER-ATH-401", "Authentication Failed", now);
            answer.status = StatusCode::UNAUTHORIZED;
            return answer;
        };
        let roles: String = bearer.roles.iter().flat_map(|role| [role, ","]).collect();
        envelope::done(
            &Value::Null,
            &json!({
                "userId": bearer.user, "mobile": null, "mail": null, "langCode": null, "userPassword": null,
                "name": bearer.user, "role": roles, "token": token, "rId": null,
            }),
            now,
        )
    }

    /// What a resource service does before anything else: the first cookie whose name contains `Authorization`, a good
    /// token, the audience, one of the roles.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        roles: &[&str],
        now: Moment,
    ) -> Result<Bearer, Barred> {
        let cookies = wire::cookies(headers).ok_or(Barred::Unknown)?;
        let (_, token) = cookies
            .iter()
            .find(|(name, _)| name.contains("Authorization"))
            .ok_or(Barred::Unknown)?;
        let bearer = self.bearer_of(token, now).ok_or(Barred::Unknown)?;
        if !self.config().allowed_audience.contains(&bearer.client)
            || !roles.iter().any(|role| bearer.has(role))
        {
            return Err(Barred::Forbidden);
        }
        Ok(bearer)
    }

    /// The holder of a token that is ours and lives.
    pub(super) fn bearer_of(&self, token: &str, now: Moment) -> Option<Bearer> {
        let verifier = RS256
            .verifier_from_der(self.config().login_key.public_key_to_der().ok()?)
            .ok()?;
        let (claims, _) = jwt::decode_with_verifier(token, &verifier).ok()?;
        let claims = Value::Object(claims.claims_set().clone());
        if claims.get("exp").and_then(Value::as_i64)? <= now.s() {
            return None;
        }
        let text = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let roles = claims.pointer("/realm_access/roles")?.as_array()?;
        Some(Bearer {
            user: text("preferred_username")?,
            client: text("azp")?,
            roles: roles
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }

    /// A signed token as Keycloak makes them.
    fn token_for(&self, client: &ClientRecord, now: Moment) -> Result<String, JoseError> {
        let life_s = self.strikes(Fault::TokenShort).map_or_else(
            || self.config().token_life_s,
            |life| i64::try_from(life.as_secs()).unwrap_or(i64::MAX),
        );
        let claims = json!({
            "exp": now.s().saturating_add(life_s), "iat": now.s(), "jti": uuid().map_err(|e| JoseError::InvalidClaim(e.into()))?,
            "iss": format!("https://{}/keycloak/auth/realms/mosip", self.config().host),
            "aud": ["account"], "sub": uuid().map_err(|e| JoseError::InvalidClaim(e.into()))?,
            "typ": "Bearer", "azp": client.id, "clientId": client.id,
            "realm_access": {"roles": client.roles},
            "preferred_username": format!("service-account-{}", client.id),
        });
        sign(&self.config().login_key, claims)
    }
}

/// A JWT, RS256.
pub(in crate::sandbox) fn sign(key: &PKey<Private>, claims: Value) -> Result<String, JoseError> {
    let unable = |e: openssl::error::ErrorStack| JoseError::InvalidKeyFormat(e.into());
    let signer = RS256.signer_from_der(key.private_key_to_pkcs8().map_err(unable)?)?;
    let mut head = JwsHeader::new();
    head.set_token_type("JWT");
    let digest = sha256(&key.public_key_to_der().map_err(unable)?);
    head.set_key_id(crate::sandbox::mosip::base64_url(&digest));
    let claims = match claims {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    jwt::encode_with_signer(&JwtPayload::from_map(claims)?, &head, &signer)
}
