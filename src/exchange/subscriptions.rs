//! The subscriptions of a configuration, checked: topics, callbacks, secrets, and whose credentials are believed.

mod share;

pub use share::DataShare;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    config::{self, CredentialLayout, Envelope, FaceKind, HandlerKind, Report, spelling},
    credential::{Contexts, Issuer, Recipe, Verifier},
    envelope::keymanager::{Layout, Thumbprint},
    keys::{self, PublicKey, Secret},
    partners::{callback_path, is_topic},
    policy::RouteTable,
    trust,
};

/// Subscriptions of one gateway.
const SUBSCRIPTIONS_MAX: usize = 64;

/// WebSub as configured.
#[derive(Debug)]
pub struct Subscriptions {
    envelope: Envelope,
    path: String,
    renew: Duration,
    pending: Duration,
    attempts_max: u32,
    quarantine_max: usize,
    data_share: Option<DataShare>,
    by_name: BTreeMap<String, Subscription>,
    verifier: Verifier,
}

/// One subscription of ours.
#[derive(Debug)]
pub struct Subscription {
    name: String,
    topic: String,
    upstream: String,
    callback: String,
    callback_path: String,
    secret: Secret,
    lease: Duration,
    credential: Option<SealedCredential>,
    taker: Taker,
}

/// How the credentials of a subscription are encrypted.
#[derive(Clone, Debug)]
pub struct SealedCredential {
    /// The layouts that are taken.
    pub layouts: Vec<Layout>,
    /// The thumbprints that are taken.
    pub thumbprint: Thumbprint,
}

/// Who takes deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taker {
    /// The handler `opencrvs`.
    OpenCrvs,
    /// The partners that have subscribed here.
    Partners,
    /// The registry of this gateway.
    Registry,
    /// A service.
    Service {
        /// The upstream.
        upstream: String,
        /// How it is sealed.
        envelope: Envelope,
        /// The path.
        path: String,
    },
}

impl Subscriptions {
    /// Checks the section; mistakes are reported.
    pub(super) fn build(
        raw: &config::Config,
        routes: &RouteTable,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let websub = raw.websub.as_ref()?;
        let report = &mut report.within("websub");
        let upstreams: Vec<&str> = raw.upstream.iter().map(|u| u.name.as_str()).collect();
        if raw.store.is_none() {
            report.error(
                "",
                "deliveries must not be lost, and there is no store",
                "Add [store] with url and key.",
            );
        }
        known_upstream(&websub.upstream, "upstream", &upstreams, report);
        spoken(websub.envelope, "envelope", report);
        sealable(&websub.upstream, websub.envelope, raw, "envelope", report);
        bounds(websub, report);
        let data_share = websub.data_share.as_ref().and_then(|share| {
            DataShare::build(share, &raw.upstream, &mut report.within("data_share"))
        });
        let contexts = contexts(websub, report);
        let issuers = issuers(websub, &contexts, report);
        let mut by_name: BTreeMap<String, Subscription> = BTreeMap::new();
        for (i, one) in websub.subscription.iter().enumerate() {
            let here = &mut report.within(format!("subscription[{i}]"));
            let twice = by_name.values().any(|known| {
                known.name == one.name
                    || known.topic == one.topic
                    || callback_path(&one.callback) == Some(known.callback_path.as_str())
            });
            if twice {
                here.error(
                    "",
                    "another subscription has the same name, topic or callback path",
                    "Give each its own: the path tells which secret the hub signs with.",
                );
            }
            if one.credential.is_some() && issuers.is_empty() {
                here.error(
                    "credential",
                    "no credential would be believed",
                    "Add [[websub.issuer]] with the issuer's key.",
                );
            }
            if let Some(built) = subscription(one, raw, routes, &upstreams, here) {
                by_name.insert(one.name.clone(), built);
            }
        }
        Some(Self {
            envelope: websub.envelope,
            path: websub.path.clone(),
            renew: Duration::from_secs(websub.renew_s),
            pending: Duration::from_secs(websub.pending_s),
            attempts_max: websub.attempts_max,
            quarantine_max: websub.quarantine_max,
            data_share,
            by_name,
            verifier: Verifier::new(issuers, contexts),
        })
    }

