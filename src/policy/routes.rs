//! The routes: one path, at most one route.
//!
//! Everything a route says is checked when the table is built, so that a [`Route`] at hand needs no second look. Two
//! routes of one face that fit one path are refused, never ranked: which of them is meant must not depend on a rule that
//! one has to remember. A route holds no secrets; those that `to.misp_lk` and `to.api_key` point to are resolved by the
//! builder of the snapshot.

use std::{collections::HashMap, sync::Arc};

use http::Method;

use super::{
    Operation,
    path::{Captures, PathPattern, Segment},
};
use crate::{
    config::{self, Envelope, FaceKind, HandlerKind, Report},
    partners::spelling,
};

/// Routes in one configuration.
pub const ROUTES_MAX: usize = 1_000;
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
    face: FaceKind,
    from: Envelope,
    upstream: String,
    to: Envelope,
    to_path: Option<PathPattern>,
    body_max_bytes: Option<usize>,
    query: bool,
}

impl Route {
    /// The name for logs, metrics and partner files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path on the near side.
    pub const fn path(&self) -> &PathPattern {
        &self.path
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

    /// The kind of face the route is on.
    pub const fn face(&self) -> FaceKind {
        self.face
    }

    /// How requests are sealed: `mosip-ida` or `insecure_plain`.
    pub const fn from(&self) -> Envelope {
        self.from
    }

    /// The upstream's name.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// How requests are sealed towards the upstream.
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
}

/// The route of a received path.
#[derive(Clone, Debug)]
pub struct Match<'p> {
    route: Arc<Route>,
    captures: Captures<'p>,
}

impl<'p> Match<'p> {
    /// The route.
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// What a name in braces stands for.
    pub fn capture(&self, name: &str) -> Option<&'p str> {
        self.route.path.capture(name, &self.captures)
    }

    /// The path towards the upstream. A licence key and an API key of ours take the place of those received. It holds
    /// secrets: not for logs.
    pub fn upstream_path(&self, misp_lk: Option<&str>, api_key: Option<&str>) -> String {
        let value = |name: &str| match name {
            "misp_lk" => misp_lk.or_else(|| self.capture(name)),
            "api_key" => api_key.or_else(|| self.capture(name)),
            _ => self.capture(name),
        };
        let pattern = self.route.to_path.as_ref().unwrap_or(&self.route.path);
        // Building the table made sure that every name of `to.path` is one of the path.
        pattern
            .fill(value, self.captures.rest())
            .unwrap_or_default()
    }
}

/// All routes of a snapshot.
#[derive(Debug, Default)]
pub struct RouteTable {
    all: Vec<Arc<Route>>,
    /// By face and number of segments; those with `{rest}` by face alone.
    exact: HashMap<(FaceKind, usize), Vec<Arc<Route>>>,
    open_ended: HashMap<FaceKind, Vec<Arc<Route>>>,
}

impl RouteTable {
    /// Checks all routes. The report stands at the whole configuration.
    pub fn build(raw: &[config::Route], upstream_names: &[&str], report: &mut Report<'_>) -> Self {
        let mut this = Self::default();
        if raw.len() > ROUTES_MAX {
            let what = format!("{} routes are more than {ROUTES_MAX}", raw.len());
            report.error("route", what, "Use names in braces, or several gateways.");
            return this;
        }
        for (i, one) in raw.iter().enumerate() {
            let report = &mut report.within(format!("route[{i}]"));
            if raw.iter().take(i).any(|other| other.name == one.name) {
                report.error(
                    "name",
                    format!("there is another route `{}`", one.name),
                    "Give each route a name of its own.",
                );
            }
            let Some(route) = build(one, upstream_names, report) else {
                continue;
            };
            for other in this.all.iter().filter(|other| other.face == route.face) {
                if other.path.overlaps(&route.path) {
                    let what = format!(
                        "a path can fit this route and `{}` ({}) alike",
                        other.name, other.path
                    );
                    report.error(
                        "path",
                        what,
                        "Make them differ in a literal segment; no route takes precedence.",
                    );
                }
            }
            this.add(Arc::new(route));
        }
        this
    }

