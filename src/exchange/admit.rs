//! Step 3, admit: the route, the method, the licence, the API key. Nothing of the body has been read yet.

use crate::ida::Operation;
use std::sync::Arc;

use http::{HeaderMap, header};

use super::{Gateway, Identified, Snapshot, Trail, quota, rules};
use crate::{
    clock::Moment,
    config::{Envelope, FaceKind, HandlerKind},
    partners::Caller,
    policy::{Admission, AuthPolicy, Presented, Route},
    refusal::{Code, Refusal},
};

/// An exchange on a route that its caller may use. Only [`admit`] makes one.
#[derive(Debug)]
pub struct Admitted {
    pub(super) held: Box<Held>,
}

/// What an exchange holds from its admission to its answer, in one place: the later steps hand it on without moving it.
pub(super) struct Held {
    pub(super) caller: Caller,
    pub(super) route: Arc<Route>,
    pub(super) target: Target,
    pub(super) grant: Option<Arc<AuthPolicy>>,
    /// The head as it came.
    pub(super) parts: Box<http::request::Parts>,
    pub(super) near: Near,
    /// The target URI as a signature must name it, on routes whose signatures do.
    pub(super) uri: Option<String>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Paths and headers hold licence and API keys and tokens.
        f.debug_struct("Held")
            .field("caller", &self.caller)
            .field("route", &self.route.name())
            .finish_non_exhaustive()
    }
}

/// What the request's own target said: for handlers that end an exchange themselves. Its `Debug` shows nothing.
#[derive(Clone, Default)]
pub struct Near {
    path: String,
    query: Option<String>,
}

impl Near {
    /// The canonical path as received. Never log it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as received, on routes that take one. Never log it.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

impl std::fmt::Debug for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Near(..)")
    }
}

/// Where a request goes: the canonical path and query towards the upstream. Its `Debug` shows nothing, because licence and
/// API keys stand in MOSIP's paths.
pub struct Target {
    path_and_query: String,
}

impl Target {
    /// The path and query to call. Never log it.
    pub fn expose(&self) -> &str {
        &self.path_and_query
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(..)")
    }
}

/// Deny unless listed: an unknown route, method, licence or key ends here. What is admitted counts against its quota.
pub(super) async fn admit(
    gateway: &Gateway,
    identified: Identified,
    trail: &mut Trail,
) -> Result<Admitted, Refusal> {
    let admitted = check(gateway, identified, trail)?;
    if let Some(quota) = quota::of(admitted.held.caller.partner(), &admitted.held.route) {
        quota::count(gateway, &admitted, quota, trail).await?;
    }
    Ok(admitted)
}

fn check(
    gateway: &Gateway,
    identified: Identified,
    trail: &mut Trail,
) -> Result<Admitted, Refusal> {
    let Identified { arrived, caller } = identified;
    let snapshot = Arc::clone(&trail.snapshot);
    let kind = trail.connection.kind;
    let now = trail.at;
    let path = arrived.request.path();
    let segments: Vec<&str> = path.segments().collect();
    let found = snapshot
        .routes()
        .find(kind, &segments)
        .ok_or_else(|| Refusal::new(Code::RouteUnknown, "no route has this path"))?;
    let route = Arc::clone(found.route());
    trail.route = Some(Arc::clone(&route));
    caller.partner().may_use(route.name())?;
    if !route.takes(arrived.request.method()) {
        return Err(Refusal::new(
            Code::MethodNotAllowed,
            "method not in the route's list",
        ));
    }
    if arrived.request.query().is_some() && !route.query() {
        return Err(Refusal::new(
            Code::QueryNotAllowed,
            "query on a route without",
        ));
    }
    let body_max = route
        .body_max_bytes()
        .unwrap_or(snapshot.limits().body_max_bytes);
    arrived.request.announced_within(body_max)?;
    let grant = match route.handler() {
        HandlerKind::Ida => {
            json_only(&arrived.parts.headers)?;
            let ids = Identifiers {
                licence: found.capture("misp_lk").unwrap_or_default(),
                partner: found.capture("partner_id").unwrap_or_default(),
                api_key: found.capture("api_key").unwrap_or_default(),
            };
            let operation = route
                .operation()
                .ok_or_else(|| Refusal::new(Code::Fault, "an ida route without an operation"))?;
            admit_ida(&snapshot, kind, &caller, operation, &ids, trail, now)?
        }
        _ => None,
    };
    rules::admit(gateway, &caller, &route, grant.as_deref(), trail)?;
    let path_and_query = snapshot.target(&found, arrived.request.query())?;
    let near = match route.handler() {
        // Their paths hold keys, and nobody asks.
        HandlerKind::Ida | HandlerKind::Relay => Near::default(),
        _ => Near {
            path: path.as_str().to_owned(),
            query: arrived.request.query().map(str::to_owned),
        },
    };
    let uri = (route.from() == Envelope::Jose).then(|| {
        let face = snapshot.face(&trail.connection.face);
        let tls = face.is_some_and(|face| face.tls().is_some());
        arrived
            .request
            .target_uri(if tls { "https" } else { "http" })
    });
    let held = Box::new(Held {
        near,
        uri,
        caller,
        target: Target { path_and_query },
        grant,
        parts: arrived.parts,
        route,
    });
    Ok(Admitted { held })
}