    /// How requests to the hub are sealed.
    pub const fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The hub's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Time between renewals.
    pub const fn renew(&self) -> Duration {
        self.renew
    }

    /// Time for a verification of intent.
    pub const fn pending(&self) -> Duration {
        self.pending
    }

    /// Attempts at one delivery.
    pub const fn attempts_max(&self) -> u32 {
        self.attempts_max
    }

    /// Quarantined deliveries that are kept.
    pub const fn quarantine_max(&self) -> usize {
        self.quarantine_max
    }

    /// Where credentials may be fetched that are not in their event.
    pub const fn data_share(&self) -> Option<&DataShare> {
        self.data_share.as_ref()
    }

    /// Every subscription.
    pub fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.by_name.values()
    }

    /// A subscription by name.
    pub fn named(&self, name: &str) -> Option<&Subscription> {
        self.by_name.get(name)
    }

    /// The subscription whose callback has this path.
    pub fn at(&self, path: &str) -> Option<&Subscription> {
        self.iter().find(|one| one.callback_path == path)
    }

    /// The subscription to this topic.
    pub fn to(&self, topic: &str) -> Option<&Subscription> {
        self.iter().find(|one| one.topic == topic)
    }

    /// What verifies credentials.
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl Subscription {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Where it is asked for.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The address the hub is told.
    pub fn callback(&self) -> &str {
        &self.callback
    }

    /// The secret the hub signs under.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The lease that is asked for.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// How credentials are encrypted, where deliveries carry some.
    pub const fn credential(&self) -> Option<&SealedCredential> {
        self.credential.as_ref()
    }

    /// Who takes deliveries.
    pub const fn taker(&self) -> &Taker {
        &self.taker
    }
}

fn subscription(
    one: &config::Subscription,
    raw: &config::Config,
    routes: &RouteTable,
    upstreams: &[&str],
    report: &mut Report<'_>,
) -> Option<Subscription> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if one.name.is_empty() || one.name.len() > 64 || !one.name.bytes().all(letters) {
        report.error(
            "name",
            "a name is 1 to 64 letters, digits, `-`, `.` and `_`",
            "Rename it.",
        );
    }
    if !is_topic(&one.topic) {
        report.error(
            "topic",
            "this is no topic",
            "Write it as the hub knows it, such as `partner-id/CREDENTIAL_ISSUED`.",
        );
    }
    let upstream = asked_at(one, raw, upstreams, report);
    if one.lease_s < 60 {
        report.error(
            "lease_s",
            "the lease is shorter than a minute",
            "Ask for a day: 86400.",
        );
    }
    let addressee = one.topic.split_once('/').map(|(partner, _)| partner);
    if one.credential.is_some() && addressee.is_some_and(|partner| partner != raw.party.id) {
        report.error(
            "topic",
            format!(
                "credentials on this topic are not for us: party.id is `{}`",
                raw.party.id
            ),
            "Use the topic that begins with our partner id.",
        );
    }
    let path = callback_path(&one.callback);
    match path {
        None => report.error(
            "callback",
            "this is no callback",
            "Write an absolute http or https address without query, such as `https://us.example/websub/callback`.",
        ),
        Some(path) => {
            let segments: Vec<&str> = path.split('/').skip(1).collect();
            let led = [FaceKind::Service, FaceKind::Partner].into_iter().any(|kind| {
                routes
                    .find(kind, &segments)
                    .is_some_and(|found| found.route().handler() == HandlerKind::WebSub)
            });
            if !led {
                report.error(
                    "callback",
                    format!("no route of handler websub has the path `{path}`"),
                    "Add a [[route]] with handler = \"websub\" and that path.",
                );
            }
        }
    }
    let secret = keys::read_secret(&one.secret, &mut report.within("secret"));
    let fits = secret.as_ref().is_none_or(|secret| {
        (16..200).contains(&secret.expose().len()) && secret.expose_text().is_some()
    });
    if !fits {
        report.error(
            "secret",
            "the secret is no text of 16 to 199 bytes",
            "Make one: `openssl rand -hex 32`.",
        );
    }
    let taker = taker(&one.hand_on, upstreams, &mut report.within("hand_on"));
    let credential = one
        .credential
        .as_ref()
        .map(|raw| sealed(raw, &mut report.within("credential")));
    if credential.is_some() && taker == Some(Taker::Partners) {
        report.error(
            "credential",
            "credentials for partners are sealed to them: they cannot be opened here",
            "Remove it.",
        );
    }
    Some(Subscription {
        name: one.name.clone(),
        topic: one.topic.clone(),
        upstream: upstream?,
        callback: one.callback.clone(),
        callback_path: path?.to_owned(),
        secret: secret?,
        lease: Duration::from_secs(one.lease_s),
        credential,
        taker: taker?,
    })
}

