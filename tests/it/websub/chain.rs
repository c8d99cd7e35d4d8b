//! The whole way: hub → MISP's gateway → sealed → partner's gateway → its service, and the subscriptions behind it.

use std::fs;

use super::{
    CALLBACK, SECRET, STORE_KEY,
    hub::{Hub, ask, deliver, signature},
    issuer::{HOST, ISSUER, Issuer, METHOD, TOPIC, event, sealed},
    question, secret,
};
use crate::harness::{Reloaded, Site, der, free_ports, until};

const HUB_SECRET: &str = "the hub's secret of the MISP";
const HUB_PATH: &str = "/from-the-hub/crvs";

/// Both gateways before one hub.
struct Chain {
    site: Site,
    hub: Hub,
    issuer: Issuer,
    inside: u16,
}

impl Chain {
    fn new(name: &str) -> Self {
        let (site, hub, issuer) = (Site::new(name), Hub::start(), Issuer::new());
        let inside = free_ports(2);
        let this = Self {
            site,
            hub,
            issuer,
            inside,
        };
        this.misp();
        this.crvs(inside + 1);
        this
    }

    fn misp(&self) {
        let (site, hub, inside) = (&self.site, self.hub.port, self.inside);
        let partner_gateway = inside + 1;
        secret(site, "misp/secrets/store-key", STORE_KEY);
        secret(site, "misp/secrets/hub", HUB_SECRET);
        site.append(
            "misp/gateway.toml",
            &format!(
                r#"
[[face]]
name = "inside"
kind = "service"
listen = "127.0.0.1:{inside}"

[[peer]]
id = "crvs"
organisation = "Civil Registry"
anchors = {{ encryption = ["partner"], signature = ["partner"] }}
certificate = [
    {{ role = "encryption", file = "../pki/parties/crvs/encryption.pem" }},
    {{ role = "signature", file = "../pki/parties/crvs/signature.pem" }},
]

[[upstream]]
name = "hub"
addresses = ["http://127.0.0.1:{hub}"]

[[upstream]]
name = "crvs-gateway"
addresses = ["https://localhost:{partner_gateway}"]
party = "crvs"
anchors = ["tls"]

[[route]]
name = "websub-hub"
path = "/websub/hub"
handler = "websub"
from = {{ face = "partner", envelope = "jose" }}

[[route]]
name = "from-the-hub"
path = "{HUB_PATH}"
handler = "websub"
from = {{ face = "service", envelope = "insecure_plain" }}

[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[websub]
upstream = "hub"
envelope = "insecure_plain"

[[websub.subscription]]
name = "for-crvs"
topic = "{TOPIC}"
callback = "http://misp.example{HUB_PATH}"
secret = {{ file = "secrets/hub" }}
hand_on = {{ partners = true }}
"#
            ),
        );
        site.write(
            "misp/partners/hub.toml",
            "id = \"hub\"\norganisation = \"MOSIP\"\nkind = \"service\"\nroutes = [\"from-the-hub\"]\n\
             [access]\nnetworks = [\"127.0.0.0/8\"]\n",
        );
        site.replace(
            "misp/partners/crvs.toml",
            "routes = [",
            "routes = [\"websub-hub\", ",
        );
        site.append(
            "misp/partners/crvs.toml",
            "[websub]\ntopics = []\nupstream = \"crvs-gateway\"\ncallbacks = []",
        );
    }

    fn crvs(&self, face: u16) {
        let (site, hub) = (&self.site, self.hub.port);
        fs::create_dir_all(site.path("crvs/secrets")).unwrap();
        secret(site, "crvs/secrets/store-key", STORE_KEY);
        secret(site, "crvs/secrets/hub", SECRET);
        site.write("crvs/issuer.pem", &self.issuer.pem);
        site.append(
            "crvs/gateway.toml",
            &format!(
                r#"
[[face]]
name = "from-misp"
kind = "partner"
listen = "127.0.0.1:{face}"
hosts = ["localhost"]
anchors = ["tls"]

[[upstream]]
name = "registry"
addresses = ["http://127.0.0.1:{hub}"]

[[route]]
name = "websub"
path = "/websub/callback"
handler = "websub"
from = {{ face = "partner", envelope = "jose" }}

[store]
url = "sqlite:state/store.db"
key = [{{ file = "secrets/store-key" }}]

[websub]
upstream = "misp"
envelope = "jose"
path = "/websub/hub"

[[websub.context]]
url = "https://{HOST}/.well-known/mosip-context.json"

[[websub.issuer]]
issuer = "{ISSUER}"
verification_method = "{METHOD}"
key = "issuer.pem"
contexts = ["https://{HOST}/.well-known/mosip-context.json"]

[[websub.subscription]]
name = "credentials"
topic = "{TOPIC}"
callback = "{CALLBACK}"
secret = {{ file = "secrets/hub" }}
credential = {{}}
hand_on = {{ service = {{ upstream = "registry", envelope = "insecure_plain", path = "/taken" }} }}
"#
            ),
        );
        site.write(
            "crvs/partners/misp.toml",
            r#"id = "misp"
organisation = "MISP One"
routes = ["websub"]
anchors = { tls = ["tls"], encryption = ["partner"], signature = ["partner"] }
certificate = [
    { role = "tls", file = "../../pki/parties/misp/tls.pem" },
    { role = "encryption", file = "../../pki/parties/misp/encryption.pem" },
    { role = "signature", file = "../../pki/parties/misp/signature.pem" },
]
"#,
        );
    }

    /// The hub delivers a birth to the MISP's gateway.
    #[track_caller]
    fn delivered(&self, id: &str, registration: &str) {
        let to = der(&self.site.party("crvs").join("encryption.pem"));
        let credential = sealed(&self.issuer.credential(registration), to);
        let body = event(id, &format!("t-{id}"), registration, &credential);
        let signature = signature(HUB_SECRET, &body);
        let answer = deliver(self.inside, HUB_PATH, Some(&signature), &body).expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    fn refused(&self, code: &str) {
        until(&format!("the partner is refused with {code}"), || {
            let lines = self.site.misp().access();
            lines
                .iter()
                .any(|line| line["route"] == "websub-hub" && line["code"] == code)
                .then_some(())
        });
    }
}

#[test]
fn a_partner_subscribes_through_both_gateways_and_gets_what_the_hub_delivers() {
    let mut chain = Chain::new("websub-chain");
    chain.site.start_misp();
    // The MISP's own subscription.
    let asked = chain.hub.nth("/hub", 0).text();
    assert!(
        asked.contains("hub.callback=http%3A%2F%2Fmisp.example%2Ffrom-the-hub%2Fcrvs"),
        "{asked}"
    );
    let answer = ask(chain.inside, HUB_PATH, &question("subscribe", TOPIC, "abc"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
    // What comes before anybody has subscribed is kept.
    chain.delivered("early", "10000");
    until("it is parked", || {
        chain
            .site
            .misp()
            .healthz()
            .text()
            .contains("websub-delivery: 1 parked")
            .then_some(())
    });
    // The partner's, which its file does not allow yet: neither the topic nor the callback.
    chain.site.start_crvs();
    chain.refused("WSB-002");
    let file = "misp/partners/crvs.toml";
    chain
        .site
        .replace(file, "topics = []", &format!("topics = [\"{TOPIC}\"]"));
    assert_eq!(chain.site.misp().reload(), Reloaded::Published);
    chain.refused("WSB-003");
    assert!(!chain.site.misp().process().err().contains("has confirmed"));
    chain.site.replace(
        file,
        "callbacks = []",
        &format!("callbacks = [\"{CALLBACK}\"]"),
    );
    assert_eq!(chain.site.misp().reload(), Reloaded::Published);
    assert!(
        crate::harness::within(std::time::Duration::from_secs(40), || {
            chain
                .site
                .misp()
                .process()
                .err()
                .contains("has confirmed")
                .then_some(())
        })
        .is_some()
    );
    until("the partner's health finds nothing", || {
        let health = chain.site.crvs().healthz().text();
        (!health.contains("subscription credentials")).then_some(())
    });
    chain.delivered("one", "10001");
    let taken = chain.hub.nth("/taken", 0).json();
    assert_eq!(taken["event"]["event"]["id"], "one");
    assert_eq!(
        taken["credential"]["proven"]["credentialSubject"]["VID"],
        "1234567890"
    );
    // While the partner is down the MISP keeps it, and delivers later.
    chain.site.crvs().process().signal("KILL");
    chain.delivered("two", "10002");
    chain.site.start_crvs();
    // The first may come once more: it was killed in the moment in which it had handed that on.
    until("the second is taken", || {
        let all = chain.hub.seen("/taken");
        all.iter()
            .any(|seen| seen.json()["event"]["event"]["id"] == "two")
            .then_some(())
    });
    // While the MISP is down after it took it, too.
    chain.delivered("three", "10003");
    chain.site.kill_misp();
    chain.site.start_misp();
    until("the third is taken", || {
        let all = chain.hub.seen("/taken");
        all.iter()
            .any(|seen| seen.json()["event"]["event"]["id"] == "three")
            .then_some(())
    });
    // A stranger's delivery to the partner's face, without the partner's own secret, is nothing to it: the route is the
    // MISP's alone, and a forged one at the MISP stays there.
    let before = chain.hub.seen("/taken").len();
    let forged = event("four", "t-four", "10004", "x");
    let answer = deliver(
        chain.inside,
        HUB_PATH,
        Some(&signature(SECRET, &forged)),
        &forged,
    )
    .unwrap();
    assert_eq!(answer.status, 202);
    until("it is in quarantine", || {
        chain
            .site
            .misp()
            .healthz()
            .text()
            .contains("websub-quarantine: 1 parked")
            .then_some(())
    });
    assert_eq!(chain.hub.seen("/taken").len(), before);
}
