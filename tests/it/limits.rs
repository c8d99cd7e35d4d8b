//! Bounds: what is beyond them is shed, and what comes after is served.

use std::{thread, time::Duration};

use crate::harness::{Site, TlsClient, triseal, until, within};

/// Begins a sealed request and holds back its end: it occupies one place. Gives what is still to be sent.
fn hold(site: &Site, client: &mut TlsClient) -> Vec<u8> {
    let bytes = site.auth().wire().http1();
    let (one, two) = bytes.split_at(bytes.len() - 10);
    client.send(one);
    two.to_vec()
}

#[test]
fn exchanges_beyond_the_bound_are_shed_and_those_after_the_overload_are_served() {
    let mut site = Site::new("limits-exchanges");
    site.limits("exchanges_max = 1");
    site.start_misp();
    let mut held = site.connect();
    let rest = hold(&site, &mut held);
    until("the place is taken", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) > 0.0).then_some(())
    });
    let mut other = site.connect();
    let shed = other.ask(&site.auth().wire().http1());
    assert_eq!((shed.code().as_str(), shed.status), ("GW-001", 503));
    assert_eq!(shed.json()["side"], "gateway");
    assert_eq!(site.misp().logged(&shed), "GW-001");
    // The one under way is not harmed, and the place is free again.
    held.send(&rest);
    assert!(held.answer().unwrap().says_yes());
    let after = site.ask(&site.auth());
    assert!(after.says_yes(), "{}", after.code());
}

#[test]
fn strangers_are_shed_first_and_partners_are_served_meanwhile() {
    let mut site = Site::new("limits-strangers");
    site.limits("exchanges_max = 4\nexchanges_per_partner_max = 4");
    let pki = site.path("pki").display().to_string();
    let stranger = "stranger:Civil Registry";
    let made = triseal(["pki", "add", "--dir", &pki, "--party", stranger]);
    assert_eq!(made.code, 0, "{}", made.all());
    site.start_misp();
    let mut held: Vec<TlsClient> = (0..3).map(|_| site.connect()).collect();
    let rests: Vec<Vec<u8>> = held.iter_mut().map(|c| hold(&site, c)).collect();
    until("three places are taken", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) > 2.5).then_some(())
    });
    let stranger = |site: &Site| {
        let party = site.party("stranger");
        let mut client = site.client_of(&party, "tls").connect(site.partner_face());
        client.as_mut().unwrap().ask(&site.auth().wire().http1())
    };
    let shed = stranger(&site);
    assert_eq!((shed.code().as_str(), shed.status), ("GW-001", 503));
    assert_eq!(shed.header("retry-after"), Some("1"));
    let partner = site.ask(&site.auth());
    assert!(partner.says_yes(), "{}", partner.code());
    let shed_of = |who: &str| site.misp().metric("triseal_shed_total", &[who]);
    assert!((shed_of("\"stranger\"") - 1.0).abs() < 0.1);
    assert!(shed_of("\"known\"") < 0.5);
    for (client, rest) in held.iter_mut().zip(&rests) {
        client.send(rest);
        assert!(client.answer().unwrap().says_yes());
    }
    // With room for all, a stranger is told what strangers are told.
    until("the places are free", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) < 0.5).then_some(())
    });
    assert_eq!(stranger(&site).code(), "ID-001");
}

#[test]
fn after_work_had_to_wait_handshakes_are_shed_and_a_partner_is_served() {
    let mut site = Site::new("limits-late");
    // The process stands still for longer than strangers' work may wait, and for less than a partner's may.
    site.limits("queue_max_ms = 8000");
    site.start_misp();
    let mut partner = site.connect();
    assert!(partner.ask(&site.auth().wire().http1()).says_yes());
    let late = thread::scope(|scope| {
        site.misp().process().stand_still();
        let handshakes: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| site.client().connect(site.partner_face()).is_err()))
            .collect();
        thread::sleep(Duration::from_millis(6700));
        partner.send(&site.auth().wire().http1());
        site.misp().process().signal("CONT");
        let answer = partner.answer().expect("an answer for the partner");
        assert!(answer.says_yes(), "{}", answer.text());
        handshakes
            .into_iter()
            .map(|h| h.join().unwrap())
            .filter(|refused| *refused)
            .count()
    });
    let shed_of = |who: &str| site.misp().metric("triseal_shed_total", &[who]);
    assert!(shed_of("\"known\"") < 0.5);
    assert!(
        late > 0 && shed_of("\"handshake\"") > 0.5,
        "{late} were refused"
    );
    // It is over as soon as timers are in time again.
    let after = within(Duration::from_secs(5), || {
        site.client().connect(site.partner_face()).ok()
    });
    assert!(after.unwrap().ask(&site.auth().wire().http1()).says_yes());
}

