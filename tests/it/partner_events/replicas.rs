//! Several gateways of one store, and a hub that is away.

use super::*;
use crate::{
    certificates::setup::{New, before, with_command},
    harness::{
        Reloaded,
        postgres::{Database, PASSWORD, Postgres},
        within,
    },
    websub::hub::ask,
};

/// Within so many seconds what one gateway has taken is in force on the other.
const SOON: Duration = Duration::from_secs(10);

/// The gateway keeps its store in this database.
fn stores_in(site: &Site, database: &Database) {
    secret(site, "misp/secrets/database", PASSWORD);
    site.replace(
        "misp/gateway.toml",
        "url = \"sqlite:state/store.db\"",
        &format!(
            "url = \"{}\"\npassword = {{ file = \"secrets/database\" }}",
            database.url()
        ),
    );
}

/// Waits until asking over a new connection with these certificates gives a code.
#[track_caller]
fn soon(what: &str, code: &str, ask: impl Fn() -> Option<String>) {
    let mut last = None;
    let found = within(SOON, || {
        last = ask();
        (last.as_deref() == Some(code)).then_some(())
    });
    assert!(found.is_some(), "{what}: {last:?}");
}

#[test]
fn what_one_gateway_has_taken_is_in_force_on_the_other_and_ends_open_connections_there() {
    let database = Postgres::shared().database();
    let one = Registry::started("event-one", |site| stores_in(site, &database));
    let other = Registry::started("event-other", |site| stores_in(site, &database));
    one.becomes("-", "");
    other.becomes("-", "");
    let mut open = other.site.connect();
    assert_eq!(open.ask(&other.site.auth().wire().http1()).code(), "-");

    let off = json!({"partnerData": partner("DEACTIVE")});
    one.event("PARTNER_UPDATED", ago(9_000), &off);
    assert!(open.ends_within(SOON));
    soon("the other refuses", "ID-004", || {
        Some(other.site.ask(&other.site.auth()).code())
    });
    one.becomes("ID-004", "IDA-MPA-012");

    // The same event at the other, as when the hub delivers to both: it is known there already.
    other.event("PARTNER_UPDATED", ago(9_500), &off);
    other.event(
        "PARTNER_UPDATED",
        ago(5_000),
        &json!({"partnerData": partner("ACTIVE")}),
    );
    other.becomes("-", "");
    soon("the first admits", "-", || {
        Some(one.site.ask(&one.site.auth()).code())
    });
}

#[test]
fn a_certificate_that_is_replaced_at_one_gateway_is_admitted_by_the_other() {
    let database = Postgres::shared().database();
    let site = |name: &str| {
        let site = before(name, "");
        stores_in(&site, &database);
        site
    };
    let (mut one, mut other) = (site("certificates-one"), site("certificates-other"));
    secret(
        &other,
        "misp/secrets/store-key",
        &one.read("misp/secrets/store-key"),
    );
    one.start_misp();
    other.start_misp();
    let new = New::good("tls", "p256").make(&one, "new");
    New::good("signature", "rsa2048").make(&one, "new");
    let with_tls = || {
        let client = other.client_of(&new, "tls").connect(other.partner_face());
        Some(client.ok()?.ask(&other.auth().wire().http1()).code())
    };
    let signed = || {
        let ask = other.auth().signed_by(&new, "signature");
        Some(other.ask(&ask).code())
    };
    soon("the other takes messages", "-", || {
        Some(other.ask(&other.auth()).code())
    });
    for (role, admits) in [
        ("tls", &with_tls as &dyn Fn() -> Option<String>),
        ("signature", &signed),
    ] {
        let stranger = admits();
        assert_ne!(stranger.as_deref(), Some("-"), "{role}");
        let said = with_command(&one, role, &new);
        assert_eq!(said.code, 0, "{role}: {}", said.all());
        soon(role, "-", admits);
    }
    // The old ones hold beside them.
    assert_eq!(other.ask(&other.auth()).code(), "-");
}

#[test]
fn a_gateway_whose_hub_is_away_starts_and_what_was_changed_before_holds() {
    let mut all = Registry::started("event-no-hub", |site| {
        site.replace(
            "misp/gateway.toml",
            "path = \"/hub\"",
            "path = \"/hub\"\nrenew_s = 2\npending_s = 3",
        );
    });
    // The other partner, which has no API key: what it is refused for tells whether it is switched off.
    let seeder = |site: &Site| {
        let client = site.client_of(&site.party("seeder"), "tls");
        let ask = site.auth().signed_by(&site.party("seeder"), "signature");
        let mut client = client.connect(site.partner_face()).unwrap();
        client.send(&ask.wire().http1());
        // A connection of one that is switched off just then ends without an answer.
        client.answer().map(|answer| answer.code())
    };
    let before = seeder(&all.site);
    assert_ne!(before.expect("an answer"), "ID-004");
    let off = json!({"partnerData": {"partnerId": "seeder", "partnerStatus": "DEACTIVE"}});
    all.event("PARTNER_UPDATED", ago(9_000), &off);
    let mut unanswered = 0;
    until("the other partner is switched off", || {
        let code = seeder(&all.site);
        unanswered += usize::from(code.is_none());
        (code.as_deref() == Some("ID-004")).then_some(())
    });
    assert!(unanswered <= 1, "{unanswered} connections got no answer");
    // The hub has verified one of the subscriptions, and no other.
    let question = "hub.mode=subscribe&hub.topic=PARTNER_UPDATED&hub.challenge=yes";
    until("the hub's question is answered", || {
        let said = ask(all.port, "/events/PARTNER_UPDATED", question);
        (said.text() == "yes").then_some(())
    });
    let health = |all: &Registry| all.site.misp().healthz().text();
    until("health finds nothing about it", || {
        (!health(&all).contains("subscription PARTNER_UPDATED")).then_some(())
    });
    all.site.kill_misp();
    // Nobody listens there.
    let nobody = free_ports(1);
    all.site.replace(
        "misp/gateway.toml",
        &format!("\"http://127.0.0.1:{}\"", all.hub.port),
        &format!("\"http://127.0.0.1:{nobody}\""),
    );
    all.site.start_misp();
    assert_eq!(seeder(&all.site).as_deref(), Some("ID-004"));
    all.becomes("-", "");
    for said in [
        "subscription PARTNER_UPDATED: it cannot be renewed: the hub was not reached",
        "subscription POLICY_UPDATED: the hub has not verified it: the hub was not reached",
    ] {
        until(said, || health(&all).contains(said).then_some(()));
    }
    let ready = all.site.misp().readyz();
    assert_eq!(ready.status, 200, "{}", ready.text());
    // One that somebody else goes through as well is missed.
    all.site.append(
        "misp/gateway.toml",
        "[[login]]\nname = \"there\"\nupstream = \"hub\"\nclient_id = \"misp\"\nsecret = { file = \"secrets/hub\" }",
    );
    assert_eq!(all.site.misp().reload(), Reloaded::Published);
    until("it is not ready", || {
        let ready = all.site.misp().readyz();
        (ready.status == 503 && ready.text().contains("upstream hub")).then_some(())
    });
    // The files are what it goes by: a partner that its file switches off is off.
    all.site.edit("misp/partners/crvs.toml", |text| {
        format!("state = \"inactive\"\n{text}")
    });
    assert_eq!(all.site.misp().reload(), Reloaded::Published);
    all.becomes("ID-004", "IDA-MPA-012");
    assert_eq!(seeder(&all.site).as_deref(), Some("ID-004"));
}
