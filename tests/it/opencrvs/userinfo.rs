//! `/esignet/get-oidp-user-info` in the middleware's place: a person logs in at the sandbox's E-Signet, OpenCRVS' front end
//! brings the code, and both gateways lie in between.

use serde_json::{Value, json};

use super::setup::Crvs;
use crate::{
    esignet,
    harness::{Answer, Reloaded, World},
};

const PATH: &str = "/esignet/get-oidp-user-info";

/// Gateways with the route, before an E-Signet at that port.
fn started(world: &World, name: &str, port: u16) -> Crvs {
    let mut crvs = Crvs::at(esignet::site(world, name, port, "jose"), "");
    let crvs_toml = "crvs/gateway.toml";
    crvs.site.append(
        crvs_toml,
        &format!(
            "\n[opencrvs.esignet]\nscopes = [\"record.declare-birth\"]\nclient_id = \"crvs-client\"\nredirect_uris = [\"{}\"]\nform = \"1.9\"\n\n\
             [[route]]\nname = \"userinfo\"\npath = \"{PATH}\"\nhandler = \"opencrvs\"\nfrom = {{ face = \"service\", envelope = \"insecure_plain\" }}\nquery = true\n",
            landing(port)
        ),
    );
    crvs.site.edit("crvs/partners/sdk.toml", |text| {
        text.replacen("routes = [", "routes = [\"userinfo\", ", 1)
    });
    crvs.site.start_misp();
    crvs.start_crvs();
    esignet::ready(&crvs.site);
    crvs
}

fn landing(port: u16) -> String {
    format!("http://127.0.0.1:{port}/sandbox/landing")
}

/// A code of Ada's, who allows what OpenCRVS 1.9 asks for.
fn code(port: u16) -> String {
    let needed = json!({"essential": true});
    let claims = json!({"userinfo": {"name": needed, "birthdate": needed, "gender": needed, "individual_id": needed}});
    esignet::code_with(port, "crvs-client", false, &claims)
}

fn token(crvs: &Crvs) -> String {
    let scope = json!({"scope": ["record.declare-birth"]});
    crvs.auth.token("e", "a", scope)
}

/// What OpenCRVS' front end sends.
#[track_caller]
fn ask(crvs: &Crvs, code: &str, body: &Value) -> Answer {
    let path = format!("{PATH}?code={code}&state=fetch-on-mount");
    let body = body.to_string();
    crvs.post(&path, Some(&token(crvs)), body.as_bytes())
        .expect("an answer")
}

