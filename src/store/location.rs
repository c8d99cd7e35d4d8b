//! Where the store is and what opens it: `[store]`, read and checked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    StoreError,
    postgres::{Address, Server},
    vault::{self, Vault},
};
use crate::{
    config::{self, OwnCertificate, Report, Role},
    keys::{self, Secret, read_secret},
};

/// Seconds of a lease.
const LEASE: std::ops::RangeInclusive<u32> = 2..=3_600;
/// Connections of one gateway.
const CONNECTIONS: std::ops::RangeInclusive<u32> = 1..=32;
/// Milliseconds of a time limit.
const LIMIT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// Where the store is, with the keys of its contents, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    kind: Kind,
    keys: Arc<Vec<Secret>>,
    lease: Duration,
}

/// Which engine.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Sqlite(PathBuf),
    Postgres(Arc<Server>),
}

impl Location {
    /// A file of SQLite.
    pub fn sqlite(path: PathBuf, keys: Vec<Secret>) -> Self {
        Self {
            kind: Kind::Sqlite(path),
            keys: Arc::new(keys),
            lease: Duration::from_secs(30),
        }
    }

    /// What encrypts under the store's keys, for what is kept elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Key`] when a key is none.
    pub fn vault(&self) -> Result<Vault, StoreError> {
        Vault::new(&self.keys)
    }

    /// Reads `[store]`; `report` stands at it, and `base` is the folder that SQLite's path starts from.
    pub fn read(raw: &config::Store, base: &Path, report: &mut Report<'_>) -> Option<Self> {
        let keys = contents_keys(&raw.key, report);
        if !LEASE.contains(&raw.lease_seconds) {
            report.error(
                "lease_seconds",
                "a lease lasts from 2 to 3600 seconds",
                "30 is usual: as long a step of a killed gateway waits for another one.",
            );
        }
        let kind = match (raw.url.strip_prefix("sqlite:"), Address::rest(&raw.url)) {
            (Some(path), _) if !path.is_empty() => {
                only_postgres(raw, report);
                Some(Kind::Sqlite(base.join(path)))
            }
            (_, Some(rest)) => server(raw, rest, report).map(|s| Kind::Postgres(Arc::new(s))),
            _ => {
                // What stands there is not repeated: a password may be in it.
                report.error(
                    "url",
                    "this names no store",
                    "Use sqlite:PATH, or postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full.",
                );
                None
            }
        };
        Some(Self {
            kind: kind?,
            keys: Arc::new(keys?),
            lease: Duration::from_secs(raw.lease_seconds.into()),
        })
    }

    pub(super) const fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(super) fn keys(&self) -> &[Secret] {
        &self.keys
    }

    pub(super) const fn lease(&self) -> Duration {
        self.lease
    }
}

fn contents_keys(raw: &[config::SecretRef], here: &mut Report<'_>) -> Option<Vec<Secret>> {
    if raw.is_empty() {
        here.error(
            "key",
            "contents cannot be encrypted without a key",
            "Add one: key = [{ file = \"…\" }].",
        );
        return None;
    }
    let mut keys = Vec::new();
    for (i, raw) in raw.iter().enumerate() {
        let mut at = here.within(format!("key[{i}]"));
        let Some(text) = read_secret(raw, &mut at) else {
            continue;
        };
        match vault::parse_key(&text) {
            Some(key) if keys.contains(&key) => {
                at.error("", "the same key stands twice", "Remove one.");
            }
            Some(key) => keys.push(key),
            None => at.error(
                "",
                "this is no key: 32 bytes in base64 are wanted",
                "Make one with `triseal store key`.",
            ),
        }
    }
    (keys.len() == raw.len()).then_some(keys)
}

/// What SQLite has no use for.
fn only_postgres(raw: &config::Store, report: &mut Report<'_>) {
    let given = [
        ("password", raw.password.is_some()),
        ("anchors", !raw.anchors.is_empty()),
        ("certificate", raw.certificate.is_some()),
        ("certificate_key", raw.certificate_key.is_some()),
        ("insecure_plaintext", raw.insecure_plaintext),
    ];
    for (field, _) in given.iter().filter(|(_, given)| *given) {
        report.error(
            field,
            "this is for PostgreSQL, and the store is SQLite",
            "Remove it, or name a PostgreSQL in `url`.",
        );
    }
}

