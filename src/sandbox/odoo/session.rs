//! Who is at the other end: Odoo's session cookie, or a bearer token.

use bytes::Bytes;
use http::{
    HeaderMap, Request, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use serde_json::{Value, json};

use super::Odoo;
use crate::{
    clock::Moment,
    sandbox::{
        ida::IdaAnswer,
        web::{self, Form},
    },
};

/// How long a session or a bearer token is good for.
const LIFETIME_MS: i64 = 3_600_000;

impl Odoo {
    /// The JSON-RPC login. Odoo sets a session cookie even when it says no; that session is nobody's.
    pub(super) fn authenticate(&self, body: &[u8], now: Moment) -> IdaAnswer {
        let asked: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let params = asked.get("params");
        let said = |name: &str| params?.get(name)?.as_str();
        let version = asked.get("jsonrpc").and_then(Value::as_str);
        let right = version == Some("2.0")
            && said("db") == Some(&self.config.database)
            && said("login") == Some(&self.config.login)
            && said("password") == Some(&self.config.password);
        let Some(name) = web::random_text(20) else {
            return web::json(StatusCode::INTERNAL_SERVER_ERROR, &Value::Null);
        };
        let cookie = format!("session_id={name}; Path=/; Max-Age=3600; HttpOnly");
        self.lock()
            .sessions
            .put(name, right, now.plus_ms(LIFETIME_MS), now);
        let body = if right {
            json!({"jsonrpc": "2.0", "id": null, "result": {"uid": 2, "db": self.config.database, "username": self.config.login}})
        } else {
            rpc_error("Access Denied")
        };
        web::with_header(web::json(StatusCode::OK, &body), SET_COOKIE, &cookie)
    }

    pub(super) fn log_out(&self, headers: &HeaderMap, now: Moment) -> IdaAnswer {
        if let Some(name) = web::cookie(headers, "session_id") {
            self.lock().sessions.take(name, now);
        }
        let to = web::json(StatusCode::SEE_OTHER, &Value::Null);
        web::with_header(to, LOCATION, "/web/login")
    }

    /// `password` and `client_credentials` alike: the user is the client.
    pub(super) fn bearer(&self, request: &Request<Bytes>, now: Moment) -> IdaAnswer {
        let form = Form::parse(request.body()).unwrap_or_default();
        let (user, secret) = match form.get("grant_type") {
            Some("password") => (form.get("username"), form.get("password")),
            Some("client_credentials") => (form.get("client_id"), form.get("client_secret")),
            _ => (None, None),
        };
        let right =
            user == Some(&self.config.login) && secret == Some(self.config.password.as_str());
        let Some(token) = web::random_text(20).filter(|_| right) else {
            return web::json(
                StatusCode::UNAUTHORIZED,
                &json!({"error": "invalid_client"}),
            );
        };
        self.lock()
            .bearers
            .put(token.clone(), (), now.plus_ms(LIFETIME_MS), now);
        web::json(
            StatusCode::OK,
            &json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}),
        )
    }

    /// Whether a request shows somebody's session or a token given here.
    pub(super) fn admits(&self, headers: &HeaderMap, now: Moment) -> bool {
        let state = self.lock();
        let session = web::cookie(headers, "session_id")
            .and_then(|name| state.sessions.get(name, now).copied());
        let bearer = web::header(headers, "authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| state.bearers.get(token, now));
        session == Some(true) || bearer.is_some()
    }
}

/// What Odoo says to a request without a session.
pub(super) fn lost() -> IdaAnswer {
    web::json(
        StatusCode::FORBIDDEN,
        &json!({"jsonrpc": "2.0", "error": {"code": 100, "message": "Odoo Session Expired"}}),
    )
}

/// A JSON-RPC error as Odoo writes it.
pub(super) fn rpc_error(message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": null, "error": {
        "code": 200, "message": "Odoo Server Error",
        "data": {"name": "odoo.exceptions.AccessDenied", "message": message},
    }})
}

/// The kind of authorization a request shows.
pub(super) fn kind(headers: &HeaderMap) -> &'static str {
    if web::cookie(headers, "session_id").is_some() {
        "session"
    } else if web::header(headers, "authorization").is_some_and(|v| v.starts_with("Bearer ")) {
        "bearer"
    } else {
        "none"
    }
}
