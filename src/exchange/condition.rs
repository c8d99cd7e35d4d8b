//! The condition of a snapshot: what is wrong, what will be, and the gauges that show it.

use serde_json::{Value, json};

use super::Snapshot;
use crate::{
    clock::Moment,
    observe::Metrics,
    trust::{Anchor, PartyCertificates},
};

/// Days before the end of a certificate of ours at which health begins to speak of it.
const SOON_S: i64 = 14 * 86_400;

impl Snapshot {
    /// What keeps the gateway from serving at all.
    pub(super) fn blockers(&self, now: Moment) -> Vec<String> {
        let mut why = Vec::new();
        let tls_face = self
            .config()
            .face
            .iter()
            .any(|f| self.face(&f.name).is_some_and(|s| s.tls().is_some()));
        if tls_face && self.own().tls_key(now).is_none() {
            why.push("no usable TLS certificate of ours".to_owned());
        }
        let signs = self.routes().iter().any(|r| r.operation().is_some());
        if signs && self.own().signer(now).is_none() {
            why.push("no usable signature certificate of ours".to_owned());
        }
        for upstream in self.upstreams() {
            let down = upstream.unhealthy();
            let all = !down.is_empty() && down.len() == upstream.address_count();
            if all && !self.for_subscriptions_alone(upstream.name()) {
                why.push(format!(
                    "upstream {}: no address takes connections",
                    upstream.name()
                ));
            }
        }
        why
    }

    /// Whether nothing but subscriptions is asked for at an upstream. What is to be said there waits in the store meanwhile, and
    /// whoever comes is served as ever: a balancer must not send them elsewhere because a hub is away.
    fn for_subscriptions_alone(&self, name: &str) -> bool {
        let config = self.config();
        let subscribes =
            (self.subscriptions()).is_some_and(|all| all.iter().any(|one| one.upstream() == name));
        let routed = self.routes().iter().any(|r| r.upstream() == Some(name));
        let logs_in = config.login.iter().any(|login| login.upstream == name);
        let published = (config.esignet.as_ref()).is_some_and(|esignet| esignet.upstream == name);
        let verifies = (config.opencrvs.as_ref()).is_some_and(|crvs| crvs.upstream == name);
        subscribes && !(routed || logs_in || published || verifies)
    }

    /// What is wrong or soon will be, with the seconds left where that is known.
    pub(super) fn findings(&self, now: Moment) -> Vec<Value> {
        let mut findings: Vec<Value> = self
            .blockers(now)
            .into_iter()
            .map(|what| json!({"what": what, "secondsLeft": 0}))
            .collect();
        for binding in self.own().certificates().bindings() {
            let role = binding.role().as_str();
            let left = binding.valid_until().s().saturating_sub(now.s());
            if let Err(why) = self.judge(binding, now) {
                findings.push(json!({"what": format!("our {role} certificate {}: {why}", binding.fingerprint()), "secondsLeft": 0}));
            } else if left < SOON_S {
                findings.push(json!({"what": format!("our {role} certificate {} ends soon", binding.fingerprint()), "secondsLeft": left}));
            }
        }
        for anchor in self.anchors().iter() {
            for list in anchor.lists() {
                if list.next_update.s() < now.s() {
                    let what = format!(
                        "revocation list of {} under anchor {} is out of date",
                        list.issuer,
                        anchor.name()
                    );
                    findings.push(json!({"what": what, "secondsLeft": list.left_s(now).max(0)}));
                }
            }
        }
        for upstream in self.upstreams() {
            for (address, ms) in upstream.unhealthy() {
                let what = format!(
                    "upstream {}: {address} does not take connections",
                    upstream.name()
                );
                findings.push(json!({"what": what, "triedAgainInMs": ms}));
            }
        }
        if let Some((what, left)) = self.esignet().and_then(|e| e.trouble(now)) {
            findings.push(json!({"what": what, "secondsLeft": left}));
        }
        for login in self.logins() {
            if let Some((what, ms)) = login.trouble(now) {
                let what = format!("login {}: {what}", login.name());
                findings.push(json!({"what": what, "triedAgainInMs": ms}));
            }
        }
        findings
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh_metrics(&self, metrics: &Metrics, now: Moment) {
        metrics.certificate_expiry.reset();
        metrics.revocation_seconds_left.reset();
        metrics.login_token_seconds_left.reset();
        for party in std::iter::once(self.own().certificates())
            .chain(self.peers())
            .chain(self.directory().iter().map(|p| p.certificates()))
        {
            expiry(metrics, party);
        }
        if let Some(left) = self.esignet().and_then(|e| e.keys_left_s(now)) {
            metrics.esignet_keys_seconds_left.set(left);
        }
        for login in self.logins() {
            #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
            metrics
                .login_token_seconds_left
                .with_label_values(&[login.name()])
                .set(login.seconds_left(now) as f64);
        }
        for anchor in self.anchors().iter() {
            if let Some(left) = least_left(anchor, now) {
                #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
                metrics
                    .revocation_seconds_left
                    .with_label_values(&[anchor.name()])
                    .set(left as f64);
            }
        }
    }
}

fn expiry(metrics: &Metrics, party: &PartyCertificates) {
    for binding in party.bindings() {
        let fingerprint = binding.fingerprint().to_string();
        let short = fingerprint.get(..16).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        metrics
            .certificate_expiry
            .with_label_values(&[party.id(), binding.role().as_str(), short])
            .set(binding.valid_until().s() as f64);
    }
}

fn least_left(anchor: &Anchor, now: Moment) -> Option<i64> {
    anchor.lists().map(|l| l.left_s(now)).min()
}
