//! The token seeder: which jq programs may be asked for, and where callbacks may go.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Envelope;

/// The token seeder: which jq programs may be asked for, and where callbacks may go. What is not listed is refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSeeder {
    /// The address at which callbacks come to us, as the token seeder (or the gateway between) knows it, such as
    /// `https://gateway.example/token-seeder/callback`. It is put in the place of what the caller wrote, with one more
    /// segment that names the callback.
    #[serde(default)]
    pub callback_base: Option<String>,
    /// The jq programs that `outputFormat` may be, word by word. `.output`, the default, is always allowed.
    #[serde(default)]
    pub programs: Vec<String>,
    /// What the members of `mapping` may be, word by word, besides plain names of fields such as `vid` or `person.name`.
    #[serde(default)]
    pub mappings: Vec<String>,
    /// Base addresses of ODK Central from which the token seeder may be told to fetch, word by word. Default: none.
    #[serde(default)]
    pub odk: Vec<String>,
    /// Where callbacks may go.
    #[serde(default)]
    pub target: Vec<CallbackTarget>,
    /// How often a delivery is tried before it is parked.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// How long callbacks to a request are waited for, in hours. Its credentials are wiped after that.
    #[serde(default = "default_keep_hours")]
    pub keep_hours: u32,
}

const fn default_attempts() -> u32 {
    20
}
const fn default_keep_hours() -> u32 {
    72
}

/// A place where callbacks may go. The connection is always made to the upstream, never to an address out of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackTarget {
    /// A name for logs and parked deliveries.
    pub name: String,
    /// Who may name it: ids of partners and services.
    pub callers: Vec<String>,
    /// How callers write it: scheme, host and port, such as `http://odoo.example:8069`.
    pub address: String,
    /// The paths that may be called. Names in braces stand for one segment of letters, digits, `-` and `_` each.
    pub paths: Vec<String>,
    /// The methods that may be used.
    pub methods: Vec<String>,
    /// The upstream that is called.
    pub upstream: String,
    /// How the callback is sealed: `jose` to the gateway of a partner, `insecure_plain` to a service of our own.
    pub envelope: Envelope,
    /// How callers may log in there.
    #[serde(default)]
    pub login: CallbackLogin,
    /// The path of that login: Odoo's `/web/session/authenticate`, or a token endpoint.
    #[serde(default)]
    pub login_path: Option<String>,
}

/// How a callback logs in, by the words of the token seeder's `authType`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum CallbackLogin {
    /// Not at all.
    #[default]
    #[serde(rename = "none")]
    None,
    /// With a session of Odoo's.
    #[serde(rename = "odoo")]
    Odoo,
    /// With a token from a token endpoint.
    #[serde(rename = "oauth")]
    Oauth,
    /// With a token that the caller gives.
    #[serde(rename = "staticBearer")]
    StaticBearer,
}
