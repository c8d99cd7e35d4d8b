//! The operator's rules in Cedar: who may do what, in a folder that an auditor can read. Deny unless permitted.
//!
//! The rules are asked twice on the road. At *admission* nothing is opened yet: a request is refused there only when no
//! content could save it, so that nothing costly is done for it. Over the *content* the whole set decides. An author needs
//! not know of the two: each policy is written once, and [`load`] works out what of it can be said early.
//!
//! - [`schema`] is the language: the embedded part, and the actions that this gateway's routes make.
//! - [`world`] are the things that rules talk about, made once for each snapshot.
//! - [`load`] reads and checks a folder.
//! - [`context`] turns facts into Cedar's context: the only part that is made anew for each exchange.

mod context;
mod load;
pub mod schema;
mod world;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, Authorizer, Entities, EntityUid, Policy, PolicySet, Request, Response,
};
use serde::{Deserialize, Serialize};

pub use load::Written;
pub use world::World;

use super::Facts;
use crate::{
    config::{self, Mistakes, Report},
    refusal::{Code, Refusal},
};

/// When the rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before anything is opened.
    Admit,
    /// Over the content.
    Permit,
}

impl Hook {
    /// The word for metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Permit => "permit",
        }
    }
}

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The partner's id.
    pub partner: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The method.
    pub method: &'a str,
}

/// Which policies decided, for the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the exchange may go on.
    pub allowed: bool,
    /// The permits that hold, by `@id`.
    pub permits: Vec<String>,
    /// The forbids that hold, by `@id`.
    pub forbids: Vec<String>,
    /// The policies that could not be evaluated, by `@id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Which rules were asked: `sha256sum *.cedar | sha256sum` of the folder.
    pub digest: Arc<str>,
}

/// The rules of one snapshot.
#[derive(Debug)]
pub struct Rules {
    digest: Arc<str>,
    written: Vec<Written>,
    schema_text: String,
    partners: HashMap<String, EntityUid>,
    questions: HashMap<String, Vec<Question>>,
    entities: Entities,
    authorizer: Authorizer,
}

/// What can be asked about one method on one route: the policies whose action it is, for each hook.
#[derive(Debug)]
struct Question {
    method: String,
    action: EntityUid,
    resource: EntityUid,
    admit: PolicySet,
    permit: PolicySet,
    /// Places in `written`.
    about: Vec<usize>,
}

impl Rules {
    /// The rules that the configuration names. The report stands at `[rules]`.
    pub fn build(raw: &config::Rules, world: &World<'_>, report: &mut Report<'_>) -> Option<Self> {
        let folder = report.resolve(&raw.folder);
        let mut found = Mistakes::default();
        let rules = Self::read(&folder, world, &mut found);
        report.adopt(found);
        rules
    }

    /// The rules of a folder. All mistakes are reported at once; there are rules only when none is an error.
    pub fn read(folder: &Path, world: &World<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let schema_text = schema::text(world.routes);
        let mut inner = |what: String| {
            mistakes.0.push(config::Mistake {
                severity: config::Severity::Error,
                file: folder.to_path_buf(),
                line: 0,
                at: String::new(),
                what,
                remedy: "Report it: this is a mistake of the gateway.".to_owned(),
            });
        };
        let schema = schema::read(&schema_text)
            .map_err(|e| inner(format!("the schema of this gateway's routes: {e}")))
            .ok()?;
        let entities = world::entities(world, &schema)
            .map_err(|e| inner(format!("the partners and upstreams: {e}")))
            .ok()?;
        let partners = world::partners(world).map_err(&mut inner).ok()?;
        let before = mistakes.errors();
        let folder_read = load::read(folder, &schema, world, mistakes);
        if mistakes.errors() > before {
            return None;
        }
        let questions = questions(world, &entities, &folder_read.written);
        match questions {
            Ok(questions) => Some(Self {
                digest: Arc::from(folder_read.digest),
                written: folder_read.written,
                schema_text,
                partners,
                questions,
                entities,
                authorizer: Authorizer::new(),
            }),
            Err(what) => {
                mistakes.0.push(config::Mistake {
                    severity: config::Severity::Error,
                    file: folder.to_path_buf(),
                    line: 0,
                    at: String::new(),
                    what,
                    remedy: "Report it: this is a mistake of the gateway.".to_owned(),
                });
                None
            }
        }
    }

