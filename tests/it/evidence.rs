//! Evidence on the road: records on both sides of an exchange, receipts that name them, and gateways that are killed, filled up and
//! tampered with.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{Mutex, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;
use triseal::{
    envelope::{DetachedJws, Forms, jose::AnswerSignature},
    evidence::{
        Bodies, Hash,
        bodies::{Which, erase},
        head::Head,
        leaf_hash, node_hash,
        reader::{Log, Query},
    },
    keys::Secret,
    store::Vault,
};

use crate::{
    harness::{Answer, Site, get, run, triseal, until},
    jose::{draft::Request, service::Service, site as jose_site},
    service_face::{of_sdk, plain},
};

const LOG: &str = "misp/state/evidence";
const REQUIRED: &str = "[evidence]\nlevel = \"required\"";

fn log(site: &Site, folder: &str) -> Log {
    Log::open(&site.path(folder)).unwrap()
}

/// The one record of an exchange, with its leaf hash; the index is a moment behind the records.
#[track_caller]
fn record(site: &Site, folder: &str, correlation_id: &str) -> (Value, Hash) {
    assert!(!correlation_id.is_empty());
    let log = log(site, folder);
    let query = Query {
        correlation_id: Some(correlation_id),
        ..Query::default()
    };
    let index = until("the record is in the index", || {
        log.find(&query, 2).unwrap().first().copied()
    });
    assert_eq!(log.find(&query, 2).unwrap().len(), 1);
    let leaf = log.record(index).unwrap();
    (serde_json::from_slice(&leaf).unwrap(), leaf_hash(&leaf))
}

/// The leaf in the signature of an answer in MOSIP's form.
pub fn leaf_of(answer: &Answer) -> Option<Hash> {
    let value = answer.header("response-signature")?;
    let jws = DetachedJws::parse_answer(value, &Forms::STRICT).unwrap();
    jws.receipt().copied()
}

/// The tree's hash by its definition.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        many => {
            let split = many.len().next_power_of_two() / 2;
            node_hash(&root(&many[..split]), &root(&many[split..]))
        }
    }
}

/// Every leaf hash of a log, computed from its records; the last head must be that of the tree over them.
#[track_caller]
pub fn verified(folder: &Path) -> Vec<Hash> {
    let log = Log::open(folder).unwrap();
    let records = log.records(0..u64::MAX).unwrap();
    let leaves: Vec<Hash> = records.map(|r| leaf_hash(&r.unwrap().1)).collect();
    let head = Head::parse(&log.last_head().unwrap().unwrap()).unwrap();
    let size = usize::try_from(head.size).unwrap();
    assert_eq!(head.root, root(&leaves[..size]));
    assert_eq!(head.log, log.id());
    leaves
}

fn base64url(hash: &Hash) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(hash)
}

#[test]
fn an_ida_exchange_leaves_records_on_both_sides_and_each_answer_is_the_receipt() {
    let mut site = Site::new("evidence-ida");
    site.append("crvs/gateway.toml", REQUIRED);
    site.start_misp();
    site.start_crvs();
    let answer = plain(&site, &of_sdk(&site).wire());
    assert!(answer.says_yes(), "{}", answer.text());
    let id = answer.correlation_id();
    let (near, near_leaf) = record(&site, "crvs/state/evidence", id);
    let (far, far_leaf) = record(&site, LOG, id);
    assert_eq!(leaf_of(&answer), Some(near_leaf));
    assert_eq!(near["upstream"]["receipt"]["leaf"], base64url(&far_leaf));
    let receipt = near["upstream"]["receipt"]["signature"].as_str().unwrap();
    let jws = DetachedJws::parse_answer(receipt, &Forms::STRICT).unwrap();
    assert_eq!(jws.receipt(), Some(&far_leaf));

    assert_eq!(
        (
            near["caller"]["id"].as_str(),
            near["caller"]["how"].as_str()
        ),
        (Some("sdk"), Some("network"))
    );
    assert_eq!(far["caller"]["id"], "crvs");
    assert_eq!(far["caller"]["policy"], "ekyc");
    assert_eq!(
        (far["route"].as_str(), far["verdict"].as_str()),
        (Some("ida-auth"), Some("answered"))
    );
    let line = site.misp().line(id);
    assert_eq!(far["tls"], line["tls_certificate"]);
    assert_eq!(far["signer"], line["signed_by"]);
    assert_eq!(far["upstream"]["name"], "ida");
    assert_eq!(far["answer"]["status"], 200);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &answer.body);
    let digest: Hash = digest.as_ref().try_into().unwrap();
    assert_eq!(near["answer"]["bodyDigest"], base64url(&digest));
    let relied: Vec<&str> = (far["revocation"].as_array().unwrap().iter())
        .map(|seen| seen["role"].as_str().unwrap())
        .collect();
    assert_eq!(relied, ["tls", "signature"]);
    for seen in far["revocation"].as_array().unwrap() {
        assert_eq!(seen["standing"], "good", "{seen}");
        assert!(
            seen["list"].is_string() && seen["nextUpdate"].is_string(),
            "{seen}"
        );
    }
    assert_eq!(far["configuration"]["digest"].as_str().unwrap().len(), 43);
    // Nothing of what was asked about whom.
    let text =
        fs::read_to_string(site.path(LOG).join("records/00000000000000000000.jsonl")).unwrap();
    assert!(!text.contains("2753114735"));
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    verified(&site.path(LOG));
}

