//! The published PyPI `mosip-auth-sdk`, unchanged, against the service face: its messages cross both gateways.

use serde_json::{Value, json};

use crate::{
    harness::{Site, World},
    python,
};

fn said<'a>(lines: &'a [Value], what: &str) -> &'a Value {
    lines.iter().find(|line| line["asked"] == what).unwrap()
}

/// One run of everything that the SDK can ask; each answer's `response-signature` is verified there, in Python.
#[test]
fn the_published_sdk_gets_yes_no_kyc_and_otp_through_two_gateways() {
    let mut site = Site::new("sdk");
    // With evidence the signature names its record: one member more, which the SDK takes no notice of.
    site.append("crvs/gateway.toml", "[evidence]\nlevel = \"required\"");
    site.start_misp();
    site.start_crvs();
    let job = json!({
        "settings": site.path("sdk.toml"),
        "pki": site.path("pki"),
        "signer": "crvs",
        "ida": World::shared().ida_port(),
    });
    let lines = python::lines("sdk.py", &job);
    assert_eq!(lines.len(), 7, "{lines:?}");
    for line in &lines {
        assert_eq!(line["status"], 200, "{line}");
        assert_eq!(
            line["signed"],
            json!(["alg", "leaf", "x5c", "x5t#S256"]),
            "{line}"
        );
    }

    for yes in ["yes", "yes-otp"] {
        let line = said(&lines, yes);
        assert_eq!(line["answer"]["response"]["authStatus"], true, "{line}");
        assert_eq!(line["answer"]["errors"], Value::Null, "{line}");
        assert_eq!(line["code"], Value::Null, "{line}");
    }
    let no = said(&lines, "no");
    assert_eq!(no["answer"]["response"]["authStatus"], false);
    assert_eq!(no["answer"]["errors"][0]["errorCode"], "IDA-DEA-001");
    assert_eq!(
        no["code"],
        Value::Null,
        "a no of MOSIP is no refusal of ours"
    );
    let no = said(&lines, "no-otp");
    assert_eq!(no["answer"]["response"]["authStatus"], false);
    assert!(
        no["answer"]["errors"][0]["errorCode"]
            .as_str()
            .unwrap()
            .starts_with("IDA-OTA-")
    );

    let kyc = said(&lines, "kyc");
    assert_eq!(kyc["answer"]["response"]["kycStatus"], true, "{kyc}");
    assert!(
        kyc["answer"]["response"]["identity"].is_string(),
        "sealed on the wire"
    );
    let identity = kyc["identity"].to_string();
    for known in ["Ada Example", "1987/11/25"] {
        assert!(identity.contains(known), "{identity}");
    }
    // Of the policy's attributes and no others: no phone, no e-mail.
    for hidden in ["5550100001", "person01@sandbox.example.org"] {
        assert!(!identity.contains(hidden), "{identity}");
    }

    let otp = said(&lines, "otp");
    assert!(
        otp["answer"]["response"]["maskedEmail"]
            .as_str()
            .unwrap()
            .starts_with("XXX")
    );

    let refused = said(&lines, "no-consent");
    assert_eq!(refused["code"], "MSG-005");
    assert_eq!(refused["answer"]["errors"][0]["errorCode"], "IDA-MLC-012");
    assert!(refused["answer"]["transactionID"].is_string(), "{refused}");

    // The same correlation id in both gateways' logs, except for what the first one refused.
    for line in lines.iter().filter(|line| line["code"].is_null()) {
        let id = line["correlation"].as_str().unwrap();
        assert_eq!(site.crvs().line(id)["partner"], "sdk");
        assert_eq!(site.misp().line(id)["partner"], "crvs");
    }
}
