//! Seen from outside: health, readiness, metrics.

use std::time::Duration;

use crate::harness::{Site, World, free_ports, get, within};

#[test]
fn a_sealed_exchange_is_answered_and_counted() {
    let site = Site::misp_running("health-count");
    let answer = site.ask(&site.auth());
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
    site.assert_signed(&answer);
    let misp = site.misp();
    let one = |value: f64| (value - 1.0).abs() < 0.5;
    assert!(one(misp.metric(
        "triseal_exchanges_total",
        &["\"crvs\"", "\"answered\"", "\"ida-auth\""]
    )));
    assert!(one(misp.metric("triseal_handshakes_total", &["accepted"])));
    assert!(one(
        misp.metric("triseal_exchange_seconds_count", &["ida-auth"])
    ));
    assert!(one(
        misp.metric("triseal_upstream_seconds_count", &["\"ida\""])
    ));
    assert!(one(misp.metric("triseal_replay_entries", &[])));
    // A replay is counted as what it is.
    let wire = site.auth().wire();
    let mut client = site.connect();
    assert!(client.ask(&wire.http1()).says_yes());
    assert_eq!(client.ask(&wire.http1()).code(), "FRS-004");
    assert!(one(misp.metric(
        "triseal_exchanges_total",
        &["\"crvs\"", "\"FRS-004\""]
    )));
    assert!(one(misp.metric("triseal_refusals_total", &["\"FRS-004\""])));
}

#[test]
fn healthz_is_well_and_readyz_is_ready_after_the_start() {
    let site = Site::misp_running("health-well");
    let health = site.misp().healthz();
    assert_eq!(
        (health.status, health.header("content-type")),
        (200, Some("application/json"))
    );
    assert_eq!(health.json()["status"], "well", "{}", health.text());
    assert_eq!(health.json()["gateway"], "misp");
    let ready = site.misp().readyz();
    assert_eq!(
        (ready.status, ready.json()["ready"].as_bool()),
        (200, Some(true))
    );
    assert_eq!(get(site.misp().admin(), "/partners").unwrap().status, 404);
}

#[test]
fn metrics_are_in_prometheus_form_and_name_every_certificate() {
    let site = Site::misp_running("health-metrics");
    let metrics = site.misp().metrics();
    for line in metrics
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
    {
        let value = line.rsplit(' ').next().unwrap();
        assert!(
            (line.starts_with("triseal_") || line.starts_with("process_"))
                && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    for party in ["misp", "mosip", "crvs", "seeder"] {
        for role in ["encryption", "signature"] {
            let name = "triseal_certificate_expiry_timestamp_seconds";
            let (party, role) = (format!("\"{party}\""), format!("\"{role}\""));
            assert!(
                site.misp().metric(name, &[&party, &role]) > 1.0e9,
                "{party} {role}"
            );
        }
    }
    for anchor in ["tls", "partner", "mosip"] {
        let left = site.misp().metric(
            "triseal_revocation_list_seconds_left",
            &[&format!("\"{anchor}\"")],
        );
        assert!(left > 86_400.0, "{anchor} {left}");
    }
}

#[test]
fn readyz_says_why_when_no_address_of_an_upstream_takes_connections() {
    let mut site = Site::new("health-upstream");
    let dead = free_ports(2);
    site.replace(
        "misp/gateway.toml",
        &format!("addresses = [\"https://localhost:{}\"]", World::shared().ida_port()),
        &format!("addresses = [\"https://localhost:{dead}\", \"https://localhost:{}\"]\nunhealthy_ms = 60000", dead + 1),
    );
    site.start_misp();
    let ready = within(Duration::from_secs(10), || {
        (site.misp().readyz().status == 200).then_some(())
    });
    assert!(ready.is_some(), "not ready");
    let answer = site.ask(&site.auth());
    assert_eq!((answer.code().as_str(), answer.status), ("UP-001", 502));
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007"]);
    site.assert_signed(&answer);
    let ready = within(Duration::from_secs(5), || {
        let ready = site.misp().readyz();
        (ready.status == 503).then_some(ready)
    })
    .expect("still ready");
    assert_eq!(ready.json()["ready"], false);
    assert!(ready.text().contains("upstream ida"), "{}", ready.text());
    let health = site.misp().healthz();
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &"ailing".into())
    );
    assert!(
        health.text().contains(&dead.to_string()),
        "{}",
        health.text()
    );
}

#[test]
fn one_dead_address_of_two_does_not_stop_the_exchange() {
    let mut site = Site::new("health-two");
    let dead = free_ports(1);
    let ida = World::shared().ida_port();
    site.replace(
        "misp/gateway.toml",
        &format!("addresses = [\"https://localhost:{ida}\"]"),
        &format!("addresses = [\"https://localhost:{dead}\", \"https://localhost:{ida}\"]"),
    );
    site.start_misp();
    for _ in 0..4 {
        let answer = site.ask(&site.auth());
        assert!(answer.says_yes(), "{}", answer.code());
    }
    assert_eq!(site.misp().readyz().status, 200);
}

#[test]
fn the_admin_listener_takes_only_get_and_no_partners_paths() {
    let site = Site::misp_running("health-admin");
    assert_eq!(
        get(site.misp().admin(), &site.auth().path())
            .unwrap()
            .status,
        404
    );
    // And the partner face has no admin paths.
    let answer = site
        .connect()
        .ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.code(), "RT-001");
}