/// The sandbox's E-Signet does one thing wrong.
fn order(port: u16, kind: &str) {
    let body = json!({"kind": kind, "times": 1}).to_string();
    let text = format!(
        "POST /sandbox/fault HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(esignet::plain(port, text.as_bytes()).status, 200, "{kind}");
}

#[test]
fn who_logged_in_is_told_in_the_middlewares_form() {
    let world = World::shared();
    let port = esignet::esignet_port(world);
    let crvs = started(world, "opencrvs-userinfo", port);
    let person = triseal::sandbox::people::all().remove(0);
    // The page's own parameters come along, as the middleware takes them.
    let redirect = format!("{}?from=page", landing(port));
    let body = json!({"clientId": "crvs-client", "redirectUri": redirect});
    let first = code(port);
    let answer = ask(&crvs, &first, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.json(),
        json!({"name": {"firstname": "Ada", "middlename": "", "surname": "Example"}, "gender": "female",
            "dobUnknown": null, "birthDate": "1987-11-25", "verificationStatus": "authenticated", "idType": null, "nid": null})
    );

    // A code is good once. E-Signet's word is passed on, and nothing about anybody.
    let again = ask(&crvs, &first, &body);
    assert_eq!((again.status, again.code().as_str()), (502, "ESG-014"));

    // 2.x: with the national id and the pairwise subject.
    crvs.site
        .replace("crvs/gateway.toml", "form = \"1.9\"", "form = \"2.x\"");
    assert_eq!(crvs.site.crvs().reload(), Reloaded::Published);
    let told = ask(&crvs, &code(port), &body);
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!(
        (&told["nid"], &told["idType"]),
        (&json!(person.uin), &json!("NATIONAL_ID"))
    );
    let subject = told["sub"].as_str().unwrap();
    assert!(!subject.is_empty() && !subject.contains(&person.uin));

    // Nothing about the person is in the logs of either gateway.
    for (gateway, name) in [(crvs.site.crvs(), "crvs"), (crvs.site.misp(), "misp")] {
        let said = gateway.process().err() + &crvs.site.read(&format!("{name}/access.log"));
        for canary in ["Ada", "1987", person.uin.as_str(), subject, first.as_str()] {
            assert!(!said.contains(canary), "{canary} at {name}");
        }
    }
}

#[test]
fn who_may_not_ask_or_is_lied_to_gets_nobody() {
    // One of its own: it is told to lie.
    let world = World::start("opencrvs-userinfo-liar");
    let port = esignet::esignet_port(&world);
    let crvs = started(&world, "opencrvs-userinfo-refusals", port);
    let good = json!({"clientId": "crvs-client", "redirectUri": landing(port)});
    let unspent = code(port);
    let with = |client: &str, redirect: &str| json!({"clientId": client, "redirectUri": redirect});
    let here = landing(port);
    let (longer, elsewhere) = (format!("{here}/x"), "https://evil.example/".to_owned());
    for (what, code, body, status, refusal) in [
        (
            "an unknown client",
            unspent.as_str(),
            with("stranger", &here),
            403,
            "CRVS-012",
        ),
        // It is a client of [esignet], but not the one of this route.
        (
            "another client",
            &unspent,
            with("crvs-sealed", &here),
            403,
            "CRVS-012",
        ),
        (
            "another page",
            &unspent,
            with("crvs-client", &elsewhere),
            403,
            "CRVS-012",
        ),
        (
            "a longer path",
            &unspent,
            with("crvs-client", &longer),
            403,
            "CRVS-012",
        ),
        (
            "no client",
            &unspent,
            json!({"redirectUri": here}),
            400,
            "MSG-002",
        ),
        ("a wrong code", "AAAAAAAAAAAA", good.clone(), 502, "ESG-014"),
        (
            "a code twice in the query",
            "a&code=b",
            good.clone(),
            400,
            "MSG-003",
        ),
    ] {
        let answer = ask(&crvs, code, &body);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, refusal),
            "{what}: {}",
            answer.text()
        );
        assert!(!answer.text().contains("Ada"), "{what}");
    }
    // A token without the scope, and none.
    let path = format!("{PATH}?code={unspent}");
    let scopeless = crvs.auth.token("e", "a", json!({}));
    for (token, status, refusal) in [
        (Some(scopeless.as_str()), 403, "CRVS-007"),
        (None, 401, "CRVS-001"),
    ] {
        let answer = crvs
            .post(&path, token, good.to_string().as_bytes())
            .unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (status, refusal));
    }
    // None of these reached E-Signet: the code is as good as new.
    let answer = ask(&crvs, &unspent, &good);
    assert_eq!(answer.status, 200, "{}", answer.text());

    for (kind, refusals) in [
        ("stranger-signature", &["ESG-011"][..]),
        ("unknown-kid", &["ESG-011"]),
        ("alg-none", &["ESG-010", "ESG-011"]),
        ("other-subject", &["ESG-012"]),
        ("other-id-token", &["ESG-012"]),
        ("error-text", &["ESG-010"]),
    ] {
        let fresh = code(port);
        order(port, kind);
        let answer = ask(&crvs, &fresh, &good);
        assert_eq!(answer.status, 502, "{kind}: {}", answer.text());
        let refusal = answer.code();
        assert!(refusals.contains(&refusal.as_str()), "{kind}: {refusal}");
        // The middleware's word, not what was in the lie.
        assert_eq!(answer.json()["error"], "An unexpected error occurred");
        assert!(!answer.text().contains("Ada"), "{kind}");
    }
    // The truth is believed again.
    assert_eq!(ask(&crvs, &code(port), &good).status, 200);
}
