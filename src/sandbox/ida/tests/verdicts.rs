//! What IDA answers when everything is in order.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::{
    super::{ExchangeLog, Ida, Status},
    world::{API_KEY, Ask, NOW, codes, config, ida, open_kyc, pki, stamp, upper_hex},
};
use crate::sandbox::people;

#[tokio::test]
async fn yes_with_a_token_of_36_digits_that_is_the_same_tomorrow() {
    let answer = Ask::new("auth").to(&ida()).await;
    assert_eq!(answer["id"], "mosip.identity.auth");
    assert_eq!(answer["version"], "1.0");
    assert_eq!(answer["transactionID"], "1234567890");
    assert_eq!(answer["responseTime"], stamp(NOW));
    assert_eq!(answer["errors"], Value::Null);
    assert_eq!(answer["response"]["authStatus"], true);
    let token = answer["response"]["authToken"].as_str().unwrap();
    assert!(token.len() == 36 && token.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(
        Ask::new("auth").to(&ida()).await["response"]["authToken"],
        token
    );
}

#[tokio::test]
async fn the_kind_of_token_is_the_policys() {
    let with = async |kind: &str, policy: &str, partner: usize| {
        let mut config = config();
        for record in &mut config.partners {
            record.api_keys[0].policy.document.auth_token_type = kind.to_owned();
            record.api_keys[0].policy.id = policy.to_owned();
        }
        let mut ask = Ask::new("auth");
        if partner == 1 {
            ask.path = ask.path.replace("partner-one", "partner-two");
            ask.signer = pki().other.clone();
        }
        ask.to(&Ida::new(config).unwrap()).await["response"]["authToken"].clone()
    };
    assert_eq!(with("policy", "1", 0).await, with("policy", "1", 1).await);
    assert_ne!(with("policy", "1", 0).await, with("policy", "2", 0).await);
    assert_eq!(with("partner", "1", 0).await, with("partner", "2", 0).await);
    assert_ne!(with("partner", "1", 0).await, with("partner", "1", 1).await);
    assert_ne!(with("random", "1", 0).await, with("random", "1", 0).await);
}

#[tokio::test]
async fn no_names_what_did_not_match() {
    let ask = Ask::new("auth").demographics(json!({
        "name": [{"language": "eng", "value": "Ada Sample"}], "dob": "1987/11/25",
    }));
    let answer = ask.to(&ida()).await;
    assert_eq!(answer["response"]["authStatus"], false);
    assert_eq!(
        answer["errors"],
        json!([{
            "errorCode": "IDA-DEA-001",
            "errorMessage": "Demographic data name in eng did not match",
            "actionMessage": "Please re-enter your name in eng",
        }])
    );
}

#[tokio::test]
async fn kyc_decrypts_with_the_partners_key_and_holds_what_the_policy_allows() {
    let mut ask = Ask::new("kyc");
    ask.signer = pki().misp.clone(); // who signs does not matter to whom it is encrypted
    let answer = ask.to(&ida()).await;
    let response = &answer["response"];
    assert_eq!(response["kycStatus"], true);
    assert_eq!(
        response["thumbprint"],
        upper_hex(&sha256(&pki().partner.der()))
    );
    let ada = &people::all()[0];
    assert_eq!(
        open_kyc(&pki().partner, response),
        json!({"name_eng": "Ada Example", "dob": "1987/11/25", "photo": STANDARD.encode(&ada.photo)})
    );
}

#[tokio::test]
async fn kyc_of_somebody_else_is_no_and_holds_nothing() {
    let ask = Ask::new("kyc").demographics(json!({"dob": "1987/11/26"}));
    let answer = ask.to(&ida()).await;
    assert_eq!(codes(&answer), ["IDA-DEA-001"]);
    assert_eq!(answer["response"]["kycStatus"], false);
    assert_eq!(answer["response"]["identity"], Value::Null);
}

#[tokio::test]
async fn without_a_language_of_the_country_kyc_has_them_all() {
    let mut config = config();
    config.partners[0].api_keys[0].policy.document.kyc_languages = vec!["xyz".to_owned()];
    let answer = Ask::new("kyc").to(&Ida::new(config).unwrap()).await;
    let identity = open_kyc(&pki().partner, &answer["response"]);
    assert_eq!(identity["name_fra"], "Ada Exemple");
}

#[tokio::test]
async fn an_otp_is_good_once_for_its_transaction_and_not_for_long() {
    let ida = ida();
    let answer = Ask::new("otp").to(&ida).await;
    assert_eq!(
        answer["response"]["maskedEmail"],
        "XXXXXn01@sandbox.example.org"
    );
    assert_eq!(answer["response"]["maskedMobile"], "XXXXXX0001");
    let code = ida.otp_of("1234567890").unwrap();
    let auth = Ask::new("auth")
        .demographics(Value::Null)
        .inner("otp", json!(code));
    assert_eq!(
        codes(
            &auth
                .clone()
                .outer("transactionID", json!("1234567891"))
                .to(&ida)
                .await
        ),
        ["IDA-OTA-005"]
    );
    assert_eq!(auth.to(&ida).await["response"]["authStatus"], true);
    assert_eq!(codes(&auth.to(&ida).await), ["IDA-OTA-012"]);
    assert_eq!(ida.otp_of("1234567890"), None);

    Ask::new("otp").to(&ida).await;
    let late = NOW.plus_ms(180_000);
    let auth = auth
        .inner("otp", json!(ida.otp_of("1234567890").unwrap()))
        .inner("timestamp", json!(stamp(late)))
        .outer("requestTime", json!(stamp(late)));
    assert_eq!(codes(&auth.to_at(&ida, late).await), ["IDA-OTA-003"]);
}

#[tokio::test]
async fn wrong_otps_freeze_the_individual_until_the_time_is_over() {
    let ida = ida();
    Ask::new("otp").to(&ida).await;
    let wrong = Ask::new("auth")
        .demographics(Value::Null)
        .inner("otp", json!("wrong"));
    for _ in 0..5 {
        assert_eq!(codes(&wrong.to(&ida).await), ["IDA-OTA-004"]);
    }
    assert_eq!(codes(&wrong.to(&ida).await), ["IDA-OTA-013"]);
    assert_eq!(codes(&Ask::new("otp").to(&ida).await), ["IDA-OTA-013"]);
    let later = NOW.plus_ms(1_800_001);
    let again = Ask::new("otp").outer("requestTime", json!(stamp(later)));
    assert!(codes(&again.to_at(&ida, later).await).is_empty());
}

#[tokio::test]
async fn an_otp_belongs_to_its_partner_and_kind_of_identifier() {
    let ida = ida();
    Ask::new("otp").to(&ida).await;
    let code = ida.otp_of("1234567890").unwrap();
    let auth = Ask::new("auth")
        .demographics(Value::Null)
        .inner("otp", json!(code));
    let mut other = auth.clone();
    other.path = other.path.replace("partner-one", "partner-two");
    other.signer = pki().other.clone();
    assert_eq!(codes(&other.to(&ida).await), ["IDA-OTA-011"]);
    let by_vid = auth
        .outer("individualId", json!(people::all()[0].vid))
        .outer("individualIdType", json!("VID"));
    assert_eq!(codes(&by_vid.to(&ida).await), ["IDA-OTA-010"]);
}

#[tokio::test]
async fn too_many_otp_requests_are_a_flood() {
    let mut config = config();
    config.otp.flood_count = 2;
    let ida = Ida::new(config).unwrap();
    Ask::new("otp").to(&ida).await;
    Ask::new("otp").to(&ida).await;
    assert_eq!(codes(&Ask::new("otp").to(&ida).await), ["IDA-OTA-001"]);
}

#[tokio::test]
async fn a_kyc_token_is_exchanged_once_for_a_signed_token_of_consented_claims() {
    let ida = ida();
    let answer = Ask::new("kyc-auth").to(&ida).await;
    assert_eq!(answer["response"]["kycStatus"], true);
    let token = answer["response"]["kycToken"].clone();
    let exchange = Ask::new("kyc-exchange")
        .outer("kycToken", token)
        .outer("consentObtained", json!(["name", "birthdate", "email"]))
        .outer("locales", json!(["fra"]));
    let other = exchange.clone().outer("transactionID", json!("abcdefghij"));
    assert_eq!(codes(&other.to(&ida).await), ["IDA-KYE-005"]);
    let answer = exchange.to(&ida).await;
    let jwt = answer["response"]["encryptedKyc"].as_str().unwrap();
    let payload = jwt.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["name"], "Ada Exemple");
    assert_eq!(claims["birthdate"], "1987/11/25");
    assert_eq!(claims.get("email"), None, "the policy does not allow it");
    assert_eq!(claims["sub"].as_str().unwrap().len(), 36);
    let verifier = josekit::jws::RS256
        .verifier_from_der(pki().signature.key.public_key_to_der().unwrap())
        .unwrap();
    assert!(josekit::jws::deserialize_compact(jwt, &verifier).is_ok());
    assert_eq!(codes(&exchange.to(&ida).await), ["IDA-KYE-003"]);
    let invented = exchange.outer("kycToken", json!("invented"));
    assert_eq!(codes(&invented.to(&ida).await), ["IDA-KYE-001"]);
}

