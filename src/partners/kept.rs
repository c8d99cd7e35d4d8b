//! Certificates that partners replaced themselves, as they are kept beside the partner files: what the files say, and then these.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    config::{self, Algorithm, Report, Role},
    trust::{Anchors, Certificate, Fingerprint, PartyCertificates, Replacement},
};

/// All that is kept, by partner, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(pub(super) BTreeMap<String, Vec<KeptReplacement>>);

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptReplacement {
    /// The partner's id.
    pub partner: String,
    /// What it is for.
    pub role: Role,
    algorithm: Option<Algorithm>,
    /// The chain, each in base64 of its DER.
    chain: Vec<String>,
    valid_from_ms: i64,
    /// What it replaces, each in base64 of its fingerprint.
    replaces: Vec<String>,
    overlap_until_ms: i64,
    /// When it was taken.
    pub at_ms: i64,
    /// The operator took it back: it is remembered, and not bound.
    #[serde(default)]
    pub withdrawn: bool,
}

impl Kept {
    /// The same with one more.
    #[must_use]
    pub fn with(mut self, one: KeptReplacement) -> Self {
        let all = self.0.entry(one.partner.clone()).or_default();
        all.push(one);
        // One order, whatever order they came in: gateways compare what they have.
        all.sort_by(|a, b| (a.at_ms, &a.chain).cmp(&(b.at_ms, &b.chain)));
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &KeptReplacement> {
        self.0.values().flatten()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Binds what a partner replaced. What cannot be bound any more is a warning: the file has the last word.
    pub(super) fn apply(
        &self,
        raw: &config::Partner,
        certificates: &mut PartyCertificates,
        anchors: &Anchors,
        report: &mut Report<'_>,
    ) {
        for one in self.0.get(&raw.id).into_iter().flatten() {
            let bound = one.read().ok_or_else(|| "it cannot be read".to_owned());
            let bound = bound.and_then(|replacement| {
                let names = match replacement.role {
                    Role::Tls => &raw.anchors.tls,
                    Role::Encryption => &raw.anchors.encryption,
                    Role::Signature => &raw.anchors.signature,
                };
                let done = certificates.replace(replacement, names, anchors);
                done.map_err(|why| why.to_string())
            });
            if let Err(why) = bound {
                report.warning(
                    "certificate",
                    format!(
                        "a {} certificate that the partner replaced itself is not bound: {why}",
                        one.role.as_str()
                    ),
                    "Withdraw it (`triseal partners replacements`), or correct the file.",
                );
            }
        }
    }
}

impl KeptReplacement {
    /// What a replacement is kept as.
    pub fn new(partner: &str, replacement: &Replacement, at: Moment) -> Self {
        let chain = replacement.certificates.iter();
        Self {
            partner: partner.to_owned(),
            role: replacement.role,
            algorithm: replacement.algorithm,
            chain: chain.map(|c| STANDARD.encode(c.der())).collect(),
            valid_from_ms: replacement.valid_from.ms(),
            replaces: (replacement.replaces.iter())
                .map(|f| STANDARD.encode(f.as_bytes()))
                .collect(),
            overlap_until_ms: replacement.overlap_until.ms(),
            at_ms: at.ms(),
            withdrawn: false,
        }
    }

    /// The replacement; `None` when it is not of the form.
    pub fn read(&self) -> Option<Replacement> {
        let der = |text: &String| STANDARD.decode(text).ok();
        let certificates: Option<Vec<_>> = (self.chain.iter())
            .map(|text| Certificate::from_der(der(text)?).ok())
            .collect();
        let replaces: Option<Vec<_>> = (self.replaces.iter())
            .map(|text| Some(Fingerprint::from_bytes(der(text)?.try_into().ok()?)))
            .collect();
        Some(Replacement {
            certificates: certificates?,
            role: self.role,
            algorithm: self.algorithm,
            valid_from: Moment::from_ms(self.valid_from_ms),
            replaces: replaces?,
            overlap_until: Moment::from_ms(self.overlap_until_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(at_ms: i64) -> KeptReplacement {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::default().self_signed(&key);
        let replacement = Replacement {
            certificates: vec![Certificate::from_der(made.unwrap().der().to_vec()).unwrap()],
            role: Role::Signature,
            algorithm: Some(Algorithm::ES256),
            valid_from: Moment::from_ms(5),
            replaces: vec![Fingerprint::from_bytes([7; 32])],
            overlap_until: Moment::from_ms(9),
        };
        KeptReplacement::new("crvs", &replacement, Moment::from_ms(at_ms))
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let kept = one(1);
        let text = serde_json::to_vec(&kept).unwrap();
        let again: KeptReplacement = serde_json::from_slice(&text).unwrap();
        assert_eq!(again, kept);
        let read = again.read().unwrap();
        assert_eq!(
            KeptReplacement::new("crvs", &read, Moment::from_ms(1)),
            kept
        );
    }

    #[test]
    fn what_is_not_of_the_form_is_nothing() {
        let spoil: [fn(&mut KeptReplacement); 2] = [
            |one| one.chain = vec!["AAAA".to_owned()],
            |one| one.replaces = vec!["AAAA".to_owned()],
        ];
        for spoil in spoil {
            let mut kept = one(1);
            spoil(&mut kept);
            assert!(kept.read().is_none(), "{kept:?}");
        }
        let text = serde_json::to_string(&one(1)).unwrap();
        for (from, to) in [
            (r#""signature""#, r#""Signature""#),
            (r#""ES256""#, r#""HS256""#),
            (r#""at_ms""#, r#""at""#),
        ] {
            assert!(text.contains(from), "{text}");
            let spoilt = text.replace(from, to);
            assert!(serde_json::from_str::<KeptReplacement>(&spoilt).is_err());
        }
    }

    #[test]
    fn the_oldest_is_applied_first_whatever_order_they_are_read_in() {
        let (first, second) = (one(1), one(2));
        let kept = Kept::default().with(second).with(first);
        let times: Vec<i64> = kept.iter().map(|one| one.at_ms).collect();
        assert_eq!(times, [1, 2]);
    }
}
