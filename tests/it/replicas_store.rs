//! Two gateways of one partner on one PostgreSQL act as one: what one accepted the other finishes, nothing is done twice, and a
//! database that is killed under load loses nothing that was answered.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{
        Answer, Process, copy, free_ports, get,
        postgres::{Database, PASSWORD, Postgres},
        until, within,
    },
    opencrvs::setup::{CONFIRM, CREATE, Crvs, Point, REGISTER, Record, WORKFLOW},
    service_face::{of_sdk, plain},
};

/// Seconds after which what a killed gateway had is taken over.
const LEASE: u64 = 2;

/// The partner's gateways: the site's own, and another one beside it.
struct Pair {
    crvs: Crvs,
    other: Process,
    face: u16,
    admin: u16,
}

impl Pair {
    fn start(name: &str, database: &Database) -> Self {
        let mut crvs = Crvs::new(name, "");
        let password = crvs.site.path("crvs/secrets/database");
        fs::write(&password, PASSWORD).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        crvs.site.replace(
            "crvs/gateway.toml",
            "url = \"sqlite:state/store.db\"",
            &format!(
                "url = \"{}\"\npassword = {{ file = \"secrets/database\" }}\nlease_seconds = {LEASE}\nstatement_timeout_ms = 2000",
                database.url()
            ),
        );
        crvs.site.start_misp();
        crvs.start_crvs();
        let (other, face, admin) = beside(&crvs);
        let this = Self {
            crvs,
            other,
            face,
            admin,
        };
        until("the other knows the key of the tokens", || {
            let answer = this.post_other(Some("no token"), b"{}")?;
            (answer.code() != "CRVS-009").then_some(())
        });
        this
    }

    fn post_other(&self, token: Option<&str>, body: &[u8]) -> Option<Answer> {
        self.crvs.post_at(self.face, REGISTER, token, body)
    }

    /// Calls of MOSIP about a transaction.
    fn asked(&self, path: &str, transaction: &str) -> usize {
        let id = if path == CREATE {
            "id"
        } else {
            "registrationId"
        };
        (self.crvs.mosip.asked().iter())
            .filter(|asked| asked.path == path && asked.json()["request"][id] == transaction)
            .count()
    }
}

/// A second gateway with the same configuration, on ports and a state folder of its own.
fn beside(crvs: &Crvs) -> (Process, u16, u16) {
    let (old_face, old_admin) = (crvs.site.service_face(), crvs.site.crvs().admin());
    for _ in 0..5 {
        let face = free_ports(2);
        let admin = face + 1;
        let folder = crvs.site.path("crvs-2");
        copy(&crvs.site.path("crvs"), &folder);
        let _ = fs::remove_dir_all(folder.join("state"));
        let text = crvs.site.read("crvs/gateway.toml");
        let text = text
            .replace(&format!(":{old_face}\""), &format!(":{face}\""))
            .replace(&format!(":{old_admin}\""), &format!(":{admin}\""));
        crvs.site.write("crvs-2/gateway.toml", &text);
        let process = Process::start(
            Path::new(env!("CARGO_BIN_EXE_triseal")),
            [
                "run".to_owned(),
                "--config".to_owned(),
                folder.join("gateway.toml").display().to_string(),
            ],
            &[],
            &crvs.site.path("."),
            "crvs-2",
        );
        let up = until("the other gateway answers or ends", || {
            if get(admin, "/healthz").is_some() && TcpStream::connect(("127.0.0.1", face)).is_ok() {
                return Some(true);
            }
            (!process.runs()).then_some(false)
        });
        if up {
            return (process, face, admin);
        }
        assert!(process.err().contains("cannot listen"), "{}", process.err());
    }
    panic!("no free ports for the other gateway");
}

#[test]
fn what_a_killed_gateway_had_accepted_is_finished_by_the_other_once() {
    let database = Postgres::shared().database();
    let pair = Pair::start("replicas-takeover", &database);
    let (told, tell) = channel();
    let told = Mutex::new(told);
    *pair.crvs.watch.lock().unwrap() = Some(Box::new(move |point| {
        let _ = told.lock().unwrap().send(point);
        thread::sleep(Duration::from_millis(200));
    }));
    // The other one sleeps, so that the first has it for certain.
    pair.other.stand_still();
    let birth = Record::birth();
    pair.crvs.register(&birth);
    let first = tell.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(first, Point::PacketAsked);
    pair.crvs.site.crvs().process().signal("KILL");
    pair.other.signal("CONT");
    let transaction = pair.crvs.at_mosip(&birth.number);
    let event = format!("event-of-{}", birth.number);
    let subject = birth.subject("2707925500");
    until("the other takes the credential", || {
        let status = pair
            .crvs
            .deliver_at(pair.face, &event, &transaction, &subject)?;
        (status == 202).then_some(())
    });
    pair.crvs.confirmation(&birth.action, 0);
    pair.crvs.standing(&birth.key(), "done");
    thread::sleep(Duration::from_secs(LEASE + 1));
    assert_eq!(pair.crvs.confirmations(&birth.action).len(), 1);
    assert_eq!(pair.asked(WORKFLOW, &transaction), 1);
    // The step in whose midst it died was done again, under the same id.
    assert_eq!(pair.asked(CREATE, &transaction), 2);
}

