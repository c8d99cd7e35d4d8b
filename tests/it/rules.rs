//! The operator's rules (issue 4, items 1 and 5): at both hooks on the road, over reloads, explained and replayed by the binary.

use std::fs;

use serde_json::{Value, json};

use crate::{
    forge::assert_refused,
    harness::{Output, Reloaded, Site, triseal},
};

const IN_MOSIPS_WORDS: &[&str] = &["IDA-MLC-007", "IDA-MPA-006"];

const OPEN: &str = r#"
@id("partners")
@description("Partners may ask IDA.")
permit (principal is Partner, action in Action::"handler ida", resource == Upstream::"ida")
when { principal.kind == "auth" };
"#;

const NO_OTP: &str = r#"
@id("no-otp")
@description("One-time passwords are switched off.")
forbid (principal, action, resource)
when { context has factors && context.factors.contains("otp") };
"#;

/// A site whose MISP has these rules.
fn with_rules(name: &str, text: &str) -> Site {
    let site = Site::new(name);
    fs::create_dir(site.path("misp/rules")).unwrap();
    site.write("misp/rules/rules.cedar", text);
    site.append("misp/gateway.toml", "[rules]\nfolder = \"rules\"");
    site
}

fn policy(site: &Site, args: &[&str]) -> Output {
    let config = site.path("misp/gateway.toml").display().to_string();
    let mut all = vec!["policy", args[0], "--config", &config];
    all.extend(&args[1..]);
    triseal(all)
}

#[track_caller]
fn says(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.code, code, "{}{}", output.out, output.err);
    for part in parts {
        assert!(
            output.out.contains(part),
            "`{part}` is not in\n{}{}",
            output.out,
            output.err
        );
    }
}

#[test]
fn a_forbid_on_a_factor_refuses_over_the_content_and_the_near_miss_passes() {
    let mut site = with_rules("rules-factor", &format!("{OPEN}{NO_OTP}"));
    site.start_misp();
    // The good message asks with demographic data alone.
    assert!(site.ask(&site.auth()).says_yes());
    let answer = site.ask(&site.auth().set_inner("otp", "111111".into()));
    assert_refused(&site, &answer, "POL-008", IN_MOSIPS_WORDS);
    // The rule is named to the operator, and to nobody else.
    let line = site.misp().line(answer.correlation_id());
    assert!(line["cause"].as_str().unwrap().contains("no-otp"), "{line}");
    assert!(!answer.text().contains("no-otp"));
    let misp = site.misp();
    assert!(misp.metric("triseal_rules_seconds_count", &["permit"]) > 1.5);
    assert!(misp.metric("triseal_rules_seconds_count", &["admit"]) > 1.5);
}

#[test]
fn what_nothing_permits_is_refused_before_or_over_the_content() {
    let text = r#"
@id("auth-with-otp")
permit (principal == Partner::"crvs", action in Action::"ida-auth", resource)
when { context has factors && context.factors.contains("otp") };
@id("otp-itself")
permit (principal, action in Action::"ida-otp", resource);
"#;
    let mut site = with_rules("rules-nothing", text);
    site.start_misp();
    // Only the content could tell, and it does.
    let answer = site.ask(&site.auth());
    assert_refused(&site, &answer, "POL-009", IN_MOSIPS_WORDS);
    let answer = site.ask(&site.auth().set_inner("otp", "111111".into()));
    assert_eq!(answer.header("x-triseal-code"), None, "{}", answer.text());
    // No content could save this one, and nothing of it is opened.
    let mut ask = site.auth().kyc().set_inner("otp", "111111".into());
    ask.inner_text = Some(b"this is no JSON".to_vec());
    let answer = site.ask(&ask);
    assert_refused(&site, &answer, "POL-007", IN_MOSIPS_WORDS);
    assert_eq!(answer.json()["response"], json!({"kycStatus": false}));
}