#[test]
fn one_partner_cannot_take_the_places_of_the_others() {
    let mut site = Site::new("limits-share");
    site.limits("exchanges_per_partner_max = 1");
    site.start_misp();
    let mut held = site.connect();
    let rest = hold(&site, &mut held);
    until("the place is taken", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) > 0.0).then_some(())
    });
    let shed = site.connect().ask(&site.auth().wire().http1());
    assert_eq!((shed.code().as_str(), shed.status), ("GW-001", 503));
    // Another partner is served meanwhile: no more is wrong with it than its path.
    let mut other = site
        .client_of(&site.party("seeder"), "tls")
        .connect(site.partner_face())
        .unwrap();
    assert_eq!(other.ask(&site.auth().wire().http1()).code(), "ID-007");
    held.send(&rest);
    assert!(held.answer().unwrap().says_yes());
    assert!(site.ask(&site.auth()).says_yes());
}

#[test]
fn connections_beyond_the_bound_are_not_taken_until_one_ends() {
    let mut site = Site::new("limits-connections");
    site.limits("connections_max = 2");
    site.start_misp();
    // Whoever asked whether the gateway is up may still occupy a place.
    let connect = || {
        until("a free place", || {
            site.client().connect(site.partner_face()).ok()
        })
    };
    let (mut one, mut two) = (connect(), connect());
    for client in [&mut one, &mut two] {
        assert!(client.ask(&site.auth().wire().http1()).says_yes());
    }
    assert!(site.client().refusal(site.partner_face()).is_some());
    drop(two);
    let third = within(Duration::from_secs(5), || {
        site.client().connect(site.partner_face()).ok()
    });
    assert!(third.unwrap().ask(&site.auth().wire().http1()).says_yes());
    // The admin listener was never in the way.
    assert_eq!(site.misp().readyz().status, 200);
}

#[test]
fn a_full_replay_memory_refuses() {
    let mut site = Site::new("limits-replay");
    site.limits("replay_max = 2");
    site.start_misp();
    let mut client = site.connect();
    for _ in 0..2 {
        assert!(client.ask(&site.auth().wire().http1()).says_yes());
    }
    let answer = client.ask(&site.auth().wire().http1());
    assert_eq!((answer.code().as_str(), answer.status), ("FRS-006", 503));
}

#[test]
fn a_route_may_take_larger_bodies_than_the_default_and_no_other_does() {
    let mut site = Site::new("limits-route");
    site.limits("body_max_bytes = 500");
    site.start_misp();
    let answer = site.ask(&site.auth());
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-009", 413));
    site.replace(
        "misp/gateway.toml",
        "name = \"ida-auth\"",
        "name = \"ida-auth\"\nbody_max_bytes = 100000",
    );
    site.misp().reload();
    assert!(site.ask(&site.auth()).says_yes());
    assert_eq!(site.ask(&site.auth().kyc()).code(), "HTTP-009");
}

#[test]
fn an_exchange_that_takes_too_long_ends() {
    let mut site = Site::new("limits-exchange-time");
    site.limits("exchange_timeout_ms = 500\nbody_timeout_ms = 20000");
    site.start_misp();
    let mut client = site.connect();
    let _ = hold(&site, &mut client);
    let answer = client.answer().expect("an answer");
    assert_eq!((answer.code().as_str(), answer.status), ("HTTP-010", 408));
    assert!(client.ends_within(Duration::from_secs(5)));
}

#[test]
fn a_bound_of_zero_is_a_mistake() {
    let site = Site::new("limits-zero");
    site.limits("exchanges_max = 0\nhead_max_bytes = 0");
    let file = site.path("misp/gateway.toml").display().to_string();
    let checked = triseal(["check", "--config", &file]);
    assert_eq!(checked.code, 2);
    for name in ["limits.exchanges_max", "limits.head_max_bytes"] {
        assert!(checked.err.contains(name), "{}", checked.err);
    }
}
