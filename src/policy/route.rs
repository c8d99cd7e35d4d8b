//! One route, checked: what it serves, how messages are sealed on both sides, where they go.
//!
//! Everything a route says is checked when it is built, so that a [`Route`] at hand needs no second look. It holds no
//! secrets; those that `to.misp_lk` and `to.api_key` point to are resolved by the builder of the snapshot.

use http::Method;

use super::{
    esignet::EsignetOperation,
    packet::PacketPolicy,
    path::{PathPattern, Segment},
};
use crate::{
    config::{self, Envelope, FaceKind, HandlerKind, Report, spelling},
    ida::Operation,
    shared::Quota,
};

/// The longest identifier in the path of an `ida` route.
pub const IDENTIFIER_MAX: usize = 128;
/// The identifiers that end the path of every `ida` route, in this order.
pub const IDENTIFIERS: [&str; 3] = ["misp_lk", "partner_id", "api_key"];
/// MOSIP's IDA lets every path with one of these in it past its security filter.
const OPEN_WORDS: [&str; 4] = ["swagger", "api-docs", "actuator", "callback"];
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// A checked route.
#[derive(Clone, Debug)]
pub struct Route {
    name: String,
    path: PathPattern,
    methods: Vec<Method>,
    handler: HandlerKind,
    operation: Option<Operation>,
    packet: Option<PacketPolicy>,
    esignet: Option<EsignetOperation>,
    face: FaceKind,
    from: Envelope,
    upstream: Option<String>,
    to: Envelope,
    to_path: Option<PathPattern>,
    body_max_bytes: Option<usize>,
    query: bool,
    quota: Option<Quota>,
    evidence: config::RouteEvidence,
}

impl Route {
    /// Checks one route; all its mistakes go to the report, which stands at it.
    pub(super) fn build(
        raw: &config::Route,
        upstream_names: &[&str],
        report: &mut Report<'_>,
    ) -> Option<Self> {
        name(&raw.name, report);
        let path = pattern(&raw.path, "path", report);
        let to_path = raw
            .to
            .as_ref()
            .and_then(|to| to.path.as_ref())
            .map(|text| pattern(text, "to.path", report));
        envelopes(raw, report);
        let mut methods = methods(raw, report);
        match &raw.to {
            Some(to) if !upstream_names.contains(&to.upstream.as_str()) => {
                let what = format!("there is no upstream `{}`", to.upstream);
                let remedy = spelling::remedy(&to.upstream, upstream_names);
                report.error("to.upstream", what, remedy);
            }
            None if matches!(
                raw.handler,
                HandlerKind::Ida | HandlerKind::Relay | HandlerKind::Packet
            ) =>
            {
                report.error(
                    "to",
                    "the route does not say where it goes",
                    "Add to = { upstream = \"…\", envelope = \"…\" }.",
                );
            }
            Some(_) | None => {}
        }
        if raw.body_max_bytes == Some(0) {
            report.error(
                "body_max_bytes",
                "a body of no bytes is no body",
                "Leave it out for the default.",
            );
        }
        if raw.query && raw.handler == HandlerKind::Ida {
            report.error("query", "IDA routes take no query string", "Remove it.");
        }
        let path = path?;
        let to_path = match to_path {
            None => None,
            Some(to_path) => Some(to_path?),
        };
        let operation = match raw.handler {
            HandlerKind::Ida => ida_path(&path, "path", report),
            _ => None,
        };
        if let Some(to_path) = &to_path {
            names_known(to_path, &path, report);
            if raw.handler == HandlerKind::Ida && ida_path(to_path, "to.path", report) != operation
            {
                report.error(
                    "to.path",
                    "leads to another operation than `path`",
                    "End both with the same words and identifiers.",
                );
            }
        }
        let packet = PacketPolicy::build(raw, to_path.as_ref().unwrap_or(&path), report);
        if let Some(packet) = &packet {
            one_method(raw, packet.operation().method(), &mut methods, report);
        }
        let esignet = EsignetOperation::build(raw, to_path.as_ref().unwrap_or(&path), report);
        if let Some(operation) = &esignet {
            one_method(raw, operation.method(), &mut methods, report);
        }
        own_keys(raw, to_path.as_ref().unwrap_or(&path), report);
        let quota =
            (raw.quota.as_ref()).and_then(|raw| Quota::build(raw, &mut report.within("quota")));
        Some(Self {
            name: raw.name.clone(),
            path,
            methods,
            handler: raw.handler,
            operation,
            packet,
            esignet,
            face: raw.from.face,
            from: raw.from.envelope,
            upstream: raw.to.as_ref().map(|to| to.upstream.clone()),
            to: (raw.to.as_ref()).map_or(Envelope::InsecurePlain, |to| to.envelope),
            to_path,
            body_max_bytes: raw.body_max_bytes,
            quota,
            // The hub's questions stand in the query.
            query: raw.query || matches!(raw.handler, HandlerKind::WebSub | HandlerKind::Evidence),
            evidence: raw.evidence,
        })
    }

    /// What it says of evidence, where that is another than the whole gateway's.
    pub const fn evidence(&self) -> config::RouteEvidence {
        self.evidence
    }

