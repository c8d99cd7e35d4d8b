//! Userinfo (reference 4.6): the claims consented to, signed by the identity authority, and sealed to the client if it is
//! registered so.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::{
    Esignet, UserinfoForm, claims,
    keys::nest,
    misbehave::{EsignetFault, Place},
    token::Grant,
};
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        web::{answer, header, json, no_store, with_header},
    },
};

/// What an access token stands for.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) grant: Grant,
    pub(super) subject: String,
}

impl Esignet {
    /// `GET /oidc/userinfo`.
    pub(super) fn userinfo(&self, headers: &HeaderMap, now: Moment) -> IdaAnswer {
        let Some(authorization) = header(headers, "authorization") else {
            return unauthorized("missing_header");
        };
        let access = authorization
            .strip_prefix("Bearer ")
            .and_then(|token| self.lock().tokens.get(token, now).cloned());
        let Some(access) = access else {
            return unauthorized("invalid_token");
        };
        let fault = self.lock().faults.next(Place::Userinfo);
        match fault {
            Some(EsignetFault::Error500) => {
                return json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"status": 500}));
            }
            Some(EsignetFault::ErrorText) => {
                let errors = json!([{"errorCode": "unknown_error", "errorMessage": "ordered"}]);
                return json(
                    StatusCode::OK,
                    &json!({"responseTime": null, "errors": errors}),
                );
            }
            _ => {}
        }
        self.said(&access, fault)
            .unwrap_or_else(|| unauthorized("unknown_error"))
    }

    fn said(&self, access: &Access, fault: Option<EsignetFault>) -> Option<IdaAnswer> {
        let grant = &access.grant;
        let client = self.client(&grant.asked.client)?;
        let subject = match fault {
            Some(EsignetFault::OtherSubject) => "somebody-else",
            _ => &access.subject,
        };
        let payload = claims::payload(
            &self.config.people.by_uin(&grant.uin)?,
            &grant.individual,
            subject,
            &grant.consented,
            &grant.asked.locales,
        );
        let signed = self.signed(&payload, fault)?;
        let body = match &client.userinfo {
            UserinfoForm::Jws => signed,
            UserinfoForm::Jwe {
                certificate,
                compressed,
            } => nest(&signed, certificate, *compressed).ok()?,
        };
        Some(no_store(answer(
            StatusCode::OK,
            "application/jwt",
            body.into_bytes(),
        )))
    }

    fn signed(&self, payload: &Value, fault: Option<EsignetFault>) -> Option<String> {
        let authority = &self.keys.authority;
        match fault {
            Some(EsignetFault::StrangerSignature) => {
                self.keys.stranger()?.token(payload, &authority.kid).ok()
            }
            Some(EsignetFault::UnknownKid) => {
                let stranger = self.keys.stranger()?;
                stranger.token(payload, &stranger.kid).ok()
            }
            Some(EsignetFault::AlgNone) => {
                let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                Some(format!(
                    "{}.{}.",
                    part(&json!({"alg": "none", "kid": authority.kid})),
                    part(payload)
                ))
            }
            _ => authority.token(payload, &authority.kid).ok(),
        }
    }
}

fn unauthorized(error: &str) -> IdaAnswer {
    with_header(
        no_store(answer(
            StatusCode::UNAUTHORIZED,
            "text/plain;charset=UTF-8",
            Vec::new(),
        )),
        WWW_AUTHENTICATE,
        &format!("Bearer error=\"{error}\""),
    )
}
