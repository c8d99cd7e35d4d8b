//! MOSIP's partner events, from the hub into the registry: what they change is in force at once and holds over a restart, and
//! what is forged, old, unknown or too much changes nothing.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use serde_json::{Value, json};
use triseal::clock::Moment;

use crate::{
    harness::{Output, Site, World, free_ports, now, run, until},
    websub::hub::{Hub, before_hub, deliver, signature},
};

mod replicas;

const SECRET: &str = "the hub's secret of misp";
const STORE_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TOPICS: [&str; 8] = [
    "APIKEY_APPROVED",
    "APIKEY_UPDATED",
    "APIKEY_STATUS_UPDATED",
    "APIKEY_EXPIRED",
    "PARTNER_UPDATED",
    "POLICY_UPDATED",
    "MISP_LICENSE_UPDATED",
    "CA_CERTIFICATE_UPLOADED",
];

/// The MISP's gateway before a hub of ours.
struct Registry {
    site: Site,
    port: u16,
    hub: Hub,
}

fn secret(site: &Site, file: &str, text: &str) {
    let path = site.path(file);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Registry {
    fn started(name: &str, prepare: impl FnOnce(&Site)) -> Self {
        let (mut site, hub, port) = (Site::new(name), Hub::start(), free_ports(1));
        secret(&site, "misp/secrets/store-key", STORE_KEY);
        secret(&site, "misp/secrets/hub", SECRET);
        site.write(
            "misp/partners/hub.toml",
            "id = \"hub\"\norganisation = \"MISP One\"\nkind = \"service\"\nroutes = [\"websub\"]\n\n[access]\nnetworks = [\"127.0.0.0/8\"]\n",
        );
        let mut more = format!(
            r#"
[[face]]
name = "services"
kind = "service"
listen = "127.0.0.1:{port}"

[[route]]
name = "websub"
path = "/events/{{topic}}"
handler = "websub"
from = {{ face = "service", envelope = "insecure_plain" }}

{}"#,
            before_hub(hub.port)
        );
        for topic in TOPICS {
            more.push_str(&format!(
                "\n[[websub.subscription]]\nname = \"{topic}\"\ntopic = \"{topic}\"\ncallback = \"https://misp.example/events/{topic}\"\nsecret = {{ file = \"secrets/hub\" }}\nhand_on = {{ registry = true }}\n"
            ));
        }
        site.append("misp/gateway.toml", &more);
        prepare(&site);
        site.start_misp();
        let this = Self { site, port, hub };
        until("the service face answers", || {
            deliver(this.port, "/nothing", None, b"{}")
        });
        this
    }

    /// Delivers an event in the form of MOSIP's partner management.
    #[track_caller]
    fn event(&self, topic: &str, at: Moment, data: &Value) {
        let body = event(topic, at, data);
        let signed = signature(SECRET, &body);
        self.deliver(topic, &signed, &body);
    }

    #[track_caller]
    fn deliver(&self, topic: &str, signed: &str, body: &[u8]) {
        let path = format!("/events/{topic}");
        let answer = deliver(self.port, &path, Some(signed), body).expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// Waits until asking gives this code; the answer says MOSIP's own.
    #[track_caller]
    fn becomes(&self, code: &str, mosip: &str) {
        until(&format!("asking gives {code}"), || {
            // A connection that is open when the partner is switched off ends without an answer.
            let mut client = self.site.connect();
            client.send(&self.site.auth().wire().http1());
            let answer = client.answer()?;
            let told = answer.mosip_codes().pop().unwrap_or_default();
            (answer.code() == code && told == mosip).then_some(())
        });
    }

    /// Waits for a parked delivery that says this; the gateway goes on as before.
    #[track_caller]
    fn parks(&self, why: &str) {
        until(&format!("parked: {why}"), || {
            let said = self.command("deliveries", &["list", "--standing", "parked"]);
            said.contains(why).then_some(())
        });
        self.becomes("-", "");
    }

    /// So many events were counted.
    #[track_caller]
    fn counted(&self, topic: &str, outcome: &str, times: u32) {
        let labels = [
            format!("topic=\"{topic}\""),
            format!("outcome=\"{outcome}\""),
        ];
        let having: Vec<&str> = labels.iter().map(String::as_str).collect();
        let metric = "triseal_registry_events_total";
        let counted = self.site.misp().metric(metric, &having);
        assert!((counted - f64::from(times)).abs() < 0.1, "{counted}");
    }

    fn command(&self, what: &str, args: &[&str]) -> String {
        let config = self.site.path("misp/gateway.toml").display().to_string();
        let mut all = vec![what, "--config", &config];
        all.extend(args);
        let output: Output = run(env!("CARGO_BIN_EXE_triseal"), all, &[], b"");
        output.all()
    }

    /// Nothing the gateway wrote has this text in it.
    #[track_caller]
    fn nowhere(&self, text: &str) {
        let mut folders = vec![self.site.path("misp")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    let found = bytes
                        .windows(text.len())
                        .any(|part| part == text.as_bytes());
                    assert!(!found, "{}", path.display());
                }
            }
        }
        assert!(!self.site.misp().process().err().contains(text));
    }
}

