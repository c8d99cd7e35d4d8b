//! A whole login for whoever needs its outcome: code to tokens, tokens to userinfo, everything verified.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Map, Value};

use super::{
    assertion::KIND,
    said::{self, Granted, TokenSaid},
};
use crate::{
    clock::Moment,
    exchange::{
        Gateway, Snapshot,
        esignet::{Esignet, OwnClient},
        outward::{Answered, Call},
    },
    handlers::form::encoded,
    policy::EsignetOperation,
    refusal::{Code, Refusal},
};

/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Who logged in, as E-Signet says under its signature.
pub struct Claims {
    /// The subject, of the id token and of the userinfo alike (MOSIP's PSUT).
    pub subject: String,
    /// What the userinfo says.
    pub claims: Map<String, Value>,
    /// The userinfo as it was signed, to be shown to others.
    pub jws: String,
    /// When it was received: the userinfo itself has no time in it.
    pub received: Moment,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // All of it is about a person.
        f.write_str("Claims(..)")
    }
}

/// Why there was no login.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginError {
    /// E-Signet refused the code, in its own word such as `invalid_grant`. The person has to log in again.
    #[error("E-Signet refused: {0}")]
    Refused(String),
    /// Anything else, with its code.
    #[error(transparent)]
    Failed(#[from] Refusal),
}

impl LoginError {
    /// The refusal that a caller is told.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(word) => Refusal::new(Code::EsignetRefused, word),
            Self::Failed(refusal) => refusal,
        }
    }
}

/// Exchanges a code for who logged in. Client and redirect URI must be of the configuration.
///
/// # Errors
/// [`LoginError::Refused`] in E-Signet's own word; else `ESG-001` and `ESG-002` for what is not listed, `ESG-008` without
/// keys, `ESG-009` to `ESG-012` and `UP-…` for answers that are not believed.
pub async fn login(
    gateway: &Gateway,
    snapshot: &Snapshot,
    client: &str,
    code: &str,
    redirect_uri: &str,
    code_verifier: Option<&str>,
    correlation_id: &str,
) -> Result<Claims, LoginError> {
    let esignet = settings(snapshot)?;
    let client = esignet
        .client(client)
        .ok_or_else(|| Refusal::new(Code::ClientUnknown, "no client of [esignet]"))?;
    if !client.redirects().allow(redirect_uri) {
        return Err(Refusal::new(Code::RedirectUnknown, "not in the client's list").into());
    }
    let mut body = format!(
        "grant_type=authorization_code&code={}&redirect_uri={}&client_id={}",
        encoded(code),
        encoded(redirect_uri),
        encoded(client.id())
    );
    if let Some(verifier) = code_verifier {
        body.push_str(&format!("&code_verifier={}", encoded(verifier)));
    }
    let now = gateway.clock().now();
    let body = with_assertion(
        body.into_bytes(),
        esignet,
        client,
        client.token_version(),
        now,
    )?;
    let operation = match client.token_version() {
        1 => EsignetOperation::Token,
        _ => EsignetOperation::TokenV2,
    };
    let (upstream, envelope) = esignet.way();
    let call = Call {
        method: Method::POST,
        path_and_query: esignet.path(operation.path()),
        headers: HeaderMap::new(),
        media_type: Some(HeaderValue::from_static(FORM)),
        body,
    };
    let answer = gateway
        .call(snapshot, upstream, envelope, call, correlation_id)
        .await?;
    let granted = match said::token(&answer)? {
        TokenSaid::Granted(granted) => granted,
        TokenSaid::Refused(word) => return Err(LoginError::Refused(word)),
    };
    let subject = said::subject(esignet, client.id(), &granted, gateway.clock().now())?;
    let answer = ask_userinfo(gateway, snapshot, esignet, &granted, correlation_id).await?;
    let received = gateway.clock().now();
    let form = client.userinfo();
    let userinfo = said::userinfo(snapshot, esignet, form, &subject, &answer, received)?;
    Ok(Claims {
        subject,
        claims: userinfo.claims,
        jws: userinfo.jws,
        received,
    })
}

async fn ask_userinfo(
    gateway: &Gateway,
    snapshot: &Snapshot,
    esignet: &Esignet,
    granted: &Granted,
    correlation_id: &str,
) -> Result<Answered, Refusal> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
        .map_err(|_| Refusal::new(Code::TokenAnswer, "an access token that is no header value"))?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer);
    let (upstream, envelope) = esignet.way();
    let call = Call {
        method: Method::GET,
        path_and_query: esignet.path(EsignetOperation::Userinfo.path()),
        headers,
        media_type: None,
        body: Bytes::new(),
    };
    gateway
        .call(snapshot, upstream, envelope, call, correlation_id)
        .await
}

/// The form with our assertion behind its own bytes.
pub(super) fn with_assertion(
    mut form: Vec<u8>,
    esignet: &Esignet,
    client: &OwnClient,
    version: u8,
    now: Moment,
) -> Result<Bytes, Refusal> {
    let endpoint = esignet.token_endpoint(version);
    let assertion = client.assertion([&endpoint, esignet.issuer()], now)?;
    form.extend_from_slice(b"&client_assertion_type=");
    form.extend_from_slice(encoded(KIND).as_bytes());
    form.extend_from_slice(b"&client_assertion=");
    form.extend_from_slice(assertion.as_bytes());
    Ok(Bytes::from(form))
}

/// The `[esignet]` of a snapshot.
pub(super) fn settings(snapshot: &Snapshot) -> Result<&Esignet, Refusal> {
    (snapshot.esignet()).ok_or_else(|| Refusal::new(Code::Fault, "[esignet] is not configured"))
}
