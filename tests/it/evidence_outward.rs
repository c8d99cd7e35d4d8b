//! Evidence of what a gateway does of its own accord: a birth, from its registration to its confirmation, in one log under one id, with the
//! receipts of the gateway that was called; and a log that cannot be written holds the errand up instead of the proof.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use triseal::evidence::{
    Hash, leaf_hash,
    reader::{Log, Query},
};

use crate::{
    evidence_proof::{independently, verify},
    harness::{Output, triseal, until, within},
    opencrvs::setup::{Crvs, Record},
};

const NEAR: &str = "crvs/state/evidence";
const FAR: &str = "misp/state/evidence";
const NATIONAL_ID: &str = "2707925500";

/// The records of a correlation id, in order.
fn records(folder: &Path, id: &str) -> Vec<(u64, Value, Hash)> {
    let Ok(log) = Log::open(folder) else {
        return Vec::new();
    };
    let query = Query {
        correlation_id: Some(id),
        ..Query::default()
    };
    let read = |index: u64| {
        let line = log.record(index).unwrap();
        (
            index,
            serde_json::from_slice(&line).unwrap(),
            leaf_hash(&line),
        )
    };
    log.find(&query, 100)
        .unwrap()
        .into_iter()
        .map(read)
        .collect()
}

fn base64url(hash: &Hash) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(hash)
}

fn evidence(crvs: &Crvs, gateway: &str, args: &[&str]) -> Output {
    let config = crvs.site.path(&format!("{gateway}/gateway.toml"));
    let config = config.display().to_string();
    let mut all = vec!["evidence", args[0], "--config", &config];
    all.extend(&args[1..]);
    triseal(all)
}

/// Both gateways keep bodies where that is possible.
fn site(name: &str) -> Crvs {
    let crvs = Crvs::new(name, "");
    crvs.site.append(
        "crvs/gateway.toml",
        "[evidence]\nlevel = \"required\"\nbodies = \"both\"",
    );
    let key = fs::read(crvs.site.path("crvs/secrets/store-key")).unwrap();
    let secret = crvs.site.path("misp/secrets/store-key");
    fs::copy(crvs.site.path("misp/secrets/pepper"), &secret).unwrap();
    fs::write(&secret, key).unwrap();
    crvs.site.append(
        "misp/gateway.toml",
        "[store]\nurl = \"sqlite:store.db\"\nkey = [{ file = \"secrets/store-key\" }]",
    );
    let level = "level = \"required\"";
    let bodies = format!("{level}\nbodies = \"both\"");
    crvs.site.replace("misp/gateway.toml", level, &bodies);
    crvs
}