/// The three identifiers in an IDA path (IDA reference 1.1).
struct Identifiers<'p> {
    licence: &'p str,
    partner: &'p str,
    api_key: &'p str,
}

/// The identifiers in the path agree with who is connected, in MOSIP's own order (IDA reference 2.2), and lead to a policy.
fn admit_ida(
    snapshot: &Snapshot,
    kind: FaceKind,
    caller: &Caller,
    operation: Operation,
    ids: &Identifiers<'_>,
    trail: &mut Trail,
    now: Moment,
) -> Result<Option<Arc<AuthPolicy>>, Refusal> {
    match kind {
        FaceKind::Partner => {
            snapshot.directory().named(caller, ids.partner)?;
            let presented = Presented {
                api_key: ids.api_key,
                licence_key: ids.licence,
            };
            let (directory, policies) = (snapshot.directory(), snapshot.policies());
            let admission = Admission::ask(
                directory,
                policies,
                caller.partner(),
                operation,
                presented,
                now,
            )?;
            trail.policy = Some(admission.api_key().policy().to_owned());
            Ok(Some(Arc::clone(admission.policy())))
        }
        FaceKind::Service => {
            // A service speaks for us: the path names our own partner id. Licence and key are judged where they are issued;
            // those that stand in the service's file are judged here as well.
            if ids.partner != snapshot.own().id() {
                return Err(Refusal::new(
                    Code::PartnerMismatch,
                    "the path of a service names another partner than us",
                ));
            }
            if caller.partner().api_keys().is_empty() {
                return Ok(None);
            }
            let key = snapshot
                .directory()
                .mapping(caller.partner(), ids.api_key)?;
            let policy = snapshot.policies().active(key.policy(), now)?;
            key.standing(now)?;
            policy.permits_operation(operation)?;
            trail.policy = Some(key.policy().to_owned());
            Ok(Some(Arc::clone(policy)))
        }
    }
}

/// Whether the body is said to be JSON, with or without a charset parameter that says UTF-8 (IDA reference 1.2).
///
/// # Errors
/// `RT-004` when it is not, when its type stands twice, or when it is compressed.
pub fn json_only(headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = || Refusal::new(Code::MediaType, "not application/json");
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let text = values
        .next()
        .and_then(|v| v.to_str().ok())
        .ok_or_else(refuse)?;
    if values.next().is_some() || headers.contains_key(header::CONTENT_ENCODING) {
        return Err(refuse());
    }
    let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
    let parameters = parameters.trim();
    let utf8 = parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8");
    if media.trim().eq_ignore_ascii_case("application/json") && utf8 {
        Ok(())
    } else {
        Err(refuse())
    }
}

impl Admitted {
    /// How the content is sealed on its way here.
    pub(super) fn envelope(&self) -> Envelope {
        self.held.route.from()
    }
}