fn event(topic: &str, at: Moment, data: &Value) -> Vec<u8> {
    let mut time = Vec::new();
    at.push_rfc3339(&mut time);
    let time = String::from_utf8(time).unwrap();
    json!({
        "publisher": "PartnerManagementServiceImpl",
        "topic": topic,
        "publishedOn": time,
        "event": {
            "id": format!("{topic}-{}", at.ms()),
            "type": {
                "namespace": "io.mosip.pmp.partner.service.impl.PartnerManagementServiceImpl",
                "name": "PartnerManagementServiceImpl",
            },
            "timestamp": time,
            "data": data,
        },
    })
    .to_string()
    .into_bytes()
}

fn partner(status: &str) -> Value {
    json!({"partnerId": "crvs", "partnerName": "Civil Registry", "partnerStatus": status})
}

fn key(status: &str) -> Value {
    json!({
        "apiKeyId": World::shared().api_key(),
        "apiKeyCommenceOn": "2024-01-01T00:00:00.000Z",
        "apiKeyExpiresOn": "2999-01-01T00:00:00.000",
        "apiKeyStatus": status,
    })
}

fn licence(misp: &str, key: &str, status: &str) -> Value {
    json!({"mispLicenseData": {
        "mispId": misp, "licenseKey": key, "mispStatus": status,
        "mispCommenceOn": "2024-01-01T00:00:00", "mispExpiresOn": null,
    }})
}

fn ago(ms: i64) -> Moment {
    now().plus_ms(-ms)
}

/// Takes the API key out of the partner's file: it is the last table there.
fn without_key(site: &Site) {
    site.edit("misp/partners/crvs.toml", |text| {
        text.split("\n[[api_key]]").next().unwrap().to_owned() + "\n"
    });
}

#[test]
fn an_api_key_that_is_approved_works_at_once_and_one_that_expired_is_told_as_mosip_does() {
    let mut all = Registry::started("event-api-key", without_key);
    all.becomes("API-001", "IDA-MPA-009");
    let data = json!({
        "partnerData": partner("ACTIVE"),
        "policyData": {"policyId": "ekyc", "policyStatus": "ACTIVE"},
        "apiKeyData": key("ACTIVE"),
    });
    all.event("APIKEY_APPROVED", ago(9_000), &data);
    all.becomes("-", "");
    all.event(
        "APIKEY_STATUS_UPDATED",
        ago(8_000),
        &json!({"apiKeyData": key("DEACTIVE")}),
    );
    all.becomes("API-002", "IDA-MPA-012");
    // Older than what is known.
    all.event(
        "APIKEY_UPDATED",
        ago(8_500),
        &json!({"apiKeyData": key("ACTIVE")}),
    );
    assert!(all.site.misp().says("something as new is known already"));
    all.becomes("API-002", "IDA-MPA-012");
    all.event(
        "APIKEY_UPDATED",
        ago(7_000),
        &json!({"apiKeyData": key("ACTIVE")}),
    );
    all.becomes("-", "");
    all.event(
        "APIKEY_EXPIRED",
        ago(6_000),
        &json!({"apiKeyData": key("ACTIVE")}),
    );
    all.becomes("API-003", "IDA-MPA-039");
    all.counted("APIKEY_APPROVED", "in-force", 1);
    all.counted("APIKEY_STATUS_UPDATED", "in-force", 1);
    all.counted("APIKEY_UPDATED", "in-force", 1);
    all.counted("APIKEY_UPDATED", "known", 1);
    all.counted("APIKEY_EXPIRED", "in-force", 1);
    all.site.kill_misp();
    all.site.start_misp();
    all.becomes("API-003", "IDA-MPA-039");
}

