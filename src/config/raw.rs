//! The configuration as it is written: the structs that mirror the TOML files, and nothing but shape.
//!
//! The doc comments here are what an operator's editor shows (`triseal check --schema`). Meaning is checked by the rooms
//! the sections belong to, when a snapshot is built.

mod certificates;
mod esignet;
mod evidence;
mod login;
mod opencrvs;
mod packet;
mod rules;
mod shared;
mod store;
mod token_seeder;
mod websub;

pub use certificates::*;
pub use esignet::*;
pub use evidence::*;
pub use login::*;
pub use opencrvs::*;
pub use packet::*;
pub use rules::*;
pub use shared::*;
pub use store::*;
pub use token_seeder::*;
pub use websub::*;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One gateway.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The gateway as a whole.
    pub gateway: Gateway,
    /// Us: the party this gateway stands for, with its three certificates.
    pub party: Own,
    /// Trust anchors: where chains of certificates must end.
    #[serde(default)]
    pub anchor: Vec<Anchor>,
    /// Parties that we call and whose messages we open, such as MOSIP seen from a partner.
    #[serde(default)]
    pub peer: Vec<Peer>,
    /// The sockets on which requests arrive.
    #[serde(default)]
    pub face: Vec<Face>,
    /// The listener for metrics and health.
    #[serde(default)]
    pub admin: Admin,
    /// The services behind the gateway.
    #[serde(default)]
    pub upstream: Vec<Upstream>,
    /// MOSIP's policies, to which API keys, licence keys and subscriptions point.
    #[serde(default)]
    pub policy: Vec<Policy>,
    /// Rules in Cedar, on top of everything else.
    #[serde(default)]
    pub rules: Option<Rules>,
    /// Which path leads where.
    #[serde(default)]
    pub route: Vec<Route>,
    /// The durable store. Handlers that must not lose anything need it.
    #[serde(default)]
    pub store: Option<Store>,
    /// What several gateways share for a short while. Default: `memory:`.
    #[serde(default)]
    pub shared: Option<Shared>,
    /// Logins at MOSIP's authmanager.
    #[serde(default)]
    pub login: Vec<Login>,
    /// OpenCRVS.
    #[serde(default)]
    pub opencrvs: Option<OpenCrvs>,
    /// WebSub.
    #[serde(default)]
    pub websub: Option<WebSub>,
    /// E-Signet.
    #[serde(default)]
    pub esignet: Option<Esignet>,
    /// The token seeder.
    #[serde(default)]
    pub token_seeder: Option<TokenSeeder>,
    /// Evidence.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// How partners replace their own certificates. Without it, a route for that has the defaults.
    #[serde(default)]
    pub certificates: Option<Certificates>,
    /// Bounds. The defaults are safe.
    #[serde(default)]
    pub limits: Limits,
    /// What is written where.
    #[serde(default)]
    pub log: Log,
}

/// The gateway as a whole.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// A name for logs and health pages.
    pub name: String,
    /// Folder of partner files, one `*.toml` each. Adding a partner is adding a file.
    #[serde(default)]
    pub partners: Option<PathBuf>,
    /// Folder for the little state that must outlive a restart. Made if missing.
    pub state: PathBuf,
    /// Key under which API keys, licence keys and tokens are hashed in the partner files (`triseal partners hash`).
    #[serde(default)]
    pub pepper: Option<SecretRef>,
    /// Threads for each face. Default: one for each core.
    #[serde(default)]
    pub workers: Option<u16>,
}

/// A secret that stands elsewhere: exactly one of `file` and `env`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// A file that holds the secret; one trailing line end is ignored. Must not be readable by everybody.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The environment variable that holds the secret.
    #[serde(default)]
    pub env: Option<String>,
}

/// What a certificate and its key are for.
#[derive(
    Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The connection.
    Tls,
    /// The content.
    Encryption,
    /// The message.
    Signature,
}