    /// The route of a path on a face. Segments of an `ida` path that IDA would misread fit no route.
    pub fn find<'p>(&self, face: FaceKind, path: &'p [&'p str]) -> Option<Match<'p>> {
        let exact = self.exact.get(&(face, path.len())).into_iter().flatten();
        let open_ended = self.open_ended.get(&face).into_iter().flatten();
        let (route, captures) = exact
            .chain(open_ended)
            .find_map(|route| Some((route, route.path.matches(path)?)))?;
        if route.handler == HandlerKind::Ida && !path.iter().all(|segment| is_safe_for_ida(segment))
        {
            return None;
        }
        Some(Match {
            route: Arc::clone(route),
            captures,
        })
    }

    /// Every route, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.all.iter()
    }

    /// The names, for partner files to be checked against.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|route| route.name())
    }

    fn add(&mut self, route: Arc<Route>) {
        if route.path.has_rest() {
            self.open_ended
                .entry(route.face)
                .or_default()
                .push(Arc::clone(&route));
        } else {
            let key = (route.face, route.path.segments().len());
            self.exact.entry(key).or_default().push(Arc::clone(&route));
        }
        self.all.push(route);
    }
}

/// Letters, digits, `-._~`; and none of the words that open IDA's door, in any case.
fn is_safe_for_ida(segment: &str) -> bool {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    segment.len() <= IDENTIFIER_MAX && segment.bytes().all(letters) && open_word(segment).is_none()
}

fn open_word(segment: &str) -> Option<&'static str> {
    let lower = segment.to_ascii_lowercase();
    OPEN_WORDS.into_iter().find(|word| lower.contains(word))
}

