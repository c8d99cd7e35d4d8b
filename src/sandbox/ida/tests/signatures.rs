//! Which signatures IDA takes, and from whom.

use serde_json::json;

use super::{
    super::{Ida, KeymanagerVersion},
    world::{Ask, X5c, codes, config, ida, pki},
};

const REFUSED: [&str; 2] = ["IDA-MLC-007", "IDA-MPA-001"];

#[tokio::test]
async fn the_x5c_of_every_published_client_is_read() {
    let ida = ida();
    for x5c in [X5c::Der, X5c::PemInLines, X5c::PemUrl] {
        let mut ask = Ask::new("auth");
        ask.x5c = x5c;
        ask.pad = true;
        assert_eq!(ask.to(&ida).await["response"]["authStatus"], true);
    }
}

#[tokio::test]
async fn key_manager_1_3_0_refuses_the_python_clients_line_breaks() {
    let mut config = config();
    config.keymanager = KeymanagerVersion::Strict;
    let ida = Ida::new(config).unwrap();
    for (x5c, expected) in [
        (X5c::Der, vec![]),
        (X5c::PemUrl, vec![]),
        (X5c::PemInLines, REFUSED.to_vec()),
    ] {
        let mut ask = Ask::new("auth");
        ask.x5c = x5c;
        assert_eq!(codes(&ask.to(&ida).await), expected);
    }
}

#[tokio::test]
async fn the_misp_may_sign_for_any_partner() {
    let mut ask = Ask::new("auth");
    ask.signer = pki().misp.clone();
    assert_eq!(ask.to(&ida()).await["response"]["authStatus"], true);
}

#[tokio::test]
async fn a_certificate_the_partner_issued_chains_but_is_not_the_partners() {
    let mut ask = Ask::new("auth");
    ask.signer = pki().minted.clone();
    assert_eq!(codes(&ask.to(&ida()).await), ["IDA-MLC-007", "IDA-MPA-021"]);
}

#[tokio::test]
async fn any_algorithm_that_fits_the_key_passes_and_none_does_not() {
    let ida = ida();
    for (algorithm, expected) in [
        ("PS256", vec![]),
        ("none", REFUSED.to_vec()),
        ("HS256", REFUSED.to_vec()),
        ("ES256", REFUSED.to_vec()),
        ("", REFUSED.to_vec()),
        ("RS384", REFUSED.to_vec()),
    ] {
        let mut ask = Ask::new("auth");
        ask.algorithm = algorithm;
        assert_eq!(codes(&ask.to(&ida).await), expected, "{algorithm}");
    }
}

#[tokio::test]
async fn the_middle_part_is_replaced_and_not_compared() {
    let ida = ida();
    let ask = Ask::new("auth");
    let (body, mut headers) = ask.wire();
    let value = headers["signature"]
        .to_str()
        .unwrap()
        .replace("..", ".b3RoZXI.");
    headers.insert("signature", value.parse().unwrap());
    let answer = ida
        .answer(&ask.path, &headers, &body, super::world::NOW)
        .await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["response"]["authStatus"], true);
}

#[tokio::test]
async fn a_body_altered_by_a_space_is_refused() {
    let ida = ida();
    let ask = Ask::new("auth");
    let (mut body, headers) = ask.wire();
    body.push(b' ');
    let answer = ida
        .answer(&ask.path, &headers, &body, super::world::NOW)
        .await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(codes(&answer), REFUSED);
}

#[tokio::test]
async fn a_thumbprint_in_hexadecimal_is_read_too() {
    let hex =
        super::world::upper_hex(&openssl::sha::sha256(&pki().encryption.der())).to_lowercase();
    let mut ask = Ask::new("auth");
    ask.replaced.push(("thumbprint", json!(hex)));
    assert_eq!(ask.to(&ida()).await["response"]["authStatus"], true);
}

#[tokio::test]
async fn members_in_the_standard_alphabet_do_not_decrypt() {
    let mut ask = Ask::new("auth");
    ask.replaced
        .push(("requestSessionKey", json!("+/".repeat(171))));
    assert_eq!(codes(&ask.to(&ida()).await), ["IDA-MLC-007", "IDA-MPA-003"]);
}

#[tokio::test]
async fn a_p256_partner_can_sign_but_not_receive_an_identity() {
    let mut config = config();
    config.partners[1].certificate = pki().elliptic.der();
    let ida = Ida::new(config).unwrap();
    let ask = |route| {
        let mut ask = Ask::new(route);
        ask.path = ask.path.replace("partner-one", "partner-two");
        ask.signer = pki().elliptic.clone();
        ask.algorithm = "ES256";
        ask
    };
    assert_eq!(ask("auth").to(&ida).await["response"]["authStatus"], true);
    assert_eq!(codes(&ask("kyc").to(&ida).await), ["IDA-MLC-020"]);
}
