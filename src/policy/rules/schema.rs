//! The schema that rules are validated against: the embedded part, and the actions that the routes of this gateway make.

use std::collections::BTreeSet;

use cedar_policy::Schema;

use crate::{
    config::HandlerKind,
    policy::{Route, RouteTable},
};

/// The part that is the same for every gateway.
pub const EMBEDDED: &str = include_str!("../../../policies/schema.cedarschema");

/// The whole schema as text, for editors and for building it.
pub fn text(routes: &RouteTable) -> String {
    let mut text = EMBEDDED.to_owned();
    text.push_str("\n// The actions of this gateway.\n");
    let handlers: BTreeSet<&str> = routes.iter().map(|r| handler(r.handler())).collect();
    for handler in handlers {
        text.push_str(&format!("action \"handler {handler}\";\n"));
    }
    for route in routes.iter() {
        let (name, resource) = (route.name(), resource(route));
        let handler = handler(route.handler());
        text.push_str(&format!("action \"{name}\" in [\"handler {handler}\"];\n"));
        for method in route.methods() {
            text.push_str(&format!(
                "action \"{method} {name}\" in [\"{name}\"] appliesTo {{ principal: [Partner], resource: [{resource}], context: Facts }};\n"
            ));
        }
    }
    text
}

/// The same, read. A mistake in it is one of ours; it is reported like any other, so that it refuses.
pub(super) fn read(text: &str) -> Result<Schema, String> {
    match Schema::from_cedarschema_str(text) {
        // The warnings are about shadowed names; there are none of the operator's in it.
        Ok((schema, _)) => Ok(schema),
        Err(e) => Err(e.to_string()),
    }
}

/// What kind of thing a route leads to.
pub(super) fn resource(route: &Route) -> &'static str {
    match route.upstream() {
        Some(_) => "Upstream",
        None => "Gateway",
    }
}

/// A handler's name, as in the configuration.
pub(super) const fn handler(kind: HandlerKind) -> &'static str {
    match kind {
        HandlerKind::Ida => "ida",
        HandlerKind::Packet => "packet",
        HandlerKind::Esignet => "esignet",
        HandlerKind::WebSub => "websub",
        HandlerKind::TokenSeeder => "token_seeder",
        HandlerKind::OpenCrvs => "opencrvs",
        HandlerKind::Evidence => "evidence",
        HandlerKind::Certificates => "certificates",
        HandlerKind::Relay => "relay",
    }
}
