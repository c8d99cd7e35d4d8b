//! One partner file to one checked [`Partner`]: everything that can be said from the file alone and from the names that
//! the rest of the configuration knows. What only shows between files is checked by [`super::directory`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    ApiKey, HashedSecret, LicenceKey, Network, OidcClient, Partner, PartnerId, Registration,
    Subscribing, oidc_client::OIDC_CLIENTS_MAX, partner::Access,
};
use crate::{
    clock::Moment,
    config::{self, PartnerKind, Report, Role, State, spelling},
    shared::Quota,
    trust::{Anchors, PartyCertificates, PartySpec},
};

/// API keys in one partner file.
pub const API_KEYS_MAX: usize = 64;
/// Licence keys in one partner file.
pub const LICENCE_KEYS_MAX: usize = 64;
/// Tokens in one partner file, and networks in one.
pub const ACCESS_MAX: usize = 64;

/// What a partner file is checked against.
pub(super) struct Surroundings<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) routes: &'a [&'a str],
    pub(super) policies: &'a [&'a str],
    pub(super) kept: &'a super::Kept,
    pub(super) pepper: bool,
    pub(super) now: Moment,
}

/// Checks one file; all its mistakes go to the report. `None` only when there is no usable id.
pub(super) fn partner(
    raw: &config::Partner,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Partner> {
    let id = id(raw, report);
    if raw.organisation.trim().is_empty() {
        report.error(
            "organisation",
            "is empty",
            "Name the organisation as the certificates do (subject O).",
        );
    }
    let registration = Registration::build(
        raw.state,
        raw.valid_from.as_deref(),
        raw.valid_until.as_deref(),
        report,
        around.now,
    );
    let mut certificates =
        PartyCertificates::build(PartySpec::from(raw), around.anchors, report, around.now);
    (around.kept).apply(raw, &mut certificates, around.anchors, report);
    let routes = routes(raw, around.routes, report);
    let api_keys = api_keys(raw, around, report);
    let licence_keys = licence_keys(raw, around, report);
    let oidc_clients = oidc_clients(raw, report);
    let access = access(raw, report);
    let subscribing = Subscribing::build(raw, report);
    pepper(raw, around.pepper, report);
    idle(raw, report);
    let mut clients = raw.clients.clone();
    clients.dedup();
    Some(Partner {
        under_way: std::sync::atomic::AtomicUsize::new(0),
        id: id?,
        organisation: raw.organisation.clone(),
        kind: raw.kind,
        registration,
        certificates,
        quotas: quotas(raw, &routes, report),
        routes,
        api_keys,
        licence_keys,
        clients,
        access,
        shared_keys: raw.insecure_shared_keys,
        subscribing,
        packet: raw.packet.clone(),
        oidc_clients,
    })
}

fn id(raw: &config::Partner, report: &mut Report<'_>) -> Option<PartnerId> {
    match raw.id.parse() {
        Ok(id) => Some(id),
        Err(e) => {
            report.error(
                "id",
                format!("this cannot be a partner id: {e}"),
                "Use the id that MOSIP gave the partner.",
            );
            None
        }
    }
}

fn routes(raw: &config::Partner, known: &[&str], report: &mut Report<'_>) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for (i, name) in raw.routes.iter().enumerate() {
        let at = format!("routes[{i}]");
        if !known.contains(&name.as_str()) {
            report.error(
                &at,
                format!("there is no route `{name}`"),
                spelling::remedy(name, known),
            );
        } else if !routes.insert(name.clone()) {
            report.error(&at, format!("`{name}` is listed twice"), "Remove one.");
        }
    }
    routes
}