    /// The name for logs, metrics and partner files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path on the near side.
    pub const fn path(&self) -> &PathPattern {
        &self.path
    }

    /// The path on the far side.
    pub fn upstream_pattern(&self) -> &PathPattern {
        self.to_path.as_ref().unwrap_or(&self.path)
    }

    /// The methods, for the header `allow` too.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// Whether the route takes this method.
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// The protocol.
    pub const fn handler(&self) -> HandlerKind {
        self.handler
    }

    /// What an `ida` route does; `None` for others.
    pub const fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// What a `packet` route does and which packets it allows; `None` for others.
    pub const fn packet(&self) -> Option<&PacketPolicy> {
        self.packet.as_ref()
    }

    /// What an `esignet` route does; `None` for others.
    pub const fn esignet(&self) -> Option<EsignetOperation> {
        self.esignet
    }

    /// The kind of face the route is on.
    pub const fn face(&self) -> FaceKind {
        self.face
    }

    /// How requests are sealed: `mosip-ida`, `jose` or `insecure_plain`.
    pub const fn from(&self) -> Envelope {
        self.from
    }

    /// The upstream's name, where the route leads to one.
    pub fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// How requests are sealed towards the upstream; means nothing without one.
    pub const fn to(&self) -> Envelope {
        self.to
    }

    /// The route's own limit for bodies, in bytes.
    pub const fn body_max_bytes(&self) -> Option<usize> {
        self.body_max_bytes
    }

    /// Whether a query string is passed on.
    pub const fn query(&self) -> bool {
        self.query
    }

    /// How much of it each partner may use, where that is bounded.
    pub const fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }
}

/// Letters, digits, `-._~`; and none of the words that open IDA's door, in any case.
pub(super) fn is_safe_for_ida(segment: &str) -> bool {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    segment.len() <= IDENTIFIER_MAX && segment.bytes().all(letters) && open_word(segment).is_none()
}