fn server(raw: &config::Store, rest: &str, report: &mut Report<'_>) -> Option<Server> {
    let address = match Address::read(rest) {
        Ok(address) => address,
        Err(wrong) => {
            report.error("url", wrong.0, wrong.1);
            return None;
        }
    };
    let before = report.errors();
    if !address.tls() && !address.stays_here() && !raw.insecure_plaintext {
        report.error(
            "url",
            "sslmode=disable beyond this machine: everything would be sent in the clear",
            "Use sslmode=verify-full and name the server's anchors; or, knowing what it means, set insecure_plaintext = true.",
        );
    }
    if raw.insecure_plaintext && (address.tls() || address.stays_here()) {
        report.error(
            "insecure_plaintext",
            "nothing is sent in the clear beyond this machine, so there is nothing to allow",
            "Remove it.",
        );
    }
    for (field, value) in [
        ("connect_timeout_ms", raw.connect_timeout_ms),
        ("statement_timeout_ms", raw.statement_timeout_ms),
    ] {
        if !LIMIT_MS.contains(&value) {
            report.error(field, "a time limit is from 100 to 60000", "Choose one.");
        }
    }
    if !CONNECTIONS.contains(&raw.connections) {
        report.error(
            "connections",
            "a gateway has from 1 to 32 connections",
            "4 are usual: what waits for one of them is committed as a group.",
        );
    }
    let password = (raw.password.as_ref())
        .and_then(|password| read_secret(password, &mut report.within("password")));
    let anchors = anchors(raw, &address, report);
    let identity = identity(raw, &address, report);
    (report.errors() == before).then_some(Server {
        address,
        password,
        anchors,
        identity,
        connections: raw.connections,
        connect_timeout: Duration::from_millis(raw.connect_timeout_ms),
        statement_timeout: Duration::from_millis(raw.statement_timeout_ms),
    })
}

fn anchors(raw: &config::Store, address: &Address, report: &mut Report<'_>) -> Vec<Vec<u8>> {
    match (address.tls(), raw.anchors.is_empty()) {
        (true, true) => report.error(
            "anchors",
            "the server's certificate cannot be verified without an anchor",
            "Name the PEM file of the authority that issued it: anchors = [\"db-ca.pem\"].",
        ),
        (false, false) => report.error(
            "anchors",
            "without TLS nothing is verified by them",
            "Use sslmode=verify-full, or remove them.",
        ),
        _ => {}
    }
    let mut anchors = Vec::new();
    for (i, file) in raw.anchors.iter().enumerate() {
        let mut at = report.within(format!("anchors[{i}]"));
        let path = at.resolve(file);
        match keys::certificates_in(&path) {
            Ok(certificates) => anchors.extend(certificates),
            Err(why) => at.error("", why, "Name a PEM file with certificates."),
        }
    }
    anchors
}

fn identity(
    raw: &config::Store,
    address: &Address,
    report: &mut Report<'_>,
) -> Option<super::postgres::Identity> {
    match (&raw.certificate, &raw.certificate_key) {
        (None, None) => return None,
        (Some(_), Some(_)) if address.tls() => {}
        (Some(_), Some(_)) => {
            report.error(
                "certificate",
                "without TLS there is nobody to show it to",
                "Use sslmode=verify-full, or remove it.",
            );
            return None;
        }
        _ => {
            report.error(
                "certificate",
                "a client certificate comes with its private key",
                "Give both `certificate` and `certificate_key`, or none.",
            );
            return None;
        }
    }
    let own = OwnCertificate {
        role: Role::Tls,
        certificate: raw.certificate.clone(),
        key: raw.certificate_key.clone(),
        keystore: None,
        password: None,
        alias: None,
        anchors: Vec::new(),
        algorithm: None,
    };
    let entry = keys::load(&own, report)?;
    Some(super::postgres::Identity {
        chain: entry.chain,
        key: entry.private_pkcs8,
    })
}