#[tokio::test]
async fn a_token_asked_for_as_jwe_is_nested_for_the_partner() {
    let ida = ida();
    let token = Ask::new("kyc-auth").to(&ida).await["response"]["kycToken"].clone();
    let exchange = Ask::new("kyc-exchange")
        .outer("kycToken", token)
        .outer("consentObtained", json!([]))
        .outer("respType", json!("JWE"));
    let answer = exchange.to(&ida).await;
    let decrypter = josekit::jwe::RSA_OAEP_256
        .decrypter_from_der(pki().partner.key.private_key_to_pkcs8().unwrap())
        .unwrap();
    let nested = answer["response"]["encryptedKyc"].as_str().unwrap();
    let (plain, header) = josekit::jwe::deserialize_compact(nested, &decrypter).unwrap();
    assert_eq!(
        header.key_id(),
        Some(
            URL_SAFE_NO_PAD
                .encode(sha256(&pki().partner.der()))
                .as_str()
        )
    );
    assert_eq!(plain.iter().filter(|byte| **byte == b'.').count(), 2);
}

#[tokio::test]
async fn the_same_request_twice_is_answered_twice_as_in_mosip() {
    let ida = ida();
    let ask = Ask::new("auth");
    let (body, headers) = ask.wire();
    for _ in 0..2 {
        let answer = ida.answer(&ask.path, &headers, &body, NOW).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["response"]["authStatus"], true);
    }
}

