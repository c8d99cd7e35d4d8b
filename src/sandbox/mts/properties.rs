//! `callbackProperties` (reference 6.3), with the codes for what is missing.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{request::Output, wire::Refused};

/// Where and how a result is delivered.
#[derive(Clone)]
pub(super) struct Callback {
    pub(super) url: String,
    pub(super) method: Method,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) limit: Duration,
    pub(super) bulk: bool,
    pub(super) file_name: String,
    pub(super) login: Login,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").finish_non_exhaustive()
    }
}

/// How it logs in there.
#[derive(Clone)]
pub(super) enum Login {
    None,
    Odoo(Odoo),
    Oauth(Oauth),
    Bearer(String),
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    url: String,
    http_method: String,
    extra_headers: BTreeMap<String, String>,
    timeout_seconds: u64,
    call_in_bulk: bool,
    request_file_name: String,
    auth_type: String,
    auth_odoo: Option<Odoo>,
    auth_oauth: Option<Oauth>,
    auth_static_bearer: Option<Bearer>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            url: String::new(),
            http_method: "POST".to_owned(),
            extra_headers: BTreeMap::new(),
            timeout_seconds: 10,
            call_in_bulk: false,
            request_file_name: String::new(),
            auth_type: String::new(),
            auth_odoo: None,
            auth_oauth: None,
            auth_static_bearer: None,
        }
    }
}

/// A login with a session.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Odoo {
    pub(super) auth_url: String,
    pub(super) database: String,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) extra_headers: BTreeMap<String, String>,
}

/// A login with a token endpoint.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Oauth {
    pub(super) auth_url: String,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) extra_headers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Bearer {
    token: String,
}

impl Callback {
    /// Reads and checks them.
    pub(super) fn read(value: Option<&Value>, output: Output) -> Result<Self, Refused> {
        let refused = |code, what: &str| Err(Refused::new(400, code, what));
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return refused("ATS-REQ-024", "callbackProperties not provided");
        };
        let raw: Raw = serde_json::from_value(value.clone())
            .map_err(|error| Refused::malformed(error.to_string()))?;
        let method = Method::from_bytes(raw.http_method.to_ascii_uppercase().as_bytes())
            .map_err(|_| Refused::malformed("httpMethod"))?;
        if output == Output::Csv {
            if raw.request_file_name.is_empty() {
                return refused("ATS-REQ-025", "requestFileName is invalid");
            }
            if !raw.call_in_bulk {
                return refused("ATS-REQ-026", "callInBulk cannot be false with csv");
            }
        }
        let login = match raw.auth_type.as_str() {
            "none" => Login::None,
            "odoo" => match raw.auth_odoo {
                None => return refused("ATS-REQ-028", "authOdoo not provided"),
                Some(odoo) if odoo.auth_url.is_empty() => {
                    return refused("ATS-REQ-031", "authOdoo.authUrl is empty");
                }
                Some(odoo) if odoo.username.is_empty() => {
                    return refused("ATS-REQ-032", "authOdoo.username is empty");
                }
                Some(odoo) if odoo.database.is_empty() => {
                    return refused("ATS-REQ-033", "authOdoo.database is empty");
                }
                Some(odoo) => Login::Odoo(odoo),
            },
            "oauth" => match raw.auth_oauth {
                None => return refused("ATS-REQ-029", "authOauth not provided"),
                Some(oauth) => Login::Oauth(oauth),
            },
            "staticBearer" => match raw.auth_static_bearer {
                None => return refused("ATS-REQ-030", "authStaticBearer not provided"),
                Some(bearer) if bearer.token.is_empty() => {
                    return refused("ATS-REQ-034", "authStaticBearer.token is empty");
                }
                Some(bearer) => Login::Bearer(bearer.token),
            },
            _ => return refused("ATS-REQ-027", "authType is unknown"),
        };
        Ok(Self {
            url: raw.url,
            method,
            headers: raw.extra_headers,
            limit: Duration::from_secs(raw.timeout_seconds.min(600)),
            bulk: raw.call_in_bulk,
            file_name: raw.request_file_name,
            login,
        })
    }
}
