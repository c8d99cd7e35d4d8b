//! WebSub: the callback firewall before a scripted hub, and the whole way through two gateways.

mod chain;
pub mod hub;
pub mod issuer;
mod moved;
mod share;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::harness::{Output, Site, der, run, until};
use hub::{Hub, ask, before_hub, deliver, signature};
use issuer::{HOST, ISSUER, Issuer, METHOD, TOPIC, event, sealed};

const SECRET: &str = "the hub's secret of crvs";
const PATH: &str = "/websub/callback";
const CALLBACK: &str = "https://crvs.example/websub/callback";

/// A file that only its owner reads.
fn secret(site: &Site, file: &str, text: &str) {
    let path = site.path(file);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// 32 bytes in base64.
const STORE_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The partner's gateway before a hub of ours.
struct Firewall {
    site: Site,
    hub: Hub,
    issuer: Issuer,
}

impl Firewall {
    /// `more` goes into `[websub]`.
    fn new(name: &str, more: &str) -> Self {
        let (site, hub, issuer) = (Site::new(name), Hub::start(), Issuer::new());
        fs::create_dir_all(site.path("crvs/secrets")).unwrap();
        secret(&site, "crvs/secrets/store-key", STORE_KEY);
        secret(&site, "crvs/secrets/hub", SECRET);
        site.write("crvs/issuer.pem", &issuer.pem);
        site.replace(
            "crvs/partners/sdk.toml",
            "routes = [",
            "routes = [\"websub\", ",
        );
        let before_hub = before_hub(hub.port);
        site.append(
            "crvs/gateway.toml",
            &format!(
                r#"
[[route]]
name = "websub"
path = "{PATH}"
handler = "websub"
from = {{ face = "service", envelope = "insecure_plain" }}

{before_hub}{more}

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
hand_on = {{ service = {{ upstream = "hub", envelope = "insecure_plain", path = "/taken" }} }}
"#
            ),
        );
        Self { site, hub, issuer }
    }

    fn started(name: &str, more: &str) -> Self {
        let mut this = Self::new(name, more);
        this.site.start_crvs();
        this
    }

    fn sealed(&self, credential: &Value) -> String {
        sealed(
            credential,
            der(&self.site.party("crvs").join("encryption.pem")),
        )
    }

    /// A good delivery.
    fn birth(&self, id: &str, transaction: &str, registration: &str) -> Vec<u8> {
        let credential = self.sealed(&self.issuer.credential(registration));
        event(id, transaction, registration, &credential)
    }

    /// Delivers with the hub's signature.
    #[track_caller]
    fn deliver(&self, body: &[u8]) {
        let signature = signature(SECRET, body);
        let answer = deliver(self.site.service_face(), PATH, Some(&signature), body);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    #[track_caller]
    fn ask(&self, question: &str) -> crate::harness::Answer {
        ask(self.site.service_face(), PATH, question)
    }

    fn command(&self, args: &[&str]) -> Output {
        let config = self.site.path("crvs/gateway.toml").display().to_string();
        let mut all = vec!["deliveries", "--config", &config];
        all.extend(args);
        run(env!("CARGO_BIN_EXE_triseal"), all, &[], b"")
    }

    /// The lines of `triseal deliveries list` in this standing.
    fn listed(&self, standing: &str) -> Vec<String> {
        let output = self.command(&["list", "--standing", standing]);
        assert_eq!(output.code, 0, "{}", output.all());
        output.out.lines().map(str::to_owned).collect()
    }

    /// Waits until so many deliveries are in a standing.
    #[track_caller]
    fn standing(&self, standing: &str, n: usize) -> Vec<String> {
        until(&format!("{n} deliveries are {standing}"), || {
            let lines = self.listed(standing);
            (lines.len() == n).then_some(lines)
        })
    }

    fn findings(&self) -> String {
        self.site.crvs().healthz().text()
    }
}

fn question(mode: &str, topic: &str, challenge: &str) -> String {
    let topic = topic.replace('/', "%2F");
    format!("hub.mode={mode}&hub.topic={topic}&hub.challenge={challenge}&hub.lease_seconds=86400")
}

#[test]
fn a_subscription_is_asked_for_and_only_its_own_question_is_answered() {
    let firewall = Firewall::started("websub-intent", "");
    let asked = firewall.hub.nth("/hub", 0);
    assert_eq!(
        asked.text(),
        "hub.mode=subscribe&hub.topic=crvs%2FCREDENTIAL_ISSUED&hub.callback=https%3A%2F%2Fcrvs.example%2Fwebsub%2Fcallback\
         &hub.secret=the%20hub%27s%20secret%20of%20crvs&hub.lease_seconds=86400"
    );
    until("health says that it is not verified", || {
        firewall
            .findings()
            .contains("has not verified")
            .then_some(())
    });
    for foreign in [
        question("subscribe", "other/CREDENTIAL_ISSUED", "abc"),
        question("unsubscribe", TOPIC, "abc"),
        question("publish", TOPIC, "abc"),
        question("subscribe", TOPIC, ""),
        question("subscribe", TOPIC, &"x".repeat(257)),
        question("subscribe", TOPIC, "a%20b"),
        question("subscribe", TOPIC, "abc") + "&hub.challenge=abd",
        question("subscribe", TOPIC, "abc").replace("hub.mode=subscribe&", ""),
        String::new(),
    ] {
        let answer = firewall.ask(&foreign);
        assert_eq!(answer.status, 404, "{foreign}: {}", answer.text());
        assert_eq!(answer.code(), "WSB-001");
        assert!(!answer.text().contains("abc"));
    }
    let answer = firewall.ask(&question("subscribe", TOPIC, "%3Cb%3E%26x-1"));
    assert_eq!(answer.status, 200);
    // Raw: MOSIP's own subscribers escape it as HTML.
    assert_eq!(answer.text(), "<b>&x-1");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    until("health finds nothing", || {
        (!firewall.findings().contains("subscription")).then_some(())
    });
    // A hub whose connection broke asks once more.
    assert_eq!(
        firewall.ask(&question("subscribe", TOPIC, "again")).text(),
        "again"
    );
}

#[test]
fn a_denial_with_http_200_is_a_failure_and_already_registered_is_none() {
    let firewall = Firewall::new("websub-denied", "");
    firewall.hub.answers.lock().unwrap().extend([
        (
            200,
            "hub.mode=denied&hub.reason=Subscriber is not authorized".to_owned(),
        ),
        (500, "oops".to_owned()),
        (
            200,
            "hub.mode=denied&hub.reason=Subscriber has already registered with the Hub".to_owned(),
        ),
    ]);
    let mut firewall = firewall;
    firewall.site.start_crvs();
    assert!(firewall.site.crvs().says("Subscriber is not authorized"));
    firewall.hub.nth("/hub", 2);
    until("health finds nothing", || {
        (!firewall.findings().contains("subscription credentials")).then_some(())
    });
    // A denial that comes to the callback is noted.
    let denied = "hub.mode=denied&hub.topic=crvs%2FCREDENTIAL_ISSUED&hub.reason=no+more";
    assert_eq!(firewall.ask(denied).status, 200);
    until("health says so", || {
        firewall
            .findings()
            .contains("denied it: no more")
            .then_some(())
    });
}

#[test]
fn a_delivery_is_handed_on_once_and_says_what_is_proven() {
    let firewall = Firewall::started("websub-deliver", "");
    let body = firewall.birth("event-1", "request-1", "10001");
    firewall.deliver(&body);
    let taken = firewall.hub.nth("/taken", 0);
    assert!(taken.head.contains("idempotency-key: credentials:"));
    let said = taken.json();
    assert_eq!(said["subscription"], "credentials");
    let (proven, unproven) = (
        &said["credential"]["proven"],
        &said["credential"]["unproven"],
    );
    assert_eq!(proven["credentialSubject"]["VID"], "1234567890");
    assert_eq!(
        unproven["credentialSubject"]["birthCertificateNumber"],
        "B-17"
    );
    assert!(
        proven["credentialSubject"]
            .get("birthCertificateNumber")
            .is_none()
    );
    assert_eq!(said["event"]["event"]["transactionId"], "request-1");
    assert!(!taken.text().contains("protectionKey"));
    firewall.standing("done", 1);
    // The same bytes; the same event in other bytes; the same transaction in another event.
    firewall.deliver(&body);
    firewall.deliver(&firewall.birth("event-1", "request-9", "10001"));
    firewall.deliver(&firewall.birth("event-9", "request-1", "10001"));
    firewall.standing("done", 3);
    firewall.deliver(&firewall.birth("event-2", "request-2", "10002"));
    firewall.standing("done", 4);
    assert_eq!(firewall.hub.seen("/taken").len(), 2);
    let metric = |outcome: &str| {
        firewall
            .site
            .crvs()
            .metric("triseal_websub_deliveries_total", &[outcome])
    };
    assert!((metric("\"duplicate\"") - 1.0).abs() < 0.1);
    assert!((metric("\"stored\"") - 4.0).abs() < 0.1);
}

#[test]
fn without_the_hubs_signature_a_delivery_is_kept_apart_and_changes_nothing() {
    let firewall = Firewall::started("websub-unsigned", "quarantine_max = 4");
    let face = firewall.site.service_face();
    let body = firewall.birth("event-1", "request-1", "10001");
    let good = signature(SECRET, &body);
    let over_other_bytes = signature(SECRET, b"{}");
    let other_secret = signature("another secret!!", &body);
    let sha1 = "sha1=0123456789012345678901234567890123456789";
    let cases = [
        None,
        Some(over_other_bytes.as_str()),
        Some(&other_secret),
        Some(sha1),
        Some(&good[..70]),
    ];
    for (n, signature) in cases.iter().enumerate() {
        // Another byte each, so that each would be kept by itself.
        let mut body = body.clone();
        body.extend(vec![b' '; n + 1]);
        let answer = deliver(face, PATH, *signature, &body).unwrap();
        assert_eq!(
            answer.status, 202,
            "a refusal would tell a forger something"
        );
    }
    let kept = firewall.standing("parked", 4);
    assert!(
        kept.iter().all(|line| line.contains("websub-quarantine")),
        "{kept:?}"
    );
    assert!(kept.iter().any(|line| line.contains("signature is missing") || line.contains("signature is form")));
    assert!(firewall.hub.seen("/taken").is_empty());
    assert!(
        firewall
            .site
            .crvs()
            .says("does not carry the hub's signature")
    );
    let metric = firewall
        .site
        .crvs()
        .metric("triseal_websub_deliveries_total", &["\"unsigned-lost\""]);
    assert!((metric - 1.0).abs() < 0.1, "the fifth is only counted");
    until("health says so", || {
        firewall
            .findings()
            .contains("websub-quarantine: 4 parked")
            .then_some(())
    });
    // Taking one up again does not make it signed.
    let number = kept[0].split('\t').next().unwrap().to_owned();
    assert_eq!(firewall.command(&["retry", &number]).code, 0);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(firewall.standing("parked", 4).len(), 4);
    assert!(firewall.hub.seen("/taken").is_empty());
}

#[test]
fn a_secret_that_had_drifted_apart_is_mended_by_hand_and_nothing_is_lost() {
    let mut firewall = Firewall::started("websub-drift", "");
    let body = firewall.birth("event-1", "request-1", "10001");
    let theirs = signature("what the hub has", &body);
    deliver(firewall.site.service_face(), PATH, Some(&theirs), &body).unwrap();
    let kept = firewall.standing("parked", 1);
    secret(&firewall.site, "crvs/secrets/hub", "what the hub has");
    firewall.site.start_crvs();
    let number = kept[0].split('\t').next().unwrap().to_owned();
    assert_eq!(firewall.command(&["retry", &number]).code, 0);
    let taken = firewall.hub.nth("/taken", 0).json();
    assert_eq!(
        taken["credential"]["proven"]["credentialSubject"]["VID"],
        "1234567890"
    );
}

#[test]
fn what_is_signed_by_the_hub_but_not_right_inside_is_parked_with_its_reason() {
    let firewall = Firewall::started("websub-parked", "");
    let issuer = &firewall.issuer;
    let credential = issuer.credential("10001");
    let mut altered = credential.clone();
    altered["credentialSubject"]["VID"] = "9999999999".into();
    let mut context = credential.clone();
    context["@context"][1] = "https://elsewhere.example/c".into();
    let stranger = Issuer::new().credential("10001");
    let to_misp = der(&firewall.site.party("misp").join("encryption.pem"));
    let good = firewall.sealed(&credential);
    let mut broken = good.clone();
    let flipped = if broken.pop() == Some('A') { 'g' } else { 'A' };
    broken.push(flipped);
    let topic = String::from_utf8(event("e", "t", "10001", &good)).unwrap();
    let cases = [
        (
            "credential-signature",
            event("e1", "t1", "10001", &firewall.sealed(&stranger)),
        ),
        (
            "credential-signature",
            event("e2", "t2", "10001", &firewall.sealed(&altered)),
        ),
        (
            "credential-context",
            event("e3", "t3", "10001", &firewall.sealed(&context)),
        ),
        (
            "credential-sealed",
            event("e4", "t4", "10001", &sealed(&credential, to_misp)),
        ),
        ("credential-base64", event("e5", "t5", "10001", "!!")),
        (
            "credential-other-registration",
            event("e6", "t6", "10002", &good),
        ),
        (
            "event-topic",
            topic.replace(TOPIC, "other/CREDENTIAL_ISSUED").into_bytes(),
        ),
        (
            "event-json",
            topic.replacen("{", "{\"topic\":\"x\",", 1).into_bytes(),
        ),
        ("event-json", b"not json".to_vec()),
        ("event-form", b"{}".to_vec()),
        ("credential-", event("e7", "t7", "10001", &broken)),
    ];
    for (n, (reason, body)) in cases.iter().enumerate() {
        firewall.deliver(body);
        let parked = firewall.standing("parked", n + 1);
        assert!(parked[0].contains(reason), "{reason}: {}", parked[0]);
        assert!(!parked[0].contains("9999999999"));
    }
    assert!(firewall.hub.seen("/taken").is_empty());
    // A forgery does not keep the true one of the same event and transaction away.
    firewall.deliver(&event("e1", "t1", "10001", &good));
    firewall.hub.nth("/taken", 0);
    firewall.standing("done", 1);
    until("health says so", || {
        firewall
            .findings()
            .contains("websub-delivery: ")
            .then_some(())
    });
    // By hand: it is tried again, and parked again.
    let number = firewall.listed("parked")[0]
        .split('\t')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(firewall.command(&["retry", &number]).code, 0);
    firewall.standing("parked", cases.len());
    let shown = firewall.command(&["show", &number]);
    assert!(
        shown.out.contains("reason    credential-"),
        "{}",
        shown.all()
    );
    assert!(!shown.out.contains("1234567890"));
    assert_eq!(firewall.command(&["retry", "999999"]).code, 1);
}

#[test]
fn a_service_that_fails_for_a_while_gets_the_delivery_later() {
    let firewall = Firewall::new("websub-later", "attempts_max = 3");
    firewall
        .hub
        .takes
        .lock()
        .unwrap()
        .extend([(500, String::new()), (503, String::new())]);
    let mut firewall = firewall;
    firewall.site.start_crvs();
    firewall.deliver(&firewall.birth("event-1", "request-1", "10001"));
    let first = firewall.hub.nth("/taken", 0);
    let third = firewall.hub.nth("/taken", 2);
    assert_eq!(first.body, third.body);
    firewall.standing("done", 1);
    // After its attempts it is parked, and a person sends it on its way again.
    let fail = || (500, String::new());
    firewall
        .hub
        .takes
        .lock()
        .unwrap()
        .extend([fail(), fail(), fail()]);
    firewall.deliver(&firewall.birth("event-2", "request-2", "10002"));
    let parked = firewall.standing("parked", 1);
    assert!(
        parked[0].contains("the service answered 500"),
        "{}",
        parked[0]
    );
    let number = parked[0].split('\t').next().unwrap().to_owned();
    assert_eq!(firewall.command(&["retry", &number]).code, 0);
    firewall.standing("done", 2);
}

#[test]
fn what_was_acknowledged_before_a_kill_is_handed_on_after_it() {
    let mut firewall = Firewall::started("websub-kill", "");
    let mut acknowledged = BTreeSet::new();
    for round in 0..4 {
        let bodies: Vec<Vec<u8>> = (0..8)
            .map(|n| {
                let id = format!("{round}-{n}");
                firewall.birth(
                    &format!("e{id}"),
                    &format!("t{id}"),
                    &format!("1000{round}{n}"),
                )
            })
            .collect();
        let face = firewall.site.service_face();
        let senders: Vec<_> = bodies
            .into_iter()
            .enumerate()
            .map(|(n, body)| {
                std::thread::spawn(move || {
                    std::thread::sleep(std::time::Duration::from_millis(5 * n as u64));
                    let signature = signature(SECRET, &body);
                    let answer = deliver(face, PATH, Some(&signature), &body)?;
                    (answer.status == 202).then(|| format!("t{round}-{n}"))
                })
            })
            .collect();
        // At another moment each round: between storing and answering, between handing on and noting it.
        std::thread::sleep(std::time::Duration::from_millis(15 + 12 * round));
        firewall.site.crvs().process().signal("KILL");
        acknowledged.extend(senders.into_iter().filter_map(|s| s.join().unwrap()));
        // The hub delivers again what was not acknowledged; here it does not, so that only the store can know.
        firewall.site.start_crvs();
    }
    assert!(
        !acknowledged.is_empty(),
        "no round got an answer before the kill"
    );
    until("everything acknowledged is handed on", || {
        let taken: BTreeSet<String> = firewall
            .hub
            .seen("/taken")
            .iter()
            .map(|seen| {
                seen.json()["event"]["event"]["transactionId"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        acknowledged.is_subset(&taken).then_some(())
    });
    assert!(firewall.listed("parked").is_empty());
}

#[test]
fn a_new_secret_makes_the_gateway_leave_and_subscribe_anew() {
    let mut firewall = Firewall::started("websub-new-secret", "");
    firewall.hub.nth("/hub", 0);
    assert_eq!(firewall.ask(&question("subscribe", TOPIC, "a")).status, 200);
    secret(&firewall.site, "crvs/secrets/hub", "a new secret of crvs");
    firewall.site.start_crvs();
    until("the old one is asked to end", || {
        firewall
            .hub
            .seen("/hub")
            .iter()
            .any(|s| s.text().starts_with("hub.mode=unsubscribe"))
            .then_some(())
    });
    assert_eq!(firewall.ask(&question("subscribe", TOPIC, "b")).status, 404);
    assert_eq!(
        firewall.ask(&question("unsubscribe", TOPIC, "b")).text(),
        "b"
    );
    until("the new secret is told", || {
        firewall
            .hub
            .seen("/hub")
            .iter()
            .any(|s| s.text().contains("a%20new%20secret"))
            .then_some(())
    });
    assert_eq!(firewall.ask(&question("subscribe", TOPIC, "c")).text(), "c");
}

#[test]
fn each_mistake_in_the_section_is_named() {
    let firewall = Firewall::new("websub-mistakes", "");
    let file = "crvs/gateway.toml";
    let good = firewall.site.read(file);
    let check = || check(&firewall);
    let output = check();
    assert_eq!(output.code, 0, "{}", output.all());
    for (from, to, says) in [
        (
            "upstream = \"hub\"\nenvelope",
            "upstream = \"hubb\"\nenvelope",
            "there is no upstream `hubb`",
        ),
        (
            "callback = \"https://crvs",
            "upstream = \"hubb\"\ncallback = \"https://crvs",
            "there is no upstream `hubb`. Did you mean `hub`?",
        ),
        (
            "envelope = \"insecure_plain\"\npath = \"/hub\"",
            "envelope = \"jose\"\npath = \"/hub\"",
            "there is nobody to seal to",
        ),
        (
            "topic = \"crvs/",
            "topic = \"other/",
            "not for us: party.id is `crvs`",
        ),
        (
            CALLBACK,
            "https://crvs.example/websub/callback?x=1",
            "this is no callback",
        ),
        (
            CALLBACK,
            "https://crvs.example/elsewhere",
            "no route of handler websub has the path `/elsewhere`",
        ),
        (
            "hand_on = { service",
            "hand_on = { partners = true, service",
            "exactly one takes the deliveries",
        ),
        (
            "key = \"issuer.pem\"",
            "key = \"gateway.toml\"",
            "holds neither a certificate nor a public key",
        ),
        (
            "contexts = [\"https://mosip",
            "contexts = [\"https://other",
            "is not pinned",
        ),
        (
            "[[websub.issuer]]",
            "[[websub.issuers]]",
            "unknown name `issuers`",
        ),
        (
            "envelope = \"insecure_plain\"\npath = \"/hub\"",
            "envelope = \"opened\"\npath = \"/hub\"",
            "only jose and insecure_plain",
        ),
        (
            "path = \"/hub\"\n",
            "path = \"/hub\"\nrenew_s = 0\n",
            "renew_s",
        ),
        (
            "credential = {}",
            "credential = { insecure_any_thumbprint = true }",
            "warning",
        ),
        (
            "contexts = [\"https://mosip",
            "insecure_jcs_proof = true\ncontexts = [\"https://mosip",
            "proofs are taken that no MOSIP makes",
        ),
        (
            "[store]\nurl = \"sqlite:state/store.db\"\nkey = [{ file = \"secrets/store-key\" }]\n",
            "",
            "there is no store",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        firewall.site.write(file, &good.replacen(from, to, 1));
        let output = check();
        assert!(output.all().contains(says), "{says}: {}", output.all());
        let warns = says == "warning" || says.starts_with("proofs");
        assert_eq!(output.code, if warns { 0 } else { 2 }, "{says}");
    }
    secret(&firewall.site, "crvs/secrets/hub", "too short");
    firewall.site.write(file, &good);
    assert!(check().all().contains("no text of 16 to 199 bytes"));
}

fn check(firewall: &Firewall) -> Output {
    let config = firewall.site.path("crvs/gateway.toml");
    let config = config.display().to_string();
    run(
        env!("CARGO_BIN_EXE_triseal"),
        ["check", "--config", &config],
        &[],
        b"",
    )
}

#[test]
fn a_subscription_is_sealed_to_somebody_where_it_is_asked_for() {
    let firewall = Firewall::new("websub-sealed-to", "");
    let file = "crvs/gateway.toml";
    let good = firewall.site.read(file);
    let check = || check(&firewall);
    // Sealing to the gateway that all others are asked for at would go; to the one that this is asked for at, it does not.
    let jose = good
        .replacen(
            "upstream = \"hub\"\nenvelope = \"insecure_plain\"",
            "upstream = \"misp\"\nenvelope = \"jose\"",
            1,
        )
        .replacen("callback = ", "upstream = \"hub\"\ncallback = ", 1);
    firewall.site.write(file, &jose);
    let output = check();
    let says = "there is nobody to seal to";
    assert!(output.all().contains(says), "{}", output.all());
    assert_eq!(output.all().matches(says).count(), 1, "{}", output.all());
    firewall.site.write(
        file,
        &jose.replacen("upstream = \"hub\"\ncallback", "callback", 1),
    );
    assert_eq!(check().code, 0, "{}", check().all());
}