impl Role {
    /// The word for it: in configurations, messages, logs and file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Encryption => "encryption",
            Self::Signature => "signature",
        }
    }
}

/// Us.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Our party id: at a partner the partner id, at a MISP the MISP id.
    pub id: String,
    /// The organisation that our certificates name (subject O).
    pub organisation: String,
    /// Our certificates with their keys. Several of one role may be live at once: all are accepted, the newest produces.
    pub certificate: Vec<OwnCertificate>,
    /// Allows one key in several roles. Published OpenCRVS key stores need it; it is reported loudly.
    #[serde(default)]
    pub insecure_shared_keys: bool,
}

/// A certificate of ours with its private key: either `certificate` and `key` (PEM), or `keystore` (PKCS#12).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCertificate {
    /// What it is for.
    pub role: Role,
    /// PEM file: the leaf first, then its issuers.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key (PKCS#8, PKCS#1 or SEC1). Must not be readable by everybody.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// PKCS#12 file with both.
    #[serde(default)]
    pub keystore: Option<PathBuf>,
    /// The password of the key store or of the encrypted key.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// The friendly name of the entry, when the key store holds several.
    #[serde(default)]
    pub alias: Option<String>,
    /// Anchors this certificate must chain to. Default: every anchor.
    #[serde(default)]
    pub anchors: Vec<String>,
    /// The signature algorithm of this key (role signature): RS256, PS256, ES256 or EdDSA. Default: RS256 for RSA keys,
    /// ES256 for P-256, EdDSA for Ed25519.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
}

/// A signature algorithm (RFC 7518, RFC 8037). One exact algorithm for each key.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

/// Certificates in which trust starts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// The name used by `anchors` elsewhere.
    pub name: String,
    /// PEM files. Self-signed certificates in them are the anchors; all others may stand between an anchor and a leaf.
    pub certificates: Vec<PathBuf>,
    /// PEM or DER files with certificate revocation lists of the anchor and of every issuer below it.
    #[serde(default)]
    pub crls: Vec<PathBuf>,
    /// What to do without a list.
    #[serde(default)]
    pub revocation: Revocation,
    /// How long after its `nextUpdate` a list is still used, in seconds. After that, everything it covers is refused.
    #[serde(default)]
    pub grace_s: u64,
}

/// Whether revocation lists are needed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// Every certificate below the anchor must be covered by a current list.
    #[default]
    Required,
    /// Revocation is not looked at. For anchors that publish no lists, as MOSIP's own key manager.
    InsecureNone,
}

/// Names of anchors, by role.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleAnchors {
    /// For TLS certificates.
    #[serde(default)]
    pub tls: Vec<String>,
    /// For encryption certificates.
    #[serde(default)]
    pub encryption: Vec<String>,
    /// For signature certificates.
    #[serde(default)]
    pub signature: Vec<String>,
}

/// A certificate of somebody else.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerCertificate {
    /// What it is for.
    pub role: Role,
    /// PEM or DER file: the leaf first, then its issuers.
    pub file: PathBuf,
    /// The signature algorithm of this key (role signature). Default: RS256 for RSA keys, ES256 for P-256, EdDSA for Ed25519.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// From when the binding holds (RFC 3339). Default: from the certificate's own start.
    #[serde(default)]
    pub valid_from: Option<String>,
    /// Until when the binding holds (RFC 3339). Default: to the certificate's own end.
    #[serde(default)]
    pub valid_until: Option<String>,
    /// The certificates themselves in place of the file, DER as base64url: of a change of the registry, never in a file.
    #[serde(skip)]
    pub chain: Option<Vec<String>>,
}

/// A party that we call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its id, used by `upstream.party`.
    pub id: String,
    /// The organisation its certificates name (subject O).
    pub organisation: String,
    /// Where its certificates must chain to.
    pub anchors: RoleAnchors,
    /// Its certificates.
    #[serde(default)]
    pub certificate: Vec<PeerCertificate>,
    /// Allows one key in several roles.
    #[serde(default)]
    pub insecure_shared_keys: bool,
}

