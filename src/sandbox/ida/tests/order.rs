//! Every check with its code, and that each answers before all that come after it.

use serde_json::{Value, json};

use super::{
    super::{Ida, IdaConfig, Status, Subject, Validity},
    world::{API_KEY, Ask, NOW, PARTNER, codes, config, pki, stamp},
};
use crate::sandbox::people;

/// A way to break a request or the records, and the code it must get.
struct Break {
    name: &'static str,
    code: &'static str,
    /// Behind the filter there is no generic error in front.
    in_controller: bool,
    how: fn(&mut IdaConfig, &mut Ask),
}

const fn filter(
    name: &'static str,
    code: &'static str,
    how: fn(&mut IdaConfig, &mut Ask),
) -> Break {
    Break {
        name,
        code,
        in_controller: false,
        how,
    }
}

const fn controller(
    name: &'static str,
    code: &'static str,
    how: fn(&mut IdaConfig, &mut Ask),
) -> Break {
    Break {
        name,
        code,
        in_controller: true,
        how,
    }
}

fn outer(ask: &mut Ask, member: &str, value: Value) {
    ask.outer.insert(member.to_owned(), value);
}

fn inner(ask: &mut Ask, member: &str, value: Value) {
    ask.inner.as_mut().unwrap().insert(member.to_owned(), value);
}

const PAST: Validity = Validity {
    from: None,
    until: Some(NOW),
};
const FUTURE: Validity = Validity {
    from: Some(NOW.plus_ms(1)),
    until: None,
};

