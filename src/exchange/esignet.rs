//! E-Signet as the snapshot knows it: where it is, whose keys sign for it, which clients we stand for, and what must be
//! remembered of tokens and assertions beyond one exchange.
//!
//! Keys and documents are fetched ahead, again and again; nothing is ever fetched because a message names a key.

mod clients;
mod memory;
mod published;

pub use clients::OwnClient;
pub use memory::{Assertions, Login, Tokens};
pub use published::{Documents, Published};

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    clock::Moment,
    config::{self, Algorithm, Config, Envelope, Report},
    envelope::key_set::{KEY_SET_MAX, KeySet},
    partners::Directory,
    refusal::{Code, Refusal},
};

/// Everything about E-Signet.
#[derive(Debug)]
pub struct Esignet {
    spec: config::Esignet,
    clients: BTreeMap<String, OwnClient>,
    pinned: Option<(Arc<KeySet>, Bytes)>,
    state: Arc<State>,
}

/// What outlives a snapshot.
#[derive(Debug, Default)]
struct State {
    published: Mutex<Published>,
    tokens: Mutex<Tokens>,
    assertions: Mutex<Assertions>,
}

impl Esignet {
    /// Checks `[esignet]`; mistakes go to the report, which stands at the whole configuration.
    pub(super) fn build(
        config: &Config,
        directory: &Directory,
        previous: Option<&Self>,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        clients::one_partner_each(directory, report);
        let routed = |r: &config::Route| r.handler == config::HandlerKind::Esignet;
        let Some(spec) = &config.esignet else {
            if config.route.iter().any(routed) {
                let remedy = "Add [esignet] with issuer, upstream and envelope.";
                report.error("", "there are esignet routes, but no [esignet]", remedy);
            }
            return None;
        };
        let mut here = report.within("esignet");
        where_it_is(config, spec, &mut here);
        let clients = clients::build(spec, directory, &mut here);
        let pinned = pinned(spec, &mut here);
        let same = |p: &&Self| {
            (&p.spec.issuer, &p.spec.upstream, &p.spec.base)
                == (&spec.issuer, &spec.upstream, &spec.base)
        };
        let state = previous.filter(same).map(|p| Arc::clone(&p.state));
        Some(Self {
            spec: spec.clone(),
            clients,
            pinned,
            state: state.unwrap_or_default(),
        })
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.spec.issuer
    }

    /// The token endpoint of a version, as client assertions name it.
    pub fn token_endpoint(&self, version: u8) -> String {
        match (&self.spec.token_endpoint, version) {
            (_, 1) => format!("{}/oauth/token", self.spec.issuer),
            (Some(endpoint), _) => endpoint.clone(),
            (None, _) => format!("{}/oauth/v2/token", self.spec.issuer),
        }
    }

    /// The upstream that leads to it, and how calls there are sealed.
    pub fn way(&self) -> (&str, Envelope) {
        (&self.spec.upstream, self.spec.envelope)
    }

    /// A path of E-Signet there.
    pub fn path(&self, behind_base: &str) -> String {
        format!("{}{behind_base}", self.spec.base)
    }

    /// A client that we stand for.
    pub fn client(&self, id: &str) -> Option<&OwnClient> {
        self.clients.get(id)
    }

    /// The algorithm of userinfo.
    pub const fn userinfo_algorithm(&self) -> Algorithm {
        self.spec.userinfo_algorithm
    }

    /// The algorithm of id tokens.
    pub const fn id_token_algorithm(&self) -> Algorithm {
        self.spec.id_token_algorithm
    }

    /// The keys that sign for it.
    ///
    /// # Errors
    /// `ESG-008` when none were fetched, or so long ago that the grace is over.
    pub fn keys(&self, now: Moment) -> Result<Arc<KeySet>, Refusal> {
        if let Some((keys, _)) = &self.pinned {
            return Ok(Arc::clone(keys));
        }
        let published = self.published();
        published.keys(self.grace_ms(), now).ok_or_else(|| {
            let cause = published.since(now).map_or_else(
                || "no key set was fetched yet".to_owned(),
                |ms| format!("the key set was fetched {} s ago", ms / 1000),
            );
            Refusal::new(Code::EsignetKeys, cause)
        })
    }

    /// A document as it is served to our services.
    ///
    /// # Errors
    /// `ESG-008` when there is none that is fresh enough.
    pub fn document(&self, which: Documents, now: Moment) -> Result<Bytes, Refusal> {
        if let (Documents::Keys, Some((_, text))) = (which, &self.pinned) {
            return Ok(text.clone());
        }
        (self.published().document(which, self.grace_ms(), now))
            .ok_or_else(|| Refusal::new(Code::EsignetKeys, "not fetched yet, or too long ago"))
    }

    /// Which documents are due to be fetched.
    pub fn due(&self, now: Moment) -> Vec<Documents> {
        let pinned = self.pinned.is_some();
        let due = |which: &Documents| {
            !(pinned && *which == Documents::Keys) && self.published().is_due(*which, now)
        };
        Documents::ALL.into_iter().filter(due).collect()
    }

