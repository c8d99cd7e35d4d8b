//! The clients that we stand for, each with its key and what it may do.

use std::{collections::BTreeMap, fmt};

use serde_json::json;

use crate::{
    clock::Moment,
    config::{self, Algorithm, Report, UserinfoForm},
    envelope::jwt,
    keys::{self, SigningKey},
    partners::{
        Directory, Redirects,
        oidc_client::{assertion_algorithm, client_id},
    },
    refusal::{Code, Refusal},
};

/// For how long an assertion of ours holds: it is used at once.
const ASSERTION_LIFE_S: i64 = 120;

/// A client whose assertions we make.
pub struct OwnClient {
    spec: config::EsignetClient,
    key: SigningKey,
    algorithm: Algorithm,
    redirects: Redirects,
}

impl OwnClient {
    /// The client id.
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// Where E-Signet may send people back to.
    pub const fn redirects(&self) -> &Redirects {
        &self.redirects
    }

    /// The form of its userinfo.
    pub const fn userinfo(&self) -> UserinfoForm {
        self.spec.userinfo
    }

    /// Whether a service may use it.
    pub fn serves(&self, service: &str) -> bool {
        self.spec.services.is_empty() || self.spec.services.iter().any(|s| s == service)
    }

    /// Whether an assertion that a service sends is replaced.
    pub const fn replaces_assertions(&self) -> bool {
        self.spec.replace_assertion
    }

    /// The version of the token endpoint that we use for it ourselves.
    pub const fn token_version(&self) -> u8 {
        self.spec.token_version
    }

    /// A new assertion (reference 4.3): good for a short while, once, at these audiences.
    ///
    /// # Errors
    /// `GW-003` when the key cannot sign.
    pub fn assertion(&self, audiences: [&str; 2], now: Moment) -> Result<String, Refusal> {
        let failed = |why: String| Refusal::new(Code::NoSigner, why);
        let mut random = [0_u8; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| failed("no random bytes".to_owned()))?;
        let jti: String = random.iter().map(|b| format!("{b:02x}")).collect();
        let claims = json!({
            "iss": self.id(),
            "sub": self.id(),
            "aud": audiences,
            "iat": now.s(),
            "exp": now.s().saturating_add(ASSERTION_LIFE_S),
            "jti": jti,
        });
        let kid = self.spec.key_id.as_deref();
        jwt::sign(&self.key, self.algorithm, kid, &claims).map_err(|why| failed(why.to_string()))
    }
}

impl fmt::Debug for OwnClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnClient")
            .field("id", &self.spec.id)
            .finish_non_exhaustive()
    }
}

pub(super) fn build(
    spec: &config::Esignet,
    directory: &Directory,
    report: &mut Report<'_>,
) -> BTreeMap<String, OwnClient> {
    let mut all = BTreeMap::new();
    for (i, raw) in spec.client.iter().enumerate() {
        let report = &mut report.within(format!("client[{i}]"));
        if all.contains_key(&raw.id) {
            let what = format!("`{}` stands twice", raw.id);
            report.error("id", what, "Remove one.");
        }
        if let Some(client) = client(raw, directory, report) {
            all.insert(raw.id.clone(), client);
        }
    }
    all
}

fn client(
    raw: &config::EsignetClient,
    directory: &Directory,
    report: &mut Report<'_>,
) -> Option<OwnClient> {
    client_id(&raw.id, report);
    if !matches!(raw.token_version, 1 | 2) {
        report.error(
            "token_version",
            "there are versions 1 and 2",
            "Use one of them.",
        );
    }
    for (i, service) in raw.services.iter().enumerate() {
        let known = |p: &&std::sync::Arc<crate::partners::Partner>| p.id().as_str() == service;
        if directory.iter().find(known).is_none() {
            let what = format!("there is no service `{service}`");
            let remedy = "Use the id that stands in its file.";
            report.error(&format!("services[{i}]"), what, remedy);
        }
    }
    let redirects = Redirects::build(&raw.redirect_uris, report);
    let secret = keys::read_secret(&raw.key, &mut report.within("key"))?;
    let Ok(key) = SigningKey::from_secret(&secret) else {
        let remedy = "Use PEM, a JWK in JSON, or its base64, with a private RSA key from 2048 bits or a P-256 key.";
        report.error("key", "this is no private key that can be read", remedy);
        return None;
    };
    let algorithm = assertion_algorithm(raw.algorithm, key.kind(), report)?;
    if key.sign(algorithm, b"").is_err() {
        let remedy = "Use RS256 or PS256 with an RSA key, or ES256 with a P-256 key.";
        report.error("algorithm", "does not fit the key", remedy);
        return None;
    }
    Some(OwnClient {
        spec: raw.clone(),
        key,
        algorithm,
        redirects,
    })
}

/// No client of E-Signet stands for two partners.
pub(super) fn one_partner_each(directory: &Directory, report: &mut Report<'_>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for partner in directory.iter() {
        for client in partner.oidc_clients() {
            if let Some(other) = seen.insert(client.id(), partner.id().as_str())
                && other != partner.id().as_str()
            {
                let what = format!(
                    "the E-Signet client `{}` stands for both `{other}` and `{}`",
                    client.id(),
                    partner.id()
                );
                report.error("", what, "Remove it from one of the partner files.");
            }
        }
    }
}
