//! Our envelopes against code that is not ours, both ways: Python's `cryptography` and `jwcrypto`, written from the
//! reference text (`tests/python/ida_form.py`).

use serde_json::{Value, json};

use crate::{
    harness::Site,
    python::{self, IdaServer, onward, upstream},
};

const ALL: [&str; 4] = ["auth", "no", "kyc", "otp"];

#[test]
fn what_python_seals_and_signs_is_opened_and_what_we_seal_python_opens() {
    let site = Site::misp_running("envelopes");
    let lines = python::lines("ida_partner.py", &python::partner_job(&site, &ALL));
    let [yes, no, kyc, otp] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    for line in &lines {
        assert_eq!(
            (&line["status"], &line["code"]),
            (&json!(200), &Value::Null),
            "{line}"
        );
    }
    assert_eq!(yes["answer"]["response"]["authStatus"], true, "{yes}");
    assert_eq!(
        no["answer"]["errors"][0]["errorCode"], "IDA-DEA-001",
        "{no}"
    );
    let identity = kyc["identity"].to_string();
    assert!(identity.contains("Ada Example"), "{identity}");
    assert!(
        otp["answer"]["response"]["maskedEmail"].is_string(),
        "{otp}"
    );
}

#[test]
fn python_signatures_of_every_bound_algorithm_are_verified() {
    for (algorithm, key) in [("PS256", "rsa"), ("ES256", "p256")] {
        let mut site = Site::new("algorithms");
        let dir = if key == "rsa" {
            site.party("crvs")
        } else {
            p256_signature(&site)
        };
        let old = "{ role = \"signature\", file = \"../../pki/parties/crvs/signature.pem\" }";
        let file = dir.join("signature.pem").display().to_string();
        site.replace(
            "misp/partners/crvs.toml",
            old,
            &format!("{{ role = \"signature\", file = \"{file}\", algorithm = \"{algorithm}\" }}"),
        );
        site.start_misp();
        let mut job = python::partner_job(&site, &["auth", "kyc"]);
        job["signature"] = json!({"dir": dir, "alg": algorithm});
        let lines = python::lines("ida_partner.py", &job);
        for line in &lines {
            assert_eq!(line["code"], Value::Null, "{algorithm}: {line}");
        }
        assert_eq!(lines[0]["answer"]["response"]["authStatus"], true);

        // The same key with another algorithm of its kind, and the bound one's absence.
        if key == "rsa" {
            job["signature"]["alg"] = "RS256".into();
            job["do"] = json!(["auth"]);
            let lines = python::lines("ida_partner.py", &job);
            assert_eq!(lines[0]["code"], "SIG-003", "{:?}", lines[0]);
        }
    }
}

/// A signature certificate of crvs with a P-256 key, below the partner CA of the site's PKI.
fn p256_signature(site: &Site) -> std::path::PathBuf {
    let dir = site.path("p256");
    std::fs::create_dir_all(&dir).unwrap();
    let job = json!({"pki": site.path("pki"), "out": dir, "organisation": "Civil Registry"});
    python::lines("issue.py", &job);
    dir
}

#[test]
fn what_the_gateway_seals_anew_is_verified_and_opened_by_python() {
    let mut site = Site::new("sealed-anew");
    let ida = IdaServer::start(&site, "sealed", true);
    upstream(&site, &format!("\"https://localhost:{}\"", ida.port));
    site.start_misp();
    let lines = python::lines("ida_partner.py", &python::partner_job(&site, &ALL));
    let received = ida.wait_for(ALL.len());
    assert_eq!(received.len(), ALL.len());
    for (sent, got) in lines.iter().zip(&received) {
        assert_eq!(got["wrong"], Value::Null, "{got}");
        assert_eq!(sent["status"], 200, "{sent}");
        // Nothing of the caller's own envelope goes on.
        assert_ne!(got["headers"]["signature"], sent["signature"]);
        assert_eq!(got["headers"]["x-triseal-partner"], Value::Null);
        assert!(got["path"].as_str().unwrap().contains("/crvs/"), "{got}");
    }
    for got in &received[..3] {
        // The message is new, the content is what the partner said.
        assert_ne!(got["received"], lines[0]["sent"]);
        assert!(
            got["plain"]["demographics"]["name"][0]["value"].is_string(),
            "{got}"
        );
    }
    assert_eq!(
        lines[2]["identity"],
        json!({"name_eng": "Ada Example", "dateOfBirth": "1987/11/25", "gender_eng": "Female"})
    );
}