    /// Takes a document that was fetched, if it is one; else the last good one stays.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn fetched(&self, which: Documents, body: &Bytes, now: Moment) -> Result<(), &'static str> {
        let refresh = ms(self.spec.keys_refresh_s);
        match which {
            Documents::Keys => {
                let keys = KeySet::parse(body).map_err(|_| "no key set")?;
                self.published().take_keys(keys, body.clone(), now, refresh);
            }
            Documents::Openid | Documents::Oauth => {
                let text = self.discovery(body)?;
                self.published().take_document(which, text, now, refresh);
            }
        }
        Ok(())
    }

    /// Hears that a document could not be fetched: it is asked for again in a while.
    pub fn not_fetched(&self, which: Documents, now: Moment) {
        let refresh = ms(self.spec.keys_refresh_s);
        self.published().failed(which, now, refresh);
    }

    /// What we remember of access tokens.
    pub fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.state.tokens)
    }

    /// What we remember of assertions.
    pub fn assertions(&self) -> MutexGuard<'_, Assertions> {
        lock(&self.state.assertions)
    }

    /// Seconds until the keys are too old to be used; `None` for pinned ones.
    pub(super) fn keys_left_s(&self, now: Moment) -> Option<i64> {
        if self.pinned.is_some() {
            return None;
        }
        let age = self.published().since(now);
        Some(age.map_or(0, |age| self.grace_ms().saturating_sub(age).max(0) / 1000))
    }

    /// What is wrong with the keys, and for how many seconds they can still be used.
    pub(super) fn trouble(&self, now: Moment) -> Option<(&'static str, i64)> {
        let left = self.keys_left_s(now)?;
        let published = self.published();
        if published.since(now).is_none() {
            return Some(("E-Signet's key set was not fetched yet", 0));
        }
        published
            .keys_fail()
            .then_some(("E-Signet's key set cannot be fetched any more", left))
    }

    /// A discovery document of this issuer, with the endpoints at which our services reach us.
    fn discovery(&self, body: &Bytes) -> Result<Bytes, &'static str> {
        let parsed = crate::envelope::json::object(body, KEY_SET_MAX);
        let mut document = parsed.map_err(|_| "no strict JSON object")?;
        if document.get("issuer").and_then(Value::as_str) != Some(self.issuer()) {
            return Err("another issuer than [esignet] says");
        }
        let Some(base) = &self.spec.service_base else {
            return Ok(body.clone());
        };
        for (name, path) in [
            ("token_endpoint", "/oauth/v2/token"),
            ("userinfo_endpoint", "/oidc/userinfo"),
            ("jwks_uri", "/oauth/.well-known/jwks.json"),
        ] {
            if document.contains_key(name) {
                document.insert(name.to_owned(), json!(format!("{base}{}", self.path(path))));
            }
        }
        Ok(Bytes::from(Value::Object(document).to_string()))
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        lock(&self.state.published)
    }

    fn grace_ms(&self) -> i64 {
        ms(self.spec.keys_grace_s)
    }
}

fn ms(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}

/// Every change under these locks is one step: what a panic left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn where_it_is(config: &Config, spec: &config::Esignet, report: &mut Report<'_>) {
    let known: Vec<&str> = config.upstream.iter().map(|u| u.name.as_str()).collect();
    if !known.contains(&spec.upstream.as_str()) {
        let what = format!("there is no upstream `{}`", spec.upstream);
        let remedy = config::spelling::remedy(&spec.upstream, &known);
        report.error("upstream", what, remedy);
    }
    if !matches!(spec.envelope, Envelope::Jose | Envelope::InsecurePlain) {
        let remedy = "Use jose towards a gateway, or insecure_plain towards E-Signet itself.";
        report.error("envelope", "only jose and insecure_plain fit", remedy);
    }
    let address = |text: &str| {
        text.split_once("://")
            .is_some_and(|(_, rest)| !rest.is_empty())
            && text.bytes().all(|b| b.is_ascii_graphic())
            && !text.ends_with('/')
    };
    let remedy = "Copy it from the discovery document.";
    if !address(&spec.issuer) {
        report.error("issuer", "this is no issuer", remedy);
    }
    if spec.token_endpoint.as_deref().is_some_and(|t| !address(t)) {
        report.error("token_endpoint", "this is no address", remedy);
    }
    if spec.service_base.as_deref().is_some_and(|t| !address(t)) {
        let remedy = "Write it as http://host:port, without a `/` at the end.";
        report.error("service_base", "this is no address", remedy);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._".contains(&b);
    if !spec.base.starts_with('/') || spec.base.ends_with('/') || !spec.base.bytes().all(plain) {
        let remedy = "Write it as /v1/esignet.";
        report.error("base", "this is no path", remedy);
    }
    if spec.keys_refresh_s == 0 {
        report.error("keys_refresh_s", "is 0", "Use one second or more.");
    }
    if spec.keys_grace_s < spec.keys_refresh_s {
        let remedy = "Make the grace longer than the time between two fetches.";
        report.error("keys_grace_s", "is shorter than keys_refresh_s", remedy);
    }
    for (name, algorithm) in [
        ("userinfo_algorithm", spec.userinfo_algorithm),
        ("id_token_algorithm", spec.id_token_algorithm),
    ] {
        if algorithm == Algorithm::EdDSA {
            report.error(
                name,
                "E-Signet does not use EdDSA",
                "Use RS256, PS256 or ES256.",
            );
        }
    }
}

fn pinned(spec: &config::Esignet, report: &mut Report<'_>) -> Option<(Arc<KeySet>, Bytes)> {
    let path = report.resolve(spec.keys.as_deref()?);
    let small = fs::metadata(&path).is_ok_and(|m| m.len() <= KEY_SET_MAX as u64);
    let read = if small { fs::read(&path).ok() } else { None };
    match read.map(|text| (KeySet::parse(&text), text)) {
        Some((Ok(keys), text)) => Some((Arc::new(keys), Bytes::from(text))),
        Some((Err(why), _)) => {
            let remedy = "Save E-Signet's /oauth/.well-known/jwks.json there.";
            report.error("keys", format!("{}: {why}", path.display()), remedy);
            None
        }
        None => {
            let what = format!("{} cannot be read, or is too large", path.display());
            report.error("keys", what, "Check the path and the permissions.");
            None
        }
    }
}