/// Which kind of caller comes to a face.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum FaceKind {
    /// Partners, over mutual TLS.
    Partner,
    /// Our own services, over loopback HTTP or TLS.
    Service,
}

/// A socket on which requests arrive.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Face {
    /// A name for logs and metrics.
    pub name: String,
    /// Who comes here.
    pub kind: FaceKind,
    /// Address and port.
    pub listen: SocketAddr,
    /// The names by which callers may address this face (TLS server name and Host). A service face on loopback may leave it
    /// out: then any Host is taken.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Partner faces: anchors for client certificates. Service faces: set it to ask for client certificates.
    #[serde(default)]
    pub anchors: Vec<String>,
    /// Service faces: `true` for TLS with our `tls` certificate. A service face beyond loopback must have it. Partner faces
    /// always have TLS.
    #[serde(default)]
    pub tls: bool,
}

/// The listener for metrics and health.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port; keep it on loopback or on a network of its own.
    #[serde(default = "default_admin_listen")]
    pub listen: SocketAddr,
}

fn default_admin_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9900))
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: default_admin_listen(),
        }
    }
}

/// HTTP versions spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/2 where the upstream offers it in the TLS handshake, else HTTP/1.1.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1 only.
    #[serde(rename = "1.1")]
    Http11,
    /// HTTP/2 only.
    #[serde(rename = "2")]
    Http2,
}

/// A service behind the gateway.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The name used by routes.
    pub name: String,
    /// Base addresses such as `https://ida.example:443`. Several are tried in turn; an address that fails is left alone for
    /// a while. All must have the same scheme.
    pub addresses: Vec<String>,
    /// The peer whose messages these are: its encryption certificate is sealed to, its signature certificate verifies.
    #[serde(default)]
    pub party: Option<String>,
    /// The login whose token goes with every request.
    #[serde(default)]
    pub login: Option<String>,
    /// Anchors for the upstream's TLS certificate.
    #[serde(default)]
    pub anchors: Vec<String>,
    /// Whether to show our own TLS certificate. Default: yes for https.
    #[serde(default)]
    pub client_certificate: Option<bool>,
    /// HTTP version.
    #[serde(default)]
    pub http: HttpVersion,
    /// Time to connect, TLS included, in milliseconds.
    #[serde(default = "default_connect_ms")]
    pub connect_timeout_ms: u64,
    /// Time for the whole answer, in milliseconds.
    #[serde(default = "default_answer_ms")]
    pub answer_timeout_ms: u64,
    /// The largest answer that is taken whole, in bytes.
    #[serde(default = "default_answer_bytes")]
    pub answer_max_bytes: usize,
    /// Idle connections kept for each address.
    #[serde(default = "default_idle")]
    pub idle_connections_max: usize,
    /// Time after which an idle connection is closed, in milliseconds.
    #[serde(default = "default_idle_ms")]
    pub idle_timeout_ms: u64,
    /// How long an address that failed is left alone, in milliseconds.
    #[serde(default = "default_retry_ms")]
    pub unhealthy_ms: u64,
}

const fn default_connect_ms() -> u64 {
    3_000
}
const fn default_answer_ms() -> u64 {
    20_000
}
const fn default_answer_bytes() -> usize {
    4 << 20
}
const fn default_idle() -> usize {
    64
}
const fn default_idle_ms() -> u64 {
    30_000
}
const fn default_retry_ms() -> u64 {
    2_000
}

/// The state in which a thing is registered.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In use.
    #[default]
    Active,
    /// Switched off.
    Inactive,
    /// Gone; kept so that the answer is the right one.
    Deleted,
}

