//! A client assertion that a partner's client made (reference 4.3): checked before E-Signet sees it.

use serde_json::{Map, Value};

use crate::{
    clock::Moment,
    envelope::{
        jwt::{Jwt, JwtProblem},
        sha256,
    },
    exchange::{Gateway, Snapshot, esignet::Esignet, replay},
    partners::{OidcClient, Partner},
    refusal::{Code, Refusal},
};

/// The one kind of assertion.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Bytes of an assertion.
const ASSERTION_MAX: usize = 8 << 10;
/// The longest life of an assertion, in seconds.
const LIFE_MAX_S: i64 = 300;
/// How far clocks may differ, as E-Signet has it, in seconds.
const LEEWAY_S: i64 = 5;
/// Bytes of a `jti`.
const JTI_MAX: usize = 256;
/// Audiences in one assertion.
const AUDIENCES_MAX: usize = 8;

/// The client of the partner that made the assertion.
///
/// The client is found by `iss`, which claims; then its registered key must have signed with its one algorithm, the claims
/// must be for E-Signet and for now, and the assertion must not have been used before.
pub(super) async fn check<'p>(
    gateway: &Gateway,
    snapshot: &Snapshot,
    esignet: &Esignet,
    partner: &'p Partner,
    assertion: &str,
    version: u8,
) -> Result<&'p OidcClient, Refusal> {
    let now = gateway.clock().now();
    let jwt = Jwt::parse(assertion, ASSERTION_MAX).map_err(problem)?;
    let client = jwt
        .claimed_issuer()
        .and_then(|id| partner.oidc_clients().iter().find(|c| c.id() == id))
        .ok_or_else(|| {
            Refusal::new(Code::ClientUnknown, "`iss` is no client of this partner").naming("iss")
        })?;
    let claims = jwt.verify(client.key()).map_err(problem)?;
    let audiences = [esignet.token_endpoint(version), esignet.issuer().to_owned()];
    let claimed = read(&claims, client.id(), &audiences, now)?;
    // Fresh by its `iat`, and closed after a restart like every signed message.
    snapshot.window().check(claimed.issued, now)?;
    let party = partner.id().as_str();
    let digest = sha256(assertion.as_bytes());
    replay::take_once(gateway, party, &digest, claimed.issued, now)
        .await
        .map_err(used_before)?;
    let until = claimed.expires.plus_ms(LEEWAY_S.saturating_mul(1000));
    esignet
        .assertions()
        .take(client.id(), &claimed.jti, until, now)?;
    let name = sha256(claimed.jti.as_bytes());
    replay::take_name(gateway, client.id(), &name, claimed.issued, until, now)
        .await
        .map_err(used_before)?;
    Ok(client)
}

fn used_before(refusal: Refusal) -> Refusal {
    match refusal.code() {
        Code::Replayed => Refusal::new(Code::AssertionReplayed, "seen before"),
        _ => refusal,
    }
}

struct Claimed {
    issued: Moment,
    expires: Moment,
    jti: String,
}

fn read(
    claims: &Map<String, Value>,
    client: &str,
    ours: &[String],
    now: Moment,
) -> Result<Claimed, Refusal> {
    let wrong = |member: &'static str, why: &str| {
        Refusal::new(Code::AssertionClaim, format!("`{member}` {why}")).naming(member)
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client) {
        return Err(wrong("iss", "is not the client id"));
    }
    if text("sub") != Some(client) {
        return Err(wrong("sub", "is not the client id"));
    }
    let for_us = |audience: &Value| {
        (audience.as_str()).is_some_and(|audience| ours.iter().any(|one| one == audience))
    };
    let addressed = match claims.get("aud") {
        Some(Value::Array(list)) => {
            list.len() <= AUDIENCES_MAX
                && list.iter().all(Value::is_string)
                && list.iter().any(for_us)
        }
        Some(one) => for_us(one),
        None => false,
    };
    if !addressed {
        return Err(wrong(
            "aud",
            "names neither E-Signet's token endpoint nor its issuer",
        ));
    }
    let seconds = |name: &'static str| {
        (claims.get(name).and_then(Value::as_i64)).ok_or_else(|| wrong(name, "is no number"))
    };
    let (issued, expires) = (seconds("iat")?, seconds("exp")?);
    if expires.saturating_add(LEEWAY_S) <= now.s() {
        return Err(wrong("exp", "is over"));
    }
    let latest = now.s().saturating_add(LIFE_MAX_S).saturating_add(LEEWAY_S);
    if expires > latest || expires.saturating_sub(issued) > LIFE_MAX_S {
        return Err(wrong("exp", "is more than five minutes ahead"));
    }
    let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= JTI_MAX);
    let jti = jti.filter(|jti| !jti.contains(char::is_control));
    Ok(Claimed {
        issued: Moment::from_s(issued),
        expires: Moment::from_s(expires),
        jti: jti
            .ok_or_else(|| wrong("jti", "is no short text"))?
            .to_owned(),
    })
}

fn problem(problem: JwtProblem) -> Refusal {
    let code = match problem {
        JwtProblem::Form(_) => Code::AssertionForm,
        JwtProblem::Algorithm | JwtProblem::Signature => Code::AssertionSignature,
    };
    Refusal::new(code, problem.to_string()).naming("client_assertion")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Moment = Moment::from_ms(1_700_000_000_500);

    fn good() -> Value {
        json!({"iss": "c", "sub": "c", "aud": ["https://e/oauth/v2/token", "https://e"],
            "iat": 1_700_000_000, "exp": 1_700_000_300, "jti": "1"})
    }

    fn ask(claims: &Value) -> Result<Claimed, Refusal> {
        let ours = [
            "https://e/oauth/v2/token".to_owned(),
            "https://e".to_owned(),
        ];
        read(claims.as_object().unwrap(), "c", &ours, NOW)
    }

    #[test]
    fn an_assertion_for_us_and_for_now_is_taken() {
        assert!(ask(&good()).is_ok());
        for aud in [
            json!("https://e"),
            json!(["https://other", "https://e/oauth/v2/token"]),
        ] {
            let mut claims = good();
            claims["aud"] = aud;
            assert!(ask(&claims).is_ok());
        }
        let mut claims = good();
        // Over since less than the leeway.
        claims["exp"] = json!(1_699_999_996);
        claims["iat"] = json!(1_699_999_990);
        assert!(ask(&claims).is_ok());
    }

    #[test]
    fn each_wrong_claim_is_refused_by_name() {
        for (member, value) in [
            ("iss", json!("d")),
            ("sub", json!("d")),
            ("sub", Value::Null),
            ("aud", json!("https://e/")),
            ("aud", json!("https://e/oauth/token")),
            ("aud", json!([])),
            ("aud", json!(["https://e", 1])),
            ("aud", Value::Null),
            ("iat", json!("1700000000")),
            ("exp", Value::Null),
            ("exp", json!(1_699_999_995)),
            ("exp", json!(1_700_000_301)),
            ("jti", json!("")),
            ("jti", json!(1)),
            ("jti", json!("a\u{0}b")),
            ("jti", json!("x".repeat(257))),
        ] {
            let mut claims = good();
            claims[member] = value.clone();
            let refusal = ask(&claims).err().unwrap();
            assert_eq!(refusal.code(), Code::AssertionClaim, "{member} {value}");
            assert_eq!(refusal.member(), Some(member), "{value}");
        }
    }
}
