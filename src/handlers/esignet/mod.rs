//! Handler `esignet`: token and userinfo on both faces, keys and discovery from what was fetched ahead.
//!
//! On a partner face the assertion of the partner's own client is checked, and the bytes go on as they came: PKCE, DPoP and
//! the code are between the client and E-Signet. On a service face the assertion is made here, so that no service holds a
//! client's key; what comes back is verified before a service sees it.

mod assertion;
mod fetch;
mod form;
mod login;
mod said;

pub use fetch::FetchKeys;
pub use login::{Claims, LoginError, login};

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    config::FaceKind,
    exchange::{
        Content, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail,
        esignet::{Documents, Login},
        outward::{Answered, Call},
        plain_refusal,
    },
    policy::EsignetOperation,
    refusal::{Code, Refusal, Side},
};
use form::Form;
use login::{FORM, settings, with_assertion};
use said::TokenSaid;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const ASSERTION: [&str; 2] = ["client_assertion_type", "client_assertion"];

/// E-Signet.
#[derive(Debug, Default)]
pub struct Esignet;

impl Esignet {
    async fn serve(&self, permitted: Permitted, trail: &mut Trail) -> Result<Reply, Refusal> {
        let (content, handling) = permitted.begin(trail);
        let Content::Whole(body) = content else {
            return Err(Refusal::new(
                Code::Fault,
                "an esignet route without its body",
            ));
        };
        let operation = (handling.route().esignet())
            .ok_or_else(|| Refusal::new(Code::Fault, "an esignet route without an operation"))?;
        match operation {
            EsignetOperation::Token => token(handling, &body, 1, trail).await,
            EsignetOperation::TokenV2 => token(handling, &body, 2, trail).await,
            EsignetOperation::Userinfo => userinfo(handling, &body, trail).await,
            EsignetOperation::Keys => document(handling, Documents::Keys, trail),
            EsignetOperation::OpenidDiscovery => document(handling, Documents::Openid, trail),
            EsignetOperation::OauthDiscovery => document(handling, Documents::Oauth, trail),
        }
    }
}

/// What was fetched ahead.
fn document(handling: Handling, which: Documents, trail: &Trail) -> Result<Reply, Refusal> {
    let text = settings(handling.snapshot())?.document(which, trail.at())?;
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let minute = HeaderValue::from_static("max-age=60");
    headers.insert(header::CACHE_CONTROL, minute);
    Ok(handling.answer(StatusCode::OK, headers, text))
}

async fn token(
    handling: Handling,
    body: &Bytes,
    version: u8,
    trail: &mut Trail,
) -> Result<Reply, Refusal> {
    if said::media_type(handling.headers()) != FORM {
        return Err(Refusal::new(Code::MediaType, "not a form"));
    }
    let form = Form::parse(body)?;
    if form.needed("grant_type")? != "authorization_code" {
        let cause = "`grant_type` is not authorization_code";
        return Err(Refusal::new(Code::MemberInvalid, cause).naming("grant_type"));
    }
    form.needed("code")?;
    verifier(&form)?;
    let (client, body) = match trail.face_kind() {
        FaceKind::Partner => (None, foreign(&handling, &form, body, version, trail).await?),
        FaceKind::Service => {
            let (client, body) = own(&handling, &form, body, version, trail)?;
            (Some(client), body)
        }
    };
    let media_type = Some(HeaderValue::from_static(FORM));
    let headers = carried(handling.headers(), &[DPOP])?;
    let answer = call(&handling, headers, media_type, body, trail).await?;
    let said = said::token(&answer)?;
    if let (Some(client), TokenSaid::Granted(granted)) = (client, &said) {
        let esignet = settings(handling.snapshot())?;
        let now = trail.gateway().clock().now();
        let subject = said::subject(esignet, &client, granted, now)?;
        let login = Login { subject, client };
        let (token, life_ms) = (&granted.access_token, granted.life_ms);
        esignet.tokens().remember(token, login, life_ms, now)?;
    }
    if let TokenSaid::Refused(word) = &said {
        tracing::info!(word, "E-Signet refused a token request");
    }
    let headers = told(&answer.headers, "application/json");
    Ok(handling.answer(answer.status, headers, answer.body))
}