/// A kind of MOSIP policy.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// What an API key may ask: factors, attributes, operations.
    #[default]
    Auth,
    /// What a licence key may pass on: delegated operations.
    Misp,
    /// Which attributes a credential may carry.
    DataShare,
}

/// A MOSIP policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The id used by API keys.
    pub id: String,
    /// Which kind of MOSIP policy it is.
    #[serde(default)]
    pub kind: PolicyKind,
    /// MOSIP's policy document (JSON).
    pub document: PathBuf,
    /// Its state.
    #[serde(default)]
    pub state: State,
    /// From when it holds (RFC 3339).
    #[serde(default)]
    pub valid_from: Option<String>,
    /// Until when it holds (RFC 3339).
    #[serde(default)]
    pub valid_until: Option<String>,
}

/// Which protocol a route speaks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum HandlerKind {
    /// MOSIP ID authentication: auth, kyc, otp and the delegated routes.
    Ida,
    /// MOSIP's packet manager and workflow manager.
    Packet,
    /// E-Signet: token, userinfo, keys and discovery.
    Esignet,
    /// WebSub: subscriptions and deliveries.
    #[serde(rename = "websub")]
    WebSub,
    /// The MOSIP token seeder and its callbacks.
    TokenSeeder,
    /// The HTTP API of OpenCRVS' MOSIP middleware.
    #[serde(rename = "opencrvs")]
    OpenCrvs,
    /// A partner's own records and their proofs.
    Evidence,
    /// A partner replaces its own certificates.
    Certificates,
    /// Any other service, passed on as it is.
    Relay,
}

/// How a message is sealed on one side of a route.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// MOSIP's IDA format: `request`, `requestSessionKey`, `requestHMAC`, `thumbprint`, header `signature`.
    #[serde(rename = "mosip-ida")]
    MosipIda,
    /// Towards an upstream only: the exact bytes that were received, after everything that can be verified was.
    #[serde(rename = "as-received")]
    AsReceived,
    /// Towards an upstream only: the plain content with the verified identity, for an internal handler.
    #[serde(rename = "opened")]
    Opened,
    /// JWE in the body, detached JWS in the header `signature` (docs/jose.md).
    #[serde(rename = "jose")]
    Jose,
    /// No envelope at all: nothing but the TLS connection protects the content.
    #[serde(rename = "insecure_plain")]
    InsecurePlain,
}

/// Which path leads where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// A name for logs, metrics and partner files.
    pub name: String,
    /// The canonical path. `{misp_lk}`, `{partner_id}`, `{api_key}` and other names in braces stand for one segment each; a
    /// last segment `{rest}` stands for all that follow (handler `relay` only).
    pub path: String,
    /// Methods. Default: POST for `ida`; must be given for `relay`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The protocol.
    pub handler: HandlerKind,
    /// Who may come and how it is sealed.
    pub from: From,
    /// Where it goes and how it is sealed there. Handlers that end an exchange themselves may go without.
    #[serde(default)]
    pub to: Option<To>,
    /// The largest body, in bytes. Default: `limits.body_max_bytes`.
    #[serde(default)]
    pub body_max_bytes: Option<usize>,
    /// Whether a query string is passed on (handler `relay` only). Default: no.
    #[serde(default)]
    pub query: bool,
    /// Which packets may be made (handler `packet` only, and needed there).
    #[serde(default)]
    pub packet: Option<PacketRules>,
    /// How much of it each partner may use, where the partner's own file does not say otherwise. Default: no bound.
    #[serde(default)]
    pub quota: Option<Quota>,
    /// What is recorded, where it is another than `[evidence]` says.
    #[serde(default)]
    pub evidence: RouteEvidence,
}

/// The near side of a route.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The kind of face.
    pub face: FaceKind,
    /// How requests are sealed.
    pub envelope: Envelope,
}