fn open_word(segment: &str) -> Option<&'static str> {
    OPEN_WORDS.into_iter().find(|word| {
        (segment.as_bytes().windows(word.len()))
            .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// A name is a metric label and stands in partner files.
fn name(name: &str, report: &mut Report<'_>) {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(letters) {
        report.error(
            "name",
            "a route's name is 1 to 64 letters, digits, `-`, `.` and `_`",
            "Rename it.",
        );
    }
}

fn pattern(text: &str, field: &str, report: &mut Report<'_>) -> Option<PathPattern> {
    PathPattern::parse(text)
        .map_err(|e| {
            report.error(
                field,
                e.to_string(),
                "Write the path in its canonical form, such as `/v1/auth/{partner_id}`.",
            )
        })
        .ok()
}

fn envelopes(raw: &config::Route, report: &mut Report<'_>) {
    let from = raw.from.envelope;
    let to = raw.to.as_ref().map(|to| to.envelope);
    if matches!(from, Envelope::AsReceived | Envelope::Opened) {
        report.error(
            "from.envelope",
            "this says how to pass a message on, not how it comes",
            "Use mosip-ida, jose or insecure_plain.",
        );
        return;
    }
    match raw.handler {
        HandlerKind::Ida => {
            if from != Envelope::MosipIda {
                report.error(
                    "from.envelope",
                    "IDA requests are always sealed",
                    "Use mosip-ida.",
                );
            }
            if matches!(to, Some(Envelope::InsecurePlain | Envelope::Jose)) {
                report.error(
                    "to.envelope",
                    "IDA requests are not passed on without saying how they were sealed",
                    "Use as-received, opened or mosip-ida.",
                );
            }
        }
        HandlerKind::Certificates => {
            if (raw.from.face, from) != (FaceKind::Partner, Envelope::Jose) {
                report.error(
                    "from",
                    "certificates are replaced by partners alone, in messages that they sign",
                    "Use from = { face = \"partner\", envelope = \"jose\" }.",
                );
            }
            if to.is_some() {
                report.error("to", "certificates are replaced here", "Remove it.");
            }
        }
        HandlerKind::Packet
        | HandlerKind::Esignet
        | HandlerKind::WebSub
        | HandlerKind::TokenSeeder
        | HandlerKind::OpenCrvs
        | HandlerKind::Evidence
        | HandlerKind::Relay => {
            for (field, envelope) in [("from.envelope", Some(from)), ("to.envelope", to)] {
                if envelope.is_some_and(|e| !matches!(e, Envelope::Jose | Envelope::InsecurePlain))
                {
                    report.error(
                        field,
                        "only jose and insecure_plain are spoken here",
                        "Use jose, or insecure_plain towards services of your own.",
                    );
                }
            }
        }
    }
}

fn methods(raw: &config::Route, report: &mut Report<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for (i, text) in raw.methods.iter().enumerate() {
        let at = format!("methods[{i}]");
        match METHODS.iter().find(|method| method.as_str() == text) {
            None => report.error(
                &at,
                format!("`{text}` is not served"),
                "Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, in capitals.",
            ),
            Some(method) if methods.contains(method) => {
                report.error(&at, format!("`{text}` is listed twice"), "Remove one.")
            }
            Some(method) => methods.push(method.clone()),
        }
    }
    match raw.handler {
        HandlerKind::Ida if raw.methods.is_empty() => methods.push(Method::POST),
        HandlerKind::Ida if methods != [Method::POST] => {
            report.error(
                "methods",
                "IDA routes take POST and nothing else",
                "Leave it out.",
            );
        }
        HandlerKind::Relay if raw.methods.is_empty() => {
            report.error(
                "",
                "a relay must say which methods it takes",
                "Add `methods`, such as [\"GET\"].",
            );
        }
        // What a protocol's paths take is the handler's to say; a route may say less.
        HandlerKind::Packet
        | HandlerKind::TokenSeeder
        | HandlerKind::Esignet
        | HandlerKind::WebSub
            if raw.methods.is_empty() =>
        {
            methods.extend([Method::GET, Method::POST, Method::PUT]);
        }
        HandlerKind::Evidence if raw.methods.is_empty() => methods.push(Method::GET),
        HandlerKind::Certificates if raw.methods.is_empty() => {
            methods.extend([Method::GET, Method::POST]);
        }
        HandlerKind::Evidence if methods != [Method::GET] => {
            report.error("methods", "evidence is only read", "Leave it out.");
        }
        // OPTIONS is how a browser asks whether it may.
        HandlerKind::OpenCrvs if raw.methods.is_empty() => {
            methods.extend([Method::POST, Method::OPTIONS]);
        }
        _ => {}
    }
    methods
}

/// Some paths of MOSIP take one method.
fn one_method(
    raw: &config::Route,
    method: Method,
    methods: &mut Vec<Method>,
    report: &mut Report<'_>,
) {
    if raw.methods.is_empty() {
        *methods = vec![method];
    } else if *methods != [method.clone()] {
        let what = format!("this path of MOSIP takes {method} and nothing else");
        report.error("methods", what, "Leave it out.");
    }
}

/// The operation of an `ida` path: literal segments, the words of an operation, then the three identifiers.
fn ida_path(path: &PathPattern, field: &str, report: &mut Report<'_>) -> Option<Operation> {
    let identifiers = "An IDA path ends with /{misp_lk}/{partner_id}/{api_key}, and nothing else in it is in braces.";
    if path.has_rest() {
        report.error(field, "`{rest}` is for relays only", identifiers);
        return None;
    }
    let literals: Vec<&str> = (path.segments().iter())
        .map_while(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Capture(_) => None,
        })
        .collect();
    let ends_right = path.captures().eq(IDENTIFIERS)
        && path.segments().len() == literals.len().saturating_add(IDENTIFIERS.len());
    if !ends_right {
        report.error(
            field,
            "the path does not end with the three identifiers",
            identifiers,
        );
    }
    for literal in &literals {
        if let Some(word) = open_word(literal) {
            let what =
                format!("`{literal}` contains `{word}`, with which IDA skips its security filter");
            report.error(field, what, "Remove the segment.");
        } else if !is_safe_for_ida(literal) {
            report.error(
                field,
                format!("`{literal}` has a character that IDA paths do not take"),
                "Use letters, digits and `-._~`.",
            );
        }
    }
    let operation = Operation::ending(&literals);
    if operation.is_none() {
        let known: Vec<String> = Operation::ALL
            .iter()
            .map(|o| o.segments().join("/"))
            .collect();
        let remedy = format!(
            "Before the identifiers must stand one of: {}.",
            known.join(", ")
        );
        report.error(field, "the path names no operation of IDA", remedy);
    }
    operation
}

fn names_known(to_path: &PathPattern, path: &PathPattern, report: &mut Report<'_>) {
    let known: Vec<&str> = path.captures().collect();
    for name in to_path.captures().filter(|name| !known.contains(name)) {
        let what = format!("`{{{name}}}` is not in `path`");
        report.error("to.path", what, spelling::remedy(name, &known));
    }
    if to_path.has_rest() && !path.has_rest() {
        report.error(
            "to.path",
            "`{rest}` is not in `path`",
            "End both with `{rest}`.",
        );
    }
    if path.has_rest() && !to_path.has_rest() {
        report.error(
            "to.path",
            "what `{rest}` stands for in `path` would be lost",
            "End both with `{rest}`.",
        );
    }
}

/// Keys that the gateway puts in: on service faces only, and only where there is a place for them.
fn own_keys(raw: &config::Route, towards: &PathPattern, report: &mut Report<'_>) {
    let given = [
        (
            "misp_lk",
            raw.to.as_ref().is_some_and(|to| to.misp_lk.is_some()),
        ),
        (
            "api_key",
            raw.to.as_ref().is_some_and(|to| to.api_key.is_some()),
        ),
    ];
    for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        let field = format!("to.{name}");
        if raw.from.face != FaceKind::Service {
            report.error(
                &field,
                "a partner brings its own",
                "Remove it: only routes of service faces put one in.",
            );
        } else if !towards.captures().any(|n| n == name) {
            report.error(
                &field,
                format!("the path has no `{{{name}}}` to put it in"),
                "Remove it, or add the place to the path.",
            );
        }
    }
}