#[tokio::test]
async fn failed_answers_have_the_shape_of_their_route() {
    let mut config = config();
    config.partners[0].status = Status::Inactive;
    let ida = Ida::new(config).unwrap();
    for (route, response) in [
        ("auth", json!({"authStatus": false, "authToken": null})),
        ("kyc", json!({"kycStatus": false})),
        ("otp", Value::Null),
        ("kyc-auth", json!({"authStatus": false, "authToken": null})),
        ("kyc-exchange", json!({})),
        ("vci-exchange", Value::Null),
    ] {
        let answer = Ask::new(route).to(&ida).await;
        assert_eq!(answer["response"], response, "{route}");
        assert_eq!(codes(&answer), ["IDA-MLC-007", "IDA-MPA-012"]);
    }
}

#[tokio::test]
async fn what_makes_java_fall_over_is_a_500_without_signature() {
    let ida = ida();
    for member in ["thumbprint", "requestSessionKey"] {
        let mut ask = Ask::new("auth");
        ask.without.push(member);
        let (body, headers) = ask.wire();
        let answer = ida.answer(&ask.path, &headers, &body, NOW).await;
        assert_eq!(answer.status, 500);
        assert!(!answer.headers.contains_key("response-signature"));
    }
    let ask = Ask::new("auth");
    let (_, headers) = ask.wire();
    assert_eq!(
        ida.answer(&ask.path, &headers, b"[]", NOW).await.status,
        500
    );
    assert_eq!(
        ida.answer("/idauthentication/v2/auth/a/b/c", &headers, b"{}", NOW)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_log_says_who_signed_and_holds_no_key_of_the_path() {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::<ExchangeLog>::new()));
    let sink = lines.clone();
    let ida = ida().with_log(move |line| sink.lock().unwrap().push(line.clone()));
    Ask::new("auth").to(&ida).await;
    let mut stranger = Ask::new("auth");
    stranger.signer = pki().other.clone();
    stranger.to(&ida).await;
    let lines = lines.lock().unwrap();
    assert_eq!(lines[0].outcome, "yes");
    assert_eq!(lines[0].signed_by.as_deref(), Some("partner-one"));
    assert_eq!(lines[0].signer.as_ref().unwrap().len(), 64);
    assert_eq!(lines[1].outcome, "refused");
    assert_eq!(lines[1].codes, ["IDA-MLC-007", "IDA-MPA-021"]);
    let text = format!("{} {:?}", lines[0], lines[1]);
    let uin = people::all()[0].uin.clone();
    for secret in [API_KEY, super::world::LICENCE, uin.as_str(), "Ada"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_newcomer_can_authenticate_at_once_and_the_deceased_no_longer() {
    let config = config();
    let register = config.identities.clone();
    let ida = Ida::new(config).unwrap();
    let person = register
        .enter(crate::sandbox::register::Newcomer {
            date_of_birth: "2026/11/01".to_owned(),
            ..Default::default()
        })
        .unwrap();
    let ask = || {
        Ask::new("auth")
            .outer("individualId", json!(person.uin))
            .demographics(json!({"dob": "2026/11/01"}))
    };
    let answer = ask().to(&ida).await;
    assert_eq!(answer["response"]["authStatus"], true, "{answer}");
    register.deactivate(&person.uin);
    let answer = ask().to(&ida).await;
    assert_eq!(codes(&answer), ["IDA-MLC-003"]);
}
