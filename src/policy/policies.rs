//! The policies of a snapshot: MOSIP's documents with their states.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::{AuthPolicy, DataSharePolicy, MispPolicy};
use crate::{
    clock::Moment,
    config::{self, Document, Mistakes, PolicyKind, Report},
    partners::{Changes, Directory, Fact, LeftOut, Registered, Registration},
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
    left_out: Vec<LeftOut>,
}

/// A document of one of MOSIP's kinds.
#[derive(Debug)]
enum Kind {
    Auth(Arc<AuthPolicy>),
    Misp(MispPolicy),
    DataShare(DataSharePolicy),
}

/// A policy with its state.
#[derive(Debug)]
struct RegisteredPolicy {
    kind: Kind,
    registration: Registration,
}

impl Kind {
    /// What both this policy and another document of its kind allow.
    fn narrowed_by(&self, document: &str) -> Result<Self, String> {
        let place = Document::from_text(Path::new("registry"), String::new());
        let mut found = Mistakes::default();
        let narrowed = {
            let report = &mut Report::new(&place, &mut found);
            match self {
                Self::Auth(ours) => AuthPolicy::parse(document, "document", report)
                    .map(|theirs| Self::Auth(Arc::new(ours.narrowed_by(&theirs)))),
                Self::Misp(ours) => MispPolicy::parse(document, "document", report)
                    .map(|theirs| Self::Misp(ours.narrowed_by(&theirs))),
                Self::DataShare(_) => {
                    report.error(
                        "document",
                        "a data share policy changes by its file alone",
                        "",
                    );
                    None
                }
            }
        };
        narrowed.ok_or_else(|| {
            let why = found.0.first().map_or("", |mistake| mistake.what.as_str());
            why.to_owned()
        })
    }
}

/// Changes of policies that there are not.
fn unknown(raw: &[config::Policy], changes: &Changes) -> Vec<LeftOut> {
    (changes.iter())
        .filter_map(|(key, change)| match &change.fact {
            Fact::Policy { policy, .. } if raw.iter().all(|one| one.id != *policy) => {
                Some(LeftOut {
                    key: key.to_owned(),
                    why: format!("there is no policy `{policy}`"),
                })
            }
            _ => None,
        })
        .collect()
}

impl Policies {
    /// Reads all documents. The report stands at the whole configuration.
    pub fn build(raw: &[config::Policy], report: &mut Report<'_>, now: Moment) -> Self {
        Self::build_changed(raw, &Changes::default(), report, now)
    }

