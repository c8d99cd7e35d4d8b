//! The token endpoint (reference 4.3 and 4.5): a code, once and soon, from the client it was made for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use josekit::JoseError;
use openssl::{hash::MessageDigest, pkey::PKey, sha::sha256, sign::Signer};
use serde_json::{Value, json};

use super::{
    Esignet, STATIC_CODE,
    authorize::Asked,
    misbehave::{EsignetFault, Place},
    userinfo::Access,
};
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        web::{Form, json, media_type, no_store, random_text},
    },
};

/// What a person has consented to, behind a code.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) asked: Asked,
    pub(super) individual: String,
    pub(super) uin: String,
    pub(super) consented: Vec<String>,
    pub(super) authenticated: Moment,
    pub(super) expires: Moment,
    /// The name of the access token that the code was exchanged for, or that it was spent in vain.
    pub(super) access: Option<Option<String>>,
}

/// `error` and `error_description`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OauthError(pub(super) &'static str, pub(super) &'static str);

/// An error as `/oauth/*` says it.
pub(super) fn oauth_error(error: &OauthError) -> IdaAnswer {
    let status = if error.0 == "unknown_error" {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    };
    no_store(json(
        status,
        &json!({"error": error.0, "error_description": error.1}),
    ))
}

/// The form of a request to `/oauth/*`.
pub(super) fn form(headers: &HeaderMap, body: &[u8]) -> Result<Form, OauthError> {
    if media_type(headers) != "application/x-www-form-urlencoded" {
        return Err(OauthError("invalid_request", "the body must be a form"));
    }
    Form::parse(body).ok_or(OauthError(
        "invalid_request",
        "the form is malformed or names a field twice",
    ))
}

impl Esignet {
    /// `POST /oauth/token` and `/oauth/v2/token`.
    pub(super) fn token(
        &self,
        endpoint: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Moment,
    ) -> IdaAnswer {
        match form(headers, body).and_then(|form| self.exchange(endpoint, &form, now)) {
            Ok(tokens) => no_store(json(StatusCode::OK, &tokens)),
            Err(error) => oauth_error(&error),
        }
    }

    fn exchange(&self, endpoint: &str, form: &Form, now: Moment) -> Result<Value, OauthError> {
        if form.get("grant_type") != Some("authorization_code") {
            return Err(OauthError(
                "unsupported_grant_type",
                "grant_type must be authorization_code",
            ));
        }
        let client = self.authenticated(form, endpoint, now)?.id.clone();
        let grant = self.spend(&client, form, now)?;
        let fault = self.lock().faults.next(Place::Token);
        if fault == Some(EsignetFault::Error500) {
            return Err(OauthError("unknown_error", "ordered"));
        }
        self.tokens(form.get("code").unwrap_or_default(), grant, fault, now)
            .ok_or(OauthError("unknown_error", "the tokens could not be made"))
    }

    /// Takes the code. Whoever shows a right client with a wrong detail has spent it.
    fn spend(&self, client: &str, form: &Form, now: Moment) -> Result<Grant, OauthError> {
        let refused = |why| Err(OauthError("invalid_grant", why));
        let mut state = self.lock();
        let state = &mut *state;
        let code = form.get("code").unwrap_or_default();
        let Some(grant) = state
            .codes
            .get_mut(code, now)
            .filter(|grant| grant.asked.client == client)
        else {
            return refused("this code is unknown or another client's");
        };
        if let Some(first) = grant.access.take() {
            grant.access = Some(None);
            if let Some(access) = first {
                state.tokens.take(&access, now);
            }
            return refused("this code was used before; what it gave is taken back");
        }
        grant.access = Some(None);
        if grant.expires <= now {
            return refused("this code has expired");
        }
        if form.get("redirect_uri") != Some(&grant.asked.redirect_uri) {
            return refused("redirect_uri is not that of the authorization request");
        }
        let verifier = form.get("code_verifier");
        match (&grant.asked.challenge, verifier) {
            (None, None) => {}
            (None, Some(_)) => return refused("there was no code_challenge"),
            (Some(_), None) => return refused("code_verifier is missing"),
            (Some(challenge), Some(verifier)) => {
                let fits = (43..=128).contains(&verifier.len());
                if !fits || URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) != *challenge {
                    return refused("code_verifier does not fit the code_challenge");
                }
            }
        }
        Ok(grant.clone())
    }

    fn tokens(
        &self,
        code: &str,
        grant: Grant,
        fault: Option<EsignetFault>,
        now: Moment,
    ) -> Option<Value> {
        let seconds = self.config.lifetimes.token_s;
        let subject = self.subject(&grant.asked.client, &grant.uin)?;
        let access = self.access_token(&grant, &subject, now).ok()??;
        let id_token = self
            .id_token(&grant, &subject, &access, fault, now)
            .ok()??;
        let until = now.plus_ms(seconds.saturating_mul(1000));
        let mut state = self.lock();
        if let Some(kept) = state.codes.get_mut(code, now) {
            kept.access = Some(Some(access.clone()));
        }
        state
            .tokens
            .put(access.clone(), Access { grant, subject }, until, now);
        Some(json!({
            "access_token": access, "id_token": id_token,
            "token_type": "Bearer", "expires_in": seconds,
        }))
    }

    fn access_token(
        &self,
        grant: &Grant,
        subject: &str,
        now: Moment,
    ) -> Result<Option<String>, JoseError> {
        let Some(unique) = random_text(16) else {
            return Ok(None);
        };
        let key = &self.keys.own;
        let claims = json!({
            "iss": self.config.issuer(), "sub": subject, "aud": grant.asked.client,
            "client_id": grant.asked.client, "azp": grant.asked.client, "scope": grant.asked.scope,
            "iat": now.s(), "exp": now.s().saturating_add(self.config.lifetimes.token_s),
            "jti": unique,
        });
        key.token(&claims, &key.kid).map(Some)
    }

    fn id_token(
        &self,
        grant: &Grant,
        subject: &str,
        access: &str,
        fault: Option<EsignetFault>,
        now: Moment,
    ) -> Result<Option<String>, JoseError> {
        let hash = sha256(access.as_bytes());
        let Some(half) = hash.first_chunk::<16>() else {
            return Ok(None);
        };
        let key = &self.keys.own;
        let about = match fault {
            Some(EsignetFault::OtherIdToken) => "somebody-else",
            _ => subject,
        };
        let mut claims = json!({
            "iss": self.config.issuer(), "sub": about, "aud": grant.asked.client,
            "iat": now.s(), "exp": now.s().saturating_add(self.config.lifetimes.token_s),
            "auth_time": grant.authenticated.s(), "acr": STATIC_CODE,
            "at_hash": URL_SAFE_NO_PAD.encode(half),
        });
        if let (Some(nonce), Some(members)) = (&grant.asked.nonce, claims.as_object_mut()) {
            members.insert("nonce".to_owned(), json!(nonce));
        }
        key.token(&claims, &key.kid).map(Some)
    }

    /// The pairwise subject: the same person is somebody else for every client.
    fn subject(&self, client: &str, uin: &str) -> Option<String> {
        let key = PKey::hmac(&sha256(&self.config.authority.key)).ok()?;
        let mut mac = Signer::new(MessageDigest::sha256(), &key).ok()?;
        mac.update(format!("{client}\0{uin}").as_bytes()).ok()?;
        Some(URL_SAFE_NO_PAD.encode(mac.sign_to_vec().ok()?))
    }
}