/// Where a subscription is asked for: its own upstream, or that of all.
fn asked_at(
    one: &config::Subscription,
    raw: &config::Config,
    upstreams: &[&str],
    report: &mut Report<'_>,
) -> Option<String> {
    let websub = raw.websub.as_ref()?;
    if let Some(own) = &one.upstream {
        known_upstream(own, "upstream", upstreams, report);
        sealable(own, websub.envelope, raw, "upstream", report);
    }
    Some(one.upstream.as_ref().unwrap_or(&websub.upstream).clone())
}

fn taker(raw: &config::HandOn, upstreams: &[&str], report: &mut Report<'_>) -> Option<Taker> {
    match (raw.opencrvs, raw.partners, raw.registry, &raw.service) {
        (true, false, false, None) => Some(Taker::OpenCrvs),
        (false, true, false, None) => Some(Taker::Partners),
        (false, false, true, None) => Some(Taker::Registry),
        (false, false, false, Some(service)) => {
            let report = &mut report.within("service");
            known_upstream(&service.upstream, "upstream", upstreams, report);
            spoken(service.envelope, "envelope", report);
            Some(Taker::Service {
                upstream: service.upstream.clone(),
                envelope: service.envelope,
                path: service.path.clone(),
            })
        }
        _ => {
            report.error(
                "",
                "exactly one takes the deliveries",
                "Give one of opencrvs = true, partners = true, registry = true and service = { … }.",
            );
            None
        }
    }
}

fn sealed(raw: &config::SealedCredential, report: &mut Report<'_>) -> SealedCredential {
    let layout = |raw: &CredentialLayout| match raw {
        CredentialLayout::R2 => Layout::R2,
        CredentialLayout::R2NoKeyId => Layout::R2NoKeyId,
        CredentialLayout::Legacy => Layout::Legacy,
        CredentialLayout::LegacyNoKeyId => Layout::LegacyNoKeyId,
    };
    let mut layouts: Vec<Layout> = raw.layouts.iter().map(layout).collect();
    if layouts.is_empty() {
        layouts.push(Layout::R2);
    }
    let thumbprint = match (raw.insecure_any_thumbprint, raw.insecure_zero_thumbprint) {
        (true, _) => Thumbprint::Any,
        (false, true) => Thumbprint::OursOrZero,
        (false, false) => Thumbprint::Ours,
    };
    if thumbprint != Thumbprint::Ours {
        report.warning(
            "",
            "credentials are taken that do not name our certificate",
            "Keep this for the OpenCRVS mock and its older mediator.",
        );
    }
    SealedCredential {
        layouts,
        thumbprint,
    }
}