#[test]
fn a_jose_exchange_leaves_records_on_both_sides_and_the_receipt_is_kept() {
    let service = Service::echo();
    let mut site = jose_site::before("evidence-jose", service.port);
    site.append("crvs/gateway.toml", REQUIRED);
    site.start_misp();
    site.start_crvs();
    // As a partner that seals itself.
    let exchange = Request::post(&site, "/echo/a", b"{}").send(&mut site.connect());
    exchange.json(&site);
    let value = exchange.answer.header("response-signature").unwrap();
    let leaf = *AnswerSignature::parse(value).unwrap().leaf().unwrap();
    let (far, far_leaf) = record(&site, LOG, exchange.answer.correlation_id());
    assert_eq!(leaf, far_leaf);
    assert_eq!(far["request"]["signature"], exchange.value);
    // Through our own service face: its plain answer bears no signature, its record the receipt.
    let answer = get(site.service_face(), "/echo/b").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (near, _) = record(&site, "crvs/state/evidence", answer.correlation_id());
    let (_, far_leaf) = record(&site, LOG, answer.correlation_id());
    assert_eq!(near["upstream"]["receipt"]["leaf"], base64url(&far_leaf));
    assert_eq!(near["route"], "echo");
}

#[test]
fn a_refused_partner_is_recorded_and_a_stranger_is_counted() {
    let site = Site::misp_running("evidence-refused");
    let mut wire = site.auth().wire();
    wire.body.push(b' ');
    let answer = site.connect().ask(&wire.http1());
    assert_eq!(answer.code(), "SIG-008");
    let (refused, leaf) = record(&site, LOG, answer.correlation_id());
    assert_eq!(
        (refused["verdict"].as_str(), refused["code"].as_str()),
        (Some("refused"), Some("SIG-008"))
    );
    assert_eq!(leaf_of(&answer), Some(leaf));
    // The signature did not hold, so nobody signed.
    assert_eq!(refused["signer"], Value::Null);
    assert!(refused["request"]["signature"].is_string());

    let pki = site.path("pki").display().to_string();
    let made = triseal([
        "pki",
        "add",
        "--dir",
        &pki,
        "--party",
        "stranger:Civil Registry",
    ]);
    assert_eq!(made.code, 0, "{}", made.all());
    let mut client = (site.client_of(&site.party("stranger"), "tls"))
        .connect(site.partner_face())
        .unwrap();
    let answer = client.ask(&site.auth().wire().http1());
    assert_eq!(answer.code(), "ID-001");
    assert_eq!(
        site.misp().metric("triseal_evidence_strangers_total", &[]),
        1.0
    );
    assert_eq!(
        site.misp().metric("triseal_evidence_records_total", &[]),
        1.0
    );
}

#[test]
fn what_the_http_gate_refuses_a_partner_is_recorded_and_of_a_stranger_counted() {
    let site = Site::misp_running("evidence-gate");
    let smuggled = b"POST /idauthentication/v1/auth/a/b/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = site.connect().ask(smuggled);
    assert_eq!((answer.status, answer.code().as_str()), (400, "HTTP-002"));
    let line = until("the line is written", || {
        (site.misp().access().into_iter()).find(|line| line["code"] == "HTTP-002")
    });
    assert_eq!(line["partner"], "crvs");
    let (refused, _) = record(&site, LOG, line["correlation_id"].as_str().unwrap());
    assert_eq!(
        (refused["verdict"].as_str(), refused["code"].as_str()),
        (Some("refused"), Some("HTTP-002"))
    );
    assert_eq!(refused["caller"]["id"], "crvs");
    assert_eq!(refused["tls"], line["tls_certificate"]);
    // Nothing of it was read, so nothing is said of it.
    for member in ["route", "method", "request", "signer"] {
        assert_eq!(refused[member], Value::Null, "{member}");
    }
    assert_eq!(refused["answer"], serde_json::json!({"status": 400}));

    let pki = site.path("pki").display().to_string();
    let stranger = "stranger:Civil Registry";
    let made = triseal(["pki", "add", "--dir", &pki, "--party", stranger]);
    assert_eq!(made.code, 0, "{}", made.all());
    let mut client = (site.client_of(&site.party("stranger"), "tls"))
        .connect(site.partner_face())
        .unwrap();
    assert_eq!(client.ask(smuggled).code(), "HTTP-002");
    until("the stranger is counted", || {
        let strangers = site.misp().metric("triseal_evidence_strangers_total", &[]);
        (strangers >= 1.0).then_some(())
    });
    let records = site.misp().metric("triseal_evidence_records_total", &[]);
    assert_eq!(records, 1.0);
}

