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
pub struct Policies {
    /// As they are written, those with mistakes too.
    ids: Vec<String>,
    all: BTreeMap<String, RegisteredPolicy>,
}

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
            let policy = Arc::new(policy.named(&one.id));
            all.insert(
                one.id.clone(),
                RegisteredPolicy {
                    policy,
                    registration,
                },
            );
        }
        let ids = raw.iter().map(|policy| policy.id.clone()).collect();
        Self { ids, all }
    }

    /// The policy an API key points to, when it holds now.
    ///
    /// # Errors
    /// `POL-001` unknown or deleted, `POL-002` inactive, not commenced or expired.
    pub fn active(&self, id: &str, now: Moment) -> Result<&Arc<AuthPolicy>, Refusal> {
        let Some(found) = self.all.get(id) else {
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

    /// The ids, for partner files to be checked against; those of documents with mistakes too, so that one mistake is not
    /// reported again and again.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Mistakes, State};
    use std::path::PathBuf;

    const NOW: Moment = Moment::from_s(1_700_000_000);

    fn raw(id: &str, document: &str) -> config::Policy {
        config::Policy {
            id: id.to_owned(),
            document: PathBuf::from(document),
            state: State::Active,
            valid_from: None,
            valid_until: None,
        }
    }

    fn build(raw: &[config::Policy]) -> (Policies, Mistakes) {
        let mut mistakes = Mistakes::default();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/triseal.toml");
        let document = Document::from_text(&file, String::new());
        let policies = Policies::build(raw, &mut Report::new(&document, &mut mistakes), NOW);
        (policies, mistakes)
    }

    fn code(policies: &Policies, id: &str, now: Moment) -> Option<Code> {
        policies.active(id, now).err().map(|refusal| refusal.code())
    }

    #[test]
    fn documents_are_read_relative_to_the_configuration() {
        let (policies, mistakes) = build(&[raw("1", "auth.json"), raw("2", "ekyc.json")]);
        assert!(mistakes.0.is_empty(), "{mistakes}");
        assert!(policies.ids().eq(["1", "2"]));
        assert_eq!(code(&policies, "1", NOW), None);
    }

    #[test]
    fn an_unknown_policy_and_a_deleted_one_get_one_answer() {
        let mut gone = raw("1", "auth.json");
        gone.state = State::Deleted;
        let (policies, _) = build(&[gone]);
        assert_eq!(code(&policies, "1", NOW), Some(Code::PolicyUnknown));
        assert_eq!(code(&policies, "11", NOW), Some(Code::PolicyUnknown));
    }

    #[test]
    fn inactive_not_commenced_and_expired_policies_get_one_answer() {
        let mut off = raw("off", "auth.json");
        off.state = State::Inactive;
        let mut dated = raw("dated", "auth.json");
        dated.valid_from = Some("2024-01-01T00:00:00Z".to_owned());
        dated.valid_until = Some("2024-01-02T00:00:00Z".to_owned());
        let (policies, mistakes) = build(&[off, dated]);
        assert!(!mistakes.refuse(), "{mistakes}");
        assert_eq!(code(&policies, "off", NOW), Some(Code::PolicyInactive));
        let (first, last) = (Moment::from_s(1_704_067_200), Moment::from_s(1_704_153_600));
        for (moment, answer) in [
            (first.plus_ms(-1), Some(Code::PolicyInactive)),
            (first, None),
            (last, None),
            (last.plus_ms(1), Some(Code::PolicyInactive)),
        ] {
            assert_eq!(code(&policies, "dated", moment), answer, "{moment:?}");
        }
    }

    #[test]
    fn a_missing_document_and_an_id_that_stands_twice_are_errors() {
        let (_, mistakes) = build(&[
            raw("1", "auth.json"),
            raw("1", "auth.json"),
            raw("2", "none.json"),
            raw("", "auth.json"),
        ]);
        assert_eq!(mistakes.errors(), 3, "{mistakes}");
    }
}