fn quotas(
    raw: &config::Partner,
    routes: &BTreeSet<String>,
    report: &mut Report<'_>,
) -> BTreeMap<String, Quota> {
    let mut quotas = BTreeMap::new();
    for (route, quota) in &raw.quota {
        let mut here = report.within("quota");
        let mut here = here.within(route);
        if !routes.contains(route) {
            let known: Vec<&str> = routes.iter().map(String::as_str).collect();
            let what = format!("`{route}` is no route that it may use");
            here.error("", what, spelling::remedy(route, &known));
        }
        if let Some(quota) = Quota::build(quota, &mut here) {
            quotas.insert(route.clone(), quota);
        }
    }
    quotas
}

fn api_keys(
    raw: &config::Partner,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<ApiKey> {
    bounded("api_key", raw.api_key.len(), API_KEYS_MAX, report);
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for (i, key) in raw.api_key.iter().enumerate() {
        let report = &mut report.within(format!("api_key[{i}]"));
        if !around.policies.contains(&key.policy.as_str()) {
            let what = format!("there is no policy `{}`", key.policy);
            report.error(
                "policy",
                what,
                spelling::remedy(&key.policy, around.policies),
            );
        }
        let (from, until) = (key.valid_from.as_deref(), key.valid_until.as_deref());
        let registration = Registration::build(key.state, from, until, report, around.now);
        if let Some(hash) = hash(&key.hash, "hash", &mut seen, report) {
            let policy = key.policy.clone();
            keys.push(ApiKey {
                hash,
                policy,
                registration,
            });
        }
    }
    keys
}

fn oidc_clients(raw: &config::Partner, report: &mut Report<'_>) -> Vec<OidcClient> {
    bounded(
        "oidc_client",
        raw.oidc_client.len(),
        OIDC_CLIENTS_MAX,
        report,
    );
    let mut clients: Vec<OidcClient> = Vec::new();
    for (i, one) in raw.oidc_client.iter().enumerate() {
        let report = &mut report.within(format!("oidc_client[{i}]"));
        if clients.iter().any(|known| known.id() == one.id) {
            let what = format!("`{}` stands twice", one.id);
            report.error("id", what, "Remove one.");
        }
        clients.extend(OidcClient::build(one, report));
    }
    clients
}

fn licence_keys(
    raw: &config::Partner,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<LicenceKey> {
    bounded(
        "licence_key",
        raw.licence_key.len(),
        LICENCE_KEYS_MAX,
        report,
    );
    if raw.kind != PartnerKind::Misp && !raw.licence_key.is_empty() {
        report.error(
            "licence_key",
            "only a MISP holds licence keys",
            "Set kind = \"misp\", or move the licence keys to the MISP's file.",
        );
    }
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for (i, key) in raw.licence_key.iter().enumerate() {
        let report = &mut report.within(format!("licence_key[{i}]"));
        let (from, until) = (key.valid_from.as_deref(), key.valid_until.as_deref());
        if let Some(policy) = &key.policy
            && !around.policies.contains(&policy.as_str())
        {
            let what = format!("there is no policy `{policy}`");
            report.error("policy", what, spelling::remedy(policy, around.policies));
        }
        let registration = Registration::build(key.state, from, until, report, around.now);
        if let Some(hash) = hash(&key.hash, "hash", &mut seen, report) {
            let policy = key.policy.clone();
            keys.push(LicenceKey {
                hash,
                policy,
                registration,
            });
        }
    }
    keys
}

fn access(raw: &config::Partner, report: &mut Report<'_>) -> Access {
    let Some(access) = &raw.access else {
        if raw.kind == PartnerKind::Service {
            report.error(
                "",
                "nothing says how this service is known",
                "Add [access] with networks, token_hashes or certificate = true.",
            );
        }
        return Access::default();
    };
    if raw.kind != PartnerKind::Service {
        report.error(
            "access",
            "only a service is known this way; a partner is known by its TLS certificate",
            "Remove [access], or set kind = \"service\".",
        );
        return Access::default();
    }
    let report = &mut report.within("access");
    bounded("networks", access.networks.len(), ACCESS_MAX, report);
    bounded(
        "token_hashes",
        access.token_hashes.len(),
        ACCESS_MAX,
        report,
    );
    if access.networks.is_empty() && access.token_hashes.is_empty() && !access.certificate {
        report.error(
            "",
            "admits nobody",
            "Add networks, token_hashes or certificate = true.",
        );
    }
    if access.certificate && !raw.certificate.iter().any(|c| c.role == Role::Tls) {
        report.error(
            "certificate",
            "the service has no certificate of role tls",
            "Add a [[certificate]] with role = \"tls\", or remove this line.",
        );
    }
    let mut seen = HashSet::new();
    let tokens = (access.token_hashes.iter().enumerate())
        .filter_map(|(i, text)| hash(text, &format!("token_hashes[{i}]"), &mut seen, report))
        .collect();
    Access {
        networks: networks(&access.networks, report),
        tokens,
        certificate: access.certificate,
    }
}

fn networks(raw: &[String], report: &mut Report<'_>) -> Vec<Network> {
    let mut networks = Vec::new();
    for (i, text) in raw.iter().enumerate() {
        let at = format!("networks[{i}]");
        match text.parse::<Network>() {
            Ok(network) => {
                if network.is_everybody() {
                    report.warning(
                        &at,
                        format!("`{text}` admits every address, so that this service is anybody who reaches the face"),
                        "Name the service's own network.",
                    );
                }
                networks.push(network);
            }
            Err(e) => report.error(
                &at,
                e.to_string(),
                "Write a network such as \"10.1.0.0/16\" or \"fd00::/8\".",
            ),
        }
    }
    networks
}

/// A stored hash; the text is not repeated in the mistake, as it may be a secret put there in the clear.
fn hash(
    text: &str,
    field: &str,
    seen: &mut HashSet<HashedSecret>,
    report: &mut Report<'_>,
) -> Option<HashedSecret> {
    match HashedSecret::parse(text) {
        Ok(hash) if seen.insert(hash) => Some(hash),
        Ok(_) => {
            report.error(
                field,
                "the same secret stands here twice",
                "Remove one of the two.",
            );
            None
        }
        Err(e) => {
            report.error(
                field,
                e.to_string(),
                "Make it with `triseal partners hash`.",
            );
            None
        }
    }
}

/// What is allowed and still hardly meant: a partner or service that can do nothing.
fn idle(raw: &config::Partner, report: &mut Report<'_>) {
    // A MISP's file may be there for its licence keys alone; what is switched off need not be whole.
    if raw.kind == PartnerKind::Misp || raw.state != State::Active {
        return;
    }
    if raw.kind == PartnerKind::Auth && !raw.certificate.iter().any(|c| c.role == Role::Tls) {
        report.warning(
            "",
            "the partner has no certificate of role tls, so it cannot connect",
            "Add a [[certificate]] with role = \"tls\".",
        );
    }
    if raw.routes.is_empty() {
        report.warning(
            "",
            "no route is listed, so nothing may be called",
            "Add `routes`.",
        );
    }
}

/// Hashes cannot be compared without the pepper. One mistake for each file, at its first hash.
fn pepper(raw: &config::Partner, there: bool, report: &mut Report<'_>) {
    let tokens = raw
        .access
        .as_ref()
        .is_some_and(|a| !a.token_hashes.is_empty());
    let at = match (raw.api_key.is_empty(), raw.licence_key.is_empty(), tokens) {
        (false, _, _) => "api_key[0].hash",
        (true, false, _) => "licence_key[0].hash",
        (true, true, true) => "access.token_hashes",
        (true, true, false) => return,
    };
    if !there {
        report.error(
            at,
            "hashed secrets cannot be compared, because there is no usable pepper",
            "Point gateway.pepper to the secret with which `triseal partners hash` made the hashes.",
        );
    }
}

fn bounded(field: &str, count: usize, max: usize, report: &mut Report<'_>) {
    if count > max {
        report.error(
            field,
            format!("{count} entries are more than the {max} that are allowed"),
            "Remove those that are no longer used.",
        );
    }
}

#[cfg(test)]
mod tests;