#[test]
fn a_partner_that_is_deactivated_loses_its_open_connection_and_stays_out_after_a_restart() {
    let mut all = Registry::started("event-partner", |_| {});
    all.becomes("-", "");
    let mut open = all.site.connect();
    let first = open.ask(&all.site.auth().wire().http1());
    assert_eq!(first.code(), "-", "{}", first.text());
    all.event(
        "PARTNER_UPDATED",
        ago(9_000),
        &json!({"partnerData": partner("DEACTIVE")}),
    );
    assert!(open.ends_within(Duration::from_secs(20)));
    all.becomes("ID-004", "IDA-MPA-012");
    // Recorded by somebody, and sent again after the operator has forgotten it: the hub's signature is right, and it is old.
    all.event(
        "PARTNER_UPDATED",
        ago(9_500),
        &json!({"partnerData": partner("ACTIVE")}),
    );
    assert!(all.site.misp().says("something as new is known already"));
    all.site.kill_misp();
    all.site.start_misp();
    all.becomes("ID-004", "IDA-MPA-012");
    all.event(
        "PARTNER_UPDATED",
        ago(1_000),
        &json!({"partnerData": partner("ACTIVE")}),
    );
    all.becomes("-", "");
}

#[test]
fn a_policy_is_narrowed_by_an_event_and_never_widened() {
    let all = Registry::started("event-policy", |_| {});
    let policy = |allowed: Value| {
        json!({"policyData": {
            "policyId": "ekyc", "policyName": "ekyc", "policyStatus": "ACTIVE",
            "policyCommenceOn": "2024-01-01T00:00:00Z", "policyExpiresOn": "2999-01-01T00:00:00Z",
            "policy": {
                "authTokenType": "policy",
                "allowedAuthTypes": allowed,
                "allowedKycAttributes": [{"attributeName": "fullName"}],
            },
        }})
    };
    all.becomes("-", "");
    let otp = json!([{"authType": "otp-request", "mandatory": false}, {"authType": "pwd", "mandatory": false}]);
    all.event("POLICY_UPDATED", ago(9_000), &policy(otp));
    until("the factor is refused", || {
        let answer = all.site.ask(&all.site.auth());
        (answer.code() == "POL-004").then_some(())
    });
    let off = json!({"policyData": {"policyId": "ekyc", "policyStatus": "INACTIVE"}});
    all.event("POLICY_UPDATED", ago(8_000), &off);
    all.becomes("POL-002", "IDA-MPA-019");
}

#[test]
fn a_licence_that_is_blocked_is_told_as_mosip_does_and_its_key_stands_nowhere_in_clear() {
    let all = Registry::started("event-licence", |_| {});
    all.becomes("-", "");
    let data = licence("misp", World::shared().licence(), "NOT_ACTIVE");
    all.event("MISP_LICENSE_UPDATED", ago(9_000), &data);
    all.becomes("LIC-002", "IDA-MPA-017");
    let canary = "CANARYlicenceCANARYlicenceCANARYlicence0123456789";
    let data = licence("misp", canary, "ACTIVE");
    all.event("MISP_LICENSE_UPDATED", ago(8_000), &data);
    let data = licence("nobody", &canary.to_lowercase(), "ACTIVE");
    all.event("MISP_LICENSE_UPDATED", ago(7_000), &data);
    until("the second is parked", || {
        let said = all.command("deliveries", &["list", "--standing", "parked"]);
        assert!(!said.to_lowercase().contains(&canary.to_lowercase()));
        said.contains("there is no partner `nobody`").then_some(())
    });
    all.nowhere(canary);
    all.nowhere(&canary.to_lowercase());
}