/// The far side of a route.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The name of the upstream.
    pub upstream: String,
    /// How requests are sealed towards it.
    pub envelope: Envelope,
    /// A path to put in place of the one received. Names in braces stand for the same segments. Default: the same path.
    #[serde(default)]
    pub path: Option<String>,
    /// Service faces: the licence key to put in place of `{misp_lk}`, so that no service holds it.
    #[serde(default)]
    pub misp_lk: Option<SecretRef>,
    /// Service faces: the API key to put in place of `{api_key}`, so that no service holds it.
    #[serde(default)]
    pub api_key: Option<SecretRef>,
}

/// Bounds. Every one of them is in force by default.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of one face.
    pub connections_max: usize,
    /// TLS handshakes at once on one face; beyond that, the oldest gives its place to the newest.
    pub handshakes_max: usize,
    /// Time for a TLS handshake, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// Exchanges at once on one face; beyond that, requests are refused as overload.
    pub exchanges_max: usize,
    /// Exchanges at once of one partner; beyond that, its requests are refused as overload.
    pub exchanges_per_partner_max: usize,
    /// The longest that work may wait for a processor, in milliseconds; beyond that, requests are refused as overload.
    pub queue_max_ms: u64,
    /// Bytes of a request head.
    pub head_max_bytes: usize,
    /// Header fields in a request head.
    pub headers_max: usize,
    /// Time from the first byte of a head to its last, in milliseconds.
    pub head_timeout_ms: u64,
    /// Bytes of a body, where the route does not say otherwise.
    pub body_max_bytes: usize,
    /// Time for a whole body, in milliseconds.
    pub body_timeout_ms: u64,
    /// Time for a whole exchange, in milliseconds.
    pub exchange_timeout_ms: u64,
    /// Time a connection may be idle, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Streams at once on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// How far back a message's time may be, in milliseconds.
    pub freshness_back_ms: u64,
    /// How far ahead a message's time may be, in milliseconds.
    pub freshness_forward_ms: u64,
    /// Messages remembered against replay; beyond that, messages are refused.
    pub replay_max: usize,
    /// Time between two checks of all certificates and lists, in milliseconds.
    pub recheck_ms: u64,
    /// How long `/readyz` says "not ready" at SIGTERM while everything is served as before, so that balancers send elsewhere,
    /// in milliseconds.
    pub stop_delay_ms: u64,
    /// How long each answer asks its client to reconnect (`connection: close`, GOAWAY) before idle connections are closed, at
    /// SIGTERM and at an upgrade, in milliseconds.
    pub farewell_ms: u64,
    /// Time given to open exchanges at a stop, in milliseconds.
    pub stop_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            handshakes_max: 256,
            handshake_timeout_ms: 10_000,
            exchanges_max: 512,
            exchanges_per_partner_max: 256,
            queue_max_ms: 1_000,
            head_max_bytes: 16 << 10,
            headers_max: 64,
            head_timeout_ms: 10_000,
            body_max_bytes: 1 << 20,
            body_timeout_ms: 30_000,
            exchange_timeout_ms: 60_000,
            idle_timeout_ms: 60_000,
            h2_streams_max: 64,
            freshness_back_ms: 60_000,
            freshness_forward_ms: 30_000,
            replay_max: 1_000_000,
            recheck_ms: 30_000,
            stop_delay_ms: 0,
            farewell_ms: 1_000,
            stop_timeout_ms: 10_000,
        }
    }
}

/// What is written where.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// File for the access log, one JSON object a line. Default: standard output.
    #[serde(default)]
    pub access: Option<PathBuf>,
}

/// What a partner is to MOSIP.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum PartnerKind {
    /// Asks for identity checks.
    #[default]
    Auth,
    /// Carries other partners' traffic and holds licence keys.
    Misp,
    /// One of our own services, on a service face.
    Service,
}

