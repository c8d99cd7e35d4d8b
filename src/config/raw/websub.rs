//! WebSub: subscriptions, deliveries and what is done with them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Envelope, SecretRef};

/// WebSub: subscriptions at a hub, deliveries and what is done with them. Needs a store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSub {
    /// The upstream where subscriptions are asked for that name none of their own: the hub, or the MISP's gateway.
    pub upstream: String,
    /// How requests to it, and to those that subscriptions name, are sealed: `jose` to a gateway, `insecure_plain` to the
    /// hub itself.
    pub envelope: Envelope,
    /// The path of the hub there.
    #[serde(default = "default_hub_path")]
    pub path: String,
    /// Our subscriptions.
    #[serde(default)]
    pub subscription: Vec<Subscription>,
    /// Whose credentials are believed.
    #[serde(default)]
    pub issuer: Vec<CredentialIssuer>,
    /// The JSON-LD contexts that credentials lean on, besides W3C's, which the program brings.
    #[serde(default)]
    pub context: Vec<CredentialContext>,
    /// Where credentials are fetched that are not in their event. Default: nowhere; such deliveries are parked.
    #[serde(default)]
    pub data_share: Option<DataShareFrom>,
    /// How often subscriptions are renewed, in seconds. The hub does not enforce leases, but a renewal starts a consumer that
    /// it has stopped.
    #[serde(default = "default_renew")]
    pub renew_s: u64,
    /// How long a verification of intent may take after we asked, in seconds.
    #[serde(default = "default_pending")]
    pub pending_s: u64,
    /// Attempts at handing on one delivery before it is parked; the pauses between them double up to five minutes.
    #[serde(default = "default_attempts")]
    pub attempts_max: u32,
    /// Deliveries without the hub's signature that are kept to be looked at. Beyond that they are only counted.
    #[serde(default = "default_quarantine")]
    pub quarantine_max: usize,
}

fn default_hub_path() -> String {
    "/hub".to_owned()
}
const fn default_renew() -> u64 {
    4 * 3600
}
const fn default_pending() -> u64 {
    300
}
const fn default_attempts() -> u32 {
    40
}
const fn default_quarantine() -> usize {
    256
}

/// The data share whose addresses in events are believed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataShareFrom {
    /// The upstream; its `login`, where it has one, brings the token. Nothing is ever fetched from anywhere else.
    pub upstream: String,
    /// How requests to it are sealed.
    #[serde(default = "plain")]
    pub envelope: Envelope,
    /// Scheme, host and port as events name them, where they are not those of the upstream's addresses.
    #[serde(default)]
    pub origin: Option<String>,
    /// What every address's path begins with. Ends with a slash.
    #[serde(default = "default_share_path")]
    pub path: String,
}

const fn plain() -> Envelope {
    Envelope::InsecurePlain
}
fn default_share_path() -> String {
    "/v1/datashare/get/".to_owned()
}

/// One subscription at the hub.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// A name for logs and metrics.
    pub name: String,
    /// The topic, such as `my-partner-id/CREDENTIAL_ISSUED`.
    pub topic: String,
    /// The upstream where this subscription is asked for, such as the same hub behind another login: a hub of MOSIP's gives
    /// a partner's topic only to the client that has the partner's name. Default: `upstream` of `[websub]`.
    #[serde(default)]
    pub upstream: Option<String>,
    /// The address that the hub is told: it leads to a route of handler `websub` here. Each subscription has its own path.
    pub callback: String,
    /// The secret under which the hub signs. At least 16 bytes, under 200.
    pub secret: SecretRef,
    /// The lease that is asked for, in seconds. Health speaks when nothing was heard for longer.
    #[serde(default = "default_lease")]
    pub lease_s: u64,
    /// Deliveries carry credentials, which are opened and verified before they are handed on. Without it, events are handed
    /// on as the hub signed them.
    #[serde(default)]
    pub credential: Option<SealedCredential>,
    /// With `credential`: the id of a policy of kind data_share. Attributes that it does not name are taken out before the
    /// credential is handed on.
    #[serde(default)]
    pub data_share: Option<String>,
    /// Who takes the deliveries.
    pub hand_on: HandOn,
}

const fn default_lease() -> u64 {
    86_400
}

/// Who takes deliveries: exactly one of the four.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HandOn {
    /// The handler `opencrvs` of this gateway.
    pub opencrvs: bool,
    /// The partners that have subscribed here and whose files list the topic.
    pub partners: bool,
    /// The registry of this gateway: MOSIP's events about partners, keys, policies and licences.
    pub registry: bool,
    /// A service.
    pub service: Option<HandOnService>,
}

/// A service that takes deliveries by POST.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOnService {
    /// The upstream.
    pub upstream: String,
    /// How it is sealed.
    pub envelope: Envelope,
    /// The path.
    pub path: String,
}

/// How the credential in a delivery is encrypted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SealedCredential {
    /// The layouts that are taken. Default: `r2`.
    pub layouts: Vec<CredentialLayout>,
    /// Takes 32 zero bytes for the thumbprint of our certificate, as the OpenCRVS mock writes.
    pub insecure_zero_thumbprint: bool,
    /// Takes any thumbprint: the older OpenCRVS mediator writes random bytes.
    pub insecure_any_thumbprint: bool,
}

/// A layout of keymanager's hybrid encryption.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
pub enum CredentialLayout {
    /// `VER_R2`: 1.2.0 and later.
    #[serde(rename = "r2")]
    R2,
    /// `VER_R2` without thumbprint (1.2.0 only).
    #[serde(rename = "r2-no-key-id")]
    R2NoKeyId,
    /// 1.1.5.
    #[serde(rename = "legacy")]
    Legacy,
    /// 1.1.3 and before.
    #[serde(rename = "legacy-no-key-id")]
    LegacyNoKeyId,
}

/// An issuer of credentials and its pinned key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialIssuer {
    /// The credential's `issuer`.
    pub issuer: String,
    /// The proof's `verificationMethod`. It is compared, never fetched.
    pub verification_method: String,
    /// The issuer's certificate or public key (PEM).
    pub key: PathBuf,
    /// The contexts that its credentials name after `https://www.w3.org/2018/credentials/v1`, in that order.
    pub contexts: Vec<String>,
    /// Takes the OpenCRVS mock's proof over canonical JSON in place of MOSIP's. Every member counts as proven then.
    #[serde(default)]
    pub insecure_jcs_proof: bool,
}

/// A pinned JSON-LD context.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialContext {
    /// Its URL.
    pub url: String,
    /// The document. Default: what MOSIP ships under `https://{host}/.well-known/mosip-context.json`.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// A partner that may subscribe here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartnerWebSub {
    /// The topics it may subscribe to.
    pub topics: Vec<String>,
    /// The upstream that is the partner's gateway: deliveries go there and nowhere else.
    pub upstream: String,
    /// How they are sealed.
    #[serde(default = "jose")]
    pub envelope: Envelope,
    /// The addresses it may name as `hub.callback`; their paths are called at the upstream.
    pub callbacks: Vec<String>,
}

const fn jose() -> Envelope {
    Envelope::Jose
}
