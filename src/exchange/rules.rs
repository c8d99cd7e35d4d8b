//! The facts of an exchange, and the operator's rules asked about them: at admission, and over the content.
//!
//! Nothing is done here where nobody asks: without `[rules]`, and without a record that holds the facts.

use std::time::Instant;

use super::{Content, Gateway, Opened, Snapshot, Trail, evidence};
use crate::{
    config::{Envelope, EvidenceLevel, HandlerKind},
    envelope::{fields::Fields, mosip_ida},
    ida::Operation,
    partners::Caller,
    policy::{
        AuthPolicy, Facts, Route,
        rules::{Asked, Hook},
    },
    refusal::Refusal,
};

/// Whether anybody asks for the facts of this exchange.
fn wanted(snapshot: &Snapshot, route: &Route) -> bool {
    snapshot.rules().is_some() || evidence::level(snapshot, route) != EvidenceLevel::Off
}

/// How the exchange is recorded.
pub fn evidence_level(snapshot: &Snapshot, route: &Route) -> &'static str {
    match evidence::level(snapshot, route) {
        EvidenceLevel::Off => "off",
        EvidenceLevel::BestEffort => "best_effort",
        EvidenceLevel::Required => "required",
    }
}

/// Asks the rules before anything is opened.
pub(super) fn admit(
    gateway: &Gateway,
    caller: &Caller,
    route: &Route,
    grant: Option<&AuthPolicy>,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    if !wanted(trail.snapshot(), route) {
        return Ok(());
    }
    trail.seen = Some(Box::new(at_admission(caller, route, grant, trail)));
    ask(gateway, Hook::Admit, caller, route, trail)
}

/// Asks the rules over the content.
pub(super) fn permit(gateway: &Gateway, opened: &Opened, trail: &mut Trail) -> Result<(), Refusal> {
    let Some(mut facts) = trail.seen.take() else {
        return Ok(());
    };
    over_content(&mut facts, opened, trail);
    trail.seen = Some(facts);
    ask(
        gateway,
        Hook::Permit,
        opened.caller(),
        opened.route(),
        trail,
    )
}

fn ask(
    gateway: &Gateway,
    hook: Hook,
    caller: &Caller,
    route: &Route,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let (Some(rules), Some(facts)) = (trail.snapshot.rules(), trail.seen.as_deref()) else {
        return Ok(());
    };
    let began = Instant::now();
    let asked = Asked {
        partner: caller.partner().id().as_str(),
        route: route.name(),
        method: trail.method.as_str(),
    };
    let decision = rules.decide(hook, asked, facts)?;
    gateway
        .metrics()
        .rules_seconds
        .with_label_values(&[hook.as_str()])
        .observe(began.elapsed().as_secs_f64());
    let outcome = decision.enforce(hook);
    trail.decision = Some(Box::new(decision));
    outcome
}

fn at_admission(
    caller: &Caller,
    route: &Route,
    grant: Option<&AuthPolicy>,
    trail: &Trail,
) -> Facts {
    let connection = &trail.connection;
    // An IPv4 address that came by an IPv6 socket is an IPv4 address.
    let source = connection.peer().ip().to_canonical();
    let mut facts = Facts::begin(trail.at, source, &connection.face, caller.how().as_str());
    facts.tls = connection.tls.map(str::to_owned);
    envelope(route.from()).clone_into(&mut facts.envelope);
    evidence_level(trail.snapshot(), route).clone_into(&mut facts.evidence);
    facts.policy = grant.map(|policy| policy.id().to_owned());
    facts
}

fn over_content(facts: &mut Facts, opened: &Opened, trail: &Trail) {
    facts.content = true;
    facts.algorithm = trail.signed_by.and_then(|signer| {
        let own = trail.snapshot.own().certificates().find(&signer);
        let binding = (opened.caller().partner().certificates().find(&signer)).or(own)?;
        Some(format!("{:?}", binding.algorithm()?))
    });
    match opened.content() {
        Content::Ida(message) => {
            let request = message.request();
            let factors = message.opened().map(|inner| inner.factors());
            let grant = opened.grant().map(AsRef::as_ref);
            ida(facts, request, factors, grant);
        }
        Content::Whole(body) if opened.route().handler() == HandlerKind::WebSub => {
            let query = opened.near().query();
            websub(facts, body, query);
        }
        Content::Whole(_) | Content::Plain(..) | Content::Taken => {}
    }
}

/// What a message to IDA asks for. `explain` uses it for a message in a file.
pub fn ida(
    facts: &mut Facts,
    request: &mosip_ida::Request,
    factors: Option<&[crate::ida::Factor]>,
    grant: Option<&AuthPolicy>,
) {
    if let Some(factors) = factors {
        facts.saw_factors(factors);
    }
    if let Some(kind) = request.individual_id_type() {
        facts.saw_identifier_type(kind);
    }
    match request.operation() {
        // IDA answers what the policy allows, whatever the request says (IDA reference 1.3).
        Operation::Kyc => {
            if let Some(policy) = grant {
                facts.saw_attributes(policy.kyc_attributes().iter().map(String::as_str));
            }
        }
        Operation::KycExchange | Operation::VciExchange => {
            if let Some(claims) = request.claims() {
                facts.saw_attributes(claims.iter().map(String::as_str));
            }
        }
        Operation::Auth | Operation::Otp | Operation::KycAuth | Operation::KeyBinding => {}
    }
}

/// What a subscription is about. What cannot be read is the handler's to refuse.
pub fn websub(facts: &mut Facts, body: &[u8], query: Option<&str>) {
    let form = std::str::from_utf8(body).ok().and_then(Fields::parse);
    let query = query.and_then(Fields::parse);
    let topics = [form, query];
    facts.saw_topics((topics.iter().flatten()).filter_map(|fields| fields.get("hub.topic")));
}

/// An envelope's name, as in the configuration.
pub const fn envelope(envelope: Envelope) -> &'static str {
    match envelope {
        Envelope::MosipIda => "mosip-ida",
        Envelope::AsReceived => "as-received",
        Envelope::Opened => "opened",
        Envelope::Jose => "jose",
        Envelope::InsecurePlain => "insecure_plain",
    }
}
