//! A refusal for every rule of a route, and of routes together.

use crate::ida::Operation;
use http::Method;

use super::*;
use crate::{
    config::{Document, Mistakes},
    policy::route::IDENTIFIER_MAX,
};

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
        found.upstream_path(None, None).unwrap(),
        "/idauthentication/v1/auth/LK/p-1/123456"
    );
    assert_eq!(
        found.upstream_path(Some("OURS"), Some("9")).unwrap(),
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
    let text = relay("one", "/packets/{id}", "partner") + &relay("two", "/{kind}/list", "partner");
    refused(&text, "this route and `one` (/packets/{id}) alike");
    let text =
        relay("one", "/packets/{rest}", "partner") + &relay("two", "/packets/a/b", "partner");
    refused(&text, "`one`");
    let apart =
        relay("one", "/packets/{id}", "partner") + &relay("two", "/packets/list", "service");
    assert!(build(&apart).1.0.is_empty(), "different faces never meet");
    let longer =
        relay("one", "/packets/{id}", "partner") + &relay("two", "/packets/{id}/files", "partner");
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
    assert_eq!(found.upstream_path(None, None).unwrap(), "/v2/a/b");
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
        refused(&text, "only jose and insecure_plain are spoken here");
    }
    let text = relay("r", "/r", "partner").replacen("insecure_plain", "mosip-ida", 1);
    refused(&text, "only jose and insecure_plain are spoken here");
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
