//! The policies of a snapshot: MOSIP's documents with their states.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::AuthPolicy;
use crate::{
    clock::Moment,
    config::{self, Report},
    partners::{Registered, Registration},
    refusal::{Code, Refusal},
};

/// The largest policy document, in bytes.
const DOCUMENT_MAX_BYTES: u64 = 1 << 20;

/// All policies, by id.
#[derive(Debug, Default)]
pub struct Policies(BTreeMap<String, RegisteredPolicy>);

/// A policy with its state.
#[derive(Debug)]
struct RegisteredPolicy {
    policy: Arc<AuthPolicy>,
    registration: Registration,
}

impl Policies {
    /// Reads all documents. The report stands at the whole configuration.
    pub fn build(raw: &[config::Policy], report: &mut Report<'_>, now: Moment) -> Self {
        let mut all = BTreeMap::new();
        for (i, one) in raw.iter().enumerate() {
            let report = &mut report.within(format!("policy[{i}]"));
            if one.id.is_empty() {
                report.error("id", "is empty", "Use the id that MOSIP gave the policy.");
            }
            if raw.iter().take(i).any(|other| other.id == one.id) {
                report.error(
                    "id",
                    format!("there is another policy `{}`", one.id),
                    "Give each policy an id of its own.",
                );
            }
            let (from, until) = (one.valid_from.as_deref(), one.valid_until.as_deref());
            let registration = Registration::build(one.state, from, until, report, now);
            let path = report.resolve(&one.document);
            let Some(policy) = document(&path, report)
                .and_then(|text| AuthPolicy::parse(&text, "document", report))
            else {
                continue;
            };
            let policy = Arc::new(policy);
            all.insert(
                one.id.clone(),
                RegisteredPolicy {
                    policy,
                    registration,
                },
            );
        }
        Self(all)
    }

    /// The policy an API key points to, when it holds now.
    ///
    /// # Errors
    /// `POL-001` unknown or deleted, `POL-002` inactive, not commenced or expired.
    pub fn active(&self, id: &str, now: Moment) -> Result<&Arc<AuthPolicy>, Refusal> {
        let Some(found) = self.0.get(id) else {
            return Err(Refusal::new(
                Code::PolicyUnknown,
                format!("there is no policy {id}"),
            ));
        };
        let registered = found.registration.at(now);
        let code = match registered {
            Registered::Active => return Ok(&found.policy),
            Registered::Deleted => Code::PolicyUnknown,
            Registered::Inactive | Registered::NotCommenced | Registered::Expired => {
                Code::PolicyInactive
            }
        };
        Err(Refusal::new(
            code,
            format!("the policy {id} is {}", registered.as_str()),
        ))
    }

    /// The ids, for partner files to be checked against.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn document(path: &Path, report: &mut Report<'_>) -> Option<String> {
    let text = fs::metadata(path).and_then(|meta| {
        if meta.len() > DOCUMENT_MAX_BYTES {
            let what = format!(
                "it has {} bytes, more than {DOCUMENT_MAX_BYTES}",
                meta.len()
            );
            return Err(std::io::Error::other(what));
        }
        fs::read_to_string(path)
    });
    match text {
        Ok(text) => Some(text),
        Err(e) => {
            let what = format!("{} cannot be read: {e}", path.display());
            report.error(
                "document",
                what,
                "Check the path, which is relative to this file, and the permissions.",
            );
            None
        }
    }
}