#[test]
fn a_route_may_say_otherwise_and_a_relay_is_recorded_as_streamed() {
    let service = Service::echo();
    let mut site = jose_site::before("evidence-routes", service.port);
    site.replace(
        "misp/gateway.toml",
        "name = \"ida-otp\"",
        "name = \"ida-otp\"\nevidence = { level = \"off\" }",
    );
    site.edit("misp/gateway.toml", |text| {
        let (before, echo) = text.split_once("name = \"echo\"\npath").unwrap();
        format!(
            "{before}name = \"echo\"\npath{}",
            echo.replace("envelope = \"jose\"", "envelope = \"insecure_plain\"")
        )
    });
    site.start_misp();
    let mut client = site.connect();
    let answer = client.ask(b"GET /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (streamed, _) = record(&site, LOG, answer.correlation_id());
    assert_eq!(
        streamed["answer"],
        serde_json::json!({"status": 200, "streamed": true})
    );
    let mut otp = site.auth();
    "otp".clone_into(&mut otp.word);
    assert_ne!(site.ask(&otp).status, 0);
    assert_eq!(
        site.misp().metric("triseal_evidence_records_total", &[]),
        1.0
    );
}

#[test]
fn a_full_disk_refuses_before_anything_goes_upstream_and_best_effort_goes_on_loudly() {
    let mut site = Site::new("evidence-full");
    site.replace(
        "misp/gateway.toml",
        "level = \"required\"",
        "level = \"required\"\nreserve_mib = 1000000000",
    );
    site.start_misp();
    let answer = site.ask(&site.auth());
    assert_eq!(answer.code(), "EVD-004", "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(leaf_of(&answer), None);
    let line = site.misp().line(answer.correlation_id());
    assert_eq!(line["upstream_status"], Value::Null);
    let health = site.misp().healthz().json();
    let findings = health["findings"].to_string();
    assert!(
        findings.contains("evidence: the disk is full"),
        "{findings}"
    );
    assert_eq!(site.misp().metric("triseal_evidence_broken", &[]), 1.0);

    site.kill_misp();
    site.replace(
        "misp/gateway.toml",
        "level = \"required\"",
        "level = \"best_effort\"",
    );
    site.limits("freshness_forward_ms = 1");
    site.start_misp();
    let answer = until("the replay memory is open", || {
        let answer = site.ask(&site.auth());
        (answer.code() != "FRS-005").then_some(answer)
    });
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
    assert_eq!(leaf_of(&answer), None);
    assert!(site.misp().metric("triseal_evidence_lost_total", &[]) >= 1.0);
    assert!(
        site.misp()
            .healthz()
            .text()
            .contains("could not be written")
    );
}

#[test]
fn a_log_that_was_changed_under_its_head_does_not_start() {
    let mut site = Site::misp_running("evidence-changed");
    assert!(site.ask(&site.auth()).says_yes());
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    site.kill_misp();
    let file = site.path(LOG).join("records/00000000000000000000.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"verdict\":\"answered\""));
    fs::write(
        &file,
        text.replace("\"verdict\":\"answered\"", "\"verdict\":\"answerer\""),
    )
    .unwrap();
    let config = site.path("misp/gateway.toml").display().to_string();
    let said = run(
        env!("CARGO_BIN_EXE_triseal"),
        ["run", "--config", &config],
        &[],
        b"",
    );
    assert_eq!(said.code, 2, "{}", said.all());
    assert!(said.all().contains("EVD-012"), "{}", said.all());
}

#[test]
fn evidence_that_cannot_be_is_said_at_the_check() {
    let site = Site::new("evidence-check");
    let check = || {
        let config = site.path("crvs/gateway.toml").display().to_string();
        triseal(["check", "--config", &config])
    };
    site.replace(
        "crvs/gateway.toml",
        "name = \"ida-otp\"",
        "name = \"ida-otp\"\nevidence = { level = \"required\" }",
    );
    let said = check();
    assert!(
        said.code != 0 && said.all().contains("there is no [evidence]"),
        "{}",
        said.all()
    );
    site.append(
        "crvs/gateway.toml",
        "[evidence]\nbodies = \"both\"\nqueue_max = 0",
    );
    let said = check();
    assert!(
        said.code != 0 && said.all().contains("key of the store"),
        "{}",
        said.all()
    );
    assert!(
        said.all().contains("no record could ever wait"),
        "{}",
        said.all()
    );
}

/// kill -9 under load, again and again: whatever was answered has its record, and the log is whole.
fn kills(name: &str, times: usize) {
    let mut site = Site::new(name);
    site.limits("freshness_forward_ms = 1");
    let receipts: Mutex<Vec<Hash>> = Mutex::default();
    for n in 0..times {
        site.start_misp();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let Ok(mut client) = site.client().connect(site.partner_face()) else {
                        return;
                    };
                    while !stop.load(Ordering::Relaxed) {
                        client.send(&site.auth().wire().http1());
                        let Some(answer) = client.answer() else {
                            break;
                        };
                        let leaf =
                            leaf_of(&answer).expect("every answer to a partner names its leaf");
                        receipts.lock().unwrap().push(leaf);
                    }
                });
            }
            // Another moment each time, on either side of the tick that signs heads.
            std::thread::sleep(Duration::from_millis(400 + (n as u64 * 271) % 1100));
            site.misp().process().signal("KILL");
            stop.store(true, Ordering::Relaxed);
        });
    }
    // The start itself verifies the tail against the last head; then everything by the definition.
    site.start_misp();
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    let known: HashSet<Hash> = verified(&site.path(LOG)).into_iter().collect();
    let receipts = receipts.into_inner().unwrap();
    assert!(
        receipts.len() > times,
        "no load: {} answers",
        receipts.len()
    );
    for leaf in &receipts {
        assert!(known.contains(leaf), "an answer without its record");
    }
}

