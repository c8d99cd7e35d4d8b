//! Credentials that are not in their event: fetched from the declared data share, and from nowhere else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    packet::logged_in,
    scripted::{Said, Scripted},
};

const KEY: &str = "/v1/datashare/get/policy-1/crvs/f3k9-1";
const CLIENT_SECRET: &str = "CANARY-share-client";

/// The gateway before a hub and a data share. What the share says is set later.
struct Shared {
    firewall: Firewall,
    share: Scripted,
    authmanager: Scripted,
}

impl Shared {
    /// `more` goes into `[websub.data_share]`.
    fn new(name: &str, more: &str) -> Self {
        let share = Scripted::start(|_| Said::text(404, "text/plain", ""));
        let authmanager = Scripted::start(|_| logged_in(600));
        let section = format!("[websub.data_share]\nupstream = \"share\"\n{more}");
        let mut firewall = Firewall::new(name, &format!("attempts_max = 4\n{section}"));
        secret(&firewall.site, "crvs/secrets/share-login", CLIENT_SECRET);
        firewall.site.append(
            "crvs/gateway.toml",
            &format!(
                "\n[[upstream]]\nname = \"share\"\naddresses = [\"http://127.0.0.1:{}\"]\nlogin = \"share\"\nanswer_timeout_ms = 3000\n\n\
                 [[upstream]]\nname = \"share-login\"\naddresses = [\"http://127.0.0.1:{}\"]\n\n\
                 [[login]]\nname = \"share\"\nupstream = \"share-login\"\nclient_id = \"mosip-crvs-client\"\nsecret = {{ file = \"secrets/share-login\" }}\n",
                share.port, authmanager.port
            ),
        );
        firewall.site.start_crvs();
        Self {
            firewall,
            share,
            authmanager,
        }
    }

    fn says(&self, text: &str) {
        let text = text.to_owned();
        self.share
            .now(move |_| Said::text(200, "application/octet-stream", text.clone()));
    }

    fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.share.port)
    }

    /// A delivery whose credential is at an address.
    fn deliver(&self, id: &str, registration: &str, address: &str) {
        let mut body: Value =
            serde_json::from_slice(&event(id, &format!("t-{id}"), registration, "")).unwrap();
        body["event"]["dataShareUri"] = address.into();
        body["event"]["data"]
            .as_object_mut()
            .unwrap()
            .remove("credential");
        self.firewall.deliver(body.to_string().as_bytes());
    }

    fn sealed(&self, registration: &str) -> String {
        let credential = self.firewall.issuer.credential(registration);
        self.firewall.sealed(&credential)
    }
}

#[test]
fn a_credential_in_the_data_share_is_fetched_with_the_logins_token_and_handed_on() {
    let shared = Shared::new("websub-share", "");
    shared.says(&shared.sealed("10001"));
    let address = shared.address(KEY);
    // It was fetched once, though it takes the service three attempts to take it: a data share counts.
    let fail = || (500, String::new());
    let takes = &shared.firewall.hub.takes;
    takes.lock().unwrap().extend([fail(), fail()]);
    shared.deliver("e1", "10001", &address);
    let taken = shared.firewall.hub.nth("/taken", 2).json();
    assert_eq!(
        taken["credential"]["proven"]["credentialSubject"]["VID"],
        "1234567890"
    );
    // Whoever has the address could fetch it: it is not handed on.
    assert!(
        taken["event"]["event"].get("dataShareUri").is_none(),
        "{taken}"
    );
    shared.firewall.standing("done", 1);
    let asked = shared.share.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].method.as_str(), asked[0].path.as_str()),
        ("GET", KEY)
    );
    let cookie = asked[0].header("cookie").unwrap_or_default();
    assert!(
        cookie.starts_with("Authorization=ey"),
        "no token of the login"
    );
    let login = shared.authmanager.asked()[0].json();
    assert_eq!(login["request"]["clientId"], "mosip-crvs-client");
    // The address is a secret of its own.
    let said =
        shared.firewall.site.crvs().process().err() + &shared.firewall.site.read("crvs/access.log");
    for canary in ["f3k9-1", CLIENT_SECRET, "1234567890"] {
        assert!(!said.contains(canary), "{canary}");
    }
    // A credential in the event is not fetched, whatever else the event names.
    let body = shared.firewall.birth("e2", "t2", "10002");
    let text = String::from_utf8(body).unwrap();
    let both = text.replace(
        "\"dataShareUri\":null",
        &format!("\"dataShareUri\":\"{address}\""),
    );
    assert_ne!(text, both);
    shared.firewall.deliver(both.as_bytes());
    shared.firewall.standing("done", 2);
    assert_eq!(shared.share.times(), 1);
}

