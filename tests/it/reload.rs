//! Reloads: nobody notices a good one but by what it changes, and nobody notices a bad one at all.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use crate::harness::{Reloaded, Site, h2, triseal, until};

#[test]
fn twenty_reloads_under_load_fail_no_exchange_and_drop_no_connection() {
    let site = Site::misp_running("reload-load");
    let (over, exchanges) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for client in 0..8 {
            let (site, over, exchanges) = (&site, &over, &exchanges);
            scope.spawn(move || {
                let ask = site.auth();
                // One connection for all the time: half of them HTTP/1.1, half HTTP/2.
                let mut connection = if client % 2 == 0 {
                    site.connect()
                } else {
                    let mut c = site.client().http2().connect(site.partner_face()).unwrap();
                    c.send(&h2::preface());
                    c
                };
                let mut stream = 1;
                while !over.load(Ordering::Relaxed) {
                    let wire = ask.again().wire();
                    let yes = if client % 2 == 0 {
                        connection.ask(&wire.http1()).says_yes()
                    } else {
                        connection.send(&h2::request(&wire, stream));
                        let body = h2::answer_body(&mut connection, stream)
                            .expect("an answer over HTTP/2");
                        stream += 2;
                        String::from_utf8_lossy(&body).contains(r#""authStatus":true"#)
                    };
                    assert!(yes, "client {client} was refused");
                    exchanges.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Whatever fails here, the clients must end.
        let reloads = thread::Builder::new().spawn_scoped(scope, || {
            for round in 0..20 {
                let good = round % 2 == 0;
                if good {
                    site.edit("misp/gateway.toml", |text| {
                        format!("{text}\n# round {round}\n")
                    });
                } else {
                    site.append("misp/gateway.toml", "nonsense = true");
                }
                let before = exchanges.load(Ordering::Relaxed);
                let expected = if good {
                    Reloaded::Published
                } else {
                    Reloaded::Refused
                };
                if site.misp().reload() != expected {
                    return Err(format!("round {round}"));
                }
                if !good {
                    site.replace("misp/gateway.toml", "nonsense = true", "");
                }
                // Each version serves.
                until("exchanges go on", || {
                    (exchanges.load(Ordering::Relaxed) > before + 4).then_some(())
                });
            }
            Ok(())
        });
        let done = reloads.unwrap().join();
        over.store(true, Ordering::Relaxed);
        done.unwrap().unwrap();
    });
    let misp = site.misp();
    let answered = misp.metric("triseal_exchanges_total", &["answered"]);
    assert!((answered - f64::from(exchanges.load(Ordering::Relaxed))).abs() < 0.5);
    assert!(
        misp.metric("triseal_refusals_total", &[]) < 0.5,
        "{}",
        misp.metrics()
    );
    assert!(misp.metric("triseal_reloads_total", &["published"]) > 9.5);
    assert!(misp.metric("triseal_reloads_total", &["refused"]) > 9.5);
}

#[test]
fn a_bad_version_keeps_the_running_one_and_says_what_is_wrong_with_file_and_line() {
    let site = Site::misp_running("reload-bad");
    let generation = site.misp().metric("triseal_snapshot_generation", &[]);
    // A good change and a bad one together: neither takes effect.
    site.edit("misp/partners/crvs.toml", |text| {
        format!("state = \"inactive\"\n{text}")
    });
    site.edit("misp/partners/seeder.toml", |text| {
        text.replacen("routes = [", "routes = [\"ida-nowhere\", ", 1)
    });
    assert_eq!(site.misp().reload(), Reloaded::Refused);
    assert!(site.ask(&site.auth()).says_yes());
    let now = site.misp().metric("triseal_snapshot_generation", &[]);
    assert!((now - generation).abs() < 0.5);
    let line = site
        .read("misp/partners/seeder.toml")
        .lines()
        .position(|l| l.starts_with("routes"))
        .unwrap()
        + 1;
    let said = site.misp().process().err();
    assert!(
        said.contains(&format!("seeder.toml:{line}: error: ")),
        "{said}"
    );
    assert!(said.contains("ida-nowhere"), "{said}");
    // The bad part corrected, the good one takes effect.
    site.replace("misp/partners/seeder.toml", "\"ida-nowhere\", ", "");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert_eq!(site.ask(&site.auth()).code(), "ID-004");
}

#[test]
fn a_file_that_is_no_toml_or_gone_keeps_the_running_version() {
    let site = Site::misp_running("reload-broken");
    let good = site.read("misp/gateway.toml");
    for bad in ["", "[[[", "\u{0}", "gateway = 5"] {
        site.write("misp/gateway.toml", bad);
        assert_eq!(site.misp().reload(), Reloaded::Refused, "{bad}");
    }
    std::fs::remove_file(site.path("misp/gateway.toml")).unwrap();
    assert_eq!(site.misp().reload(), Reloaded::Refused);
    assert!(site.ask(&site.auth()).says_yes());
    site.write("misp/gateway.toml", &good);
    assert_eq!(site.misp().reload(), Reloaded::Published);
}

#[test]
fn a_new_partner_file_is_found_without_a_signal() {
    let site = Site::misp_running("reload-watch");
    let added = triseal([
        "pki",
        "add",
        "--dir",
        &site.path("pki").display().to_string(),
        "--party",
        "newcomer:Land Registry",
    ]);
    assert_eq!(added.code, 0, "{}", added.all());
    let client = || {
        site.client_of(&site.party("newcomer"), "tls")
            .connect(site.partner_face())
            .unwrap()
            .ask(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .code()
    };
    assert_eq!(client(), "ID-001");
    let file = site
        .read("misp/partners/seeder.toml")
        .replace("seeder", "newcomer")
        .replace("Social Registry", "Land Registry");
    site.write("misp/partners/newcomer.toml", &file);
    until("the newcomer is known", || {
        (client() == "RT-001").then_some(())
    });
}

#[test]
fn a_version_that_would_move_a_listener_says_that_a_restart_is_needed() {
    let site = Site::misp_running("reload-listener");
    let face = site.partner_face();
    site.replace(
        "misp/gateway.toml",
        &format!("listen = \"127.0.0.1:{face}\""),
        "listen = \"127.0.0.1:1\"",
    );
    site.misp().reload();
    assert!(
        site.misp().says("gateway.toml:0: warning: face: ")
            && site.misp().says("Restart the gateway."),
        "{}",
        site.misp().process().err()
    );
    assert!(site.ask(&site.auth()).says_yes());
}

#[test]
fn a_graceful_stop_finishes_the_exchange_under_way() {
    let site = Site::misp_running("stop");
    let mut client = site.connect();
    let bytes = site.auth().wire().http1();
    let (one, two) = bytes.split_at(bytes.len() - 10);
    client.send(one);
    until("the exchange is under way", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) > 0.0).then_some(())
    });
    site.misp().process().signal("TERM");
    assert!(site.misp().says("stopping"));
    client.send(two);
    assert!(client.answer().expect("an answer").says_yes());
    assert!(client.ends_within(Duration::from_secs(10)));
    assert!(site.misp().process().stop_within(Duration::from_secs(10)));
}