/// The checks of `auth`, in the order of the reference, sections 2.1 to 2.4.
const CHECKS: &[Break] = &[
    filter("no id", "IDA-MLC-006", |_, ask| {
        drop(ask.outer.remove("id"))
    }),
    filter("another id", "IDA-MLC-009", |_, ask| {
        outer(ask, "id", json!("mosip.identity.kyc"))
    }),
    filter("no version", "IDA-MLC-006", |_, ask| {
        drop(ask.outer.remove("version"))
    }),
    filter("version v1", "IDA-MLC-009", |_, ask| {
        outer(ask, "version", json!("v1"))
    }),
    filter("no signature", "IDA-MLC-006", |_, ask| {
        ask.no_signature = true
    }),
    filter("expired signer", "IDA-MPA-001", |_, ask| {
        ask.signer = pki().expired.clone()
    }),
    filter("signature over other bytes", "IDA-MPA-001", |_, ask| {
        ask.sign_instead = Some(b"{}".to_vec())
    }),
    filter("signer under another root", "IDA-MPA-001", |_, ask| {
        ask.signer = pki().stranger.clone()
    }),
    filter("empty authorization", "IDA-MLC-006", |_, ask| {
        ask.authorization = ""
    }),
    filter("no requestHMAC", "IDA-MLC-006", |_, ask| {
        ask.without.push("requestHMAC")
    }),
    filter("unknown thumbprint", "IDA-MPA-003", |_, ask| {
        ask.replaced.push(("thumbprint", json!("00".repeat(32))))
    }),
    filter("key wrapped to another", "IDA-MPA-003", |_, ask| {
        ask.recipient = pki().other.clone()
    }),
    filter("request cut by a byte", "IDA-MPA-003", |_, ask| {
        ask.replaced.push(("request", json!("QUJDRA")))
    }),
    filter("wrong digest", "IDA-MPA-016", |_, ask| {
        ask.digest_instead = Some("0".repeat(64))
    }),
    filter("biometric data is no JWS", "IDA-MPA-001", |_, ask| {
        inner(ask, "biometrics", json!([{"data": "not.aJws"}]));
    }),
    filter("two path parameters", "IDA-MPA-038", |_, ask| {
        ask.path = ask.path.rsplit_once('/').unwrap().0.to_owned();
    }),
    filter("unknown API key", "IDA-MPA-009", |_, ask| {
        ask.path.push('9')
    }),
    filter("partner deleted", "IDA-MPA-009", |config, _| {
        config.partners[0].status = Status::Deleted
    }),
    filter("partner inactive", "IDA-MPA-012", |config, _| {
        config.partners[0].status = Status::Inactive
    }),
    filter("policy deleted", "IDA-MPA-018", |config, _| {
        config.partners[0].api_keys[0].policy.status = Status::Deleted;
    }),
    filter("policy inactive", "IDA-MPA-019", |config, _| {
        config.partners[0].api_keys[0].policy.status = Status::Inactive;
    }),
    filter("policy not begun", "IDA-MPA-019", |config, _| {
        config.partners[0].api_keys[0].policy.validity = FUTURE;
    }),
    filter("policy over", "IDA-MPA-019", |config, _| {
        config.partners[0].api_keys[0].policy.validity = PAST
    }),
    filter("API key inactive", "IDA-MPA-012", |config, _| {
        config.partners[0].api_keys[0].status = Status::Inactive;
    }),
    filter("API key not begun", "IDA-MPA-039", |config, _| {
        config.partners[0].api_keys[0].validity = FUTURE
    }),
    filter("API key over", "IDA-MPA-039", |config, _| {
        config.partners[0].api_keys[0].validity = PAST
    }),
    filter("another partner's signature", "IDA-MPA-021", |_, ask| {
        ask.signer = pki().other.clone()
    }),
    filter("unknown licence", "IDA-MPA-007", |config, _| {
        config.misps[0].licence_key.push('x')
    }),
    filter("licence deleted", "IDA-MPA-007", |config, _| {
        config.misps[0].status = Status::Deleted
    }),
    filter("licence blocked", "IDA-MPA-017", |config, _| {
        config.misps[0].status = Status::Inactive
    }),
    filter("licence not begun", "IDA-MPA-007", |config, _| {
        config.misps[0].validity = FUTURE
    }),
    filter("licence over", "IDA-MPA-008", |config, _| {
        config.misps[0].validity = PAST
    }),
    filter("factor not in the policy", "IDA-MPA-006", |config, _| {
        let policy = &mut config.partners[0].api_keys[0].policy.document;
        policy
            .allowed_auth_types
            .retain(|allowed| allowed.auth_type != "demo");
    }),
    filter("mandatory factor missing", "IDA-MPA-015", |config, _| {
        let policy = &mut config.partners[0].api_keys[0].policy.document;
        policy.allowed_auth_types[1].mandatory = true;
    }),
    controller("no consent", "IDA-MLC-012", |_, ask| {
        outer(ask, "consentObtained", json!(false))
    }),
    controller("stale", "IDA-MLC-001", |_, ask| {
        outer(ask, "requestTime", json!(stamp(NOW.plus_ms(-61_000))))
    }),
    controller("stale inside", "IDA-MLC-001", |_, ask| {
        inner(ask, "timestamp", json!(stamp(NOW.plus_ms(-61_000))))
    }),
    controller("domainUri not listed", "IDA-MLC-009", |_, ask| {
        outer(ask, "domainUri", json!("https://elsewhere"))
    }),
    controller("env not listed", "IDA-MLC-009", |_, ask| {
        outer(ask, "env", json!("Test"))
    }),
    controller("nine characters of transaction", "IDA-MLC-009", |_, ask| {
        outer(ask, "transactionID", json!("123456789"));
    }),
    controller("factor the site has not", "IDA-MLC-011", |_, ask| {
        inner(ask, "staticPin", json!("1234"))
    }),
    controller("unsupported language", "IDA-DEA-002", |_, ask| {
        inner(
            ask,
            "demographics",
            json!({"name": [{"language": "xyz", "value": "Ada Example"}]}),
        );
    }),
    controller("no factor", "IDA-MLC-008", |_, ask| {
        inner(ask, "demographics", Value::Null)
    }),
    controller("UIN without its check digit", "IDA-MLC-002", |_, ask| {
        outer(ask, "individualId", json!("2753114731"))
    }),
    controller("nobody's UIN", "IDA-MLC-018", |config, _| {
        drop(config.identities.remove(0))
    }),
    controller("name does not match", "IDA-DEA-001", |_, ask| {
        inner(
            ask,
            "demographics",
            json!({"name": [{"language": "eng", "value": "Ada Sample"}]}),
        );
    }),
];