fn build(raw: &config::Route, upstream_names: &[&str], report: &mut Report<'_>) -> Option<Route> {
    name(&raw.name, report);
    let path = pattern(&raw.path, "path", report);
    let to_path = raw
        .to
        .path
        .as_ref()
        .map(|text| pattern(text, "to.path", report));
    envelopes(raw, report);
    let methods = methods(raw, report);
    if !upstream_names.contains(&raw.to.upstream.as_str()) {
        let what = format!("there is no upstream `{}`", raw.to.upstream);
        report.error(
            "to.upstream",
            what,
            spelling::remedy(&raw.to.upstream, upstream_names),
        );
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
        HandlerKind::Relay => None,
    };
    if let Some(to_path) = &to_path {
        names_known(to_path, &path, report);
        if raw.handler == HandlerKind::Ida && ida_path(to_path, "to.path", report) != operation {
            report.error(
                "to.path",
                "leads to another operation than `path`",
                "End both with the same words and identifiers.",
            );
        }
    }
    own_keys(raw, to_path.as_ref().unwrap_or(&path), report);
    Some(Route {
        name: raw.name.clone(),
        path,
        methods,
        handler: raw.handler,
        operation,
        face: raw.from.face,
        from: raw.from.envelope,
        upstream: raw.to.upstream.clone(),
        to: raw.to.envelope,
        to_path,
        body_max_bytes: raw.body_max_bytes,
        query: raw.query,
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
    let (from, to) = (raw.from.envelope, raw.to.envelope);
    if matches!(from, Envelope::AsReceived | Envelope::Opened) {
        report.error(
            "from.envelope",
            "this says how to pass a message on, not how it comes",
            "Use mosip-ida or insecure_plain.",
        );
        return;
    }
    match raw.handler {
        HandlerKind::Ida => {
            if from == Envelope::InsecurePlain {
                report.error(
                    "from.envelope",
                    "IDA requests are always sealed",
                    "Use mosip-ida.",
                );
            }
            if to == Envelope::InsecurePlain {
                report.error(
                    "to.envelope",
                    "IDA requests are not passed on without saying how they were sealed",
                    "Use as-received, opened or mosip-ida.",
                );
            }
        }
        HandlerKind::Relay => {
            for (field, envelope) in [("from.envelope", from), ("to.envelope", to)] {
                if envelope != Envelope::InsecurePlain {
                    report.error(
                        field,
                        "a relay neither opens nor seals",
                        "Use insecure_plain on both sides, or handler = \"ida\".",
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
        HandlerKind::Ida | HandlerKind::Relay => {}
    }
    methods
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
        ("misp_lk", raw.to.misp_lk.is_some()),
        ("api_key", raw.to.api_key.is_some()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Mistakes};

    const AUTH: &str = r#"
        [[route]]
        name = "ida-auth"
        path = "/idauthentication/v1/auth/{misp_lk}/{partner_id}/{api_key}"
        handler = "ida"
        from = { face = "partner", envelope = "mosip-ida" }
        to = { upstream = "ida", envelope = "as-received" }
    "#;

    /// Only the routes are of interest; the rest of a configuration is not parsed.
    #[derive(serde::Deserialize)]
    struct Routes {
        route: Vec<config::Route>,
    }

    fn build(text: &str) -> (RouteTable, Mistakes) {
        let raw: Routes = toml::from_str(text).unwrap();
        let mut mistakes = Mistakes::default();
        let document = Document::from_text(std::path::Path::new("triseal.toml"), text.to_owned());
        let table = RouteTable::build(
            &raw.route,
            &["ida", "packets"],
            &mut Report::new(&document, &mut mistakes),
        );
        (table, mistakes)
    }

    fn refused(text: &str, part: &str) {
        let (_, mistakes) = build(text);
        assert!(
            mistakes.refuse() && mistakes.to_string().contains(part),
            "`{part}` is not in\n{mistakes}{text}"
        );
    }

    fn relay(name: &str, path: &str, face: &str) -> String {
        format!(
            "[[route]]\nname = \"{name}\"\npath = \"{path}\"\nhandler = \"relay\"\nmethods = [\"GET\"]\n\
             from = {{ face = \"{face}\", envelope = \"insecure_plain\" }}\n\
             to = {{ upstream = \"packets\", envelope = \"insecure_plain\" }}\n"
        )
    }

    #[test]
    fn a_path_finds_its_route_and_what_its_names_stand_for() {
        let (table, mistakes) = build(AUTH);
        assert!(mistakes.0.is_empty(), "{mistakes}");
        let path = ["idauthentication", "v1", "auth", "LK", "p-1", "123456"];
        let found = table.find(FaceKind::Partner, &path).unwrap();
        assert_eq!(found.route().name(), "ida-auth");
        assert_eq!(found.route().operation(), Some(Operation::Auth));
        assert!(found.route().takes(&Method::POST) && !found.route().takes(&Method::GET));
        assert_eq!(found.capture("partner_id"), Some("p-1"));
        assert_eq!(
            found.upstream_path(None, None),
            "/idauthentication/v1/auth/LK/p-1/123456"
        );
        assert_eq!(
            found.upstream_path(Some("OURS"), Some("9")),
            "/idauthentication/v1/auth/OURS/p-1/9"
        );
        assert!(
            table.find(FaceKind::Service, &path).is_none(),
            "the route is on the other face"
        );
    }

    #[test]
    fn every_operation_of_ida_has_its_path() {
        for operation in Operation::ALL {
            let text = AUTH.replace("/auth/", &format!("/{}/", operation.segments().join("/")));
            let (table, mistakes) = build(&text);
            assert!(mistakes.0.is_empty(), "{mistakes}");
            assert_eq!(table.iter().next().unwrap().operation(), Some(operation));
        }
    }

    #[test]
    fn a_segment_that_opens_idas_door_fits_no_route() {
        let (table, _) = build(AUTH);
        let find = |segment: &str| {
            table
                .find(
                    FaceKind::Partner,
                    &["idauthentication", "v1", "auth", "LK", "p", segment],
                )
                .is_some()
        };
        assert!(find("callbac") && find("api_docs"));
        for bad in [
            "callback",
            "xcallbackx",
            "Swagger",
            "api-docs",
            "ACTUATOR",
            "a%2fb",
            "a:b",
            "a=b",
            "ä",
        ] {
            assert!(!find(bad), "{bad}");
        }
        assert!(find(&"k".repeat(IDENTIFIER_MAX)) && !find(&"k".repeat(IDENTIFIER_MAX + 1)));
    }

    #[test]
    fn two_routes_that_fit_one_path_are_refused_and_both_named() {
        let text =
            relay("one", "/packets/{id}", "partner") + &relay("two", "/{kind}/list", "partner");
        refused(&text, "this route and `one` (/packets/{id}) alike");
        let text =
            relay("one", "/packets/{rest}", "partner") + &relay("two", "/packets/a/b", "partner");
        refused(&text, "`one`");
        let apart =
            relay("one", "/packets/{id}", "partner") + &relay("two", "/packets/list", "service");
        assert!(build(&apart).1.0.is_empty(), "different faces never meet");
        let longer = relay("one", "/packets/{id}", "partner")
            + &relay("two", "/packets/{id}/files", "partner");
        assert!(build(&longer).1.0.is_empty());
    }

    #[test]
    fn a_relay_passes_on_what_stands_for_rest() {
        let text = relay("files", "/files/{rest}", "partner").replace(
            "upstream = \"packets\"",
            "upstream = \"packets\", path = \"/v2/{rest}\"",
        );
        let (table, mistakes) = build(&text);
        assert!(mistakes.0.is_empty(), "{mistakes}");
        let found = table.find(FaceKind::Partner, &["files", "a", "b"]).unwrap();
        assert_eq!(found.upstream_path(None, None), "/v2/a/b");
        assert!(table.find(FaceKind::Partner, &["files"]).is_none());
    }

    #[test]
    fn names_are_unique_and_upstreams_known() {
        refused(
            &(relay("a", "/a", "partner") + &relay("a", "/b", "partner")),
            "another route `a`",
        );
        refused(
            &AUTH.replace("\"ida\", envelope", "\"idaa\", envelope"),
            "Did you mean `ida`?",
        );
        refused(
            &AUTH.replace("\"ida-auth\"", "\"ida auth\""),
            "a route's name is",
        );
    }

    #[test]
    fn an_ida_path_ends_with_the_three_identifiers_in_their_order() {
        for bad in [
            "/v1/auth/{misp_lk}/{partner_id}",
            "/v1/auth/{partner_id}/{misp_lk}/{api_key}",
            "/v1/auth/{misp_lk}/{partner_id}/{client_id}",
            "/{tenant}/auth/{misp_lk}/{partner_id}/{api_key}",
            "/v1/auth/{misp_lk}/{partner_id}/{api_key}/x",
        ] {
            let text = AUTH.replace(
                "/idauthentication/v1/auth/{misp_lk}/{partner_id}/{api_key}",
                bad,
            );
            refused(&text, "the path does not end with the three identifiers");
        }
        refused(
            &AUTH.replace("/{api_key}", "/{rest}"),
            "`{rest}` is for relays only",
        );
        refused(
            &AUTH.replace("/auth/", "/authenticate/"),
            "names no operation of IDA",
        );
        refused(
            &AUTH.replace("/auth/", "/kyc-auth/"),
            "names no operation of IDA",
        );
        refused(
            &AUTH.replace("/v1/", "/v1-callback/"),
            "skips its security filter",
        );
    }

    #[test]
    fn envelopes_that_make_no_sense_together_are_refused() {
        for (from, to, part) in [
            (
                "insecure_plain",
                "as-received",
                "IDA requests are always sealed",
            ),
            ("as-received", "as-received", "not how it comes"),
            ("opened", "opened", "not how it comes"),
            (
                "mosip-ida",
                "insecure_plain",
                "without saying how they were sealed",
            ),
        ] {
            let text = (AUTH.replace("\"mosip-ida\"", &format!("\"{from}\""))).replace(
                "envelope = \"as-received\" }",
                &format!("envelope = \"{to}\" }}"),
            );
            refused(&text, part);
        }
        for to in ["as-received", "opened", "mosip-ida"] {
            let text = AUTH.replace("\"as-received\"", &format!("\"{to}\""));
            assert!(build(&text).1.0.is_empty(), "{to}");
        }
        for bad in ["as-received", "opened", "mosip-ida"] {
            let text = relay("r", "/r", "partner").replace(
                "\"packets\", envelope = \"insecure_plain\"",
                &format!("\"packets\", envelope = \"{bad}\""),
            );
            refused(&text, "a relay neither opens nor seals");
        }
        let text = relay("r", "/r", "partner").replacen("insecure_plain", "mosip-ida", 1);
        refused(&text, "a relay neither opens nor seals");
    }

    #[test]
    fn methods_are_known_words_in_capitals_and_a_relay_must_name_them() {
        refused(
            &relay("r", "/r", "partner").replace("\"GET\"", "\"get\""),
            "`get` is not served",
        );
        refused(
            &relay("r", "/r", "partner").replace("\"GET\"", "\"CONNECT\""),
            "`CONNECT` is not served",
        );
        refused(
            &relay("r", "/r", "partner").replace("\"GET\"", "\"GET\", \"GET\""),
            "`GET` is listed twice",
        );
        refused(
            &relay("r", "/r", "partner").replace("[\"GET\"]", "[]"),
            "must say which methods",
        );
        refused(
            &AUTH.replace("handler", "methods = [\"GET\"]\nhandler"),
            "POST and nothing else",
        );
    }

    #[test]
    fn keys_of_ours_are_put_in_on_service_faces_only_and_only_where_there_is_a_place() {
        let with_key = |text: &str| {
            text.replace(
                "\"as-received\" }",
                "\"as-received\", misp_lk = { env = \"LK\" } }",
            )
        };
        refused(&with_key(AUTH), "a partner brings its own");
        let service = with_key(AUTH).replace("face = \"partner\"", "face = \"service\"");
        assert!(build(&service).1.0.is_empty());
        let nowhere = relay("r", "/r/{partner_id}", "service").replace(
            "upstream = \"packets\"",
            "upstream = \"packets\", api_key = { env = \"K\" }",
        );
        refused(&nowhere, "no `{api_key}` to put it in");
    }

    #[test]
    fn the_far_path_uses_only_what_the_near_path_has() {
        let to = |path: &str| {
            relay("r", "/r/{id}", "partner").replace(
                "upstream = \"packets\"",
                &format!("upstream = \"packets\", path = \"{path}\""),
            )
        };
        assert!(build(&to("/x/{id}")).1.0.is_empty());
        refused(&to("/x/{ID}"), "not a name in braces");
        refused(&to("/x/{idd}"), "Did you mean `id`?");
        refused(&to("/x/{id}/{rest}"), "`{rest}` is not in `path`");
        let lost = relay("r", "/r/{rest}", "partner").replace(
            "upstream = \"packets\"",
            "upstream = \"packets\", path = \"/x\"",
        );
        refused(&lost, "would be lost");
        let other = AUTH.replace(
            "upstream = \"ida\"",
            "upstream = \"ida\", path = \"/v1/kyc/{misp_lk}/{partner_id}/{api_key}\"",
        );
        refused(&other, "another operation");
    }

    #[test]
    fn ida_takes_no_query_and_no_route_takes_bodies_of_nothing() {
        refused(
            &AUTH.replace("handler", "query = true\nhandler"),
            "no query string",
        );
        refused(
            &AUTH.replace("handler", "body_max_bytes = 0\nhandler"),
            "no bytes",
        );
    }
}
