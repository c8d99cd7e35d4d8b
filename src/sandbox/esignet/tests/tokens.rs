//! Assertions, codes, tokens, userinfo.

use josekit::{
    jwe::{self, RSA_OAEP_256},
    jws::{self, RS256},
};
use openssl::{pkey::PKey, rsa::Rsa, x509::X509};
use serde_json::{Value, json};

use super::world::{
    HOME, NOW, VERIFIER, World, assertion, authority, challenge, claims, json, member, payload,
    sealed_key, signed, text,
};
use crate::sandbox::esignet::{EsignetFault, EsignetFaultOrder};

/// Exactly what the authority signed, verified with OpenSSL's own view of its certificate.
fn verified(token: &str) -> Value {
    let key = X509::from_der(authority()).unwrap().public_key().unwrap();
    let verifier = RS256
        .verifier_from_der(key.public_key_to_der().unwrap())
        .unwrap();
    let (payload, _) = jws::deserialize_compact(token, &verifier).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn a_code_gives_tokens_and_userinfo_with_what_was_consented_to_and_nothing_else() {
    let world = World::new();
    let back = world.log_in(&[], &[]);
    let tokens = json(&world.exchange(&member(&back, "code").unwrap(), &[]));
    let id_token = payload(tokens["id_token"].as_str().unwrap());
    assert_eq!(
        (&id_token["aud"], &id_token["nonce"]),
        (&json!("plain"), &json!("n0nce"))
    );

    let answer = world.userinfo(tokens["access_token"].as_str().unwrap());
    assert_eq!(answer.headers["content-type"], "application/jwt");
    let about = verified(&text(&answer));
    assert_eq!(about["sub"], id_token["sub"]);
    assert_eq!(about["name"], "Ada Example");
    // E-mail was not ticked; the picture is not registered for the client.
    let names: Vec<_> = about.as_object().unwrap().keys().collect();
    assert_eq!(names, ["sub", "name", "birthdate"]);
}

#[test]
fn a_voluntary_claim_is_given_when_it_is_ticked_and_only_if_it_was_asked() {
    let world = World::new();
    let ticked = [("claim.email", "on"), ("claim.address", "on")];
    let back = world.log_in(&[], &ticked);
    let tokens = json(&world.exchange(&member(&back, "code").unwrap(), &[]));
    let about = verified(&text(
        &world.userinfo(tokens["access_token"].as_str().unwrap()),
    ));
    assert_eq!(about["email"], "person01@sandbox.example.org");
    assert!(about.get("address").is_none());
}

#[test]
fn with_several_locales_names_and_addresses_say_their_language() {
    let world = World::new();
    let asked = r#"{"userinfo":{"name":{"essential":true},"address":{"essential":true},"birthdate":{"essential":true}}}"#;
    let access = world.access(
        "plain",
        &[("claims", asked), ("claims_locales", "en fr xx")],
    );
    let about = verified(&text(&world.userinfo(&access)));
    assert_eq!(about["name#en"], "Ada Example");
    assert_eq!(about["name#fr"], "Ada Exemple");
    assert_eq!(about["address#fr"]["locality#fr"], "Exampleville");
    assert_eq!(about["birthdate"], "1987/11/25");
    assert!(about.get("name").is_none() && about.get("name#xx").is_none());

    let access = world.access("plain", &[("claims", asked), ("claims_locales", "fr")]);
    let about = verified(&text(&world.userinfo(&access)));
    assert_eq!(about["name"], "Ada Exemple");
    assert_eq!(about["address"]["locality"], "Exampleville");
}

#[test]
fn a_client_that_is_registered_so_gets_a_jws_in_a_jwe() {
    let world = World::new();
    for (client, compressed) in [("sealed", false), ("packed", true)] {
        let access = world.access(client, &[]);
        let sealed = text(&world.userinfo(&access));
        let key = sealed_key().private_key_to_pkcs8().unwrap();
        let decrypter = RSA_OAEP_256.decrypter_from_der(key).unwrap();
        let (inner, header) = jwe::deserialize_compact(&sealed, &decrypter).unwrap();
        assert_eq!(header.content_encryption(), Some("A256GCM"));
        assert_eq!(header.content_type(), Some("JWT"));
        assert_eq!(header.compression().is_some(), compressed);
        assert_eq!(
            verified(std::str::from_utf8(&inner).unwrap())["name"],
            "Ada Example"
        );
    }
}

#[test]
fn the_key_set_has_the_key_that_signed() {
    let world = World::new();
    let set = json(&world.get("/v1/esignet/oauth/.well-known/jwks.json"));
    let token = text(&world.userinfo(&world.access("plain", &[])));
    let header = payload(&format!("x.{}", token.split('.').next().unwrap()));
    let entry = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .unwrap();
    assert_eq!(
        (&entry["use"], &entry["kty"]),
        (&json!("sig"), &json!("RSA"))
    );
    assert!(entry["exp"].as_i64().unwrap() > NOW.s());
}

#[test]
fn a_client_assertion_with_any_member_wrong_is_no_client() {
    let world = World::new();
    let stranger = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = claims("plain");
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        assertion(&claims)
    };
    let at = |s: i64| json!(NOW.s() + s);
    let bad = [
        signed(&stranger, &claims("plain")),
        with("iss", json!("nobody")),
        with("sub", json!("strict")),
        with("aud", json!("https://elsewhere.example.org")),
        with("aud", Value::Null),
        with("exp", at(-5)),
        with("exp", Value::Null),
        with("iat", at(6)),
        with("iat", Value::Null),
        with("jti", Value::Null),
        with("jti", json!("")),
        "a.b.c".to_owned(),
    ];
    let code = world.code(&[]);
    for assertion in &bad {
        let answer = world.exchange(&code, &[("client_assertion", assertion)]);
        assert_eq!(answer.status, 400);
        assert_eq!(
            json(&answer)["error"],
            "invalid_client",
            "{}",
            text(&answer)
        );
    }
    // None of them spent the code; the edges of the leeway pass.
    let good = with("exp", at(-4));
    let answer = world.exchange(&code, &[("client_assertion", &good)]);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    let answer = world.exchange(&world.code(&[]), &[("client_assertion", &good)]);
    assert!(text(&answer).contains("jti was used before"));
}