/// PKCE goes on untouched; a verifier of another form is none (RFC 7636 section 4.1).
fn verifier(form: &Form<'_>) -> Result<(), Refusal> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let fits = |v: &str| (43..=128).contains(&v.len()) && v.bytes().all(letters);
    if form.get("code_verifier").is_some_and(|v| !fits(v)) {
        let cause = "`code_verifier` is not of RFC 7636's form";
        return Err(Refusal::new(Code::MemberInvalid, cause).naming("code_verifier"));
    }
    Ok(())
}

/// A partner's client proves itself; its bytes go on as they came.
async fn foreign(
    handling: &Handling,
    form: &Form<'_>,
    body: &Bytes,
    version: u8,
    trail: &Trail,
) -> Result<Bytes, Refusal> {
    let esignet = settings(handling.snapshot())?;
    let missing = |cause| Refusal::new(Code::AssertionForm, cause).naming("client_assertion");
    if form.get("client_assertion_type") != Some(assertion::KIND) {
        return Err(missing("`client_assertion_type` is not the jwt-bearer one"));
    }
    let assertion = (form.get("client_assertion")).ok_or_else(|| missing("no assertion"))?;
    let client = assertion::check(
        trail.gateway(),
        handling.snapshot(),
        esignet,
        handling.caller().partner(),
        assertion,
        version,
    )
    .await?;
    if form.get("client_id").is_some_and(|id| id != client.id()) {
        let cause = "`client_id` is not who the assertion says";
        return Err(Refusal::new(Code::ClientUnknown, cause).naming("client_id"));
    }
    if !client.redirects().allow(form.needed("redirect_uri")?) {
        let cause = "`redirect_uri` is not in the client's list";
        return Err(Refusal::new(Code::RedirectUnknown, cause).naming("redirect_uri"));
    }
    Ok(body.clone())
}

/// A service names one of our clients; the assertion is ours.
fn own(
    handling: &Handling,
    form: &Form<'_>,
    body: &Bytes,
    version: u8,
    trail: &Trail,
) -> Result<(String, Bytes), Refusal> {
    let esignet = settings(handling.snapshot())?;
    let service = handling.caller().partner().id().as_str();
    let client = (esignet.client(form.needed("client_id")?))
        .filter(|client| client.serves(service))
        .ok_or_else(|| {
            let cause = "`client_id` is no client of this service";
            Refusal::new(Code::ClientUnknown, cause).naming("client_id")
        })?;
    if !client.redirects().allow(form.needed("redirect_uri")?) {
        let cause = "`redirect_uri` is not in the client's list";
        return Err(Refusal::new(Code::RedirectUnknown, cause).naming("redirect_uri"));
    }
    let has_one = ASSERTION.iter().any(|name| form.get(name).is_some());
    if has_one && !client.replaces_assertions() {
        let cause = "the service sends an assertion of its own";
        return Err(Refusal::new(Code::AssertionUnwanted, cause).naming("client_assertion"));
    }
    let kept = if has_one {
        form.without(&ASSERTION)
    } else {
        body.to_vec()
    };
    let now = trail.gateway().clock().now();
    let body = with_assertion(kept, esignet, client, version, now)?;
    Ok((client.id().to_owned(), body))
}

async fn userinfo(handling: Handling, body: &Bytes, trail: &mut Trail) -> Result<Reply, Refusal> {
    if !body.is_empty() {
        let cause = "a userinfo request with a body";
        return Err(Refusal::new(Code::MessageForm, cause));
    }
    let snapshot = Arc::clone(handling.snapshot());
    let esignet = settings(&snapshot)?;
    let token = access_token(handling.headers())?;
    let login = match trail.face_kind() {
        FaceKind::Partner => None,
        FaceKind::Service => {
            let service = handling.caller().partner().id().as_str();
            let login = esignet.tokens().login(token, trail.at());
            let login = login.and_then(|login| {
                let client = esignet.client(&login.client)?;
                client.serves(service).then_some((login, client))
            });
            Some(login.ok_or_else(|| {
                let cause = "not obtained through this gateway by this service, or over";
                Refusal::new(Code::AccessTokenUnknown, cause)
            })?)
        }
    };
    let headers = carried(handling.headers(), &[header::AUTHORIZATION, DPOP])?;
    let answer = call(&handling, headers, None, Bytes::new(), trail).await?;
    let stated = super::relay::stated_code(&answer.headers).is_some();
    if !stated && matches!(answer.status.as_u16(), 400 | 401) {
        // E-Signet's own no: the challenge says why. Its body, if any, is not passed on.
        let headers = told(&answer.headers, "text/plain");
        return Ok(handling.answer(answer.status, headers, Bytes::new()));
    }
    let now = trail.gateway().clock().now();
    let body = match login {
        None => {
            said::userinfo_in_passing(esignet, &answer, now)?;
            answer.body
        }
        Some((login, client)) => {
            let form = client.userinfo();
            let subject = &login.subject;
            let opened = said::userinfo(&snapshot, esignet, form, subject, &answer, now)?;
            Bytes::from(opened.jws)
        }
    };
    let headers = told(&answer.headers, "application/jwt");
    Ok(handling.answer(StatusCode::OK, headers, body))
}

