//! OpenCRVS: its tokens, and how its registrations travel.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Envelope, SecretRef};

/// OpenCRVS: the HTTP API of its MOSIP middleware, with this gateway in the middleware's place. Needs a store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCrvs {
    /// The upstream where packets are made and workflows started: the MISP's gateway.
    pub upstream: String,
    /// How requests to it are sealed.
    #[serde(default = "default_envelope")]
    pub envelope: Envelope,
    /// The upstream that is OpenCRVS' own gateway: registrations are confirmed there.
    pub core: String,
    /// The source that packets name: `OPENCRVS` (1.9), `CRVS1` (2.x).
    #[serde(default = "default_source")]
    pub source: String,
    /// MOSIP's process for a birth.
    #[serde(default = "default_birth_process")]
    pub birth_process: String,
    /// MOSIP's process for a death.
    #[serde(default = "default_death_process")]
    pub death_process: String,
    /// The centre; with the machine it selects the key that MOSIP encrypts packets with.
    #[serde(default = "default_center")]
    pub center_id: String,
    /// The machine.
    #[serde(default = "default_machine")]
    pub machine_id: String,
    /// What transaction ids begin with; ten random digits follow.
    #[serde(default = "default_prefix")]
    pub transaction_prefix: String,
    /// The version of the identity schema.
    #[serde(default = "default_schema_version")]
    pub schema_version: String,
    /// The identity schema (JSON), for registrations that bring none. Default: one that has every field of the registration.
    #[serde(default)]
    pub schema: Option<PathBuf>,
    /// The member of the credential that is the national id: `VID` (1.9), `UIN`.
    #[serde(default = "default_credential_member")]
    pub credential_member: String,
    /// The field of the birth declaration that takes it.
    #[serde(default = "default_declaration_field")]
    pub declaration_field: String,
    /// How long MOSIP may take for a credential before health and metrics speak of it, in seconds. The registration goes on
    /// waiting: MOSIP tells nobody of its failures.
    #[serde(default = "default_credential_due")]
    pub credential_due_s: u64,
    /// Attempts at one step before the registration is parked; the pauses between them double up to five minutes.
    #[serde(default = "default_attempts")]
    pub attempts_max: u32,
    /// The origin of OpenCRVS' client, which may call from browsers (CORS), such as `https://register.example`.
    #[serde(default)]
    pub client_origin: Option<String>,
    /// The tokens that callers bring.
    pub token: OpenCrvsToken,
    /// The route `/verify`.
    #[serde(default)]
    pub verify: Option<OpenCrvsVerify>,
    /// The route `/esignet/get-oidp-user-info`.
    #[serde(default)]
    pub esignet: Option<OpenCrvsEsignet>,
}

fn default_envelope() -> Envelope {
    Envelope::Jose
}
fn default_source() -> String {
    "OPENCRVS".to_owned()
}
fn default_birth_process() -> String {
    "CRVS_NEW".to_owned()
}
fn default_death_process() -> String {
    "CRVS_DEATH".to_owned()
}
fn default_center() -> String {
    "10001".to_owned()
}
fn default_machine() -> String {
    "10004".to_owned()
}
fn default_prefix() -> String {
    "10001".to_owned()
}
fn default_schema_version() -> String {
    "0.100".to_owned()
}
fn default_credential_member() -> String {
    "VID".to_owned()
}
fn default_declaration_field() -> String {
    "child.nid".to_owned()
}
const fn default_credential_due() -> u64 {
    3 * 86_400
}
const fn default_attempts() -> u32 {
    300
}

/// The tokens of OpenCRVS: who makes them, and what they must say.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCrvsToken {
    /// The upstream that publishes the public key of OpenCRVS' auth service. Either this or `public_key`.
    #[serde(default)]
    pub upstream: Option<String>,
    /// The path of the key there. The answer is a PEM public key or a JWKS.
    #[serde(default = "default_key_path")]
    pub path: String,
    /// How often the key is fetched, in seconds. The last good one is kept while that fails.
    #[serde(default = "default_refresh")]
    pub refresh_s: u64,
    /// SHA-256 (hex) of the SubjectPublicKeyInfo of the keys that may be published. Default: any RSA key of at least 2048 bits.
    #[serde(default)]
    pub pins: Vec<String>,
    /// A file with the key (PEM or JWKS); then nothing is fetched.
    #[serde(default)]
    pub public_key: Option<PathBuf>,
    /// The issuer.
    #[serde(default = "default_issuer")]
    pub issuer: String,
    /// Audiences, of which a token names at least one.
    #[serde(default = "default_audiences")]
    pub audiences: Vec<String>,
    /// Scopes for `/events/registration`, of which a token has at least one.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
}

fn default_key_path() -> String {
    "/.well-known".to_owned()
}
const fn default_refresh() -> u64 {
    300
}
fn default_issuer() -> String {
    "opencrvs:auth-service".to_owned()
}
fn default_audiences() -> Vec<String> {
    vec!["opencrvs:events-user".to_owned()]
}
fn default_scopes() -> Vec<String> {
    vec!["record.confirm-registration".to_owned()]
}

/// The route `/verify`: a yes or no from MOSIP's IDA.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCrvsVerify {
    /// Scopes of which a caller's token has at least one.
    pub scopes: Vec<String>,
    /// The path of IDA's authentication at the upstream, without the three identifiers.
    #[serde(default = "default_ida_path")]
    pub path: String,
    /// The MISP's licence key.
    pub misp_lk: SecretRef,
    /// Our API key.
    pub api_key: SecretRef,
    /// The kind of id that callers send: `UIN`, `VID` or `HANDLE`.
    #[serde(default = "default_id_type")]
    pub individual_id_type: String,
    /// The domain that the request names.
    #[serde(default)]
    pub domain_uri: Option<String>,
    /// The environment that the request names, such as `Staging`.
    #[serde(default)]
    pub env: Option<String>,
    /// The language of names (ISO 639-2).
    #[serde(default = "default_language")]
    pub language: String,
}

fn default_ida_path() -> String {
    "/idauthentication/v1/auth".to_owned()
}
fn default_id_type() -> String {
    "UIN".to_owned()
}
fn default_language() -> String {
    "eng".to_owned()
}

/// The route `/esignet/get-oidp-user-info`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCrvsEsignet {
    /// Scopes of which a caller's token has at least one.
    pub scopes: Vec<String>,
    /// The client of `[esignet]` that logs in; callers may name no other.
    pub client_id: String,
    /// The addresses to which E-Signet may send people back; callers may name no others. What follows a `?` is not looked at.
    pub redirect_uris: Vec<String>,
    /// The form of the answer: that of OpenCRVS 1.9 (default), or of 2.x.
    #[serde(default)]
    pub form: UserInfoForm,
}

/// The form of an answer of `/esignet/get-oidp-user-info`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum UserInfoForm {
    /// OpenCRVS 1.9: no national id.
    #[default]
    #[serde(rename = "1.9")]
    V1,
    /// OpenCRVS 2.x: with the national id and the pairwise subject.
    #[serde(rename = "2.x")]
    V2,
}