#[test]
fn every_answer_of_a_gateway_that_is_killed_under_load_has_its_record() {
    kills("evidence-kills", 5);
}

#[test]
#[ignore = "takes minutes: a hundred kills"]
fn a_hundred_kills() {
    kills("evidence-100-kills", 100);
}

#[test]
fn kept_bodies_are_erased_alone_and_the_record_holds() {
    let mut site = Site::new("evidence-bodies");
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    site.append(
        "misp/gateway.toml",
        "[store]\nurl = \"sqlite:store.db\"\nkey = [{ file = \"secrets/evidence-key\" }]",
    );
    let secret = site.path("misp/secrets/evidence-key");
    fs::copy(site.path("misp/secrets/pepper"), &secret).unwrap();
    fs::write(&secret, key).unwrap();
    site.replace(
        "misp/gateway.toml",
        "level = \"required\"",
        "level = \"required\"\nbodies = \"both\"",
    );
    site.start_misp();
    let wire = site.auth().wire();
    let answer = site.connect().ask(&wire.http1());
    assert!(answer.says_yes(), "{}", answer.text());
    let (kept, leaf) = record(&site, LOG, answer.correlation_id());
    let name = kept["body"]["key"].as_str().unwrap().to_owned();
    let id: Vec<u8> = (kept["body"]["id"].as_str().unwrap().as_bytes().chunks(2))
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect();
    let id: [u8; 16] = id.try_into().unwrap();
    let vault = Vault::new(&[Secret::new(b"0123456789abcdef0123456789abcdef".to_vec())]).unwrap();
    let bodies = Bodies::new(&site.path(LOG), vault);
    for (which, travelled, member) in [
        (Which::Request, &wire.body, "request"),
        (Which::Answer, &answer.body, "answer"),
    ] {
        let opened = bodies.open(&name, id, which).unwrap().unwrap();
        assert_eq!(opened.body(), travelled.as_slice());
        let digest = kept["body"][member]["plainDigest"].as_str().unwrap();
        assert_eq!(digest, base64url(&opened.plain_digest()));
    }
    let (day, _) = name.split_once('/').unwrap();
    let gone = erase(&site.path(LOG), day, "crvs").unwrap();
    assert_eq!(gone, std::slice::from_ref(&name));
    assert!(bodies.open(&name, id, Which::Request).unwrap().is_none());
    // The running gateway goes on under another key, and the record is what it was.
    let next = site.ask(&site.auth());
    let (next, _) = record(&site, LOG, next.correlation_id());
    assert_ne!(next["body"]["key"], name.as_str());
    assert_eq!(record(&site, LOG, answer.correlation_id()).1, leaf);
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    assert!(verified(&site.path(LOG)).contains(&leaf));
}
