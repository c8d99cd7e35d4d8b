//! What the sandbox's E-Signet is told at the start: where it is, whose key signs claims, and its clients.

use serde_json::Value;

use crate::sandbox::{ida::OwnKey, register::Register};

/// Everything the sandbox's E-Signet is told.
#[derive(Clone, Debug)]
pub struct EsignetConfig {
    /// The origin under which browsers and clients know it, such as `http://127.0.0.1:8450`.
    pub origin: String,
    /// The identity authority's signature key; it signs userinfo. RSA.
    pub authority: OwnKey,
    /// The registered clients.
    pub clients: Vec<ClientRecord>,
    /// Who can log in.
    pub people: Register,
    /// How long things are good for.
    pub lifetimes: Lifetimes,
}

impl EsignetConfig {
    /// The usual lifetimes and the sandbox's people, without clients.
    pub fn new(origin: impl Into<String>, authority: OwnKey) -> Self {
        Self {
            origin: origin.into(),
            authority,
            clients: Vec::new(),
            people: Register::of_the_sandbox(),
            lifetimes: Lifetimes::default(),
        }
    }

    /// The issuer: the base of every endpoint but the pages.
    pub fn issuer(&self) -> String {
        format!("{}/v1/esignet", self.origin)
    }
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct ClientRecord {
    /// `client_id`.
    pub id: String,
    /// What the consent page calls it.
    pub name: String,
    /// Where its users may be sent back to; compared byte for byte.
    pub redirect_uris: Vec<String>,
    /// Its public key as a JWK; assertions are verified with it.
    pub key: Value,
    /// The claims it may ask for.
    pub claims: Vec<String>,
    /// How userinfo comes (`additionalConfig.userinfo_response_type`).
    pub userinfo: UserinfoForm,
    /// Whether it may leave out PKCE.
    pub pkce: Pkce,
}

/// How userinfo comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserinfoForm {
    /// A JWS.
    Jws,
    /// A JWS inside a JWE to this RSA certificate (DER or PEM).
    Jwe {
        /// The recipient.
        certificate: Vec<u8>,
        /// As the identity authority nests it: compressed, with `x5t#S256`. E-Signet itself does neither.
        compressed: bool,
    },
}

/// Whether a client may leave out PKCE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pkce {
    /// It may, as OpenCRVS 1.9.2 does.
    #[default]
    Optional,
    /// An authorization request without a challenge is refused.
    Required,
}

/// How long things are good for, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A login that was begun.
    pub login_s: i64,
    /// An authorization code.
    pub code_s: i64,
    /// An access token.
    pub token_s: i64,
    /// A pushed request.
    pub pushed_s: i64,
    /// How far a client's clock may be off.
    pub leeway_s: i64,
    /// How long the `jti` of an assertion is remembered.
    pub jti_s: i64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            login_s: 600,
            code_s: 60,
            token_s: 3_600,
            pushed_s: 60,
            leeway_s: 5,
            jti_s: 86_400,
        }
    }
}
