//! The authorization request (reference 4.2): what is asked, by whom, and where the answer goes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{ClientRecord, Esignet, Pkce, claims};
use crate::sandbox::web::{Form, encode};

/// The longest `state` or `nonce`.
const LONGEST: usize = 2_048;

/// A request that may go on to the login page.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    /// The S256 challenge of PKCE.
    pub(super) challenge: Option<String>,
    pub(super) scope: String,
    /// Claims that are given with any consent.
    pub(super) essential: Vec<String>,
    /// Claims that the person may leave out.
    pub(super) voluntary: Vec<String>,
    /// Two-letter codes.
    pub(super) locales: Vec<&'static str>,
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nobody may be sent anywhere: the client or its address is not known.
    Here(&'static str),
    /// The client is told.
    Back(String),
}

impl Asked {
    /// The address that takes the person back, with these members.
    pub(super) fn back(&self, issuer: &str, members: &[(&str, &str)]) -> String {
        back(&self.redirect_uri, self.state.as_deref(), issuer, members)
    }
}

impl Esignet {
    /// Checks a request that came by query.
    pub(super) fn asked(&self, query: &Form) -> Result<Asked, Refused> {
        let client = query
            .get("client_id")
            .and_then(|id| self.client(id))
            .ok_or(Refused::Here("This client is not registered."))?;
        let redirect_uri = query
            .get("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|listed| listed == uri))
            .ok_or(Refused::Here(
                "The address to return to is not registered for this client.",
            ))?;
        let state = query.get("state");
        read(client, redirect_uri, query).map_err(|(error, description)| {
            Refused::Back(back(
                redirect_uri,
                state,
                &self.config.issuer(),
                &[("error", error), ("error_description", description)],
            ))
        })
    }
}

type Error = (&'static str, &'static str);

fn read(client: &ClientRecord, redirect_uri: &str, query: &Form) -> Result<Asked, Error> {
    let invalid = |what| Err(("invalid_request", what));
    if query.get("response_type") != Some("code") {
        return Err(("unsupported_response_type", "response_type must be code"));
    }
    let scopes: Vec<&str> = query.get("scope").unwrap_or_default().split(' ').collect();
    if !scopes.contains(&"openid") {
        return Err(("invalid_scope", "scope must contain openid"));
    }
    for name in ["request", "request_uri", "id_token_hint", "dpop_jkt"] {
        if query.get(name).is_some() {
            return invalid("request, request_uri, id_token_hint and dpop_jkt are not supported");
        }
    }
    match query.get("prompt") {
        None | Some("login" | "consent" | "select_account" | "login consent") => {}
        Some("none") => return Err(("login_required", "nobody is logged in before the page")),
        Some(_) => return invalid("prompt is not one of login, consent, select_account, none"),
    }
    if !matches!(
        query.get("display"),
        None | Some("page" | "popup" | "touch" | "wap")
    ) {
        return invalid("display is not one of page, popup, touch, wap");
    }
    // Every login is fresh, so that any age is kept; it must be a number all the same.
    if query
        .get("max_age")
        .is_some_and(|age| age.parse::<u32>().is_err())
    {
        return invalid("max_age is not a number of seconds");
    }
    let short = |name: &str| -> Result<Option<String>, Error> {
        match query.get(name) {
            Some(text) if text.len() > LONGEST => Err(("invalid_request", "a member is too long")),
            text => Ok(text.map(str::to_owned)),
        }
    };
    let (essential, voluntary) = asked_claims(client, &scopes, query.get("claims"))?;
    Ok(Asked {
        client: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        state: short("state")?,
        nonce: short("nonce")?,
        challenge: challenge(client, query)?,
        scope: scopes
            .iter()
            .filter(|scope| ["openid", "profile", "email", "phone"].contains(scope))
            .copied()
            .collect::<Vec<_>>()
            .join(" "),
        essential,
        voluntary,
        locales: claims::known_locales(query.get("claims_locales").unwrap_or("en")),
    })
}

fn challenge(client: &ClientRecord, query: &Form) -> Result<Option<String>, Error> {
    let method = query.get("code_challenge_method");
    match query.get("code_challenge") {
        None if client.pkce == Pkce::Required => Err((
            "invalid_request",
            "this client must use PKCE: code_challenge is missing",
        )),
        None if method.is_some() => Err(("invalid_request", "code_challenge is missing")),
        None => Ok(None),
        Some(_) if method != Some("S256") => {
            Err(("invalid_request", "code_challenge_method must be S256"))
        }
        Some(text)
            if URL_SAFE_NO_PAD
                .decode(text)
                .is_ok_and(|hash| hash.len() == 32) =>
        {
            Ok(Some(text.to_owned()))
        }
        Some(_) => Err(("invalid_request", "code_challenge is not a SHA-256")),
    }
}

/// Essential and voluntary claims: those of `claims.userinfo`, and those of the scopes; only what is registered.
fn asked_claims(
    client: &ClientRecord,
    scopes: &[&str],
    text: Option<&str>,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let malformed = ("invalid_request", "claims is not a JSON object of objects");
    let by_name: Map<String, Value> = match text {
        None => Map::new(),
        Some(text) => {
            let all: Map<String, Value> = serde_json::from_str(text).map_err(|_| malformed)?;
            match all.get("userinfo") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(members)) => members.clone(),
                Some(_) => return Err(malformed),
            }
        }
    };
    let registered = |claim: &str| client.claims.iter().any(|listed| listed == claim);
    let is_essential = |value: &Value| value.get("essential") == Some(&Value::Bool(true));
    let mut essential = Vec::new();
    let mut voluntary = Vec::new();
    for claim in claims::KNOWN.into_iter().filter(|claim| registered(claim)) {
        match by_name.get(claim) {
            Some(value) if is_essential(value) => essential.push(claim.to_owned()),
            Some(_) => voluntary.push(claim.to_owned()),
            None if claims::in_scopes(claim, scopes) => voluntary.push(claim.to_owned()),
            None => {}
        }
    }
    Ok((essential, voluntary))
}

fn back(uri: &str, state: Option<&str>, issuer: &str, members: &[(&str, &str)]) -> String {
    let joint = if uri.contains('?') { '&' } else { '?' };
    let query: Vec<String> = members
        .iter()
        .copied()
        .chain(state.map(|state| ("state", state)))
        .chain([("iss", issuer)])
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    format!("{uri}{joint}{}", query.join("&"))
}
