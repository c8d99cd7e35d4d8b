//! What the sandbox's IDA is told at the start: its keys, the partners with their API keys and policies, the MISPs with
//! their licences, and the settings that MOSIP reads from its configuration server.

use zeroize::Zeroizing;

use super::policy::{AuthPolicyDoc, MispPolicyDoc};
use crate::{clock::Moment, sandbox::register::Register};

/// A private key with its certificate.
#[derive(Clone)]
pub struct OwnKey {
    /// PEM, or DER as PKCS#8.
    pub key: Zeroizing<Vec<u8>>,
    /// DER or PEM.
    pub certificate: Vec<u8>,
}

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnKey").finish_non_exhaustive()
    }
}

/// The state of a record, as partner management sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// `ACTIVE`.
    #[default]
    Active,
    /// Anything else that is not deleted.
    Inactive,
    /// Marked as deleted.
    Deleted,
}

/// From when until when a record holds; no bound means for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Option<Moment>,
    /// The first moment after it.
    pub until: Option<Moment>,
}

impl Validity {
    /// Whether it has begun.
    pub fn begun(&self, now: Moment) -> bool {
        self.from.is_none_or(|from| from <= now)
    }

    /// Whether it is over.
    pub fn over(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// A policy that an API key points to.
#[derive(Clone, Debug)]
pub struct PolicyRecord {
    /// Its id; the `policy` kind of `authToken` depends on it.
    pub id: String,
    /// What it says.
    pub document: AuthPolicyDoc,
    /// Its state.
    pub status: Status,
    /// When it holds.
    pub validity: Validity,
}

/// What the third path segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// An API key.
    ApiKey,
    /// An OIDC client, with the factors its `amr` values allow (`demo`, `otp`, `bio`, `pwd`, `kbt`).
    OidcClient {
        /// Allowed factors.
        factors: Vec<String>,
    },
}

/// An API key or OIDC client of a partner.
#[derive(Clone)]
pub struct ApiKeyRecord {
    /// The key, as it stands in the path.
    pub key: String,
    /// API key or OIDC client.
    pub kind: KeyKind,
    /// What it may be used for.
    pub policy: PolicyRecord,
    /// Its state.
    pub status: Status,
    /// When it holds.
    pub validity: Validity,
}

/// A partner.
#[derive(Clone, Debug)]
pub struct PartnerRecord {
    /// Its id, as it stands in the path.
    pub id: String,
    /// Its state.
    pub status: Status,
    /// The stored certificate (DER or PEM): identifies its signatures and receives eKYC.
    pub certificate: Vec<u8>,
    /// Its keys.
    pub api_keys: Vec<ApiKeyRecord>,
}

/// A MISP with its one licence.
#[derive(Clone)]
pub struct MispRecord {
    /// Its partner id.
    pub id: String,
    /// Its stored certificate (DER or PEM): what it signs is accepted on behalf of every partner.
    pub certificate: Vec<u8>,
    /// The licence key, as it stands in the path.
    pub licence_key: String,
    /// The state of the licence.
    pub status: Status,
    /// When the licence holds.
    pub validity: Validity,
    /// The MISP policy; without one the delegated routes answer IDA-MPA-023.
    pub policy: Option<MispPolicyDoc>,
}

impl std::fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyRecord")
            .field("kind", &self.kind)
            .field("policy", &self.policy.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MispRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MispRecord")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The time window of requests.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// `authrequest.received-time-allowed.seconds`; this number stands in the error text.
    pub allowed_s: i64,
    /// `authrequest.received-time-adjustment.seconds`.
    pub adjustment_s: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            allowed_s: 30,
            adjustment_s: 30,
        }
    }
}

/// How one-time passwords behave.
#[derive(Clone, Copy, Debug)]
pub struct OtpRules {
    /// How long one is good for.
    pub expiry_s: i64,
    /// After so many wrong ones the individual is frozen.
    pub attempts: u32,
    /// How long frozen.
    pub frozen_s: i64,
    /// So many requests within `flood_s` are the most for one individual.
    pub flood_count: usize,
    /// See `flood_count`.
    pub flood_s: i64,
}

impl Default for OtpRules {
    fn default() -> Self {
        Self {
            expiry_s: 180,
            attempts: 5,
            frozen_s: 1_800,
            flood_count: 20,
            flood_s: 60,
        }
    }
}

/// Which key manager verifies the signatures: it decides how `x5c` may be written (reference, section 1.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeymanagerVersion {
    /// Up to 1.2 and 1.3.0-beta: line breaks and both alphabets pass.
    #[default]
    Lenient,
    /// 1.3.0: the standard alphabet without line breaks; the PyPI SDK's value is refused.
    Strict,
}

/// Everything the sandbox's IDA is told.
#[derive(Clone, Debug)]
pub struct IdaConfig {
    /// `IDA`/`PARTNER`: what partners encrypt to. RSA.
    pub encryption: OwnKey,
    /// `IDA`/`SIGN`: what answers and KYC tokens are signed with. RSA.
    pub signature: OwnKey,
    /// Certificates (DER or PEM) of the trust store of domain AUTH: MOSIP's root and the PMS CA. Self-signed ones are roots.
    pub partner_anchors: Vec<Vec<u8>>,
    /// The partners.
    pub partners: Vec<PartnerRecord>,
    /// The MISPs.
    pub misps: Vec<MispRecord>,
    /// The time window.
    pub window: Window,
    /// One-time passwords.
    pub otp: OtpRules,
    /// How long a `kycToken` is good for.
    pub kyc_token_s: i64,
    /// Allowed `domainUri` values, compared ignoring case.
    pub domain_uris: Vec<String>,
    /// Allowed `env` values, compared ignoring case.
    pub envs: Vec<String>,
    /// Languages the country supports.
    pub languages: Vec<String>,
    /// Site-wide allowed factors (`auth.types.allowed`, `ekyc.auth.types.allowed`). There is no biometric matcher here, so
    /// `bio` is left out: a request with biometrics is answered with IDA-MLC-011.
    pub factors: Vec<String>,
    /// How `x5c` is decoded.
    pub keymanager: KeymanagerVersion,
    /// Who can be authenticated.
    pub identities: Register,
}

impl IdaConfig {
    /// MOSIP's default settings around the given keys, with the sandbox's people and without partners.
    pub fn new(encryption: OwnKey, signature: OwnKey, partner_anchors: Vec<Vec<u8>>) -> Self {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
            encryption,
            signature,
            partner_anchors,
            partners: Vec::new(),
            misps: Vec::new(),
            window: Window::default(),
            otp: OtpRules::default(),
            kyc_token_s: 300,
            domain_uris: words(&[
                "https://localhost",
                "http://localhost",
                "https://sandbox.example.org",
            ]),
            envs: words(&["Staging", "Developer", "Pre-Production", "Production"]),
            languages: words(&["eng", "fra", "spa", "ara", "hin"]),
            factors: words(&["demo", "otp"]),
            keymanager: KeymanagerVersion::default(),
            identities: Register::of_the_sandbox(),
        }
    }
}
