//! E-Signet: clients, keys and pinned signers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Algorithm, Envelope, SecretRef};

/// E-Signet: where it is, whose keys sign for it, and the clients that we stand for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Esignet {
    /// Its issuer, as its discovery document says it. Client assertions are made for it.
    pub issuer: String,
    /// Its token endpoint of version 2, as its discovery document says it. Default: the issuer and `/oauth/v2/token`.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// The upstream that leads to it: E-Signet itself, or the gateway before it.
    pub upstream: String,
    /// How calls to that upstream are sealed.
    pub envelope: Envelope,
    /// The path before `/oidc` and `/oauth` there.
    #[serde(default = "default_base")]
    pub base: String,
    /// A file with its key set (JWKS). With it, nothing is fetched: these keys and no others.
    #[serde(default)]
    pub keys: Option<PathBuf>,
    /// How often the key set and the discovery documents are fetched, in seconds.
    #[serde(default = "default_refresh")]
    pub keys_refresh_s: u64,
    /// How long the last good key set is used when no new one can be fetched, in seconds.
    #[serde(default = "default_grace")]
    pub keys_grace_s: u64,
    /// The algorithm of userinfo. Discovery is not asked: what it announces is not what MOSIP signs with.
    #[serde(default = "default_algorithm")]
    pub userinfo_algorithm: Algorithm,
    /// The algorithm of id tokens.
    #[serde(default = "default_algorithm")]
    pub id_token_algorithm: Algorithm,
    /// The address by which our services know this gateway, such as `http://127.0.0.1:8080`: with it, the discovery documents
    /// that we serve name our token, userinfo and key set endpoints. Without it they are served as they are.
    #[serde(default)]
    pub service_base: Option<String>,
    /// Clients whose assertions we make.
    #[serde(default)]
    pub client: Vec<EsignetClient>,
}

/// A client of E-Signet that we stand for: no service holds its key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EsignetClient {
    /// The client id.
    pub id: String,
    /// Its private key: PEM, a JWK in JSON, or the base64 of such JSON as OpenCRVS has it.
    pub key: SecretRef,
    /// The algorithm of its assertions: RS256, PS256 or ES256. Default: RS256 for RSA keys, ES256 for P-256.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// The `kid` of its assertions, where E-Signet wants one.
    #[serde(default)]
    pub key_id: Option<String>,
    /// Where E-Signet may send people back to. One that ends with `/*` stands for every path below it.
    pub redirect_uris: Vec<String>,
    /// The form of its userinfo, as it is registered at E-Signet.
    #[serde(default)]
    pub userinfo: UserinfoForm,
    /// The services that may use it, by id. Default: all that may use the route.
    #[serde(default)]
    pub services: Vec<String>,
    /// Takes away an assertion that a service sends, and puts ours in its place. Default: such a request is refused.
    #[serde(default)]
    pub replace_assertion: bool,
    /// The version of the token endpoint that the gateway itself uses for it, 1 or 2.
    #[serde(default = "default_version")]
    pub token_version: u8,
}

/// How userinfo is sealed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum UserinfoForm {
    /// Signed.
    #[default]
    #[serde(rename = "jws")]
    Jws,
    /// Signed, then encrypted to our encryption certificate.
    #[serde(rename = "jwe")]
    Jwe,
    /// The same, compressed before encryption as MOSIP's identity authority does it (`zip: DEF`). It is inflated within a bound.
    #[serde(rename = "jwe-deflated-by-ida")]
    JweDeflatedByIda,
}

/// A client of E-Signet that a partner stands for: its assertions are checked before they go on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcClient {
    /// The client id.
    pub id: String,
    /// File with its public key: a JWK in JSON, or PEM with a certificate or public key.
    pub key: PathBuf,
    /// The algorithm of its assertions: RS256, PS256 or ES256. Default: RS256 for RSA keys, ES256 for P-256.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// Where E-Signet may send people back to. One that ends with `/*` stands for every path below it.
    pub redirect_uris: Vec<String>,
}

fn default_base() -> String {
    "/v1/esignet".to_owned()
}
const fn default_refresh() -> u64 {
    60
}
const fn default_grace() -> u64 {
    86_400
}
const fn default_algorithm() -> Algorithm {
    Algorithm::RS256
}
const fn default_version() -> u8 {
    2
}