#[test]
fn what_is_forged_unknown_foreign_or_from_the_future_changes_nothing() {
    let all = Registry::started("event-refused", |_| {});
    all.becomes("-", "");
    // Without the hub's signature.
    let data = json!({"partnerData": partner("DEACTIVE")});
    let body = event("PARTNER_UPDATED", ago(9_000), &data);
    let forged = signature("another secret of a hub", &body);
    all.deliver("PARTNER_UPDATED", &forged, &body);
    assert!(all.site.misp().says("does not carry the hub's signature"));
    all.becomes("-", "");
    // Signed for another topic of the same hub.
    let signed = signature(SECRET, &body);
    all.deliver("POLICY_UPDATED", &signed, &body);
    all.parks("topic is not that of the subscription");
    // A partner nobody has configured.
    let unknown = json!({"partnerData": {"partnerId": "stranger", "partnerStatus": "ACTIVE"}});
    all.event("PARTNER_UPDATED", ago(8_000), &unknown);
    all.parks("there is no partner `stranger`");
    // A certificate of another organisation, from our own authority.
    let pem = all.site.read("pki/parties/seeder/signature.pem");
    let mut other = partner("ACTIVE");
    other["certificateData"] = json!(pem);
    all.event(
        "PARTNER_UPDATED",
        ago(7_000),
        &json!({"partnerData": other}),
    );
    all.parks("certificate/crvs/signature/");
    // A policy nobody has configured.
    let policy = json!({"policyData": {"policyId": "other", "policyStatus": "ACTIVE"}});
    all.event("POLICY_UPDATED", ago(6_000), &policy);
    all.parks("there is no policy `other`");
    // From the future, so that nothing would ever be newer.
    let later = now().plus_ms(3_600_000);
    all.event("PARTNER_UPDATED", later, &data);
    all.parks("from the future");
    // A new authority makes no anchor.
    let ca = json!({"certChainDatashareUrl": "https://share.example/1", "partnerDomain": "AUTH"});
    all.event("CA_CERTIFICATE_UPLOADED", ago(5_000), &ca);
    all.parks("an event makes no anchor");
    all.counted("CA_CERTIFICATE_UPLOADED", "parked", 1);
    // The unknown partner, the foreign certificate and the one from the future.
    all.counted("PARTNER_UPDATED", "parked", 3);
}

#[test]
fn a_change_is_listed_with_its_source_and_taken_back_while_the_gateway_runs() {
    let all = Registry::started("event-forget", |_| {});
    let data = json!({"partnerData": partner("DEACTIVE")});
    all.event("PARTNER_UPDATED", ago(9_000), &data);
    all.becomes("ID-004", "IDA-MPA-012");
    let config = all.site.path("misp/gateway.toml").display().to_string();
    let partners = |args: &[&str]| {
        let mut line = vec!["partners", args[0], "--config", &config];
        line.extend(&args[1..]);
        run(env!("CARGO_BIN_EXE_triseal"), line, &[], b"")
    };
    let listed = partners(&["changes"]);
    assert_eq!(listed.code, 0, "{}", listed.all());
    let line = listed.out.lines().find(|l| l.starts_with("partner/crvs "));
    let line = line.unwrap_or_else(|| panic!("{}", listed.out));
    assert!(line.contains("event PARTNER_UPDATED"), "{line}");
    assert!(line.ends_with("inactive"), "{line}");
    // The one in the way is another's: nothing is forgotten by a near miss.
    assert_ne!(partners(&["forget", "partner/crv"]).code, 0);
    all.becomes("ID-004", "IDA-MPA-012");
    assert_eq!(partners(&["forget", "partner/crvs"]).code, 0);
    all.becomes("-", "");
    assert_ne!(partners(&["forget", "partner/crvs"]).code, 0);
}

#[test]
fn an_event_does_not_switch_on_what_the_file_has_off() {
    let all = Registry::started("event-file-off", |site| {
        site.edit("misp/partners/crvs.toml", |text| {
            format!("state = \"inactive\"\n{text}")
        });
    });
    all.becomes("ID-004", "IDA-MPA-012");
    let data = json!({"partnerData": partner("ACTIVE")});
    all.event("PARTNER_UPDATED", ago(1_000), &data);
    assert!(all.site.misp().says("the registry is changed by an event"));
    all.becomes("ID-004", "IDA-MPA-012");
}
