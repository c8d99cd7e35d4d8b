//! MOSIP's authmanager: who we are to MOSIP's own services.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

/// A login at MOSIP's authmanager by client id and secret. Its token goes with every request to the upstreams that name it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name used by upstreams.
    pub name: String,
    /// The upstream that is authmanager.
    pub upstream: String,
    /// The path of the login.
    #[serde(default = "default_login_path")]
    pub path: String,
    /// The client id.
    pub client_id: String,
    /// The client's secret.
    pub secret: SecretRef,
    /// The application, which selects the realm.
    #[serde(default = "default_app_id")]
    pub app_id: String,
}

fn default_login_path() -> String {
    "/v1/authmanager/authenticate/clientidsecretkey".to_owned()
}
fn default_app_id() -> String {
    "admin".to_owned()
}