#[test]
fn as_received_hands_on_the_exact_bytes_with_their_signature() {
    let mut site = Site::new("as-received");
    let ida = IdaServer::start(&site, "as-received", true);
    upstream(&site, &format!("\"https://localhost:{}\"", ida.port));
    onward(&site, "as-received");
    site.start_misp();
    let mut job = python::partner_job(&site, &ALL);
    job["seal_to"] = "mosip".into();
    let lines = python::lines("ida_partner.py", &job);
    let received = ida.wait_for(ALL.len());
    for (sent, got) in lines.iter().zip(&received) {
        assert_eq!(got["wrong"], Value::Null, "{got}");
        assert_eq!(got["received"], sent["sent"]);
        assert_eq!(got["headers"]["signature"], sent["signature"]);
        assert_eq!(got["headers"]["x-triseal-partner"], Value::Null);
        assert_eq!(sent["code"], Value::Null, "{sent}");
    }
    assert_eq!(lines[2]["identity"]["name_eng"], "Ada Example");

    // Sealed to the gateway, which is not who will open it.
    job["seal_to"] = "misp".into();
    job["do"] = json!(["auth"]);
    let lines = python::lines("ida_partner.py", &job);
    assert_eq!(lines[0]["code"], "ENC-001");
    assert_eq!(ida.received().len(), ALL.len(), "it went no further");
}

#[test]
fn opened_hands_an_internal_handler_plain_json_and_the_verified_partner() {
    let mut site = Site::new("opened");
    let ida = IdaServer::start(&site, "opened", false);
    upstream(&site, &format!("\"http://127.0.0.1:{}\"", ida.port));
    onward(&site, "opened");
    site.start_misp();
    let lines = python::lines("ida_partner.py", &python::partner_job(&site, &ALL));
    let received = ida.wait_for(ALL.len());
    for (sent, got) in lines.iter().zip(&received) {
        assert_eq!(got["wrong"], Value::Null, "{got}");
        assert_eq!(got["headers"]["x-triseal-partner"], "crvs");
        assert_eq!(got["headers"]["signature"], Value::Null);
        assert_eq!(got["headers"]["authorization"], Value::Null);
        assert_eq!(sent["code"], Value::Null, "{sent}");
    }
    assert_eq!(
        received[0]["plain"]["demographics"]["name"][0]["value"],
        "Ada Example"
    );
    // The identity was plain; we sealed it to the partner, and Python has opened it.
    assert_eq!(
        lines[2]["answer"]["response"]["identity"]
            .as_str()
            .map(|t| t.contains("Ada")),
        Some(false)
    );
    assert_eq!(lines[2]["identity"]["name_eng"], "Ada Example");
}

#[test]
fn an_attribute_that_the_policy_does_not_list_is_taken_out_before_the_identity_is_sealed() {
    let mut site = Site::new("narrowed");
    site.replace(
        "misp/policies/ekyc.json",
        "\"attributeName\": \"dateOfBirth\"",
        "\"attributeName\": \"phone\"",
    );
    let ida = IdaServer::start(&site, "opened", false);
    upstream(&site, &format!("\"http://127.0.0.1:{}\"", ida.port));
    onward(&site, "opened");
    site.start_misp();
    let lines = python::lines("ida_partner.py", &python::partner_job(&site, &ALL));
    // What Python opened: without the date, which the upstream gave all the same; in the policy's language.
    assert_eq!(
        lines[2]["identity"],
        json!({"name_eng": "Ada Example", "gender_eng": "Female"})
    );
}

#[test]
fn an_identity_that_is_not_sealed_to_the_caller_goes_no_further() {
    let person = json!({"name_eng": "Ada Example"});
    let somebody = "AB".repeat(32);
    for wrong in [
        // Plain, though with the caller's thumbprint beside it.
        json!({"identity": person}),
        json!({"identity": person, "sessionKey": null}),
        json!({"sessionKey": {}}),
        json!({"thumbprint": somebody}),
        json!({"thumbprint": null}),
    ] {
        let mut site = Site::new("unsealed");
        let ida = IdaServer::with(&site, "sealed", true, &json!({"held": wrong}));
        upstream(&site, &format!("\"https://localhost:{}\"", ida.port));
        site.start_misp();
        let answer = site.ask(&site.auth().kyc());
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "UP-006"),
            "{wrong}"
        );
        assert_eq!(answer.json()["response"], json!({"kycStatus": false}));
        assert!(!answer.text().contains("Ada"), "{}", answer.text());
    }
}
