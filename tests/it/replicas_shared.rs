//! Two gateways on one Redis act as one; and what they do when it is away.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    harness::{Answer, Ask, Redis, Site, triseal, until, within},
    packet,
    scripted::Scripted,
};

/// Two gateways of the same party: the same keys, partners and routes.
struct Pair {
    one: Site,
    other: Site,
}

impl Pair {
    /// Not started. What a new server closes is a moment here.
    fn new(name: &str, redis: &Redis, shared: &str) -> Self {
        let site = |which: &str| {
            let site = Site::new(&format!("{name}-{which}"));
            site.append("misp/gateway.toml", &section(redis.port(), shared));
            site.limits("freshness_forward_ms = 1000");
            site
        };
        Self {
            one: site("one"),
            other: site("other"),
        }
    }

    fn start(&mut self) {
        self.one.start_misp();
        self.other.start_misp();
        for site in [&self.one, &self.other] {
            open(site);
        }
    }

    fn both(&self, file: &str, more: &str) {
        self.one.append(file, more);
        self.other.append(file, more);
    }
}

fn section(port: u16, more: &str) -> String {
    format!("[shared]\nurl = \"redis://127.0.0.1:{port}\"\nclock_skew_max_ms = 1000\n{more}\n")
}

/// Waits until a gateway is not closed any more.
fn open(site: &Site) {
    until("the gateway takes messages", || {
        site.ask(&site.auth()).says_yes().then_some(())
    });
}

fn send(site: &Site, bytes: &[u8]) -> Answer {
    site.connect().ask(bytes)
}

fn wire(site: &Site) -> Vec<u8> {
    let ask: Ask = site.auth();
    ask.wire().http1()
}

#[test]
fn a_replay_sent_to_the_other_gateway_is_refused() {
    let redis = Redis::start("shared-replay-redis", &[]);
    let mut pair = Pair::new("shared-replay", &redis, "");
    pair.start();
    for (first, second) in [(&pair.one, &pair.other), (&pair.other, &pair.one)] {
        let message = wire(first);
        assert!(send(first, &message).says_yes());
        let replayed = send(second, &message);
        assert_eq!(
            (replayed.code().as_str(), replayed.status),
            ("FRS-004", 409),
            "{}",
            replayed.text()
        );
        assert_eq!(send(first, &message).code(), "FRS-004");
        // Another message of the same partner goes through.
        assert!(send(second, &wire(second)).says_yes());
    }
    // No message and no partner can be read off what lies there.
    let keys = redis.ask(&["KEYS", "*"]);
    assert!(keys.contains("triseal:{misp}:m:"), "{keys}");
    assert!(!keys.contains("crvs"), "{keys}");
}

#[test]
fn a_quota_is_one_for_both_gateways_and_says_its_numbers() {
    let redis = Redis::start("shared-quota-redis", &[]);
    let mut pair = Pair::new("shared-quota", &redis, "");
    let quota = "[quota.ida-kyc]\nper_minute = 6\nburst = 3\nper_day = 100";
    pair.both("misp/partners/crvs.toml", quota);
    pair.start();
    let kyc = |site: &Site| site.ask(&site.auth().kyc());
    for (site, left) in [(&pair.one, 2), (&pair.other, 1), (&pair.one, 0)] {
        let answer = kyc(site);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let state = answer.header("ratelimit").unwrap();
        assert!(
            state.starts_with(&format!("\"burst\";r={left};t=")),
            "{state}"
        );
    }
    let refused = kyc(&pair.other);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "QTA-001"),
        "{}",
        refused.text()
    );
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&after), "{after}");
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"burst\";q=3;w=30, \"day\";q=100;w=86400")
    );
    let state = refused.header("ratelimit").unwrap();
    assert!(state.contains("\"day\";r=97;t="), "{state}");
    // MOSIP's envelope, signed.
    assert_eq!(refused.mosip_codes(), ["IDA-MLC-007"]);
    pair.other.assert_signed(&refused);
    let counted = ["route=\"ida-kyc\"", "partner=\"crvs\"", "QTA-001"];
    let metric = "triseal_exchanges_total";
    assert!(pair.other.misp().metric(metric, &counted) >= 1.0);
    // Another route is not bounded by it.
    assert!(pair.one.ask(&pair.one.auth()).says_yes());
}