    /// The same, with changes put onto them. A change narrows; one that is none of this policy's kind is left out.
    pub fn build_changed(
        raw: &[config::Policy],
        changes: &Changes,
        report: &mut Report<'_>,
        now: Moment,
    ) -> Self {
        let mut left_out = unknown(raw, changes);
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
            let key = format!("policy/{}", one.id);
            let change = changes.get(&key).map(|change| &change.fact);
            let (mut state, mut from, mut until) =
                (one.state, one.valid_from.clone(), one.valid_until.clone());
            if let Some(Fact::Policy { term, .. }) = change {
                term.narrow(&mut state, &mut from, &mut until);
            }
            let registration =
                Registration::build(state, from.as_deref(), until.as_deref(), report, now);
            let path = report.resolve(&one.document);
            let Some(text) = document(&path, report) else {
                continue;
            };
            let kind = match one.kind {
                PolicyKind::Auth => AuthPolicy::parse(&text, "document", report)
                    .map(|policy| Kind::Auth(Arc::new(policy.named(&one.id)))),
                PolicyKind::Misp => MispPolicy::parse(&text, "document", report).map(Kind::Misp),
                PolicyKind::DataShare => {
                    DataSharePolicy::parse(&text, "document", report).map(Kind::DataShare)
                }
            };
            if let Some(kind) = kind {
                let kind = match change {
                    Some(Fact::Policy {
                        document: Some(document),
                        ..
                    }) => kind.narrowed_by(document).unwrap_or_else(|why| {
                        left_out.push(LeftOut { key, why });
                        kind
                    }),
                    _ => kind,
                };
                let registered = RegisteredPolicy { kind, registration };
                all.insert(one.id.clone(), registered);
            }
        }
        let ids = raw.iter().map(|policy| policy.id.clone()).collect();
        Self { ids, all, left_out }
    }

    /// Changes that are not in force, or not wholly, and why.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Which kind a policy is of.
    pub fn kind_of(&self, id: &str) -> Option<PolicyKind> {
        self.all.get(id).map(|found| match found.kind {
            Kind::Auth(_) => PolicyKind::Auth,
            Kind::Misp(_) => PolicyKind::Misp,
            Kind::DataShare(_) => PolicyKind::DataShare,
        })
    }

    /// The policy an API key points to, when it holds now.
    ///
    /// # Errors
    /// `POL-001` unknown or deleted, `POL-002` inactive, not commenced or expired.
    pub fn active(&self, id: &str, now: Moment) -> Result<&Arc<AuthPolicy>, Refusal> {
        match self.standing(id, now)? {
            Kind::Auth(policy) => Ok(policy),
            Kind::Misp(_) | Kind::DataShare(_) => Err(Refusal::new(
                Code::PolicyUnknown,
                format!("the policy {id} is not one for API keys"),
            )),
        }
    }

    /// The MISP policy a licence key points to, when it holds now.
    ///
    /// # Errors
    /// `POL-011` there is none, or it does not hold: MOSIP gives all of these one answer.
    pub fn misp(&self, id: Option<&str>, now: Moment) -> Result<&MispPolicy, Refusal> {
        let missing = |cause: String| Refusal::new(Code::MispPolicyMissing, cause);
        let id = id.ok_or_else(|| missing("the licence key names no policy".to_owned()))?;
        match self.standing(id, now) {
            Ok(Kind::Misp(policy)) => Ok(policy),
            Ok(Kind::Auth(_) | Kind::DataShare(_)) => Err(missing(format!(
                "the policy {id} is not one for licence keys"
            ))),
            Err(refusal) => Err(missing(refusal.cause().to_owned())),
        }
    }

    /// The data share policy of a subscription, when it holds now.
    ///
    /// # Errors
    /// `POL-001`, `POL-002` as [`Policies::active`].
    pub fn data_share(&self, id: &str, now: Moment) -> Result<&DataSharePolicy, Refusal> {
        match self.standing(id, now)? {
            Kind::DataShare(policy) => Ok(policy),
            Kind::Auth(_) | Kind::Misp(_) => Err(Refusal::new(
                Code::PolicyUnknown,
                format!("the policy {id} is not one of data shares"),
            )),
        }
    }

    /// Every key and subscription that points to a policy of another kind. The report stands at the whole configuration.
    pub fn check_kinds(
        &self,
        directory: &Directory,
        websub: Option<&config::WebSub>,
        report: &mut Report<'_>,
    ) {
        let mut wrong = |user: String, id: &str, fits: fn(&Kind) -> bool, wanted: &str| {
            if self.all.get(id).is_some_and(|found| !fits(&found.kind)) {
                let what = format!("{user} points to the policy `{id}`, which is of another kind");
                let remedy =
                    format!("Name a policy of kind {wanted}, or set `kind` of the policy.");
                report.error("policy", what, remedy);
            }
        };
        for partner in directory.iter() {
            for key in partner.api_keys() {
                let fits = |kind: &Kind| matches!(kind, Kind::Auth(_));
                wrong(
                    format!("an API key of {}", partner.id()),
                    key.policy(),
                    fits,
                    "auth",
                );
            }
            for id in partner.licence_keys().iter().filter_map(|key| key.policy()) {
                let fits = |kind: &Kind| matches!(kind, Kind::Misp(_));
                wrong(
                    format!("a licence key of {}", partner.id()),
                    id,
                    fits,
                    "misp",
                );
            }
        }
        for one in websub.iter().flat_map(|websub| &websub.subscription) {
            if let Some(id) = &one.data_share {
                let fits = |kind: &Kind| matches!(kind, Kind::DataShare(_));
                wrong(
                    format!("the subscription {}", one.name),
                    id,
                    fits,
                    "data_share",
                );
            }
        }
        for one in websub.iter().flat_map(|websub| &websub.subscription) {
            if let Some(id) = one.data_share.as_ref().filter(|id| !self.ids.contains(id)) {
                let ids: Vec<&str> = self.ids().collect();
                let what = format!("the subscription {}: there is no policy `{id}`", one.name);
                report.error("policy", what, config::spelling::remedy(id, &ids));
            }
        }
    }

    fn standing(&self, id: &str, now: Moment) -> Result<&Kind, Refusal> {
        let Some(found) = self.all.get(id) else {
            return Err(Refusal::new(
                Code::PolicyUnknown,
                format!("there is no policy {id}"),
            ));
        };
        let registered = found.registration.at(now);
        let code = match registered {
            Registered::Active => return Ok(&found.kind),
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
            kind: PolicyKind::Auth,
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