#[test]
fn a_code_is_good_once_soon_for_its_client_address_and_verifier() {
    let world = World::new();
    let s256 = [
        ("code_challenge", challenge()),
        ("code_challenge_method", "S256".to_owned()),
    ];
    let s256 = s256.each_ref().map(|(name, value)| (*name, value.as_str()));
    let refused = |code: &str, change: &[(&str, &str)]| {
        let answer = world.exchange(code, change);
        assert_eq!(json(&answer)["error"], "invalid_grant", "{change:?}");
    };
    refused("nothing", &[]);
    refused(&world.code(&[]), &[("client_id", "strict")]);
    refused(&world.code(&[]), &[("redirect_uri", &format!("{HOME}/"))]);
    refused(&world.code(&[]), &[("code_verifier", VERIFIER)]);
    refused(&world.code(&s256), &[]);
    let other = VERIFIER.replace('d', "e");
    refused(&world.code(&s256), &[("code_verifier", &other)]);
    let code = world.code(&s256);
    assert_eq!(
        world.exchange(&code, &[("code_verifier", VERIFIER)]).status,
        200
    );

    let code = world.code(&[]);
    world.clock.set(NOW.plus_ms(60_000));
    // The assertion is of its time too: a minute is its last moment.
    refused(&code, &[]);
    world.clock.set(NOW);
    world.misbehave(EsignetFault::ExpiredCode);
    refused(&world.code(&[]), &[]);
}

#[test]
fn a_code_used_twice_takes_back_what_it_gave() {
    let world = World::new();
    let code = world.code(&[]);
    let access = json(&world.exchange(&code, &[]))["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.userinfo(&access).status, 200);
    assert_eq!(world.exchange(&code, &[]).status, 400);
    let answer = world.userinfo(&access);
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.headers["www-authenticate"],
        "Bearer error=\"invalid_token\""
    );
}

#[test]
fn a_pushed_request_is_good_once() {
    let world = World::new();
    let pushed = |audience: &str| {
        let mut claims = claims("plain");
        claims["aud"] = json!(audience);
        let form = [
            ("client_id", "plain"),
            ("redirect_uri", HOME),
            ("response_type", "code"),
            ("scope", "openid"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion(&claims)),
        ];
        world.post("/v1/esignet/oauth/par", "", &form)
    };
    assert_eq!(
        pushed("http://esignet.example.org/v1/esignet/oauth/v2/token").status,
        400
    );
    let answer = pushed("http://esignet.example.org/v1/esignet/oauth/par");
    assert_eq!(answer.status, 201, "{}", text(&answer));
    let name = json(&answer)["request_uri"].as_str().unwrap().to_owned();
    let path = format!("/authorize?client_id=plain&request_uri={name}");
    assert_eq!(world.get(&path).status, 200);
    assert_eq!(world.get(&path).status, 400);
}

#[test]
fn ordered_faults_come_once_and_are_what_they_say() {
    let world = World::new();
    let access = world.access("plain", &[]);
    let honest = text(&world.userinfo(&access));
    let header = |token: &str| payload(&format!("x.{}", token.split('.').next().unwrap()));

    world.misbehave(EsignetFault::StrangerSignature);
    let forged = text(&world.userinfo(&access));
    assert_eq!(header(&forged), header(&honest));
    assert_eq!(payload(&forged), payload(&honest));
    assert_ne!(forged, honest);
    world.misbehave(EsignetFault::UnknownKid);
    let token = text(&world.userinfo(&access));
    assert_ne!(header(&token)["kid"], header(&honest)["kid"]);
    world.misbehave(EsignetFault::AlgNone);
    assert_eq!(header(&text(&world.userinfo(&access)))["alg"], "none");
    world.misbehave(EsignetFault::OtherSubject);
    assert_eq!(
        verified(&text(&world.userinfo(&access)))["sub"],
        "somebody-else"
    );
    world.misbehave(EsignetFault::ErrorText);
    let answer = world.userinfo(&access);
    assert_eq!(answer.status, 200);
    assert!(json(&answer)["errors"].is_array());
    assert_eq!(verified(&text(&world.userinfo(&access))), payload(&honest));
}

impl World {
    fn misbehave(&self, kind: EsignetFault) {
        assert!(self.esignet.misbehave(EsignetFaultOrder { kind, times: 1 }));
    }
}
