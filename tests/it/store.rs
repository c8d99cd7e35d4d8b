//! The store under the real gateway: what was answered is there after a kill, keys are rotated under traffic, and what is wrong
//! is said before anything listens.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::{Output, free_ports, run, triseal, until},
    opencrvs::setup::{Crvs, REGISTER, Record},
};

fn config(crvs: &Crvs) -> String {
    crvs.site.path("crvs/gateway.toml").display().to_string()
}

fn private(crvs: &Crvs, file: &str, text: &str) {
    let path = crvs.site.path(file);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Keys of all registrations in the store.
fn listed(crvs: &Crvs) -> Vec<String> {
    let output = crvs.command(&["list", "--json", "--limit", "100000"]);
    assert_eq!(output.code, 0, "{}", output.all());
    let lines = output
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|shown| shown["key"].as_str().unwrap().to_owned())
        .collect()
}

/// Starts a gateway that ends by itself, and gives what it said.
fn start(crvs: &Crvs) -> Output {
    start_with(&config(crvs))
}

fn start_with(config: &str) -> Output {
    run(
        "timeout",
        [
            "10",
            env!("CARGO_BIN_EXE_triseal"),
            "run",
            "--config",
            config,
        ],
        &[],
        b"",
    )
}

#[test]
fn what_was_answered_is_in_the_store_after_a_kill_in_the_midst_of_writing() {
    // Without the MISP's gateway: registrations wait, which is what they are stored for.
    let mut crvs = Crvs::new("store-kill", "");
    crvs.start_crvs();
    let answered = Mutex::new(Vec::new());
    for _ in 0..3 {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let birth = Record::birth();
                        let answer = crvs.post(REGISTER, Some(&birth.token(&crvs)), &birth.body());
                        if answer.is_some_and(|answer| answer.status == 202) {
                            answered.lock().unwrap().push(birth.key());
                        }
                    }
                });
            }
            thread::sleep(Duration::from_millis(700));
            crvs.site.crvs().process().signal("KILL");
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
        });
        crvs.start_crvs();
    }
    let listed = listed(&crvs);
    let answered = answered.into_inner().unwrap();
    assert!(answered.len() > 10, "{} answered", answered.len());
    for key in &answered {
        assert!(listed.contains(key), "{key} was answered and is gone");
    }
    let folder = crvs.site.path("crvs/state");
    for name in ["store.db", "store.db-wal", "store.db.lock"] {
        let mode = fs::metadata(folder.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(
        crvs.site
            .crvs()
            .metric("triseal_store_commit_seconds_count", &[])
            > 0.0
    );
    until("the errands are counted", || {
        let counted = crvs.site.crvs().metric("triseal_errands", &["opencrvs"]);
        (counted >= listed.len() as f64).then_some(())
    });
}

#[test]
fn a_key_is_rotated_beside_the_running_gateway_and_then_dispensable() {
    let mut crvs = Crvs::new("store-rotate", "");
    crvs.start_crvs();
    let birth = Record::birth();
    crvs.register(&birth);
    let made = triseal(["store", "key"]);
    assert_eq!((made.code, made.out.trim().len()), (0, 44));
    private(&crvs, "crvs/secrets/store-key-2", &made.out);
    let (old, both, new) = (
        "key = [{ file = \"secrets/store-key\" }]",
        "key = [{ file = \"secrets/store-key-2\" }, { file = \"secrets/store-key\" }]",
        "key = [{ file = \"secrets/store-key-2\" }]",
    );
    crvs.site.replace("crvs/gateway.toml", old, both);
    let rotate = || triseal(["store", "rotate", "--config", &config(&crvs)]);
    let early = rotate();
    assert_ne!(early.code, 0);
    assert!(early.err.contains("Restart it"), "{}", early.err);
    crvs.start_crvs();
    let config_file = config(&crvs);
    let rotated = triseal(["store", "rotate", "--config", &config_file]);
    assert_eq!(rotated.code, 0, "{}", rotated.all());
    assert!(
        rotated
            .out
            .contains("every content is under the newest key"),
        "{}",
        rotated.out
    );
    assert_eq!(crvs.show(&birth.key())["standing"], "open");
    // The old key alone opens nothing, and says so before anything listens; the new one alone is enough.
    crvs.site.kill_crvs();
    crvs.site.replace("crvs/gateway.toml", both, old);
    let refused = start(&crvs);
    assert_eq!(refused.code, 2, "{}", refused.all());
    assert!(
        refused.err.contains("not among those in store.key"),
        "{}",
        refused.err
    );
    crvs.site.replace("crvs/gateway.toml", old, new);
    crvs.start_crvs();
    assert_eq!(crvs.show(&birth.key())["standing"], "open");
}

#[test]
fn a_second_gateway_on_the_same_store_does_not_start() {
    let mut crvs = Crvs::new("store-twice", "");
    crvs.start_crvs();
    // Everything its own but the store.
    let text = crvs.site.read("crvs/gateway.toml");
    let mut port = free_ports(2);
    let own = text.lines().map(|line| {
        let Some(_) = line.strip_prefix("listen = ") else {
            return line.replace("state = \"state\"", "state = \"state-of-the-second\"");
        };
        port += 1;
        format!("listen = \"127.0.0.1:{}\"", port - 1)
    });
    let own = own.collect::<Vec<_>>().join("\n");
    private(&crvs, "crvs/second.toml", &own);
    let second = start_with(&crvs.site.path("crvs/second.toml").display().to_string());
    assert_eq!(second.code, 2, "{}", second.all());
    assert!(
        second.err.contains("in use by another gateway"),
        "{}",
        second.err
    );
}

#[test]
fn a_key_that_is_none_is_reported_with_its_line() {
    let crvs = Crvs::new("store-bad-key", "");
    private(&crvs, "crvs/secrets/store-key", "a password");
    let output = triseal(["check", "--config", &config(&crvs)]);
    assert_ne!(output.code, 0);
    let all = output.all();
    assert!(
        all.contains("32 bytes in base64") && all.contains("triseal store key"),
        "{all}"
    );
}