/// One partner file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    /// The partner id, as it stands in paths.
    pub id: String,
    /// The organisation its certificates name (subject O).
    pub organisation: String,
    /// What it is.
    #[serde(default)]
    pub kind: PartnerKind,
    /// Its state.
    #[serde(default)]
    pub state: State,
    /// From when it may come (RFC 3339).
    #[serde(default)]
    pub valid_from: Option<String>,
    /// Until when it may come (RFC 3339).
    #[serde(default)]
    pub valid_until: Option<String>,
    /// Where its certificates must chain to, by role.
    #[serde(default)]
    pub anchors: RoleAnchors,
    /// Its certificates.
    #[serde(default)]
    pub certificate: Vec<PeerCertificate>,
    /// Allows one key in several roles. It is reported loudly.
    #[serde(default)]
    pub insecure_shared_keys: bool,
    /// The routes it may use, by name.
    #[serde(default)]
    pub routes: Vec<String>,
    /// API keys (or OIDC client ids) with their policies.
    #[serde(default)]
    pub api_key: Vec<ApiKey>,
    /// Licence keys (kind misp).
    #[serde(default)]
    pub licence_key: Vec<LicenceKey>,
    /// The published clients whose odd encodings this partner's messages may have. Nothing else is accepted.
    #[serde(default)]
    pub clients: Vec<Client>,
    /// Kind service: how it is known.
    #[serde(default)]
    pub access: Option<Access>,
    /// What it may subscribe to, and where deliveries go.
    #[serde(default)]
    pub websub: Option<PartnerWebSub>,
    /// Narrows which packets it may make: what a route allows must be allowed here as well.
    #[serde(default)]
    pub packet: Option<PacketRules>,
    /// Clients of E-Signet that it stands for.
    #[serde(default)]
    pub oidc_client: Vec<OidcClient>,
    /// How much of a route it may use, by the route's name; in place of what the route says.
    #[serde(default)]
    pub quota: BTreeMap<String, Quota>,
}

/// An API key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The hash that `triseal partners hash` printed.
    pub hash: String,
    /// The policy's id.
    pub policy: String,
    /// Its state.
    #[serde(default)]
    pub state: State,
    /// From when it holds (RFC 3339).
    #[serde(default)]
    pub valid_from: Option<String>,
    /// Until when it holds (RFC 3339).
    #[serde(default)]
    pub valid_until: Option<String>,
}

/// A MISP licence key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenceKey {
    /// The hash that `triseal partners hash` printed.
    pub hash: String,
    /// The id of a policy of kind misp. Without one, nothing is passed on on delegated routes, as in MOSIP.
    #[serde(default)]
    pub policy: Option<String>,
    /// Its state.
    #[serde(default)]
    pub state: State,
    /// From when it holds (RFC 3339).
    #[serde(default)]
    pub valid_from: Option<String>,
    /// Until when it holds (RFC 3339).
    #[serde(default)]
    pub valid_until: Option<String>,
}

/// A published client of MOSIP, for the encodings it uses (reference: IDA clients side by side).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
pub enum Client {
    /// MOSIP's key manager and the Java clients: `x5c` as base64 of DER, members without padding, thumbprint as base64url
    /// or hex. Always accepted; this is what RFC 7515 says.
    #[serde(rename = "keymanager")]
    Keymanager,
    /// PyPI `mosip-auth-sdk` and the token seeder: `x5c` as base64 of PEM with line breaks, padded members, no `kid`.
    #[serde(rename = "mosip-auth-sdk")]
    MosipAuthSdk,
    /// The OpenCRVS TypeScript SDK: `x5c` as base64url of PEM with CRLF, padded and unpadded members mixed.
    #[serde(rename = "opencrvs")]
    OpenCrvs,
}

/// How a service is known on a service face.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Networks (CIDR) from which the service is known without more.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Hashes of bearer tokens, as `triseal partners hash` printed them.
    #[serde(default)]
    pub token_hashes: Vec<String>,
    /// Whether one of its `tls` certificates lets it in (the face must list anchors).
    #[serde(default)]
    pub certificate: bool,
}
