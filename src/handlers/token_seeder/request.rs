//! A request as it comes: what in it is ours to judge, found without touching the rest, and how its callback is replaced.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use zeroize::Zeroizing;

use super::records::{Expected, Shown};
use crate::{
    config::CallbackLogin,
    envelope::json,
    policy::SeederPolicy,
    refusal::{Code, Refusal},
};

/// What in a request is ours to judge.
#[derive(Debug)]
pub(super) struct Found {
    programs: Vec<String>,
    mappings: Vec<String>,
    odk: Vec<String>,
    /// The callback, where one is asked for.
    pub(super) callback: Option<FoundCallback>,
}

/// `callbackProperties`, and where in the body they stand.
pub(super) struct FoundCallback {
    place: Range<usize>,
    said: Properties,
}

impl std::fmt::Debug for FoundCallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundCallback").finish_non_exhaustive()
    }
}

/// `callbackProperties` as callers write them. What is not known is refused, because it would be lost.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Properties {
    url: String,
    #[serde(default = "post")]
    http_method: String,
    #[serde(default)]
    extra_headers: Option<Map<String, Value>>,
    #[serde(default)]
    timeout_seconds: Option<Value>,
    #[serde(default)]
    call_in_bulk: Option<Value>,
    #[serde(default)]
    request_file_name: Option<Value>,
    auth_type: String,
    #[serde(default)]
    auth_odoo: Option<Login>,
    #[serde(default)]
    auth_oauth: Option<Login>,
    #[serde(default)]
    auth_static_bearer: Option<Bearer>,
}

fn post() -> String {
    "POST".to_owned()
}

/// A login of either kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Login {
    auth_url: String,
    #[serde(default)]
    database: String,
    #[serde(default)]
    username: Zeroizing<String>,
    #[serde(default)]
    password: Zeroizing<String>,
    #[serde(default)]
    client_id: Zeroizing<String>,
    #[serde(default)]
    client_secret: Zeroizing<String>,
    #[serde(default)]
    extra_headers: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bearer {
    token: Zeroizing<String>,
}

/// Finds it in a body that is the JSON envelope.
pub(super) fn in_json(body: &[u8]) -> Result<Found, Refusal> {
    find(body, body)
}

/// Finds it in an envelope that is a part of a body.
pub(super) fn find(body: &[u8], envelope: &[u8]) -> Result<Found, Refusal> {
    let form = |cause: &str| Refusal::new(Code::SeederForm, cause.to_owned());
    // No name twice at any depth: everybody behind us reads the same.
    let whole = json::object(envelope, envelope.len()).map_err(|e| form(&e.to_string()))?;
    let Some(Value::Object(request)) = whole.get("request") else {
        return Err(form("no object `request`"));
    };
    let callback = match request.get("deliverytype").and_then(Value::as_str) {
        Some("download") => None,
        Some("callback") => Some(found_callback(body, envelope)?),
        _ => return Err(form("deliverytype is neither download nor callback")),
    };
    if callback.is_none()
        && request
            .get("callbackProperties")
            .is_some_and(|v| !v.is_null())
    {
        return Err(form("callbackProperties without a callback"));
    }
    let mut programs = Vec::new();
    match request.get("outputFormat") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::String(text)) => programs.push(text.clone()),
        Some(_) => return Err(form("outputFormat is not text")),
    }
    Ok(Found {
        programs,
        mappings: mappings(request.get("mapping"))?,
        odk: odk(request.get("odkconfig"))?,
        callback,
    })
}

fn mappings(mapping: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let members = match mapping {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(Refusal::new(Code::SeederForm, "mapping is not an object")),
    };
    let mut texts = Vec::new();
    for value in members.values() {
        let list = match value {
            Value::Null => continue,
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        for one in list {
            let text = one
                .as_str()
                .ok_or_else(|| Refusal::new(Code::SeederForm, "a mapping is not text"))?;
            texts.push(text.to_owned());
        }
    }
    Ok(texts)
}

/// Every address in `odkconfig`.
fn odk(config: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let members = match config {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(Refusal::new(Code::SeederForm, "odkconfig is not an object")),
    };
    ["odataurl", "baseurl"]
        .iter()
        .filter_map(|name| members.get(*name))
        .filter(|value| !value.is_null() && value.as_str() != Some(""))
        .map(|value| {
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| Refusal::new(Code::SeederForm, "an ODK address is not text"))
        })
        .collect()
}

fn found_callback(body: &[u8], envelope: &[u8]) -> Result<FoundCallback, Refusal> {
    let form = |cause: &str| Refusal::new(Code::SeederForm, cause.to_owned());
    let members = json::members(envelope).map_err(|e| form(&e.to_string()))?;
    let request = raw_of(members, "request").ok_or_else(|| form("no object `request`"))?;
    let members = json::members(request.get().as_bytes()).map_err(|e| form(&e.to_string()))?;
    let properties = raw_of(members, "callbackProperties")
        .ok_or_else(|| form("a callback without callbackProperties"))?;
    // The text is a part of the body: where it begins is how far it lies behind the body's beginning.
    let text = properties.get();
    let start = text
        .as_ptr()
        .addr()
        .checked_sub(body.as_ptr().addr())
        .ok_or_else(|| form("callbackProperties lie outside"))?;
    let place = start..start.saturating_add(text.len());
    if body.get(place.clone()) != Some(text.as_bytes()) {
        return Err(form("callbackProperties lie outside"));
    }
    let said = serde_json::from_str(text)
        .map_err(|e| form(&format!("callbackProperties: column {}", e.column())))?;
    Ok(FoundCallback { place, said })
}

