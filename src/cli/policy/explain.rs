//! `triseal policy explain`: allow or deny, and why, in words.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use bytes::Bytes;
use clap::Args;

use super::{all_named, moment, named, snapshot};
use crate::{
    cli::output::say,
    clock::{Clock, Moment},
    config::{HandlerKind, PartnerKind, Role},
    envelope::mosip_ida,
    exchange::{Snapshot, rfc3339, rules as facts_of},
    ida::Factor,
    partners::Partner,
    policy::{
        AuthPolicy, Facts, Route,
        rules::{Asked, Decision, Hook, Rules},
    },
};

/// The largest message that is read.
const MESSAGE_MAX: u64 = 16 << 20;

/// Say whether a partner may do something on a route, and why: which tables, which policies, which facts.
///
/// Nothing is started, nothing is sent. Exit code 0: it may; 1: it may not; 2: the question cannot be answered.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The partner's or service's id.
    #[arg(long, value_name = "ID")]
    partner: String,
    /// The route's name.
    #[arg(long, value_name = "NAME")]
    route: String,
    /// The method. Default: the first that the route takes.
    #[arg(long)]
    method: Option<String>,
    /// The body of a request: what it asks for is taken from it. It is opened with the gateway's own keys; its signature and
    /// its time are not looked at.
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// Suppose these factors, such as otp,bio-FACE.
    #[arg(long, value_delimiter = ',', value_name = "FACTORS")]
    factors: Option<Vec<String>>,
    /// Suppose these attributes.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    attributes: Option<Vec<String>>,
    /// Suppose these topics.
    #[arg(long, value_delimiter = ',', value_name = "TOPICS")]
    topics: Option<Vec<String>>,
    /// Which of the partner's MOSIP policies. Default: that of its first API key.
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// The address that it comes from.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    from: IpAddr,
    /// The gateway's configuration.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: PathBuf,
    /// As of another time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// What is being explained.
struct Question<'a> {
    snapshot: &'a Snapshot,
    partner: &'a Partner,
    route: &'a Route,
    method: String,
    grant: Option<Arc<AuthPolicy>>,
    now: Moment,
}

/// Runs it.
pub(super) fn run(args: &Explain, clock: &Clock) -> Result<ExitCode, String> {
    let clock = match args.at.as_deref() {
        None => clock.clone(),
        Some(at) => Clock::standing_at(moment(at).map_err(|why| format!("--at: {why}"))?),
    };
    let snapshot = snapshot(&args.config, &clock)?;
    let known: Vec<&str> = snapshot
        .directory()
        .iter()
        .map(|p| p.id().as_str())
        .collect();
    let partner = (snapshot.directory().partner(&args.partner)).ok_or_else(|| {
        let remedy = crate::config::spelling::remedy(&args.partner, &known);
        format!("--partner: there is no `{}`. {remedy}", args.partner)
    })?;
    let known: Vec<&str> = snapshot.routes().names().collect();
    let route = (snapshot.routes().iter())
        .find(|r| r.name() == args.route)
        .ok_or_else(|| {
            let remedy = crate::config::spelling::remedy(&args.route, &known);
            format!("--route: there is no `{}`. {remedy}", args.route)
        })?;
    let method = match &args.method {
        Some(method) => method.clone(),
        None => route
            .methods()
            .first()
            .map_or_else(String::new, ToString::to_string),
    };
    let mut question = Question {
        snapshot: &snapshot,
        partner,
        route,
        method,
        grant: None,
        now: clock.now(),
    };
    say(format_args!(
        "{} asks for {} {}{} at {}",
        partner.id(),
        question.method,
        route.name(),
        route
            .upstream()
            .map_or_else(String::new, |u| format!(" (upstream {u})")),
        rfc3339(question.now),
    ));
    let mut denied = question.tables();
    let mut facts = question.facts(args)?;
    if route.handler() == HandlerKind::Ida {
        denied |= question.key(args, &mut facts);
    }
    let message = args.message.as_deref();
    let seen = question.content(message, args, &mut facts)?;
    if let (Some(policy), Some(operation)) = (&question.grant, route.operation()) {
        denied |= told(
            "MOSIP policy: operation",
            policy.permits_operation(operation),
        );
        if let Some(factors) = &seen {
            denied |= told(
                "MOSIP policy: factors",
                policy.permits_factors(operation, factors),
            );
        }
    }
    denied |= match snapshot.rules() {
        None => {
            say("rules: none are configured; the tables decide alone");
            false
        }
        Some(rules) => question.rules(rules, &facts)?,
    };
    let json = serde_json::to_string(&facts).map_err(|e| e.to_string())?;
    say(format_args!("facts: {json}"));
    say(if denied { "DENY" } else { "ALLOW" });
    Ok(match denied {
        true => ExitCode::from(super::NO),
        false => ExitCode::SUCCESS,
    })
}