#[test]
fn an_address_that_is_not_of_the_declared_data_share_is_never_asked() {
    let shared = Shared::new("websub-share-foreign", "");
    shared.says(&shared.sealed("10001"));
    let elsewhere = Scripted::start(|_| Said::text(200, "text/plain", "x"));
    let (ours, theirs) = (shared.share.port, elsewhere.port);
    for (n, address) in [
        // Another port, another name for the same host, another scheme.
        format!("http://127.0.0.1:{theirs}{KEY}"),
        format!("http://localhost:{ours}{KEY}"),
        format!("https://127.0.0.1:{ours}{KEY}"),
        format!("http://127.0.0.1:{ours}@127.0.0.1:{theirs}{KEY}"),
        // Other paths at the right place.
        format!("http://127.0.0.1:{ours}/v1/datashare/create/policy-1/crvs"),
        format!("http://127.0.0.1:{ours}/v1/datashare/get/../../admin"),
        format!("http://127.0.0.1:{ours}/v1/datashare/get/%2e%2e/admin"),
        format!("http://127.0.0.1:{ours}{KEY}?to=x"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ]
    .iter()
    .enumerate()
    {
        shared.deliver(&format!("e{n}"), "10001", address);
        let parked = shared.firewall.standing("parked", n + 1);
        assert!(
            parked[0].contains("data-share-address"),
            "{address}: {}",
            parked[0]
        );
        assert!(address.is_empty() || !parked[0].contains(address.as_str()));
    }
    assert_eq!((shared.share.times(), elsewhere.times()), (0, 0));
    assert_eq!(shared.authmanager.times(), 0, "no token was even fetched");
    assert!(shared.firewall.hub.seen("/taken").is_empty());
}

#[test]
fn a_data_share_under_another_name_in_events_is_asked_where_the_upstream_is() {
    let named = "https://datashare.mosip.example";
    let shared = Shared::new("websub-share-named", &format!("origin = \"{named}\"\n"));
    shared.says(&shared.sealed("10001"));
    // The upstream's own address is not what events name.
    shared.deliver("e1", "10001", &shared.address(KEY));
    shared.firewall.standing("parked", 1);
    assert_eq!(shared.share.times(), 0);
    shared.deliver("e2", "10001", &format!("{named}{KEY}"));
    shared.firewall.standing("done", 1);
    assert_eq!(shared.share.times(), 1);
}

#[test]
fn a_data_share_that_is_down_is_asked_again_and_given_up_after_its_attempts() {
    let shared = Shared::new("websub-share-down", "");
    let times = Arc::new(AtomicUsize::new(0));
    let (count, text) = (Arc::clone(&times), shared.sealed("10001"));
    shared.share.now(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < 2 {
            return Said::text(503, "text/plain", "no healthy upstream");
        }
        Said::text(200, "text/plain", text.clone())
    });
    shared.deliver("e1", "10001", &shared.address(KEY));
    shared.firewall.hub.nth("/taken", 0);
    assert_eq!(times.load(Ordering::SeqCst), 3);
    shared.share.now(|_| Said::text(500, "text/plain", "oops"));
    shared.deliver("e2", "10002", &shared.address(KEY));
    let parked = shared.firewall.standing("parked", 1);
    assert!(
        parked[0].contains("the data share answered 500"),
        "{}",
        parked[0]
    );
    // By hand, when it is up again.
    shared.says(&shared.sealed("10002"));
    let number = parked[0].split('\t').next().unwrap().to_owned();
    assert_eq!(shared.firewall.command(&["retry", &number]).code, 0);
    shared.firewall.standing("done", 2);
}

/// What a data share says when it is asked.
type Answering = Box<dyn Fn() -> Said + Send + Sync>;