async fn answer(breaks: &[&Break]) -> Vec<String> {
    let mut config = config();
    let mut ask = Ask::new("auth");
    for one in breaks {
        (one.how)(&mut config, &mut ask);
    }
    let ida = Ida::new(config).unwrap();
    codes(&ask.to(&ida).await)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn expected(check: &Break) -> Vec<&'static str> {
    if check.in_controller {
        vec![check.code]
    } else {
        vec!["IDA-MLC-007", check.code]
    }
}

#[tokio::test]
async fn every_check_has_its_code_and_filter_errors_come_after_the_generic_one() {
    assert!(answer(&[]).await.is_empty());
    for check in CHECKS {
        assert_eq!(answer(&[check]).await, expected(check), "{}", check.name);
    }
}

#[tokio::test]
async fn an_earlier_check_wins_over_all_later_ones_together() {
    for (index, check) in CHECKS.iter().enumerate() {
        // The later ones first, so that where several touch the same thing the earliest remains.
        let broken: Vec<&Break> = CHECKS[index..].iter().rev().collect();
        assert_eq!(
            answer(&broken).await,
            expected(check),
            "{} first",
            check.name
        );
    }
}

#[tokio::test]
async fn the_routes_ask_the_policy_for_their_own_permission() {
    for (route, permission, code) in [
        ("kyc", "kyc", "IDA-MPA-013"),
        ("otp", "otp-request", "IDA-MPA-005"),
        ("kyc-auth", "kycauth", "IDA-MPA-025"),
        ("kyc-exchange", "kycexchange", "IDA-MPA-026"),
    ] {
        let mut config = config();
        for key in &mut config.partners[0].api_keys {
            key.policy
                .document
                .allowed_auth_types
                .retain(|allowed| allowed.auth_type != permission);
        }
        let ida = Ida::new(config).unwrap();
        assert_eq!(
            codes(&Ask::new(route).to(&ida).await),
            ["IDA-MLC-007", code],
            "{route}"
        );
    }
}

#[tokio::test]
async fn delegated_routes_ask_the_misps_policy_before_the_partners() {
    for (route, code) in [
        ("kyc-auth", "IDA-MPA-030"),
        ("kyc-exchange", "IDA-MPA-031"),
        ("identity-key-binding", "IDA-MPA-032"),
        ("vci-exchange", "IDA-MPA-037"),
    ] {
        let mut config = config();
        for key in &mut config.partners[0].api_keys {
            key.policy.document.allowed_auth_types.clear();
        }
        config.misps[0].policy = None;
        let none = Ida::new(config.clone()).unwrap();
        assert_eq!(
            codes(&Ask::new(route).to(&none).await),
            ["IDA-MLC-007", "IDA-MPA-023"],
            "{route}"
        );
        config.misps[0].policy = Some(Default::default());
        let unwilling = Ida::new(config).unwrap();
        assert_eq!(
            codes(&Ask::new(route).to(&unwilling).await),
            ["IDA-MLC-007", code],
            "{route}"
        );
    }
}

#[tokio::test]
async fn an_oidc_client_has_its_own_states_and_factors() {
    for (status, code) in [
        (Status::Inactive, "IDA-MPA-027"),
        (Status::Deleted, "IDA-MPA-028"),
    ] {
        let mut config = config();
        config.partners[0].api_keys[1].status = status;
        let ida = Ida::new(config).unwrap();
        assert_eq!(
            codes(&Ask::new("kyc-auth").to(&ida).await),
            ["IDA-MLC-007", code]
        );
    }
    let ask = Ask::new("kyc-auth").inner("otp", json!("123456"));
    let ida = Ida::new(config()).unwrap();
    assert_eq!(codes(&ask.to(&ida).await), ["IDA-MLC-007", "IDA-MPA-029"]);
}

