//! The sandbox's E-Signet: a person logs in with a real browser, and a client that is not ours takes the code from there.

use serde_json::{Value, json};

use crate::{harness::World, python};

/// The verifier of RFC 7636, appendix B, and its challenge.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn scene(world: &World) -> Value {
    let text = std::fs::read_to_string(world.dir().join("scene.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn authorize(origin: &str, client: &str) -> String {
    let claims = r#"%7B%22userinfo%22%3A%7B%22name%22%3A%7B%22essential%22%3Atrue%7D%2C%22email%22%3Anull%2C%22phone_number%22%3Anull%7D%7D"#;
    format!(
        "{origin}/authorize?client_id={client}&response_type=code&scope=openid&state=st&nonce=no\
         &redirect_uri={origin}/sandbox/landing&claims={claims}\
         &code_challenge={CHALLENGE}&code_challenge_method=S256"
    )
}

fn member<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
}

/// A whole walk: what each page said.
fn walk(origin: &str, client: &str, decision: &str) -> Vec<Value> {
    let job = json!({
        "authorize": authorize(origin, client),
        // The first of `triseal sandbox --people`.
        "individual": ada(), "code": &ada()[4..],
        "claims": ["email"], "decision": decision,
    });
    python::lines("browser.py", &job)
}

fn ada() -> String {
    triseal::sandbox::people::all().remove(0).uin
}

#[test]
fn a_person_logs_in_with_a_browser_and_a_client_that_is_not_ours_reads_the_sealed_claims() {
    let world = World::shared();
    let scene = scene(world);
    let origin = scene["esignet"].as_str().unwrap();
    let pages = walk(origin, "crvs-sealed", "allow");

    assert_eq!(pages[0]["heading"], "Log in to Civil Registry");
    assert_eq!(
        pages[0]["styled"], "12px",
        "the policy lets the page's own style in"
    );
    assert_eq!(
        pages[0]["fields"],
        json!([
            ["textbox", "UIN or VID"],
            ["textbox", "Static code"],
            ["button", "Log in"]
        ])
    );
    assert!(
        pages[1]["alert"]
            .as_str()
            .unwrap()
            .contains("do not belong together")
    );
    assert_eq!(pages[2]["heading"], "Civil Registry asks to know about you");
    assert_eq!(pages[2]["needed"], "Full name");
    assert_eq!(
        pages[2]["voluntary"],
        json!(["E-mail address", "Phone number"])
    );
    assert_eq!(pages[3]["said"], "You are logged in.");
    assert_eq!(
        pages[4]["complaints"],
        json!([]),
        "the browser blocked something"
    );
    let address = pages[3]["address"].as_str().unwrap();
    assert_eq!(member(address, "state"), Some("st"));

    let mut job = json!({
        "issuer": format!("{origin}/v1/esignet"), "client": "crvs-sealed",
        "pki": world.dir().join("pki"), "code": member(address, "code").unwrap(),
        "redirect_uri": format!("{origin}/sandbox/landing"), "verifier": VERIFIER,
    });
    let said = &python::lines("oidc_client.py", &job)[0];
    assert_eq!(said["sealed"], true, "{said}");
    assert_eq!(said["userinfo"]["name"], "Ada Example");
    assert_eq!(said["userinfo"]["email"], "person01@sandbox.example.org");
    assert_eq!(
        said["userinfo"].get("phone_number"),
        None,
        "it was not ticked"
    );
    assert_eq!(said["userinfo"]["sub"], said["id_token"]["sub"]);
    assert_eq!(said["id_token"]["nonce"], "no");

    // The same code again.
    let again = &python::lines("oidc_client.py", &job)[0];
    assert_eq!(again["error"]["error"], "invalid_grant", "{again}");
    job["client"] = json!("crvs-client");
    let other = &python::lines("oidc_client.py", &job)[0];
    assert_eq!(other["error"]["error"], "invalid_grant", "{other}");
}

#[test]
fn a_person_who_says_no_comes_back_without_a_code() {
    let scene = scene(World::shared());
    let pages = walk(scene["esignet"].as_str().unwrap(), "crvs-client", "deny");
    assert_eq!(pages[3]["said"], "You are not logged in: access_denied");
    let address = pages[3]["address"].as_str().unwrap();
    assert_eq!(member(address, "error"), Some("access_denied"));
    assert_eq!(member(address, "code"), None);
}
