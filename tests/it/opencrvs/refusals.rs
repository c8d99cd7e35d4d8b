//! Every refusal by its name: tokens that are not quite right, bodies that are not quite whole, paths that are not there.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};
use serde_json::{Value, json};

use super::setup::{Auth, Crvs, REGISTER, Record, claims};
use crate::{
    harness::{Answer, until},
    scripted::Said,
};

fn parts(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

/// Signed with HMAC, with the public key as the secret: the oldest trick there is.
fn hs256(crvs: &Crvs, claims: &Value) -> String {
    let input = parts(&json!({"alg": "HS256", "typ": "JWT"}), claims);
    let key = PKey::hmac(crvs.auth.pem().as_bytes()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let tag = signer.sign_oneshot_to_vec(input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_token_that_is_not_quite_right_is_refused_by_name_and_nothing_is_stored() {
    let crvs = Crvs::started("opencrvs-tokens", "");
    let birth = Record::birth();
    let (event, action) = (birth.event.as_str(), birth.action.as_str());
    let now = crate::harness::now().s();
    let good = claims(event, action, json!({}));
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let with = |other: Value| crvs.auth.token(event, action, other);
    let headed = |other: Value| {
        let mut header = header.clone();
        header
            .as_object_mut()
            .unwrap()
            .extend(other.as_object().unwrap().clone());
        crvs.auth.signed(&header, &good)
    };
    let stranger = Auth::new();
    let altered = {
        let token = with(json!({}));
        let (_, signature) = token.rsplit_once('.').unwrap();
        format!(
            "{}.{signature}",
            parts(&header, &claims("another-event", action, json!({})))
        )
    };
    for (what, token, status, code) in [
        ("no token", String::new(), 401, "CRVS-001"),
        ("no JWT", "abc".to_owned(), 401, "CRVS-002"),
        ("five parts", "a.b.c.d.e".to_owned(), 401, "CRVS-002"),
        (
            "alg none",
            format!("{}.", parts(&json!({"alg": "none"}), &good)),
            401,
            "CRVS-002",
        ),
        (
            "HS256 with the public key",
            hs256(&crvs, &good),
            401,
            "CRVS-002",
        ),
        (
            "another algorithm's name",
            headed(json!({"alg": "RS512"})),
            401,
            "CRVS-002",
        ),
        (
            "an algorithm that others may use",
            headed(json!({"alg": "PS256"})),
            401,
            "CRVS-002",
        ),
        (
            "a certificate beside",
            headed(json!({"x5c": ["AAAA"]})),
            401,
            "CRVS-002",
        ),
        (
            "an empty key id",
            headed(json!({"kid": ""})),
            401,
            "CRVS-002",
        ),
        (
            "a long key id",
            headed(json!({"kid": "k".repeat(257)})),
            401,
            "CRVS-002",
        ),
        (
            "a key of its own",
            headed(json!({"jwk": {"kty": "RSA"}})),
            401,
            "CRVS-002",
        ),
        (
            "a key's address",
            headed(json!({"jku": "https://evil.example"})),
            401,
            "CRVS-002",
        ),
        (
            "a critical member",
            headed(json!({"crit": ["b64"], "b64": false})),
            401,
            "CRVS-002",
        ),
        (
            "a stranger's key",
            stranger.token(event, action, json!({})),
            401,
            "CRVS-003",
        ),
        ("other claims under a signature", altered, 401, "CRVS-003"),
        (
            "a foreign issuer",
            with(json!({"iss": "opencrvs:auth-servic"})),
            401,
            "CRVS-004",
        ),
        ("no issuer", with(json!({"iss": null})), 401, "CRVS-004"),
        (
            "a foreign audience",
            with(json!({"aud": ["opencrvs:gateway-user"]})),
            401,
            "CRVS-005",
        ),
        (
            "an audience among other words",
            with(json!({"aud": "x opencrvs:events-user"})),
            401,
            "CRVS-005",
        ),
        (
            "an audience that begins alike",
            with(json!({"aud": "opencrvs:events-user2"})),
            401,
            "CRVS-005",
        ),
        ("no audience", with(json!({"aud": null})), 401, "CRVS-005"),
        ("over", with(json!({"exp": now - 6})), 401, "CRVS-006"),
        (
            "without an end",
            with(json!({"exp": null})),
            401,
            "CRVS-006",
        ),
        (
            "an end that is text",
            with(json!({"exp": "2099-01-01"})),
            401,
            "CRVS-002",
        ),
        (
            "not yet begun",
            with(json!({"nbf": now + 60})),
            401,
            "CRVS-006",
        ),
        (
            "from the future",
            with(json!({"iat": now + 60})),
            401,
            "CRVS-006",
        ),
        ("empty scope", with(json!({"scope": []})), 403, "CRVS-007"),
        ("no scope", with(json!({"scope": null})), 403, "CRVS-007"),
        (
            "the scope to reject",
            with(json!({"scope": ["record.reject-registration"]})),
            403,
            "CRVS-007",
        ),
        (
            "a scope that begins alike",
            with(json!({"scope": ["record.confirm-registration-x"]})),
            403,
            "CRVS-007",
        ),
        ("no event", with(json!({"eventId": null})), 401, "CRVS-008"),
        (
            "an empty event",
            with(json!({"eventId": ""})),
            401,
            "CRVS-008",
        ),
        (
            "no action",
            with(json!({"actionId": null})),
            401,
            "CRVS-008",
        ),
    ] {
        let token = (!token.is_empty()).then_some(token.as_str());
        let answer = crvs.post(REGISTER, token, &birth.body()).unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{what}: {}",
            answer.text()
        );
        let error = if status == 401 {
            "Unauthorized"
        } else {
            "Forbidden"
        };
        assert_eq!(answer.json()["error"], error, "{what}");
    }
    let answer = crvs.ask(
        "POST",
        REGISTER,
        &format!("Authorization: {}\r\n", with(json!({}))),
        &birth.body(),
    );
    assert_eq!(
        answer.unwrap().code(),
        "CRVS-001",
        "the token without the word Bearer"
    );
    assert_eq!(crvs.mosip.times(), 0);
    assert_eq!(crvs.command(&["list", "--json"]).out, "");
    crvs.register(&birth);
}

#[test]
fn a_new_key_is_fetched_when_it_is_used_and_a_bad_one_never_replaces_a_good_one() {
    let mut crvs = Crvs::new("opencrvs-keys", "");
    crvs.site.replace(
        "crvs/gateway.toml",
        "[opencrvs.token]\n",
        "[opencrvs.token]\nrefresh_s = 1\n",
    );
    crvs.site.start_misp();
    crvs.start_crvs();
    let birth = Record::birth();
    let old = birth.token(&crvs);
    // What is published is no key, too small a key, a key among others, or no answer at all: the last good one stays.
    let small = PKey::from_rsa(openssl::rsa::Rsa::generate(1024).unwrap()).unwrap();
    let small = String::from_utf8(small.public_key_to_pem().unwrap()).unwrap();
    let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let curve = PKey::from_ec_key(openssl::ec::EcKey::generate(&curve).unwrap()).unwrap();
    let curve = String::from_utf8(curve.public_key_to_pem().unwrap()).unwrap();
    for (status, bad) in [
        (200, "<html>please log in</html>".to_owned()),
        (200, small),
        (200, curve),
        (200, r#"{"keys":[]}"#.to_owned()),
        (200, String::new()),
        (500, crvs.auth.pem()),
    ] {
        let what = bad.clone();
        crvs.core
            .now(move |_| Said::text(status, "text/plain", bad.clone()));
        let before = crvs.core.times();
        until("it is fetched twice", || {
            (crvs.core.times() > before + 1).then_some(())
        });
        let answer = crvs.post(REGISTER, Some(&old), &birth.body()).unwrap();
        assert_eq!(answer.status, 202, "{what}: {}", answer.text());
    }
    // A new key is taken, as JWKS too, and the old one is no key any more.
    let new = Auth::new();
    let rsa = new.key.rsa().unwrap();
    let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
    let jwks = json!({"keys": [
        {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1", "n": number(rsa.n()), "e": number(rsa.e())},
    ]});
    let jwks = jwks.to_string();
    crvs.core
        .now(move |_| Said::text(200, "application/json", jwks.clone()));
    crvs.auth = new;
    until("the new key is taken", || {
        let answer = crvs.post(REGISTER, Some(&birth.token(&crvs)), &birth.body())?;
        (answer.status == 202).then_some(())
    });
    let answer = crvs.post(REGISTER, Some(&old), &birth.body()).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "CRVS-003"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_body_that_is_not_quite_whole_is_a_clear_400() {
    let crvs = Crvs::started("opencrvs-bodies", "");
    let birth = Record::birth();
    let token = birth.token(&crvs);
    let post = |body: &[u8]| -> Answer { crvs.post(REGISTER, Some(&token), body).unwrap() };
    let changed = |pointer: &str, value: Value| {
        let mut body = birth.json();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => parent.remove(name),
            value => parent.insert(name.to_owned(), value),
        };
        body.to_string()
    };
    for (what, body, code) in [
        ("no JSON", "{".to_owned(), "MSG-001"),
        ("a list", "[]".to_owned(), "MSG-001"),
        (
            "a member twice",
            r#"{"trackingId":"a","trackingId":"b"}"#.to_owned(),
            "MSG-001",
        ),
        (
            "neither number",
            changed("/requestFields/birthCertificateNumber", Value::Null),
            "CRVS-010",
        ),
        (
            "both numbers",
            changed("/requestFields/deathCertificateNumber", json!("D1")),
            "CRVS-010",
        ),
        (
            "an empty number",
            changed("/requestFields/birthCertificateNumber", json!("")),
            "CRVS-010",
        ),
        (
            "a number that is none",
            changed("/requestFields/birthCertificateNumber", json!(17)),
            "MSG-003",
        ),
        (
            "no tracking id",
            changed("/trackingId", Value::Null),
            "MSG-002",
        ),
        (
            "no fields",
            changed("/requestFields", Value::Null),
            "MSG-002",
        ),
        (
            "no notification",
            changed("/notification", Value::Null),
            "MSG-002",
        ),
        ("no audit", changed("/audit", Value::Null), "MSG-002"),
        ("an empty audit", changed("/audit", json!({})), "MSG-002"),
        (
            "no meta information",
            changed("/metaInfo", Value::Null),
            "MSG-002",
        ),
        (
            "a broken text",
            changed(
                "/requestFields/fullName",
                json!("[{\"language\":\"eng\",\"value\":\"O\"Hara\"}]"),
            ),
            "MSG-003",
        ),
        (
            "an injected text",
            changed(
                "/requestFields/fullName",
                json!("[{\"language\":\"eng\",\"value\":\"a\"}],\"UIN\":\"1\""),
            ),
            "MSG-003",
        ),
        (
            "a schema without fields",
            changed("/schemaJson", json!("{}")),
            "MSG-003",
        ),
    ] {
        let answer = post(body.as_bytes());
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{what}: {}",
            answer.text()
        );
        assert!(
            answer.json()["message"].as_str().unwrap().len() > 20,
            "{what}"
        );
    }
    let answer = crvs
        .ask(
            "POST",
            REGISTER,
            &format!("Authorization: Bearer {token}\r\nContent-Encoding: gzip\r\n"),
            b"x",
        )
        .unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (415, "RT-004"));
    // Nothing of it reached the store.
    assert_eq!(crvs.command(&["list", "--json"]).out, "");
}

#[test]
fn what_is_not_there_is_not_there() {
    let crvs = Crvs::started("opencrvs-absent", "");
    let token = Record::birth().token(&crvs);
    let with = format!("Authorization: Bearer {token}\r\n");
    for (method, path) in [
        ("GET", "/debug/transactions"),
        ("DELETE", "/debug/transactions/1"),
        ("POST", "/events/update-biographics"),
    ] {
        let answer = crvs.ask(method, path, "", b"{}").unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "RT-001"),
            "{method} {path}"
        );
        // A token on a path that is no route is nobody's.
        let answer = crvs.ask(method, path, &with, b"{}").unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "RT-001"),
            "{method} {path}"
        );
    }
    for (method, path, code) in [
        // A slash at the end is no canonical path.
        ("POST", "/events/registration/", "HTTP-006"),
        ("GET", "/events/registration", "RT-002"),
        ("POST", "/events/registration?x=1", "RT-005"),
    ] {
        let answer = crvs.ask(method, path, &with, b"{}").unwrap();
        assert_eq!(answer.code(), code, "{method} {path}: {}", answer.text());
    }
}

