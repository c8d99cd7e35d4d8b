//! The pages and the authorization request.

use super::world::{
    HOME, ISSUER, World, challenge, cookie, location, member, person, text, transaction,
};
use crate::sandbox::esignet::static_code;

#[test]
fn a_login_comes_back_with_a_code_the_state_and_the_issuer() {
    let back = World::new().log_in(&[], &[]);
    assert!(back.starts_with(&format!("{HOME}?code=")), "{back}");
    assert_eq!(member(&back, "state").as_deref(), Some("s t&te"));
    assert_eq!(member(&back, "iss").as_deref(), Some(ISSUER));
}

#[test]
fn nobody_is_sent_to_an_address_that_is_not_registered_to_the_byte() {
    let world = World::new();
    for (name, value) in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", ""),
        ("redirect_uri", "https://registry.example.org/back/"),
        ("redirect_uri", "https://registry.example.org/back?x=1"),
        ("redirect_uri", "https://Registry.example.org/back"),
    ] {
        let page = world.begin(&[(name, value)]);
        assert_eq!(page.status, 400, "{name}={value}");
        assert!(!page.headers.contains_key("location"));
    }
}

#[test]
fn a_request_with_a_mistake_goes_back_with_its_error() {
    let world = World::new();
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
        (("prompt", "often"), "invalid_request"),
        (("display", "wall"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("claims", "[]"), "invalid_request"),
        (("request", "x"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "S256"), "invalid_request"),
        (("client_id", "strict"), "invalid_request"),
    ] {
        let back = location(&world.begin(&[change]));
        assert_eq!(member(&back, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(member(&back, "state").as_deref(), Some("s t&te"));
    }
    let plain = [
        ("code_challenge", challenge()),
        ("code_challenge_method", "plain".to_owned()),
    ];
    let plain = plain
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let back = location(&world.begin(&plain));
    assert_eq!(member(&back, "error").as_deref(), Some("invalid_request"));
}

#[test]
fn the_page_says_who_asks_and_loads_nothing() {
    let page = World::new().begin(&[]);
    let html = text(&page);
    assert!(html.contains("Log in to Registry &lt;of&gt; tests"));
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"));
    assert!(policy.contains("form-action 'self' https://registry.example.org;"));
}

#[test]
fn a_wrong_code_shows_the_page_again_and_the_fifth_ends_the_login() {
    let world = World::new();
    let begun = world.begin(&[]);
    let (id, cookie) = (transaction(&begun), cookie(&begun));
    let try_with = |code: &str| {
        let form = [
            ("transaction", id.as_str()),
            ("individual_id", &person().uin),
            ("code", code),
        ];
        world.post("/authorize/login", &cookie, &form)
    };
    for _ in 0..4 {
        assert!(text(&try_with("000000")).contains("role=\"alert\""));
    }
    let back = location(&try_with("000000"));
    assert_eq!(member(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(try_with(static_code(&person())).status, 400);
}

#[test]
fn a_login_belongs_to_the_browser_that_began_it() {
    let world = World::new();
    let (mine, theirs) = (world.begin(&[]), world.begin(&[]));
    let form = [
        ("transaction", transaction(&mine)),
        ("individual_id", person().uin),
        ("code", static_code(&person()).to_owned()),
    ];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        world
            .post("/authorize/login", &cookie(&theirs), &form)
            .status,
        400
    );
    assert_eq!(world.post("/authorize/login", "", &form).status, 400);
    assert_eq!(
        world.post("/authorize/login", &cookie(&mine), &form).status,
        200
    );
}

#[test]
fn consent_is_asked_of_somebody_who_has_logged_in_and_may_be_refused() {
    let world = World::new();
    let begun = world.begin(&[]);
    let (id, cookie) = (transaction(&begun), cookie(&begun));
    let allow = [("transaction", id.as_str()), ("decision", "allow")];
    assert_eq!(
        world.post("/authorize/consent", &cookie, &allow).status,
        400
    );

    let begun = world.begin(&[]);
    let (id, cookie) = (transaction(&begun), super::world::cookie(&begun));
    let who = person();
    world.post(
        "/authorize/login",
        &cookie,
        &[
            ("transaction", &id),
            ("individual_id", &who.vid),
            ("code", static_code(&who)),
        ],
    );
    let back = location(&world.post(
        "/authorize/consent",
        &cookie,
        &[("transaction", &id), ("decision", "deny")],
    ));
    assert_eq!(member(&back, "error").as_deref(), Some("access_denied"));
}
