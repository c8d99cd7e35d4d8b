//! E-Signet, played properly: an OpenID provider with a login page in the browser, the token endpoint with
//! `private_key_jwt` and PKCE, and userinfo as a JWS or as a JWS in a JWE.
//!
//! Written from the wire reference (`websub-esignet-packet-mts.md`, section 4) over OpenSSL and josekit, without a line in
//! common with the gateway. The people are the sandbox's; the static code of a person is the last six digits of the UIN,
//! which stands in for what a country would have handed out.
//!
//! | path | what |
//! |---|---|
//! | `GET /authorize`, `POST /authorize/login`, `POST /authorize/consent` | the pages |
//! | `GET /v1/esignet/oidc/.well-known/openid-configuration` | discovery |
//! | `GET /v1/esignet/oauth/.well-known/oauth-authorization-server` | the same as RFC 8414 has it |
//! | `GET /v1/esignet/oauth/.well-known/jwks.json` | E-Signet's own key and the identity authority's |
//! | `POST /v1/esignet/oauth/par` | pushed authorization request |
//! | `POST /v1/esignet/oauth/token`, `POST /v1/esignet/oauth/v2/token` | tokens |
//! | `GET /v1/esignet/oidc/userinfo` | claims |
//! | `GET /sandbox/landing` | a client's page to come back to |
//! | `POST /sandbox/fault` | an order to misbehave ([`EsignetFault`]) |
//! | `GET /sandbox/health` | 200 |
//!
//! What it leaves out, and says so by not announcing it: DPoP, the other authentication contexts than
//! `mosip:idp:acr:static-code`, and `verified_claims`.

mod assertion;
mod authorize;
mod claims;
mod discovery;
mod keys;
mod login;
mod misbehave;
mod page;
mod par;
mod records;
mod service;
mod token;
mod userinfo;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub use keys::{KeyError, public_jwk};
pub use misbehave::{EsignetFault, EsignetFaultOrder};
pub use records::{ClientRecord, EsignetConfig, Lifetimes, Pkce, UserinfoForm};
pub use service::EsignetService;

use super::{people::Person, web::Shelf};

/// The authentication context that the pages offer.
const STATIC_CODE: &str = "mosip:idp:acr:static-code";

/// The sandbox's E-Signet.
pub struct Esignet {
    config: EsignetConfig,
    keys: keys::Keys,
    state: Mutex<State>,
}

impl fmt::Debug for Esignet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Esignet").finish_non_exhaustive()
    }
}

/// What changes while it runs.
#[derive(Default)]
struct State {
    pushed: Shelf<super::web::Form>,
    logins: Shelf<login::Login>,
    codes: Shelf<token::Grant>,
    tokens: Shelf<userinfo::Access>,
    assertions: Shelf<()>,
    faults: misbehave::Orders,
}

impl Esignet {
    /// Reads the keys of a configuration and makes an E-Signet of it, with a signature key of its own.
    ///
    /// # Errors
    /// When a key or certificate cannot be read or made.
    pub fn new(config: EsignetConfig) -> Result<Self, KeyError> {
        Ok(Self {
            keys: keys::Keys::new(&config.authority)?,
            state: Mutex::default(),
            config,
        })
    }

    fn client(&self, id: &str) -> Option<&ClientRecord> {
        self.config.clients.iter().find(|client| client.id == id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The static code of a person: the last six digits of the UIN.
pub fn static_code(person: &Person) -> &str {
    let start = person.uin.len().saturating_sub(6);
    person.uin.get(start..).unwrap_or_default()
}