#[test]
fn a_bad_policy_keeps_the_running_rules_and_says_the_line_and_what_to_do() {
    let mut site = with_rules("rules-reload", OPEN);
    site.start_misp();
    assert!(site.ask(&site.auth()).says_yes());
    let bad =
        format!("{OPEN}{NO_OTP}").replace("context.factors.contains", "context.factor.contains");
    site.write("misp/rules/rules.cedar", &bad);
    assert_eq!(site.misp().reload(), Reloaded::Refused);
    assert!(site.ask(&site.auth()).says_yes());
    let said = site.misp().process().err();
    let line = bad
        .lines()
        .position(|l| l.contains("context.factor."))
        .unwrap()
        + 1;
    let place = format!("rules.cedar:{line}: error: policy `no-otp`:");
    assert!(said.contains(&place), "`{place}` is not in\n{said}");
    assert!(said.contains("Did you mean"), "{said}");
    // A new file that forbids takes effect without a restart.
    site.write("misp/rules/rules.cedar", OPEN);
    site.write(
        "misp/rules/night.cedar",
        "@id(\"closed\")\nforbid (principal, action, resource);\n",
    );
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let answer = site.ask(&site.auth());
    assert_refused(&site, &answer, "POL-006", IN_MOSIPS_WORDS);
    let line = site.misp().line(answer.correlation_id());
    assert!(line["cause"].as_str().unwrap().contains("closed"), "{line}");
}

#[test]
fn explain_says_allow_or_deny_and_why() {
    let site = with_rules("rules-explain", &format!("{OPEN}{NO_OTP}"));
    let ask = ["explain", "--partner", "crvs", "--route", "ida-auth"];
    let message = site.path("message.json");
    fs::write(&message, site.auth().body()).unwrap();
    let message = message.display().to_string();
    let with_message: Vec<&str> = ask.iter().copied().chain(["--message", &message]).collect();
    says(
        &policy(&site, &with_message),
        0,
        &[
            "ALLOW",
            r#""factors":["demo"]"#,
            r#""identifierType":"UIN""#,
            "yes, by partners (rules.cedar:2: Partners may ask IDA.)",
        ],
    );
    let supposed: Vec<&str> = ask
        .iter()
        .copied()
        .chain(["--factors", "demo,otp"])
        .collect();
    says(
        &policy(&site, &supposed),
        1,
        &[
            "DENY",
            "before anything is opened: yes",
            "over the content: NO, POL-008: forbidden by no-otp (rules.cedar:7: One-time passwords are switched off.)",
        ],
    );
    // The tables are told of as well: the day after tomorrow's certificates, a partner that is switched off.
    site.edit("misp/partners/crvs.toml", |text| {
        format!("state = \"inactive\"\n{text}")
    });
    says(&policy(&site, &ask), 1, &["NO, ID-004", "DENY"]);
    let unknown = policy(
        &site,
        &["explain", "--partner", "crsv", "--route", "ida-auth"],
    );
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("crvs"), "{}", unknown.err);
}

/// A record of an exchange, as the evidence writes it, with the members that a replay reads.
fn record(n: u32, route: &str, factors: &[&str], verdict: &str, code: Option<&str>) -> Value {
    let mut record = json!({
        "v": 1,
        "time": "2026-11-22T10:00:00.000Z",
        "gateway": "misp",
        "correlationId": format!("c-{n}"),
        "face": "partners",
        "route": route,
        "method": "POST",
        "caller": {"id": "crvs", "organisation": "Civil Registry", "kind": "auth", "how": "certificate"},
        "facts": {
            "time": 1_795_341_600_u64 + u64::from(n), "source": "127.0.0.1", "face": "partners",
            "knownBy": "certificate", "tls": "1.3", "envelope": "mosip-ida", "evidence": "required",
            "policy": "ekyc", "content": true, "algorithm": "RS256", "factors": factors,
        },
        "verdict": verdict,
    });
    if let Some(code) = code {
        record["code"] = code.into();
    }
    record
}