#[test]
fn a_browser_of_the_client_may_ask_and_no_other_origin_is_named() {
    let crvs = Crvs::started(
        "opencrvs-cors",
        "client_origin = \"https://register.example\"\n",
    );
    let preflight = crvs
        .ask(
            "OPTIONS",
            REGISTER,
            "Origin: https://register.example\r\nAccess-Control-Request-Method: POST\r\n",
            b"",
        )
        .unwrap();
    assert_eq!(preflight.status, 204, "{}", preflight.text());
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("GET, POST, OPTIONS")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("Content-Type, Authorization")
    );
    let refused = crvs
        .ask("POST", REGISTER, "Origin: https://evil.example\r\n", b"{}")
        .unwrap();
    for answer in [&preflight, &refused] {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://register.example")
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-robots-tag"), Some("none"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        assert_eq!(
            answer.header("strict-transport-security"),
            None,
            "there is no TLS here"
        );
    }
}

#[test]
fn without_the_issuers_key_nothing_is_taken_and_it_is_said_whose_side_it_is() {
    let mut crvs = Crvs::new("opencrvs-no-key", "");
    crvs.core
        .now(|_| Said::text(500, "text/plain", "-----BEGIN NOTHING"));
    crvs.site.start_misp();
    crvs.site.start_crvs();
    let birth = Record::birth();
    let answer = crvs
        .post(REGISTER, Some(&birth.token(&crvs)), &birth.body())
        .unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "CRVS-009"));
    assert_eq!(answer.json()["error"], "An unexpected error occurred");
    assert!(crvs.site.crvs().says("could not be fetched"));
    // As soon as it is published, it is fetched.
    let pem = crvs.auth.pem();
    crvs.core
        .now(move |_| Said::text(200, "text/plain", pem.clone()));
    until("it is taken", || {
        let answer = crvs.post(REGISTER, Some(&birth.token(&crvs)), &birth.body())?;
        (answer.status == 202).then_some(())
    });
}