/// The token of a userinfo request (RFC 6750 section 2.1, RFC 9449 section 7.1).
fn access_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let unknown = |cause| Refusal::new(Code::AccessTokenUnknown, cause);
    let value = (headers.get(header::AUTHORIZATION)).ok_or_else(|| unknown("no Authorization"))?;
    let text = value.to_str().map_err(|_| unknown("not visible ASCII"))?;
    let (scheme, token) = text.split_once(' ').ok_or_else(|| unknown("no token"))?;
    let known = scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("DPoP");
    let visible = token.bytes().all(|b| b.is_ascii_graphic());
    if !known || !visible || token.is_empty() || token.len() > said::TOKEN_MAX {
        return Err(unknown("neither Bearer nor DPoP with a token"));
    }
    Ok(token)
}

/// The request headers that E-Signet needs, each at most once.
fn carried(from: &HeaderMap, names: &[HeaderName]) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    for name in names {
        let mut values = from.get_all(name).iter();
        if let Some(value) = values.next() {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        if values.next().is_some() {
            return Err(Refusal::new(Code::HttpHeader, "a header stands twice"));
        }
    }
    Ok(headers)
}

/// The answer headers that a client needs.
fn told(from: &HeaderMap, media_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    for name in [header::WWW_AUTHENTICATE, DPOP_NONCE] {
        if let Some(value) = from.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

async fn call(
    handling: &Handling,
    headers: HeaderMap,
    media_type: Option<HeaderValue>,
    body: Bytes,
    trail: &mut Trail,
) -> Result<Answered, Refusal> {
    let route = handling.route();
    let call = Call {
        method: handling.method().clone(),
        path_and_query: handling.target().expose().to_owned(),
        headers,
        media_type,
        body,
    };
    let upstream = route.upstream().unwrap_or_default();
    let gateway = Arc::clone(trail.gateway());
    let began = Instant::now();
    let answer = gateway
        .call(
            handling.snapshot(),
            upstream,
            route.to(),
            call,
            trail.correlation_id(),
        )
        .await;
    trail.called_upstream(
        began.elapsed(),
        answer.as_ref().ok().map(|a| a.status.as_u16()),
    );
    trail.received(answer.as_ref().ok().and_then(|a| a.receipt.clone()));
    answer
}

impl Handler for Esignet {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(self.serve(permitted, trail))
    }

    /// On the token endpoint, in OAuth's form (RFC 6749 section 5.2); else in our own.
    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        let mut answer = plain_refusal(refusal, trail);
        let operation = trail.route().and_then(|route| route.esignet());
        let token = matches!(
            operation,
            Some(EsignetOperation::Token | EsignetOperation::TokenV2)
        );
        if token && trail.caller_is_known() {
            let code = refusal.code();
            let body = serde_json::json!({
                "error": oauth_word(code),
                "error_description": code.remedy(),
                "code": code.as_str(),
                "correlationId": trail.correlation_id(),
            });
            answer.body = Bytes::from(body.to_string());
        }
        answer
    }
}

fn oauth_word(code: Code) -> &'static str {
    match (code, code.side()) {
        (
            Code::ClientUnknown
            | Code::AssertionForm
            | Code::AssertionSignature
            | Code::AssertionClaim
            | Code::AssertionReplayed,
            _,
        ) => "invalid_client",
        (Code::RedirectUnknown, _) => "invalid_grant",
        (_, Side::Caller) => "invalid_request",
        (_, Side::Gateway | Side::Upstream) => "temporarily_unavailable",
    }
}