#[test]
fn replay_lists_who_would_change_and_nobody_else() {
    let site = with_rules("rules-replay", OPEN);
    let records = site.path("misp/state/evidence/records");
    fs::create_dir_all(&records).unwrap();
    let lines: Vec<String> = [
        record(1, "ida-auth", &["demo"], "answered", None),
        record(2, "ida-auth", &["demo", "otp"], "answered", None),
        record(3, "ida-auth", &["otp"], "answered", None),
        record(4, "ida-auth", &["otp"], "refused", Some("SIG-008")),
        record(5, "ida-kyc", &["demo"], "refused", Some("POL-009")),
        record(6, "ida-gone", &["demo"], "answered", None),
        json!({"v": 1, "gateway": "misp", "correlationId": "c-7", "verdict": "refused", "code": "ID-001"}),
    ]
    .iter()
    .map(|record| format!("{record}\n"))
    .collect();
    fs::write(records.join("00000000000000000000.jsonl"), lines.concat()).unwrap();
    // Today's rules: what was refused by yesterday's would be permitted now.
    let today = policy(&site, &["replay", "--since", "2026-11-22T09:00:00Z"]);
    says(
        &today,
        1,
        &[
            "5 exchanges since",
            "deny -> allow: crvs, POST ida-kyc: 1 times",
            "not asked: crvs, POST ida-gone",
            "1 were refused for other reasons",
            "1 hold no facts",
        ],
    );
    assert!(!today.out.contains("allow -> deny"), "{}", today.out);
    // The proposed ones, before they count.
    fs::create_dir(site.path("proposed")).unwrap();
    site.write("proposed/rules.cedar", &format!("{OPEN}{NO_OTP}"));
    let folder = site.path("proposed").display().to_string();
    let proposed = [
        "replay",
        "--since",
        "2026-11-22T09:00:00Z",
        "--proposed",
        &folder,
    ];
    says(
        &policy(&site, &proposed),
        1,
        &[
            "allow -> deny: crvs, POST ida-auth: 2 times, first",
            "(c-2): forbidden by no-otp (rules.cedar:7: One-time passwords are switched off.)",
            "1 stay as they were, 3 change",
        ],
    );
    // Later than everything that was recorded: nothing changes.
    let none = [
        "replay",
        "--since",
        "2026-11-23T00:00:00Z",
        "--proposed",
        &folder,
    ];
    says(&policy(&site, &none), 0, &["0 exchanges since"]);
    // A bad folder is no answer, and a line that is no record is said.
    site.write(
        "proposed/rules.cedar",
        "permit (principal, action, resource);",
    );
    let bad = policy(&site, &proposed);
    assert_eq!(bad.code, 2, "{}", bad.out);
    assert!(
        bad.err
            .contains("rules.cedar:1: error: the policy has no @id"),
        "{}",
        bad.err
    );
    fs::write(records.join("00000000000000000007.jsonl"), "{\"half\": ").unwrap();
    let torn = policy(&site, &["replay", "--since", "2026-11-22T09:00:00Z"]);
    assert_eq!(torn.code, 2);
    assert!(
        torn.err.contains("00000000000000000007.jsonl:1"),
        "{}",
        torn.err
    );
}

#[test]
fn a_misp_passes_on_what_its_policy_allows_with_mosips_codes_where_it_does_not() {
    let mut site = Site::new("misp-policy");
    let delegated = |site: &Site| {
        let mut ask = site.auth().set("id", "mosip.identity.kycauth".into());
        "kyc-auth/delegated".clone_into(&mut ask.word);
        site.ask(&ask)
    };
    site.start_misp();
    // The MISP may; the partner's own policy does not list it.
    let answer = delegated(&site);
    assert_refused(&site, &answer, "POL-003", &["IDA-MLC-007", "IDA-MPA-025"]);
    site.replace(
        "misp/policies/misp.json",
        "\"allowKycRequestDelegation\": true",
        "\"allowKycRequestDelegation\": false",
    );
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let answer = delegated(&site);
    assert_refused(&site, &answer, "POL-012", &["IDA-MLC-007", "IDA-MPA-030"]);
    let file = "misp/partners/misp.toml";
    site.replace(file, "policy = \"delegation\"\n", "");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let answer = delegated(&site);
    assert_refused(&site, &answer, "POL-011", &["IDA-MLC-007", "IDA-MPA-023"]);
    // What is not delegated asks no MISP policy.
    assert!(site.ask(&site.auth()).says_yes());
    // A policy of another kind is found at load.
    site.append(file, "policy = \"ekyc\"");
    assert_eq!(site.misp().reload(), Reloaded::Refused);
    assert!(site.misp().process().err().contains("of another kind"));
}