    /// Which rules these are: the SHA-256, in hex, of what `sha256sum *.cedar` prints in the folder.
    pub const fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Every policy, in the order of files and lines.
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// The policy with this `@id`.
    pub fn find(&self, id: &str) -> Option<&Written> {
        self.written.iter().find(|one| one.id == id)
    }

    /// The schema with the actions of this gateway.
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// Asks. Deny unless permitted; a forbid outweighs every permit; a policy that cannot be evaluated denies.
    ///
    /// # Errors
    /// `GW-002` when the partner, the route or the method is not of this snapshot.
    pub fn decide(&self, hook: Hook, asked: Asked<'_>, facts: &Facts) -> Result<Decision, Refusal> {
        let question = self.question(asked)?;
        let policies = match hook {
            Hook::Admit => &question.admit,
            Hook::Permit => &question.permit,
        };
        let response = self.ask(question, asked.partner, policies, facts)?;
        Ok(self.decision(&response))
    }

    /// The policies whose action this is, whatever they decide: for explanations.
    ///
    /// # Errors
    /// As [`Rules::decide`].
    pub fn about(&self, asked: Asked<'_>) -> Result<Vec<&Written>, Refusal> {
        let question = self.question(asked)?;
        Ok(question
            .about
            .iter()
            .filter_map(|i| self.written.get(*i))
            .collect())
    }

    /// Whether one policy's own first line (principal, action, resource) fits, conditions aside: for explanations.
    ///
    /// # Errors
    /// As [`Rules::decide`].
    pub fn is_about(
        &self,
        one: &Written,
        asked: Asked<'_>,
        facts: &Facts,
    ) -> Result<bool, Refusal> {
        let fault = |e: String| Refusal::new(Code::Fault, e);
        let question = self.question(asked)?;
        let mut json = one.policy.to_json().map_err(|e| fault(e.to_string()))?;
        if let Some(members) = json.as_object_mut() {
            members.insert(
                "conditions".to_owned(),
                serde_json::Value::Array(Vec::new()),
            );
        }
        let bare = Policy::from_json(Some(one.policy.id().clone()), json)
            .map_err(|e| fault(e.to_string()))?;
        let set = PolicySet::from_policies([bare]).map_err(|e| fault(e.to_string()))?;
        let response = self.ask(question, asked.partner, &set, facts)?;
        Ok(response.diagnostics().reason().next().is_some())
    }

    fn question(&self, asked: Asked<'_>) -> Result<&Question, Refusal> {
        (self.questions.get(asked.route))
            .and_then(|all| all.iter().find(|one| one.method == asked.method))
            .ok_or_else(|| Refusal::new(Code::Fault, "the rules do not know that route or method"))
    }

    fn ask(
        &self,
        question: &Question,
        partner: &str,
        policies: &PolicySet,
        facts: &Facts,
    ) -> Result<Response, Refusal> {
        let fault = |cause: String| Refusal::new(Code::Fault, cause);
        let principal = (self.partners.get(partner))
            .ok_or_else(|| fault("the rules do not know that partner".to_owned()))?;
        let context = context::of(facts).map_err(fault)?;
        // Not held against the schema again: the context is made by us, and held against it by a test.
        let request = Request::new(
            principal.clone(),
            question.action.clone(),
            question.resource.clone(),
            context,
            None,
        )
        .map_err(|e| fault(e.to_string()))?;
        Ok(self
            .authorizer
            .is_authorized(&request, policies, &self.entities))
    }