/// Says what came of a check, and whether it denies.
fn told(what: &str, outcome: Result<(), crate::refusal::Refusal>) -> bool {
    match outcome {
        Ok(()) => {
            say(format_args!("{what}: yes"));
            false
        }
        Err(refusal) => {
            say(format_args!("{what}: NO, {refusal}"));
            true
        }
    }
}

impl Question<'_> {
    /// The partner's state, its certificates, and the route tables.
    fn tables(&self) -> bool {
        let mut denied = told(
            "partner is registered and active",
            self.partner.standing(self.now),
        );
        for role in [Role::Tls, Role::Encryption, Role::Signature] {
            let all: Vec<_> = (self.partner.certificates().bindings().iter())
                .filter(|binding| binding.role() == role)
                .collect();
            let why: Vec<String> = (all.iter())
                .map(|binding| self.snapshot.judge(binding, self.now))
                .filter_map(|verdict| verdict.err().map(|why| why.to_string()))
                .collect();
            if !all.is_empty() && why.len() == all.len() {
                say(format_args!(
                    "certificates for {role:?}: NO, {}",
                    why.join("; ")
                ));
                denied = true;
            }
        }
        denied |= told(
            "partner lists the route",
            self.partner.may_use(self.route.name()),
        );
        let takes = self
            .route
            .methods()
            .iter()
            .any(|m| m.as_str() == self.method);
        if !takes {
            say(format_args!("route takes {}: NO, RT-002", self.method));
        }
        let service = self.partner.kind() == PartnerKind::Service;
        let fits = service == (self.route.face() == crate::config::FaceKind::Service);
        if !fits {
            say("route is on a face for this kind of caller: NO, RT-001");
        }
        denied || !takes || !fits
    }

    /// The facts of admission.
    fn facts(&self, args: &Explain) -> Result<Facts, String> {
        let face = (self.snapshot.config().face.iter())
            .find(|face| face.kind == self.route.face())
            .ok_or("no face is of the route's kind")?;
        let access = self.partner.access();
        let known_by = if self.partner.kind() != PartnerKind::Service || access.certificate() {
            "certificate"
        } else if access.tokens() > 0 {
            "token"
        } else {
            "network"
        };
        let mut facts = Facts::begin(self.now, args.from.to_canonical(), &face.name, known_by);
        let tls = self
            .snapshot
            .face(&face.name)
            .is_some_and(|f| f.tls().is_some());
        facts.tls = tls.then(|| "1.3".to_owned());
        facts_of::envelope(self.route.from()).clone_into(&mut facts.envelope);
        facts_of::evidence_level(self.snapshot, self.route).clone_into(&mut facts.evidence);
        Ok(facts)
    }

    /// The API key and its policy.
    fn key(&mut self, args: &Explain, facts: &mut Facts) -> bool {
        let keys = self.partner.api_keys();
        let wanted = args.policy.as_deref();
        let Some(key) = keys
            .iter()
            .find(|key| wanted.is_none_or(|id| key.policy() == id))
        else {
            if self.partner.kind() == PartnerKind::Service && wanted.is_none() {
                say("API key: that of the message; it is judged where it was issued");
                return false;
            }
            say("API key: NO, API-001: the partner has none with such a policy");
            return true;
        };
        if keys.len() > 1 && wanted.is_none() {
            say(format_args!(
                "API key: the first of {}; say which with --policy",
                keys.len()
            ));
        }
        facts.policy = Some(key.policy().to_owned());
        let mut denied = told("API key is active", key.standing(self.now));
        match self.snapshot.policies().active(key.policy(), self.now) {
            Ok(policy) => {
                say(format_args!("MOSIP policy {} is active: yes", key.policy()));
                self.grant = Some(Arc::clone(policy));
            }
            Err(refusal) => {
                say(format_args!(
                    "MOSIP policy {} is active: NO, {refusal}",
                    key.policy()
                ));
                denied = true;
            }
        }
        denied
    }

    /// What the message, or the supposition, asks for. Gives the factors where they are known.
    fn content(
        &self,
        message: Option<&Path>,
        args: &Explain,
        facts: &mut Facts,
    ) -> Result<Option<Vec<Factor>>, String> {
        let mut seen = None;
        if let Some(file) = message {
            facts.content = true;
            let size = fs::metadata(file)
                .map_err(|e| format!("{}: {e}", file.display()))?
                .len();
            if size > MESSAGE_MAX {
                return Err(format!("{}: more than {MESSAGE_MAX} bytes", file.display()));
            }
            let body = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
            match self.route.handler() {
                HandlerKind::Ida => seen = self.ida(Bytes::from(body), facts)?,
                HandlerKind::WebSub => facts_of::websub(facts, &body, None),
                _ => say("message: nothing in it is a fact on this route"),
            }
            let mut certificates = self.partner.certificates().bindings().iter();
            facts.algorithm = (certificates.find(|b| b.role() == Role::Signature))
                .and_then(|binding| Some(format!("{:?}", binding.algorithm()?)));
        }
        if let Some(words) = &args.factors {
            let factors: Result<Vec<Factor>, String> = (words.iter())
                .map(|word| {
                    let known: Vec<&str> = Factor::ALL.iter().map(|f| f.as_str()).collect();
                    word.parse().map_err(|_| {
                        let remedy = crate::config::spelling::remedy(word, &known);
                        format!("--factors: `{word}` is no factor. {remedy}")
                    })
                })
                .collect();
            let factors = factors?;
            facts.content = true;
            facts.saw_factors(&factors);
            seen = Some(factors);
        }
        if let Some(names) = &args.attributes {
            facts.content = true;
            facts.saw_attributes(names.iter().map(String::as_str));
        }
        if let Some(topics) = &args.topics {
            facts.content = true;
            facts.saw_topics(topics.iter().map(String::as_str));
        }
        if !facts.content {
            say(
                "content: none was given; what is said of it below holds for a message that asks for nothing that can be seen",
            );
            facts.content = true;
        }
        Ok(seen)
    }

    fn ida(&self, body: Bytes, facts: &mut Facts) -> Result<Option<Vec<Factor>>, String> {
        let operation = self.route.operation().ok_or("the route has no operation")?;
        let forms = self.snapshot.forms(self.partner);
        let request = mosip_ida::Request::parse(operation, body, &forms)
            .map_err(|refusal| format!("the message is not of the route's form: {refusal}"))?;
        let factors = match operation.encrypted() {
            false => None,
            true => match request.decrypt(&self.snapshot.own().decryption_keys(self.now)) {
                Ok(opened) => Some(opened.factors().to_vec()),
                Err(refusal) => {
                    say(format_args!(
                        "message: cannot be opened here ({refusal}): its factors are not known"
                    ));
                    None
                }
            },
        };
        let grant = self.grant.as_deref();
        facts_of::ida(facts, &request, factors.as_deref(), grant);
        Ok(factors)
    }

    /// The operator's rules, at both hooks.
    fn rules(&self, rules: &Rules, facts: &Facts) -> Result<bool, String> {
        let fault = |refusal: crate::refusal::Refusal| refusal.cause().to_owned();
        let asked = Asked {
            partner: self.partner.id().as_str(),
            route: self.route.name(),
            method: &self.method,
        };
        say(format_args!("rules {}", rules.digest()));
        let early = Facts {
            content: false,
            algorithm: None,
            factors: None,
            attributes: None,
            identifier_type: None,
            topics: None,
            ..facts.clone()
        };
        let mut denied = false;
        for (hook, place, facts) in [
            (Hook::Admit, "before anything is opened", &early),
            (Hook::Permit, "over the content", facts),
        ] {
            let decision = rules.decide(hook, asked, facts).map_err(fault)?;
            denied |= !decision.allowed;
            say(format_args!(
                "rules, {place}: {}",
                words(rules, &decision, hook)
            ));
        }
        if denied {
            for one in rules
                .about(asked)
                .map_err(fault)?
                .into_iter()
                .filter(|one| !one.forbids())
            {
                let why = match rules.is_about(one, asked, facts).map_err(fault)? {
                    true => {
                        "is for this caller, but its conditions do not hold, or a forbid outweighs it"
                    }
                    false => "is for another caller or upstream",
                };
                say(format_args!(
                    "  the permit {} {why}",
                    named(rules, one.id())
                ));
            }
        }
        Ok(denied)
    }
}

fn words(rules: &Rules, decision: &Decision, hook: Hook) -> String {
    match decision.enforce(hook) {
        Ok(()) => format!("yes, by {}", all_named(rules, &decision.permits)),
        Err(refusal) if decision.forbids.is_empty() => format!("NO, {refusal}"),
        Err(refusal) => {
            format!(
                "NO, {}: forbidden by {}",
                refusal.code(),
                all_named(rules, &decision.forbids)
            )
        }
    }
}