#[tokio::test]
async fn otp_checks_the_form_of_time_and_transaction_together_then_the_individual_then_the_channels()
 {
    let ida = Ida::new(config()).unwrap();
    let ask = Ask::new("otp").outer("otpChannel", json!(["pigeon"]));
    assert_eq!(codes(&ask.to(&ida).await), ["IDA-MLC-009"]);
    let ask = ask.outer("individualId", json!("1"));
    assert_eq!(codes(&ask.to(&ida).await), ["IDA-MLC-002"]);
    let ask = ask
        .outer("requestTime", json!("yesterday"))
        .outer("transactionID", json!("1"));
    let answer = ask.to(&ida).await;
    assert_eq!(codes(&answer), ["IDA-MLC-009", "IDA-MLC-009"]);
    assert_eq!(
        answer["errors"][0]["errorMessage"],
        "Invalid Input Parameter - requestTime"
    );
    assert_eq!(answer["response"], Value::Null);
    let silent = Ask::new("otp").outer("otpChannel", json!([]));
    assert_eq!(codes(&silent.to(&ida).await), ["IDA-OTA-008"]);
}

#[tokio::test]
async fn people_who_cannot_be_authenticated_get_the_code_of_their_state() {
    let ida = Ida::new(config()).unwrap();
    let all = people::all();
    let (gone, locked, mute) = (&all[9], &all[10], &all[11]);
    let auth = |id: &str, kind: &str| {
        Ask::new("auth")
            .outer("individualId", json!(id))
            .outer("individualIdType", json!(kind))
    };
    assert_eq!(
        codes(&auth(&gone.uin, "UIN").to(&ida).await),
        ["IDA-MLC-003"]
    );
    assert_eq!(
        codes(&auth(&gone.vid, "VID").to(&ida).await),
        ["IDA-MLC-010"]
    );
    assert_eq!(
        codes(&auth(&gone.uin, "VID").to(&ida).await),
        ["IDA-MLC-004"]
    );
    assert_eq!(
        codes(&auth(&gone.uin, "PASSPORT").to(&ida).await),
        ["IDA-MLC-009"]
    );
    let otp = |id: &str| Ask::new("otp").outer("individualId", json!(id));
    assert_eq!(codes(&otp(&locked.uin).to(&ida).await), ["IDA-MLC-019"]);
    assert_eq!(codes(&otp(&mute.uin).to(&ida).await), ["IDA-MLC-014"]);
}

#[tokio::test]
async fn a_state_that_partner_management_tells_holds_from_the_next_request_on() {
    let ida = Ida::new(config()).unwrap();
    for (about, code) in [
        (Subject::Partner(PARTNER), "IDA-MPA-012"),
        (Subject::ApiKey(API_KEY), "IDA-MPA-012"),
        (Subject::Policy("48213"), "IDA-MPA-019"),
        (Subject::Licence("misp-one"), "IDA-MPA-017"),
    ] {
        assert!(ida.told(about, Status::Inactive).is_some(), "{code}");
        let answer = Ask::new("auth").to(&ida).await;
        assert_eq!(codes(&answer), ["IDA-MLC-007", code]);
        assert!(ida.told(about, Status::Active).is_some());
        let answer = Ask::new("auth").to(&ida).await;
        assert_eq!(answer["response"]["authStatus"], true, "{answer}");
    }
    // The near misses: another partner's state is its own, and what nobody has is told to nobody.
    assert!(
        ida.told(Subject::Partner("partner-two"), Status::Inactive)
            .is_some()
    );
    for unknown in [
        Subject::Partner("partner-on"),
        Subject::ApiKey("73529"),
        Subject::Policy("4821"),
        Subject::Licence(PARTNER),
    ] {
        assert!(ida.told(unknown, Status::Inactive).is_none());
    }
    let answer = Ask::new("auth").to(&ida).await;
    assert_eq!(answer["response"]["authStatus"], true, "{answer}");
}