#[test]
fn with_both_running_each_step_and_each_delivery_is_done_once() {
    let database = Postgres::shared().database();
    let pair = Pair::start("replicas-once", &database);
    let births: Vec<Record> = (0..12).map(|_| Record::birth()).collect();
    for birth in &births {
        // The same registration reaches both at once, as after a caller's time limit.
        let token = birth.token(&pair.crvs);
        let (one, two) = thread::scope(|scope| {
            let two = scope.spawn(|| pair.post_other(Some(&token), &birth.body()));
            let one = pair.crvs.post(REGISTER, Some(&token), &birth.body());
            (one, two.join().unwrap())
        });
        assert_eq!((one.unwrap().status, two.unwrap().status), (202, 202));
    }
    for birth in &births {
        let transaction = pair.crvs.at_mosip(&birth.number);
        let event = format!("event-of-{}", birth.number);
        let subject = birth.subject("2707925500");
        let (one, two) = thread::scope(|scope| {
            let deliver = |port| pair.crvs.deliver_at(port, &event, &transaction, &subject);
            let two = scope.spawn(move || deliver(pair.face));
            let one = deliver(pair.crvs.site.service_face());
            (one, two.join().unwrap())
        });
        assert_eq!((one, two), (Some(202), Some(202)));
    }
    for birth in &births {
        pair.crvs.confirmation(&birth.action, 0);
        pair.crvs.standing(&birth.key(), "done");
    }
    thread::sleep(Duration::from_secs(LEASE + 1));
    for birth in &births {
        let transaction = pair.crvs.transaction(&birth.number).unwrap();
        let done = [
            pair.asked(CREATE, &transaction),
            pair.asked(WORKFLOW, &transaction),
            pair.crvs.confirmations(&birth.action).len(),
        ];
        assert_eq!(done, [1, 1, 1], "{}", birth.number);
    }
    let confirmed = pair
        .crvs
        .core
        .asked()
        .iter()
        .filter(|a| a.path == CONFIRM)
        .count();
    assert_eq!(confirmed, births.len());
}

#[test]
fn a_database_killed_under_load_loses_nothing_that_was_answered_and_others_go_on() {
    let mut server = Postgres::start("postgres-load", &[], |_| {});
    let database = server.database();
    let pair = Pair::start("replicas-load", &database);
    let (answered, refused) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let slowest = Mutex::new(Duration::ZERO);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..4 {
            let (pair, stop) = (&pair, &stop);
            let (answered, refused, slowest) = (&answered, &refused, &slowest);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let birth = Record::birth();
                    let token = birth.token(&pair.crvs);
                    let began = Instant::now();
                    let answer = if n % 2 == 0 {
                        pair.crvs.post(REGISTER, Some(&token), &birth.body())
                    } else {
                        pair.post_other(Some(&token), &birth.body())
                    };
                    let answer = answer.expect("an answer");
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = began.elapsed().max(*slowest);
                    drop(slowest);
                    if answer.status == 202 {
                        answered.lock().unwrap().push(birth);
                        thread::sleep(Duration::from_millis(150));
                    } else {
                        refused.lock().unwrap().push((birth, answer));
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            });
        }
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(1500));
            server.kill();
            gone(&pair);
            server.run();
            back(&pair);
        }
        thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
    });
    let (answered, refused) = (
        answered.into_inner().unwrap(),
        refused.into_inner().unwrap(),
    );
    assert!(answered.len() > 10, "{} answered", answered.len());
    assert!(!refused.is_empty());
    for (_, answer) in &refused {
        let code = answer.code();
        let said = (answer.status, code.as_str(), answer.header("retry-after"));
        assert_eq!(said, (503, "GW-004", Some("5")));
    }
    let slowest = slowest.into_inner().unwrap();
    assert!(slowest < Duration::from_secs(8), "{slowest:?}");
    // A caller that was refused asks again, at whichever gateway.
    for (birth, _) in refused.iter().take(5) {
        let token = birth.token(&pair.crvs);
        assert_eq!(
            pair.post_other(Some(&token), &birth.body()).unwrap().status,
            202
        );
    }
    let all = answered
        .iter()
        .chain(refused.iter().take(5).map(|(birth, _)| birth));
    for birth in all {
        let transaction = pair.crvs.at_mosip(&birth.number);
        // A step whose outcome could not be written is done again under the same id, which MOSIP knows.
        assert_eq!(pair.crvs.transactions(&birth.number), [transaction]);
    }
    let parked = server.sql(
        &database.name,
        "SELECT count(*) FROM triseal_errand WHERE standing = 'parked'",
    );
    assert_eq!(parked, "0");
}

/// Both gateways say that the database is gone, and since when; what does not need it is served.
fn gone(pair: &Pair) {
    for admin in [pair.crvs.site.crvs().admin(), pair.admin] {
        let finding = until("the loss is said", || {
            let health = get(admin, "/healthz")?.json();
            let findings = health["findings"].as_array()?.clone();
            findings.into_iter().find(|f| {
                f["what"]
                    .as_str()
                    .is_some_and(|what| what.starts_with("store: "))
            })
        });
        assert!(finding["since"].as_str().is_some(), "{finding}");
        let ready = get(admin, "/readyz").unwrap();
        assert_eq!(ready.status, 200);
        let without: BTreeMap<String, Value> =
            serde_json::from_value(ready.json()["without"][0].clone()).unwrap();
        assert!(without.contains_key("since"));
    }
    // The identity check goes to the MISP and needs no store.
    let answer = plain(&pair.crvs.site, &of_sdk(&pair.crvs.site).wire());
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
}

fn back(pair: &Pair) {
    for admin in [pair.crvs.site.crvs().admin(), pair.admin] {
        within(Duration::from_secs(20), || {
            let ready = get(admin, "/readyz")?.json();
            (ready["without"] == serde_json::json!([])).then_some(())
        })
        .expect("both come back");
    }
}