#[test]
fn a_day_is_counted_in_this_process_and_outlives_a_restart() {
    let mut site = Site::new("quota-day");
    site.replace(
        "misp/gateway.toml",
        "name = \"ida-auth\"",
        "name = \"ida-auth\"\nquota = { per_day = 2 }",
    );
    site.start_misp();
    assert!(site.ask(&site.auth()).says_yes());
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
    site.start_misp();
    // After a stop the window may be closed for a moment; what is refused after it was counted, is.
    let second = within(Duration::from_secs(5), || {
        let answer = site.ask(&site.auth());
        (answer.code() != "FRS-005").then_some(answer)
    });
    let second = second.unwrap();
    if second.code() != "QTA-002" {
        assert!(second.says_yes(), "{}", second.text());
    }
    let third = site.ask(&site.auth());
    assert_eq!((third.status, third.code().as_str()), (429, "QTA-002"));
    let after: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&after), "{after}");
}

#[test]
fn a_token_is_fetched_once_for_both_gateways_and_lies_there_encrypted() {
    let redis = Redis::start("shared-token-redis", &[]);
    let made = triseal(["store", "key"]);
    assert_eq!(made.code, 0, "{}", made.all());
    let mut pair = Pair::new(
        "shared-token",
        &redis,
        "key = [{ file = \"secrets/shared\" }]",
    );
    let authmanager = Scripted::start(|_| {
        thread::sleep(Duration::from_millis(300));
        packet::logged_in(600)
    });
    let mosip = Scripted::start(packet::mosip);
    for site in [&pair.one, &pair.other] {
        packet::configure(
            site,
            [authmanager.port, mosip.port],
            ["mosip-crvs1-client", packet::SECRET],
            "insecure_plain",
        );
        packet::private(site, "misp/secrets/shared", &made.out);
    }
    pair.start();
    thread::scope(|scope| {
        for n in 0..6 {
            let site = if n % 2 == 0 { &pair.one } else { &pair.other };
            scope.spawn(move || {
                let body = packet::packet(&format!("BRN00{n}")).to_string();
                let bytes = packet::http("PUT", packet::CREATE, "", body.as_bytes());
                let answer = send(site, &bytes);
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    assert_eq!(authmanager.asked().len(), 1);
    let shared = |site: &Site| site.misp().metric("triseal_logins_total", &["\"shared\""]);
    assert!((shared(&pair.one) + shared(&pair.other) - 1.0).abs() < 0.1);
    let name = "triseal:{misp}:value:token:registration:mosip-crvs1-client";
    let lying = redis.ask(&["GET", name]);
    assert!(lying.len() > 100, "{lying}");
    assert!(!lying.contains("Authorization") && !lying.contains(packet::SIGNATURE));
}

#[test]
fn without_the_server_messages_are_refused_with_a_time_to_try_again_and_taken_when_it_is_back() {
    let mut redis = Redis::start("shared-refuse-redis", &[]);
    let mut pair = Pair::new("shared-refuse", &redis, "");
    pair.start();
    let before = wire(&pair.one);
    assert!(send(&pair.one, &before).says_yes());
    assert!((pair.one.misp().metric("triseal_shared_up", &[]) - 1.0).abs() < 0.1);
    redis.kill();
    let refused = pair.one.ask(&pair.one.auth());
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "SHR-001"),
        "{}",
        refused.text()
    );
    assert!(refused.header("retry-after").is_some());
    let health = pair.one.misp().healthz().text();
    assert!(health.contains("the shared state is gone"), "{health}");
    assert!(pair.one.misp().metric("triseal_shared_up", &[]) < 0.5);
    redis.begin();
    // It knows nothing any more, and what was taken before is refused all the same, first by its time and then as too old.
    until("the server is used again", || {
        (pair.other.ask(&pair.other.auth()).code() != "SHR-001").then_some(())
    });
    let replayed = send(&pair.other, &before);
    assert_eq!(replayed.code(), "FRS-005", "{}", replayed.text());
    open(&pair.one);
    open(&pair.other);
    assert_eq!(send(&pair.other, &before).code(), "FRS-005");
}

#[test]
fn a_gateway_goes_on_alone_until_its_deadline_and_says_how_long_that_is() {
    let mut redis = Redis::start("shared-alone-redis", &[]);
    let settings = "when_gone = \"local\"\nlocal_deadline_s = 8";
    let mut pair = Pair::new("shared-alone", &redis, settings);
    pair.start();
    redis.kill();
    let message = wire(&pair.one);
    let first = send(&pair.one, &message);
    assert!(first.says_yes(), "{}", first.text());
    assert_eq!(send(&pair.one, &message).code(), "FRS-004");
    let left = |site: &Site| site.misp().metric("triseal_shared_alone_seconds_left", &[]);
    let seconds = left(&pair.one);
    assert!((1.0..=8.0).contains(&seconds), "{seconds}");
    let health = pair.one.misp().healthz().text();
    assert!(health.contains("goes on alone"), "{health}");
    assert!(health.contains("secondsLeft"), "{health}");
    let over = within(Duration::from_secs(15), || {
        let answer = pair.one.ask(&pair.one.auth());
        (answer.code() == "SHR-001").then_some(answer)
    });
    assert_eq!(over.expect("the deadline").status, 503);
    assert!(left(&pair.one) < 0.5);
    // Back again: what was taken alone is known to all.
    redis.begin();
    open(&pair.one);
    open(&pair.other);
    let replayed = send(&pair.other, &message).code();
    assert!(replayed == "FRS-004" || replayed == "FRS-005", "{replayed}");
}

#[test]
fn the_server_killed_and_restarted_under_load_lets_nothing_through_twice() {
    let mut redis = Redis::start("shared-load-redis", &[]);
    let mut pair = Pair::new("shared-load", &redis, "timeout_ms = 300");
    pair.start();
    let stop = AtomicBool::new(false);
    let (sent, yes, twice) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let taken: Mutex<Vec<Vec<u8>>> = Mutex::default();
    let after_restart = AtomicUsize::new(0);
    let restarted = AtomicBool::new(false);
    thread::scope(|scope| {
        for which in 0..2 {
            let (pair, stop, sent, yes, taken) = (&pair, &stop, &sent, &yes, &taken);
            let (after_restart, restarted) = (&after_restart, &restarted);
            scope.spawn(move || {
                let site = if which == 0 { &pair.one } else { &pair.other };
                while !stop.load(Ordering::SeqCst) {
                    let message = wire(site);
                    sent.fetch_add(1, Ordering::SeqCst);
                    let was_restarted = restarted.load(Ordering::SeqCst);
                    if send(site, &message).says_yes() {
                        yes.fetch_add(1, Ordering::SeqCst);
                        taken.lock().unwrap().push(message);
                        if was_restarted {
                            after_restart.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
        let (pair, stop, taken, twice) = (&pair, &stop, &taken, &twice);
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let last: Vec<Vec<u8>> = taken
                    .lock()
                    .unwrap()
                    .iter()
                    .rev()
                    .take(6)
                    .cloned()
                    .collect();
                for message in last {
                    for site in [&pair.one, &pair.other] {
                        if send(site, &message).says_yes() {
                            twice.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            }
        });
        thread::sleep(Duration::from_secs(2));
        for _ in 0..2 {
            redis.kill();
            thread::sleep(Duration::from_millis(700));
            redis.begin();
            thread::sleep(Duration::from_secs(5));
        }
        restarted.store(true, Ordering::SeqCst);
        let _ = within(Duration::from_secs(20), || {
            (after_restart.load(Ordering::SeqCst) > 2).then_some(())
        });
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(twice.load(Ordering::SeqCst), 0);
    assert!(yes.load(Ordering::SeqCst) > 0);
    assert!(
        after_restart.load(Ordering::SeqCst) > 2,
        "nothing is taken any more"
    );
    assert!(sent.load(Ordering::SeqCst) > yes.load(Ordering::SeqCst));
    // Once more, all of them, while the server is well.
    let taken = taken.into_inner().unwrap();
    for message in taken.iter().rev().take(50) {
        assert!(!send(&pair.other, message).says_yes());
    }
}

#[test]
fn the_server_is_reached_by_tls_and_password_and_not_by_less() {
    let site = Site::new("shared-tls");
    let (certificate, key) = (
        site.party("misp").join("tls.pem"),
        site.party("misp").join("tls.key.pem"),
    );
    let word = "CANARY-redis-password-41";
    let redis = Redis::with_tls(
        "shared-tls-redis",
        &certificate,
        &key,
        &["--requirepass", word, "--bind", "127.0.0.1", "127.0.0.2"],
    );
    let port = redis.port();
    let start = |name: &str, host: &str, anchor: &str, password: &str| {
        let mut site = Site::new(name);
        packet::private(&site, "misp/secrets/redis", password);
        site.append(
            "misp/gateway.toml",
            &format!(
                "[shared]\nurl = \"rediss://{host}:{port}\"\nanchors = [\"{anchor}\"]\n\
                 password = {{ file = \"secrets/redis\" }}\nclock_skew_max_ms = 1000"
            ),
        );
        site.limits("freshness_forward_ms = 1000");
        site.start_misp();
        site
    };
    let good = start("shared-tls-good", "localhost", "tls", word);
    open(&good);
    for (name, host, anchor, password) in [
        ("shared-tls-anchor", "localhost", "partner", word),
        ("shared-tls-password", "localhost", "tls", "another"),
        ("shared-tls-name", "127.0.0.2", "tls", word),
    ] {
        let bad = start(name, host, anchor, password);
        let refused = bad.ask(&bad.auth());
        assert_eq!(refused.code(), "SHR-001", "{name}: {}", refused.text());
        let health = bad.misp().healthz().text();
        let said = bad.misp().process().err();
        assert!(
            health.contains("the shared state is gone"),
            "{name}: {health}"
        );
        for text in [&health, &said] {
            assert!(
                !text.contains(word) && !text.contains("another\""),
                "{name}"
            );
        }
    }
}

#[test]
fn a_plain_way_beyond_this_machine_and_a_password_in_the_address_are_mistakes() {
    for (url, more, expected) in [
        ("redis://10.1.2.3:6379", "", "without TLS"),
        ("redis://10.1.2.3:6379", "insecure_plaintext = true", ""),
        (
            "redis://u:CANARYword@127.0.0.1:6379",
            "",
            "password in the address",
        ),
        ("rediss://10.1.2.3:6379", "", "rediss without anchors"),
        ("http://127.0.0.1:6379", "", "no address of shared state"),
    ] {
        let site = Site::new("shared-mistakes");
        let text = format!("[shared]\nurl = \"{url}\"\n{more}");
        site.append("misp/gateway.toml", &text);
        let file = site.path("misp/gateway.toml").display().to_string();
        let checked = triseal(["check", "--config", &file]);
        let all = checked.all();
        if expected.is_empty() {
            assert_eq!(checked.code, 0, "{all}");
        } else {
            assert_eq!(checked.code, 2, "{url}: {all}");
            assert!(all.contains(expected), "{url}: {all}");
            assert!(!all.contains("CANARYword"), "{all}");
        }
    }
}

#[test]
fn a_quota_that_says_nothing_is_a_mistake() {
    for (quota, expected) in [
        ("[quota.ida-auth]", "bounds nothing"),
        ("[quota.ida-auth]\nper_minute = 0", "let nothing through"),
        (
            "[quota.ida-auth]\nburst = 5\nper_day = 9",
            "belongs to a rate",
        ),
        ("[quota.ida-aut]\nper_day = 9", "no route that it may use"),
    ] {
        let site = Site::new("quota-mistakes");
        site.append("misp/partners/crvs.toml", quota);
        let file = site.path("misp/gateway.toml").display().to_string();
        let checked = triseal(["check", "--config", &file]);
        assert_eq!(checked.code, 2, "{quota}");
        assert!(checked.all().contains(expected), "{}", checked.all());
    }
}