fn raw_of<'t>(members: json::RawMembers<'t>, name: &str) -> Option<&'t RawValue> {
    members
        .into_iter()
        .find(|(found, _)| found == name)
        .map(|(_, raw)| raw)
}

/// What the lists say to it.
pub(super) fn permit(found: &Found, policy: &SeederPolicy) -> Result<(), Refusal> {
    found.programs.iter().try_for_each(|p| policy.program(p))?;
    found.mappings.iter().try_for_each(|m| policy.mapping(m))?;
    found.odk.iter().try_for_each(|o| policy.odk(o))
}

/// What is to be done with the callbacks of a request, and what the token seeder is told in its place.
pub(super) fn redirect(
    callback: &FoundCallback,
    policy: &SeederPolicy,
    partner: &str,
    upstream: &str,
) -> Result<(Expected, Map<String, Value>), Refusal> {
    let refused = |cause: &str| Refusal::new(Code::SeederCallback, cause.to_owned());
    let said = &callback.said;
    let (target, path) = policy.callback(partner, &said.url)?;
    let method = target
        .takes(&said.http_method)
        .ok_or_else(|| refused("the method is not one of the target's"))?;
    let no_headers =
        |headers: &Option<Map<String, Value>>| headers.as_ref().is_none_or(Map::is_empty);
    let logins = [&said.auth_odoo, &said.auth_oauth];
    if !no_headers(&said.extra_headers)
        || logins
            .into_iter()
            .flatten()
            .any(|l| !no_headers(&l.extra_headers))
    {
        return Err(refused("extraHeaders are not passed on"));
    }
    let shown = shown(said)?;
    if shown.kind() != target.login() {
        return Err(refused("authType is not that of the target"));
    }
    let address = match said.auth_type.as_str() {
        "odoo" => said.auth_odoo.as_ref(),
        "oauth" => said.auth_oauth.as_ref(),
        _ => None,
    };
    if address.is_some_and(|login| login.auth_url != target.login_address()) {
        return Err(refused("authUrl is not that of the target"));
    }
    let mut ours = Map::new();
    ours.insert("httpMethod".to_owned(), json!("POST"));
    ours.insert("authType".to_owned(), json!("none"));
    for (name, value) in [
        ("timeoutSeconds", &said.timeout_seconds),
        ("callInBulk", &said.call_in_bulk),
        ("requestFileName", &said.request_file_name),
    ] {
        if let Some(value) = value.as_ref().filter(|v| !v.is_null()) {
            ours.insert(name.to_owned(), value.clone());
        }
    }
    let expected = Expected {
        partner: partner.to_owned(),
        sent_to: upstream.to_owned(),
        target: target.name().to_owned(),
        path: path.to_owned(),
        method: method.as_str().to_owned(),
        shown,
    };
    Ok((expected, ours))
}

fn shown(said: &Properties) -> Result<Shown, Refusal> {
    let form = |cause: &str| Refusal::new(Code::SeederForm, cause.to_owned());
    match said.auth_type.as_str() {
        "none" => Ok(Shown::None),
        "odoo" => {
            let login = said.auth_odoo.as_ref().ok_or_else(|| form("no authOdoo"))?;
            Ok(Shown::Odoo {
                database: login.database.clone(),
                username: login.username.clone(),
                password: login.password.clone(),
            })
        }
        "oauth" => {
            let login = said
                .auth_oauth
                .as_ref()
                .ok_or_else(|| form("no authOauth"))?;
            Ok(Shown::Oauth {
                username: login.username.clone(),
                password: login.password.clone(),
                client_id: login.client_id.clone(),
                client_secret: login.client_secret.clone(),
            })
        }
        "staticBearer" => {
            let bearer = said.auth_static_bearer.as_ref();
            let bearer = bearer.ok_or_else(|| form("no authStaticBearer"))?;
            Ok(Shown::StaticBearer {
                token: bearer.token.clone(),
            })
        }
        _ => Err(form("authType is none of none, odoo, oauth, staticBearer")),
    }
}

/// The body with an address of ours, and the name of the callback in it.
pub(super) fn replace(
    body: &[u8],
    callback: &FoundCallback,
    ours: &Map<String, Value>,
    policy: &SeederPolicy,
) -> Result<(String, Bytes), Refusal> {
    let fault = |cause: &str| Refusal::new(Code::Fault, cause.to_owned());
    let base = policy
        .callback_base()
        .ok_or_else(|| fault("no callback_base"))?;
    let id = super::records::new_id()?;
    let mut ours = ours.clone();
    ours.insert("url".to_owned(), json!(format!("{base}/{id}")));
    let (before, after) = body
        .get(..callback.place.start)
        .zip(body.get(callback.place.end..))
        .ok_or_else(|| fault("the place of the callback"))?;
    let text = Value::Object(ours).to_string();
    Ok((id, Bytes::from([before, text.as_bytes(), after].concat())))
}

impl Shown {
    const fn kind(&self) -> CallbackLogin {
        match self {
            Self::None => CallbackLogin::None,
            Self::Odoo { .. } => CallbackLogin::Odoo,
            Self::Oauth { .. } => CallbackLogin::Oauth,
            Self::StaticBearer { .. } => CallbackLogin::StaticBearer,
        }
    }
}
