//! What was trusted a moment ago and is no longer: revocation, deactivation, lists that grow old, and certificates that
//! overlap.

use std::{fs, time::Duration};

use triseal::{
    clock::Clock,
    pki::{self, AuthorityName, Revoked, Serial},
};

use crate::harness::{Reloaded, Site, TlsClient, der, h2, triseal, until};

/// Open connections end within about three seconds; a busy machine gets some more.
const SOON: Duration = Duration::from_secs(8);

/// Revokes the certificate of a file, as an operator does.
#[track_caller]
fn revoke(site: &Site, ca: &str, file: &str) {
    let (dir, file) = (site.path("pki"), site.path(file));
    let done = triseal([
        "pki",
        "crl",
        "--dir",
        &dir.display().to_string(),
        "--ca",
        ca,
        "--revoke",
        &file.display().to_string(),
        "--replace",
    ]);
    assert_eq!(done.code, 0, "{}", done.all());
}

/// An open connection over which a request was answered.
#[track_caller]
fn open(site: &Site) -> TlsClient {
    let mut client = site.connect();
    assert!(client.ask(&site.auth().wire().http1()).says_yes());
    client
}

#[test]
fn a_revoked_partners_open_connections_end_and_no_new_one_begins() {
    let site = Site::misp_running("revoke-open");
    let mut client = open(&site);
    let mut second = site.client().http2().connect(site.partner_face()).unwrap();
    second.send(&h2::preface());
    // The other partner stays.
    let mut other = site
        .client_of(&site.party("seeder"), "tls")
        .connect(site.partner_face())
        .unwrap();
    assert_eq!(
        other
            .ask(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .code(),
        "RT-001"
    );
    // Nobody reloads: the list's file is watched.
    revoke(&site, "tls", "pki/parties/crvs/tls.pem");
    assert!(client.ends_within(SOON), "HTTP/1.1 stays open");
    assert!(h2::ends_within(&mut second, SOON), "HTTP/2 stays open");
    let refusal = site.client().refusal(site.partner_face());
    assert!(
        refusal.is_some_and(|r| r.contains("fatal alert")),
        "a new one begins"
    );
    assert_eq!(
        other
            .ask(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .code(),
        "RT-001"
    );
}

#[test]
fn a_deactivated_partners_open_connections_end() {
    let site = Site::misp_running("deactivate-open");
    let mut client = open(&site);
    site.edit("misp/partners/crvs.toml", |text| {
        format!("state = \"inactive\"\n{text}")
    });
    assert!(client.ends_within(SOON));
    // It can still connect, to be told why.
    assert_eq!(site.ask(&site.auth()).code(), "ID-004");
}

#[test]
fn a_partner_whose_file_is_gone_loses_its_open_connections() {
    let site = Site::misp_running("remove-open");
    let mut client = open(&site);
    fs::remove_file(site.path("misp/partners/crvs.toml")).unwrap();
    assert!(client.ends_within(SOON));
    assert_eq!(site.ask(&site.auth()).code(), "ID-001");
}

#[test]
fn an_exchange_under_way_is_finished_when_its_partner_is_deactivated() {
    let site = Site::misp_running("deactivate-busy");
    let mut client = site.connect();
    let bytes = site.auth().wire().http1();
    let (one, two) = bytes.split_at(bytes.len() - 10);
    client.send(one);
    // The head has arrived before the change.
    until("the exchange is under way", || {
        (site.misp().metric("triseal_exchanges_in_flight", &[]) > 0.0).then_some(())
    });
    site.edit("misp/partners/crvs.toml", |text| {
        format!("state = \"inactive\"\n{text}")
    });
    assert_eq!(site.misp().reload(), Reloaded::Published);
    client.send(two);
    assert!(client.answer().expect("an answer").says_yes());
    assert!(client.ends_within(SOON));
}

#[test]
fn a_revoked_signature_certificate_signs_no_more() {
    let site = Site::misp_running("revoke-signer");
    revoke(&site, "partner", "pki/parties/crvs/signature.pem");
    assert_eq!(site.misp().reload(), Reloaded::Published);
    let answer = site.ask(&site.auth());
    assert_eq!(answer.code(), "SIG-007");
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007", "IDA-MPA-001"]);
    site.assert_signed(&answer);
    let line = site.misp().line(answer.correlation_id());
    assert!(
        line["cause"].as_str().unwrap().contains("revoked"),
        "{line}"
    );
}

/// A site whose partners stand under an anchor `clients` of their own, with a list that is due in `due_s` seconds (before
/// now when negative). Our own certificates stay under the ordinary lists.
fn with_list(name: &str, due_s: i64, grace_s: u64, more: &str) -> Site {
    let site = Site::new(name);
    put_list(&site, due_s);
    site.append(
        "misp/gateway.toml",
        &format!(
            "[[anchor]]\nname = \"clients\"\ncertificates = [\"../pki/anchors/tls.pem\"]\ncrls = [\"../pki/crl/root.crl.pem\", \"../pki/crl/clients.crl.pem\"]\ngrace_s = {grace_s}\n{more}"
        ),
    );
    site.edit("misp/gateway.toml", |text| {
        text.replace(
            "hosts = [\"localhost\"]\nanchors = [\"tls\"]",
            "hosts = [\"localhost\"]\nanchors = [\"clients\"]",
        )
    });
    for partner in ["crvs", "seeder"] {
        site.replace(
            &format!("misp/partners/{partner}.toml"),
            "tls = [\"tls\"]",
            "tls = [\"clients\"]",
        );
    }
    site
}

/// A list of the TLS CA that is due in so many seconds.
fn put_list(site: &Site, due_s: i64) {
    let ca = pki::load_authority(&site.path("pki"), AuthorityName::Tls).unwrap();
    let now = Clock::system().now();
    // A list names somebody, so that it is not refused for being empty.
    let twin = der(&site.twin("revoked").join("tls.pem"));
    let line = Revoked {
        serial: Serial::of(&twin).unwrap(),
        since: now.plus_ms(-3_600_000),
        reason: pki::Reason::KeyCompromise,
    };
    let pem = ca
        .crl_pem(
            &[line],
            7,
            now.plus_ms(-3_600_000),
            now.plus_ms(due_s * 1000),
        )
        .unwrap();
    site.write("pki/crl/clients.crl.pem", &pem);
}

#[test]
fn a_list_that_is_overdue_is_used_within_its_grace_and_not_beyond() {
    let mut site = with_list("list-grace", -5, 3_600, "");
    site.start_misp();
    assert!(site.ask(&site.auth()).says_yes());
    let health = site.misp().healthz().text();
    assert!(health.contains("out of date"), "{health}");
    let left = site
        .misp()
        .metric("triseal_revocation_list_seconds_left", &["clients"]);
    assert!((3_000.0..3_600.0).contains(&left), "{left}");
    // Beyond the grace: the same list.
    site.replace("misp/gateway.toml", "grace_s = 3600", "grace_s = 1");
    site.kill_misp();
    site.start_misp();
    let refusal = site.client().refusal(site.partner_face());
    assert!(
        refusal.is_some_and(|r| r.contains("fatal alert")),
        "taken beyond the grace"
    );
    // A new list opens the door again, without a restart.
    put_list(&site, 3_600);
    until("the new list is used", || {
        site.client()
            .refusal(site.partner_face())
            .is_none()
            .then_some(())
    });
}

#[test]
fn an_open_connection_ends_when_the_list_passes_its_grace() {
    let mut site = with_list("list-open", 4, 1, "[limits]\nrecheck_ms = 200");
    site.start_misp();
    let mut client = open(&site);
    assert!(client.ends_within(Duration::from_secs(15)));
    assert!(site.client().refusal(site.partner_face()).is_some());
}

#[test]
fn a_list_of_another_ca_does_not_count() {
    let mut site = with_list("list-other", 3_600, 3_600, "");
    fs::copy(
        site.path("pki/twins/other-root/crl/tls.crl.pem"),
        site.path("pki/crl/clients.crl.pem"),
    )
    .unwrap();
    let file = site.path("misp/gateway.toml").display().to_string();
    let checked = triseal(["check", "--config", &file]);
    if checked.code == 0 {
        site.start_misp();
        assert!(
            site.client().refusal(site.partner_face()).is_some(),
            "a list of another CA counts"
        );
    } else {
        assert!(
            checked.all().contains("clients.crl.pem"),
            "{}",
            checked.all()
        );
    }
}

#[test]
fn two_signature_certificates_are_both_accepted_while_they_overlap() {
    let site = Site::misp_running("overlap");
    let added = triseal([
        "pki",
        "add",
        "--dir",
        &site.path("pki").display().to_string(),
        "--party",
        "crvs-new:Civil Registry",
    ]);
    assert_eq!(added.code, 0, "{}", added.all());
    let new = site.party("crvs-new");
    assert_eq!(
        site.ask(&site.auth().signed_by(&new, "signature")).code(),
        "SIG-004"
    );
    site.replace(
        "misp/partners/crvs.toml",
        "certificate = [",
        "certificate = [\n    { role = \"signature\", file = \"../../pki/parties/crvs-new/signature.pem\" },\n    { role = \"tls\", file = \"../../pki/parties/crvs-new/tls.pem\" },",
    );
    assert_eq!(site.misp().reload(), Reloaded::Published);
    for connection in ["crvs", "crvs-new"] {
        for signer in ["crvs", "crvs-new"] {
            let answer = site
                .client_of(&site.party(connection), "tls")
                .connect(site.partner_face())
                .unwrap()
                .ask(
                    &site
                        .auth()
                        .signed_by(&site.party(signer), "signature")
                        .wire()
                        .http1(),
                );
            assert!(
                answer.says_yes(),
                "{connection} {signer}: {}",
                answer.text()
            );
        }
    }
    // The old one goes.
    site.replace(
        "misp/partners/crvs.toml",
        "    { role = \"signature\", file = \"../../pki/parties/crvs/signature.pem\" },\n",
        "",
    );
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert_eq!(site.ask(&site.auth()).code(), "SIG-004");
    assert!(
        site.ask(&site.auth().signed_by(&new, "signature"))
            .says_yes()
    );
}