#[test]
fn what_the_data_share_says_is_not_believed_by_itself() {
    let shared = Shared::new("websub-share-lies", "");
    let elsewhere = Scripted::start(|_| Said::text(200, "text/plain", "x"));
    let stranger = Issuer::new().credential("10001");
    let mut altered = shared.firewall.issuer.credential("10001");
    altered["credentialSubject"]["VID"] = "9999999999".into();
    let port = elsewhere.port;
    let cases: [(&str, Answering); 7] = [
        ("data-share-redirect", {
            let to = format!("http://127.0.0.1:{port}{KEY}");
            Box::new(move || Said::text(302, "text/plain", "").header("Location", &to))
        }),
        ("credential-signature", {
            let text = shared.firewall.sealed(&stranger);
            Box::new(move || Said::text(200, "text/plain", text.clone()))
        }),
        ("credential-signature", {
            let text = shared.firewall.sealed(&altered);
            Box::new(move || Said::text(200, "text/plain", text.clone()))
        }),
        ("credential-other-registration", {
            let text = shared.sealed("10002");
            Box::new(move || Said::text(200, "text/plain", text.clone()))
        }),
        (
            "credential-base64",
            Box::new(|| Said::text(200, "text/plain", "!!")),
        ),
        (
            "data-share-refused",
            Box::new(|| {
                Said::text(
                    200,
                    "application/json",
                    r#"{"errors":[{"errorCode":"DAT-SER-006"}]}"#,
                )
            }),
        ),
        (
            "data-share-refused",
            Box::new(|| Said::text(404, "text/plain", "")),
        ),
    ];
    for (n, (reason, says)) in cases.into_iter().enumerate() {
        shared.share.now(move |_| says());
        shared.deliver(&format!("e{n}"), "10001", &shared.address(KEY));
        let parked = shared.firewall.standing("parked", n + 1);
        assert!(parked[0].contains(reason), "{reason}: {}", parked[0]);
        assert!(!parked[0].contains("9999999999"));
    }
    assert_eq!(elsewhere.times(), 0, "a redirect was followed");
    assert!(shared.firewall.hub.seen("/taken").is_empty());
}

#[test]
fn without_a_declared_data_share_nothing_is_fetched() {
    let firewall = Firewall::started("websub-share-none", "");
    let share = Scripted::start(|_| Said::text(200, "text/plain", "x"));
    let text = String::from_utf8(event("e1", "t1", "10001", "")).unwrap();
    let address = format!("http://127.0.0.1:{}{KEY}", share.port);
    let text = text
        .replace(
            "\"dataShareUri\":null",
            &format!("\"dataShareUri\":\"{address}\""),
        )
        .replace("\"credential\":\"\"", "\"credential\":null");
    firewall.deliver(text.as_bytes());
    let parked = firewall.standing("parked", 1);
    assert!(parked[0].contains("[websub.data_share]"), "{}", parked[0]);
    assert_eq!(share.times(), 0);
}

#[test]
fn each_mistake_in_the_data_share_is_named() {
    let firewall = Firewall::new(
        "websub-share-mistakes",
        "[websub.data_share]\nupstream = \"hub\"\n",
    );
    let file = "crvs/gateway.toml";
    let good = firewall.site.read(file);
    let config = firewall.site.path(file).display().to_string();
    let check = || {
        run(
            env!("CARGO_BIN_EXE_triseal"),
            ["check", "--config", &config],
            &[],
            b"",
        )
    };
    let output = check();
    assert_eq!(output.code, 0, "{}", output.all());
    let section = "[websub.data_share]\nupstream = \"hub\"\n";
    for (to, says) in [
        ("upstream = \"hubb\"\n", "there is no upstream `hubb`"),
        (
            "upstream = \"hub\"\npath = \"/v1/datashare/get\"\n",
            "is no path of plain segments",
        ),
        (
            "upstream = \"hub\"\npath = \"/\"\n",
            "is no path of plain segments",
        ),
        (
            "upstream = \"hub\"\npath = \"/a/../b/\"\n",
            "is no path of plain segments",
        ),
        (
            "upstream = \"hub\"\norigin = \"https://x.example/path\"\n",
            "is no origin",
        ),
        (
            "upstream = \"hub\"\nenvelope = \"mosip-ida\"\n",
            "only jose and insecure_plain",
        ),
        (
            "upstream = \"hub\"\nenvelope = \"jose\"\n",
            "there is nobody to seal to",
        ),
    ] {
        let text = good.replace(section, &format!("[websub.data_share]\n{to}"));
        firewall.site.write(file, &text);
        let output = check();
        assert_eq!(output.code, 2, "{to}: {}", output.all());
        assert!(output.err.contains(says), "{says}: {}", output.err);
    }
}
