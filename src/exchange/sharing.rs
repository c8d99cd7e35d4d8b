//! The shared state's settings, from the configuration: what [`Settings`] says itself, and its TLS, password and keys.

use std::sync::Arc;

use super::Own;
use crate::{
    clock::Moment,
    config::{self, Config, Report},
    keys,
    shared::{Address, Place, Settings},
    store, tls,
    trust::{self, Anchors},
};

/// Reads and checks the section; without one, everything is in this process.
pub(super) fn build(
    config: &Config,
    anchors: &Arc<Anchors>,
    own: &Own,
    report: &mut Report<'_>,
    now: Moment,
) -> Settings {
    let Some(raw) = &config.shared else {
        return Settings::memory();
    };
    let mut here = report.within("shared");
    let forward = config.limits.freshness_forward_ms;
    let Some(mut settings) = Settings::build(raw, own.id(), forward, &mut here) else {
        return Settings::memory();
    };
    settings.password = (raw.password.as_ref())
        .and_then(|raw| keys::read_secret(raw, &mut here.within("password")))
        .map(Arc::new);
    for (i, raw) in raw.key.iter().enumerate() {
        let mut at = here.within(format!("key[{i}]"));
        let Some(text) = keys::read_secret(raw, &mut at) else {
            continue;
        };
        match store::parse_key(&text) {
            Some(key) => settings.keys.push(Arc::new(key)),
            None => at.error(
                "",
                "this is no key: 32 bytes in base64 are wanted",
                "Make one with `triseal store key`.",
            ),
        }
    }
    if let Place::Server(address) = &settings.place {
        if matches!(address, Address::Tcp { tls: true, .. }) {
            settings.tls = client(raw, anchors, own, &mut here, now);
        }
        if settings.keys.is_empty() && !config.login.is_empty() {
            here.warning(
                "key",
                "without a key each gateway fetches its own tokens from authmanager",
                "Make one with `triseal store key` and give the same to every gateway.",
            );
        }
    }
    settings
}

fn client(
    raw: &config::Shared,
    anchors: &Arc<Anchors>,
    own: &Own,
    report: &mut Report<'_>,
    now: Moment,
) -> Option<Arc<rustls::ClientConfig>> {
    if raw.anchors.is_empty() || !super::snapshot::known_anchors(&raw.anchors, anchors, report) {
        return None;
    }
    let key = if raw.client_certificate {
        let key = own.tls_key(now);
        if key.is_none() {
            let remedy = "Add one to [party], or set client_certificate = false.";
            let what = "we have no usable TLS certificate to show";
            report.error("client_certificate", what, remedy);
        }
        key
    } else {
        None
    };
    let verifier = trust::server_verifier(&raw.anchors, anchors, &tls::provider());
    match verifier.and_then(|v| tls::client(v, key)) {
        Ok(config) => Some(Arc::new(config)),
        Err(e) => {
            let what = format!("TLS cannot be set up: {e}");
            report.error("anchors", what, "Check the anchors' files.");
            None
        }
    }
}