fn bounds(websub: &config::WebSub, report: &mut Report<'_>) {
    if websub.subscription.len() > SUBSCRIPTIONS_MAX {
        report.error(
            "subscription",
            format!("more than {SUBSCRIPTIONS_MAX} subscriptions"),
            "Remove those that are not used.",
        );
    }
    for (field, value) in [("renew_s", websub.renew_s), ("pending_s", websub.pending_s)] {
        if value == 0 {
            report.error(field, "is zero", "Give seconds, or leave it out.");
        }
    }
    if websub.attempts_max == 0 {
        report.error(
            "attempts_max",
            "is zero, so nothing would be handed on",
            "Leave it out for the default.",
        );
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@=/".contains(&b);
    if !websub.path.starts_with('/') || !websub.path.bytes().all(plain) {
        report.error(
            "path",
            "is no canonical path",
            "Write it such as `/websub/hub`.",
        );
    }
}

fn contexts(websub: &config::WebSub, report: &mut Report<'_>) -> Contexts {
    let mut contexts = Contexts::built_in();
    for (i, raw) in websub.context.iter().enumerate() {
        let here = &mut report.within(format!("context[{i}]"));
        let pinned = match &raw.file {
            None => contexts.pin_mosip(&raw.url).map_err(|e| e.to_string()),
            Some(file) => std::fs::read(here.resolve(file))
                .map_err(|e| format!("cannot be read: {e}"))
                .and_then(|document| contexts.pin(&raw.url, &document).map_err(|e| e.to_string())),
        };
        if let Err(why) = pinned {
            here.error(
                if raw.file.is_some() { "file" } else { "url" },
                why,
                "Pin the document that the issuer publishes.",
            );
        }
    }
    contexts
}

fn issuers(websub: &config::WebSub, contexts: &Contexts, report: &mut Report<'_>) -> Vec<Issuer> {
    let mut issuers = Vec::new();
    for (i, raw) in websub.issuer.iter().enumerate() {
        let here = &mut report.within(format!("issuer[{i}]"));
        for (n, url) in raw.contexts.iter().enumerate() {
            if !contexts.contains(url) {
                here.error(
                    &format!("contexts[{n}]"),
                    format!("`{url}` is not pinned"),
                    "Add it as [[websub.context]].",
                );
            }
        }
        let recipe = if raw.insecure_jcs_proof {
            here.warning(
                "insecure_jcs_proof",
                "proofs are taken that no MOSIP makes",
                "Keep this for the OpenCRVS mock.",
            );
            Recipe::InsecureJcs
        } else {
            Recipe::Mosip
        };
        let key = match public_key(&here.resolve(&raw.key)) {
            Ok(key) => key,
            Err(why) => {
                here.error(
                    "key",
                    why,
                    "Name a PEM file with the issuer's certificate or public key.",
                );
                continue;
            }
        };
        let contexts = raw.contexts.clone();
        match Issuer::new(
            &raw.issuer,
            &raw.verification_method,
            contexts,
            recipe,
            &key,
        ) {
            Ok(issuer) => issuers.push(issuer),
            Err(why) => here.error(
                "key",
                why.to_string(),
                "MOSIP signs credentials with RSA (PS256).",
            ),
        }
    }
    issuers
}

/// The key in a PEM file: that of its leaf, or a public key by itself.
fn public_key(path: &std::path::Path) -> Result<PublicKey, String> {
    use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
    let text =
        std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let spki = match SubjectPublicKeyInfoDer::from_pem_slice(&text) {
        Ok(spki) => spki.to_vec(),
        Err(_) => match trust::certificates_from_file(path).as_deref() {
            // As everywhere: the leaf first, then its issuers.
            Ok([leaf, ..]) => leaf.spki().to_vec(),
            _ => return Err("holds neither a certificate nor a public key".to_owned()),
        },
    };
    PublicKey::from_spki(&spki).map_err(|e| e.to_string())
}

fn known_upstream(name: &str, field: &str, known: &[&str], report: &mut Report<'_>) {
    if !known.contains(&name) {
        let what = format!("there is no upstream `{name}`");
        report.error(field, what, spelling::remedy(name, known));
    }
}

/// Where requests are sealed, somebody is known to seal them to.
fn sealable(
    name: &str,
    envelope: Envelope,
    raw: &config::Config,
    field: &str,
    report: &mut Report<'_>,
) {
    let hub = raw.upstream.iter().find(|u| u.name == name);
    if envelope == Envelope::Jose && hub.is_some_and(|u| u.party.is_none()) {
        report.error(
            field,
            "there is nobody to seal to: the upstream names no party",
            "Set `party` on the upstream, and describe it as a [[peer]].",
        );
    }
}

fn spoken(envelope: Envelope, field: &str, report: &mut Report<'_>) {
    if !matches!(envelope, Envelope::Jose | Envelope::InsecurePlain) {
        report.error(
            field,
            "only jose and insecure_plain are spoken here",
            "Use jose to a gateway, insecure_plain to services of your own.",
        );
    }
}
