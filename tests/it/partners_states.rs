//! The table of IDA reference section 8, end to end: a state in a file, a reload, a request, MOSIP's code.

use crate::harness::{Ask, Reloaded, Site, h2};

/// A change to the files of a site.
type Change = fn(&Site);

/// Applies a change to a running gateway and asks. The answer must be signed, say these codes, and be logged.
#[track_caller]
fn after(name: &str, change: Change, code: &str, mosip: &str) {
    asked_after(name, change, |ask| ask, code, mosip);
}

#[track_caller]
fn asked_after(name: &str, change: Change, make: fn(Ask) -> Ask, code: &str, mosip: &str) {
    let site = Site::misp_running(name);
    let before = site.ask(&make(site.auth()));
    assert_eq!(before.code(), "-", "before: {}", before.text());
    change(&site);
    let reloaded = site.misp().reload();
    assert_eq!(
        reloaded,
        Reloaded::Published,
        "{}",
        site.misp().process().err()
    );
    let answer = site.ask(&make(site.auth()));
    let told = answer.mosip_codes().pop().unwrap_or_default();
    assert_eq!(
        (answer.code().as_str(), told.as_str()),
        (code, mosip),
        "{}",
        answer.text()
    );
    assert_eq!(answer.status, 200);
    site.assert_signed(&answer);
    assert_eq!(site.misp().logged(&answer), code);
}

/// The key of the partner is the last table in its file, that of the MISP as well.
fn api_key(site: &Site, line: &str) {
    site.append("misp/partners/crvs.toml", line);
}

fn licence(site: &Site, line: &str) {
    site.append("misp/partners/misp.toml", line);
}

fn partner(site: &Site, line: &str) {
    site.edit("misp/partners/crvs.toml", |text| format!("{line}\n{text}"));
}

fn policy(site: &Site, line: &str) {
    let document = "document = \"policies/ekyc.json\"";
    site.replace(
        "misp/gateway.toml",
        document,
        &format!("{document}\n{line}"),
    );
}

fn document(site: &Site, from: &str, to: &str) {
    site.replace("misp/policies/ekyc.json", from, to);
}

const PAST: &str = "\"2001-01-01T00:00:00Z\"";
const FUTURE: &str = "\"2199-01-01T00:00:00Z\"";

// The partner.

#[test]
fn an_inactive_partner_is_told_that_it_is_deactivated() {
    after(
        "partner-inactive",
        |s| partner(s, "state = \"inactive\""),
        "ID-004",
        "IDA-MPA-012",
    );
}

#[test]
fn a_refusal_before_the_body_names_its_transaction_and_does_not_wait_for_a_body_that_stays_away() {
    let site = Site::misp_running("partner-inactive-transaction");
    partner(&site, "state = \"inactive\"");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let wire = site.auth().wire();
    let transaction = |bytes: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        value["transactionID"].clone()
    };
    let answer = site.ask(&site.auth());
    assert_eq!(answer.code(), "ID-004", "{}", answer.text());
    assert!(transaction(answer.text().as_bytes()).is_string());

    let began = std::time::Instant::now();
    let bytes = wire.http1();
    let mut client = site.connect();
    client.send(&bytes[..bytes.len() - 10]);
    let answer = client.answer().expect("an answer without its body");
    assert_eq!(answer.code(), "ID-004", "{}", answer.text());
    assert!(transaction(answer.text().as_bytes()).is_null());

    let client = site.client().http2();
    let mut client = client.connect(site.partner_face()).unwrap();
    let mut bytes = h2::preface();
    let frames = h2::request(&wire, 1);
    bytes.extend(&frames[..frames.len() - 10]);
    client.send(&bytes);
    let body = h2::answer_body(&mut client, 1).expect("an answer without its body");
    assert!(String::from_utf8_lossy(&body).contains("IDA-MPA-012"));
    assert!(transaction(&body).is_null());
    // The limit of a body that is wanted is far beyond.
    assert!(began.elapsed() < std::time::Duration::from_secs(9));
}

#[test]
fn a_deleted_partner_is_told_that_it_is_not_registered() {
    after(
        "partner-deleted",
        |s| partner(s, "state = \"deleted\""),
        "ID-008",
        "IDA-MPA-009",
    );
}

#[test]
fn a_partner_before_its_time_is_told_that_it_is_deactivated() {
    after(
        "partner-not-yet",
        |s| partner(s, &format!("valid_from = {FUTURE}")),
        "ID-005",
        "IDA-MPA-012",
    );
}

#[test]
fn a_partner_after_its_time_is_told_that_it_is_deactivated() {
    after(
        "partner-over",
        |s| partner(s, &format!("valid_until = {PAST}")),
        "ID-005",
        "IDA-MPA-012",
    );
}

// The policy.

#[test]
fn a_deleted_policy_is_told_as_not_registered() {
    after(
        "policy-deleted",
        |s| policy(s, "state = \"deleted\""),
        "POL-001",
        "IDA-MPA-018",
    );
}

#[test]
fn an_inactive_policy_is_told_as_not_active() {
    after(
        "policy-inactive",
        |s| policy(s, "state = \"inactive\""),
        "POL-002",
        "IDA-MPA-019",
    );
}