    fn decision(&self, response: &Response) -> Decision {
        let diagnostics = response.diagnostics();
        let mut reasons: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        reasons.sort_unstable();
        let mut failed: Vec<String> = (diagnostics.errors())
            .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(e)| {
                tracing::error!(policy = %e.policy_id(), cause = %e.inner(), "a policy cannot be evaluated");
                e.policy_id().to_string()
            })
            .collect();
        failed.sort_unstable();
        let permitted = response.decision() == cedar_policy::Decision::Allow;
        let (permits, forbids) = match permitted {
            true => (reasons, Vec::new()),
            false => (Vec::new(), reasons),
        };
        Decision {
            allowed: permitted && failed.is_empty(),
            permits,
            forbids,
            failed,
            digest: Arc::clone(&self.digest),
        }
    }
}

impl Decision {
    /// The refusal that the decision means; none where it allows.
    ///
    /// # Errors
    /// `POL-006` and `POL-008` a policy forbids, `POL-007` and `POL-009` nothing permits (before and over the content);
    /// `POL-010` a policy cannot be evaluated.
    pub fn enforce(&self, hook: Hook) -> Result<(), Refusal> {
        if self.allowed {
            return Ok(());
        }
        let list = |ids: &[String]| ids.join(", ");
        let (code, cause) = if !self.failed.is_empty() {
            (
                Code::RuleFailed,
                format!("cannot be evaluated: {}", list(&self.failed)),
            )
        } else if self.forbids.is_empty() {
            let code = match hook {
                Hook::Admit => Code::RuleNone,
                Hook::Permit => Code::RuleNoneContent,
            };
            (code, format!("no policy permits it ({})", hook.as_str()))
        } else {
            let code = match hook {
                Hook::Admit => Code::RuleForbids,
                Hook::Permit => Code::RuleForbidsContent,
            };
            (
                code,
                format!("forbidden by {} ({})", list(&self.forbids), hook.as_str()),
            )
        };
        Err(Refusal::new(code, cause))
    }
}

/// For each route and method the policies that can say anything about it, so that a decision does not ask the others.
fn questions(
    world: &World<'_>,
    entities: &Entities,
    written: &[Written],
) -> Result<HashMap<String, Vec<Question>>, String> {
    let mut all = HashMap::new();
    for route in world.routes.iter() {
        let resource = match route.upstream() {
            Some(upstream) => world::uid("Upstream", upstream)?,
            None => world::uid("Gateway", world.gateway)?,
        };
        let mut of_route = Vec::new();
        for method in route.methods() {
            let action = world::uid("Action", &format!("{method} {}", route.name()))?;
            let mut about = Vec::new();
            let (mut admit, mut permit) = (Vec::new(), Vec::new());
            for (i, one) in written.iter().enumerate() {
                if concerns(&one.policy, &action, entities) {
                    about.push(i);
                    admit.extend(one.early.clone());
                    permit.push(one.policy.clone());
                }
            }
            of_route.push(Question {
                method: method.as_str().to_owned(),
                action,
                resource: resource.clone(),
                admit: PolicySet::from_policies(admit).map_err(|e| e.to_string())?,
                permit: PolicySet::from_policies(permit).map_err(|e| e.to_string())?,
                about,
            });
        }
        all.insert(route.name().to_owned(), of_route);
    }
    Ok(all)
}

/// Whether a policy's action can be this one. What cannot, has no part in the decision: its first line is false.
fn concerns(policy: &Policy, action: &EntityUid, entities: &Entities) -> bool {
    let within = |group: &EntityUid| group == action || entities.is_ancestor_of(group, action);
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == *action,
        ActionConstraint::In(groups) => groups.iter().any(within),
    }
}

/// Counts of policies by file, for `triseal check`.
pub fn by_file(rules: &Rules) -> BTreeMap<&Path, usize> {
    let mut counts = BTreeMap::new();
    for one in rules.written() {
        let count: &mut usize = counts.entry(one.file()).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

#[cfg(test)]
mod tests;
