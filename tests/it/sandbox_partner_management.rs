//! MOSIP's partner management, played by the sandbox: what it decides reaches the MISP's gateway through the hub, and the
//! gateway refuses before IDA would.

use serde_json::{Value, json};

use crate::{
    harness::{Site, World, get, run, until},
    service_face::{of_sdk, plain},
};

/// The topics of partner management, and that of the partner's credentials.
const SUBSCRIPTIONS: usize = 5;

/// The whole sandbox, with both gateways.
struct All {
    site: Site,
    mosip: String,
    // The last one: gateways end before their MOSIP does.
    world: World,
}

impl All {
    fn started(name: &str) -> Self {
        let world = World::whole(&format!("{name}-world"));
        let mut site = Site::before(&world, name);
        site.start_misp();
        site.start_crvs();
        let scene: Value = serde_json::from_str(&site.read("scene.json")).unwrap();
        let mosip = scene["mosip"].as_str().unwrap().to_owned();
        let port = mosip.rsplit(':').next().unwrap().parse().unwrap();
        until("the hub delivers every topic", || {
            let shown = get(port, "/sandbox/hub")?.json();
            let active = shown.as_array()?.iter().filter(|one| one["active"] == true);
            (active.count() == SUBSCRIPTIONS).then_some(())
        });
        Self { site, mosip, world }
    }

    /// Gives an order; the status and what is said.
    fn order(&self, order: &Value) -> (String, String) {
        let address = format!("{}/sandbox/partner-management", self.mosip);
        let args = [
            "-sS",
            "-w",
            "\n%{http_code}",
            "--data-binary",
            "@-",
            &address,
        ];
        let output = run("curl", args, &[], order.to_string().as_bytes());
        let (said, status) = output.out.rsplit_once('\n').unwrap();
        (status.to_owned(), said.to_owned())
    }

    #[track_caller]
    fn ordered(&self, name: &str, of: &str, status: &str) {
        let (code, said) = self.order(&json!({name: of, "status": status}));
        assert_eq!(code, "200", "{said}");
    }

    /// Waits until an identity check through both gateways has this code at the MISP's, `-` where it is answered with yes. The
    /// service is told MOSIP's own code.
    #[track_caller]
    fn becomes(&self, code: &str, mosip: &str) {
        until(&format!("asking gives {code}, {mosip:?}"), || {
            let answer = plain(&self.site, &of_sdk(&self.site).wire());
            let same = self.site.misp().logged(&answer) == code;
            let told = answer.mosip_codes().pop().unwrap_or_default();
            (same && told == mosip && answer.says_yes() == (code == "-")).then_some(())
        });
    }

    /// Identity checks that IDA has answered.
    fn at_ida(&self) -> usize {
        self.world.said().matches("ida auth ").count()
    }
}

#[test]
fn what_partner_management_decides_is_refused_by_the_misps_gateway_itself() {
    let all = All::started("partner-management");
    all.becomes("-", "");
    let api_key = all.world.api_key().to_owned();
    for (name, of, off, code, mosip) in [
        ("partner", "crvs", "DEACTIVE", "ID-004", "IDA-MPA-012"),
        (
            "apiKey",
            api_key.as_str(),
            "DEACTIVE",
            "API-002",
            "IDA-MPA-012",
        ),
        ("licence", "misp", "NOT_ACTIVE", "LIC-002", "IDA-MPA-017"),
        ("policy", "ekyc", "INACTIVE", "POL-002", "IDA-MPA-019"),
    ] {
        all.ordered(name, of, off);
        all.becomes(code, mosip);
        let before = all.at_ida();
        assert!(before > 0);
        all.becomes(code, mosip);
        assert_eq!(all.at_ida(), before, "IDA was asked");
        all.ordered(name, of, "ACTIVE");
        all.becomes("-", "");
    }
    let (code, said) = all.order(&json!({"partner": "crv", "status": "DEACTIVE"}));
    assert_eq!((code.as_str(), said.contains("\"crv\"")), ("404", true));
    all.becomes("-", "");
}