#[test]
fn a_policy_before_its_time_is_told_as_not_active() {
    after(
        "policy-not-yet",
        |s| policy(s, &format!("valid_from = {FUTURE}")),
        "POL-002",
        "IDA-MPA-019",
    );
}

#[test]
fn a_policy_after_its_time_is_told_as_not_active() {
    after(
        "policy-over",
        |s| policy(s, &format!("valid_until = {PAST}")),
        "POL-002",
        "IDA-MPA-019",
    );
}

// The API key.

#[test]
fn an_unknown_api_key_is_told_as_not_registered() {
    let without = |s: &Site| {
        s.edit("misp/partners/crvs.toml", |text| {
            text.split("[[api_key]]").next().unwrap().to_owned()
        });
    };
    after("key-missing", without, "API-001", "IDA-MPA-009");
}

#[test]
fn a_deleted_api_key_is_told_as_not_registered() {
    after(
        "key-deleted",
        |s| api_key(s, "state = \"deleted\""),
        "API-001",
        "IDA-MPA-009",
    );
}

#[test]
fn an_inactive_api_key_is_told_as_deactivated() {
    after(
        "key-inactive",
        |s| api_key(s, "state = \"inactive\""),
        "API-002",
        "IDA-MPA-012",
    );
}

#[test]
fn an_api_key_before_its_time_is_told_as_not_commenced() {
    after(
        "key-not-yet",
        |s| api_key(s, &format!("valid_from = {FUTURE}")),
        "API-003",
        "IDA-MPA-039",
    );
}

#[test]
fn an_api_key_after_its_time_is_told_as_expired() {
    after(
        "key-over",
        |s| api_key(s, &format!("valid_until = {PAST}")),
        "API-003",
        "IDA-MPA-039",
    );
}

// The licence key.

#[test]
fn a_missing_licence_key_is_told_as_no_misps() {
    let without = |s: &Site| {
        s.edit("misp/partners/misp.toml", |text| {
            text.split("[[licence_key]]").next().unwrap().to_owned()
        });
    };
    after("licence-missing", without, "LIC-001", "IDA-MPA-007");
}

#[test]
fn a_deleted_licence_key_is_told_as_no_misps() {
    after(
        "licence-deleted",
        |s| licence(s, "state = \"deleted\""),
        "LIC-001",
        "IDA-MPA-007",
    );
}

#[test]
fn a_licence_key_before_its_time_is_told_as_no_misps() {
    after(
        "licence-not-yet",
        |s| licence(s, &format!("valid_from = {FUTURE}")),
        "LIC-001",
        "IDA-MPA-007",
    );
}

#[test]
fn an_inactive_licence_key_is_told_as_blocked() {
    after(
        "licence-inactive",
        |s| licence(s, "state = \"inactive\""),
        "LIC-002",
        "IDA-MPA-017",
    );
}

#[test]
fn a_licence_key_after_its_time_is_told_as_expired() {
    after(
        "licence-over",
        |s| licence(s, &format!("valid_until = {PAST}")),
        "LIC-003",
        "IDA-MPA-008",
    );
}

#[test]
fn a_licence_key_that_differs_in_one_letter_is_no_misps() {
    let site = Site::misp_running("licence-near");
    let mut ask = site.auth();
    let last = if ask.licence.ends_with('A') { 'B' } else { 'A' };
    ask.licence.pop();
    ask.licence.push(last);
    assert_eq!(site.ask(&ask).code(), "LIC-001");
    let mut ask = site.auth();
    ask.api_key.push('0');
    assert_eq!(site.ask(&ask).code(), "API-001");
}

// What the policy says.

const KYC: &str = "{ \"authType\": \"kyc\", \"mandatory\": false }";
const OTP_REQUEST: &str = "{ \"authType\": \"otp-request\", \"mandatory\": false },";
const DEMO: &str = "{ \"authType\": \"demo\", \"mandatory\": false },";

#[test]
fn a_policy_without_kyc_takes_no_kyc() {
    asked_after(
        "policy-no-kyc",
        |s| document(s, &format!(",\n    {KYC}"), ""),
        Ask::kyc,
        "POL-003",
        "IDA-MPA-013",
    );
}

#[test]
fn a_policy_without_otp_requests_sends_no_otp() {
    asked_after(
        "policy-no-otp",
        |s| document(s, OTP_REQUEST, ""),
        Ask::otp,
        "POL-003",
        "IDA-MPA-005",
    );
}

#[test]
fn a_factor_that_the_policy_does_not_list_is_refused() {
    after(
        "policy-no-demo",
        |s| document(s, DEMO, ""),
        "POL-004",
        "IDA-MPA-006",
    );
}

#[test]
fn a_mandatory_factor_that_is_not_used_is_refused() {
    after(
        "policy-mandatory",
        |s| {
            document(
                s,
                "\"otp\", \"mandatory\": false",
                "\"otp\", \"mandatory\": true",
            )
        },
        "POL-005",
        "IDA-MPA-015",
    );
}

#[test]
fn a_route_that_the_partners_file_does_not_list_is_refused() {
    let site = Site::misp_running("route-not-listed");
    site.replace("misp/partners/crvs.toml", "\"ida-kyc\", ", "");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let answer = site.ask(&site.auth().kyc());
    assert_eq!((answer.code().as_str(), answer.status), ("RT-003", 403));
    assert!(site.ask(&site.auth()).says_yes());
}