#[test]
fn a_whole_birth_stands_under_one_id_with_the_receipts_of_the_gateway_that_was_called() {
    let mut crvs = site("evidence-birth");
    crvs.site.start_misp();
    crvs.start_crvs();
    let birth = Record::birth();
    crvs.register(&birth);
    let id = crvs.at_mosip(&birth.number);
    assert_eq!(
        crvs.deliver("e1", &id, &birth.subject(NATIONAL_ID)),
        Some(202)
    );
    let done = crvs.standing(&birth.key(), "done");
    let correlation = done["correlationId"].as_str().unwrap();
    let (near, far) = (crvs.site.path(NEAR), crvs.site.path(FAR));
    let whole = until("all five are in the index", || {
        let found = records(&near, correlation);
        (found.len() >= 5).then_some(found)
    });
    let said: Vec<(&str, &str)> = (whole.iter())
        .map(|(_, record, _)| {
            let of = |member: &Value| member.as_str().map(str::len);
            assert!(of(&record["time"]).is_some(), "{record}");
            let what = record["errand"]["step"].as_str();
            (
                what.or_else(|| record["route"].as_str()).unwrap(),
                record["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        said.first().copied(),
        Some(("registration", "answered")),
        "{said:?}"
    );
    for step in [
        ("received", "answered"),
        ("packet-created", "answered"),
        ("credential-received", "taken"),
        ("credential-received", "answered"),
    ] {
        assert!(said.contains(&step), "{step:?} of {said:?}");
    }
    // Each call to the other gateway bears the receipt of the very record that is there.
    let there = until("both calls are in the other log", || {
        let found = records(&far, correlation);
        (found.len() == 2).then_some(found)
    });
    for (step, (_, far_record, far_leaf)) in ["received", "packet-created"].iter().zip(&there) {
        let (_, call, _) = whole
            .iter()
            .find(|(_, r, _)| r["errand"]["step"] == *step)
            .unwrap();
        assert_eq!(call["peer"]["id"], "misp");
        assert_eq!(call["errand"]["kind"], "opencrvs");
        assert_eq!(call["upstream"]["receipt"]["leaf"], base64url(far_leaf));
        // What one sent is what the other received, and so back.
        for (member, digest) in [("request", "bodyDigest"), ("answer", "bodyDigest")] {
            assert_eq!(call[member][digest], far_record[member][digest], "{member}");
            assert!(call[member][digest].is_string(), "{call}");
        }
        assert_eq!(
            call["request"]["signature"],
            far_record["request"]["signature"]
        );
        assert_eq!(call["signer"], far_record["signer"]);
        assert_eq!(call["revocation"][0]["role"], "signature");
    }
    // The confirmation to core went in plain: no digest that a guess could be held against.
    let (_, confirmed, _) = whole
        .iter()
        .find(|(_, r, _)| r["upstream"]["name"] == "core")
        .unwrap();
    assert_eq!(confirmed["request"]["bodyDigest"], Value::Null);
    assert!(confirmed["request"]["bodyBytes"].is_u64() && confirmed.get("body").is_none());
    // The credential names the delivery that brought it, which is a record of its own.
    let (_, taken, _) = whole
        .iter()
        .find(|(_, r, _)| r["verdict"] == "taken")
        .unwrap();
    let cause = taken["errand"]["cause"].as_str().unwrap();
    let brought = records(&near, cause);
    assert_eq!(brought[0].1["route"], "callback");
    let text = fs::read_to_string(near.join("records/00000000000000000000.jsonl")).unwrap();
    for person in [NATIONAL_ID, &birth.number, "Ada Example"] {
        assert!(!text.contains(person), "{person} is in the log");
    }
    proven(&crvs, correlation, &whole, &there);
}

/// The packet's record in the other log, proven with the receipt out of ours, by two programs; then without the bodies; then broken.
fn proven(
    crvs: &Crvs,
    correlation: &str,
    whole: &[(u64, Value, Hash)],
    there: &[(u64, Value, Hash)],
) {
    let (number, _, _) = whole
        .iter()
        .find(|(_, r, _)| r["errand"]["step"] == "received")
        .unwrap();
    let receipt = evidence(crvs, "crvs", &["show", &number.to_string(), "--receipt"]);
    assert_eq!(receipt.code, 0, "{}", receipt.all());
    let (file, out) = (crvs.site.path("receipt"), crvs.site.path("proof.json"));
    fs::write(&file, &receipt.out).unwrap();
    let (file, shown) = (file.display().to_string(), out.display().to_string());
    let far_number = there[0].0.to_string();
    let export = |more: &[&str]| {
        let mut args = vec![
            "export",
            &far_number,
            "--out",
            &shown,
            "--receipt",
            &file,
            "--bodies",
        ];
        args.extend(more);
        until("a signed head covers the record", || {
            (evidence(crvs, "misp", &args).code == 0).then_some(())
        });
    };
    export(&[]);
    for said in [verify(&crvs.site, &out), independently(&crvs.site, &out)] {
        assert_eq!(said.code, 0, "{}", said.all());
        assert!(said.out.contains("receipt"), "{}", said.all());
    }
    let day = there[0].1["time"].as_str().unwrap().get(..10).unwrap();
    let erased = evidence(crvs, "misp", &["erase", "--partner", "crvs", "--day", day]);
    assert!(erased.out.contains("destroyed"), "{}", erased.all());
    export(&[]);
    for said in [verify(&crvs.site, &out), independently(&crvs.site, &out)] {
        assert_eq!(said.code, 0, "{}", said.all());
    }
    // The receipt of the other call is not this one's.
    let (other, _, _) = whole
        .iter()
        .find(|(_, r, _)| r["errand"]["step"] == "packet-created")
        .unwrap();
    let receipt = evidence(crvs, "crvs", &["show", &other.to_string(), "--receipt"]);
    fs::write(&file, &receipt.out).unwrap();
    export(&[]);
    for said in [verify(&crvs.site, &out), independently(&crvs.site, &out)] {
        assert_eq!(said.code, 1, "{}", said.all());
        assert!(said.all().contains("another record"), "{}", said.all());
    }
    let listed = evidence(crvs, "crvs", &["list", "--correlation-id", correlation]);
    assert!(
        listed.out.contains("opencrvs/packet-created"),
        "{}",
        listed.all()
    );
    let of_peer = evidence(crvs, "crvs", &["list", "--partner", "misp", "--json"]);
    assert_eq!(of_peer.out.lines().count(), 2, "{}", of_peer.all());
}

#[test]
fn an_errand_whose_record_is_required_and_cannot_be_had_waits_and_sends_nothing() {
    let mut crvs = Crvs::new("evidence-errand-waits", "");
    crvs.site.append(
        "crvs/gateway.toml",
        "[evidence]\nlevel = \"required\"\nreserve_mib = 1000000000",
    );
    // Else the registration itself would be refused.
    crvs.site.replace(
        "crvs/gateway.toml",
        "name = \"registration\"",
        "name = \"registration\"\nevidence = { level = \"off\" }",
    );
    crvs.site.start_misp();
    crvs.start_crvs();
    let birth = Record::birth();
    crvs.register(&birth);
    let waits = within(Duration::from_secs(60), || {
        let shown = crvs.show(&birth.key());
        let attempts = shown["attempts"].as_u64()?;
        (attempts >= 1).then_some(shown)
    });
    let shown = waits.unwrap_or_else(|| panic!("{}", crvs.show(&birth.key())));
    assert!(shown["reason"].to_string().contains("EVD-004"), "{shown}");
    assert_eq!(crvs.mosip.times(), 0, "something was sent");
    // Room again.
    crvs.site.kill_crvs();
    crvs.site
        .replace("crvs/gateway.toml", "reserve_mib = 1000000000", "");
    crvs.start_crvs();
    crvs.at_mosip(&birth.number);
    let waiting = crvs.show(&birth.key());
    let correlation = waiting["correlationId"].as_str().unwrap();
    let near = crvs.site.path(NEAR);
    let found = until("the calls are recorded", || {
        let found = records(&near, correlation);
        (found.len() == 2).then_some(found)
    });
    assert_eq!(found[0].1["errand"]["step"], json!("received"));
    assert!(found[0].1["errand"]["attempt"].as_u64().unwrap() >= 2);
}
