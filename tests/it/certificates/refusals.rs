//! Every near miss of a replacement is refused by its code, and leaves the partner's certificates as they were.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::setup::{
    New, before, challenge, current, pem, proof, proof_about, question, replacement,
};
use crate::{
    harness::{Reloaded, Site, triseal},
    jose::draft::Exchange,
};

fn running(name: &str) -> Site {
    let mut site = before(name, "");
    site.start_misp();
    site
}

#[track_caller]
fn refused(site: &Site, exchange: &Exchange, code: &str) {
    assert_eq!(
        exchange.refused(site),
        code,
        "{}",
        site.misp().logged(&exchange.answer)
    );
}

#[track_caller]
fn unchanged(site: &Site) {
    let all = current(site);
    let standings: Vec<&Value> = all.iter().map(|c| &c["standing"]).collect();
    assert_eq!(standings, ["usable"; 3], "{all:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_near_miss_of_a_certificate_is_refused_by_its_code() {
    let site = running("certificates-near");
    let good = New::good("signature", "p256");
    let seeder = site.party("seeder").join("signature.key.pem");
    let own_tls = site.party("crvs").join("tls.key.pem");
    let own = site.party("crvs").join("signature.key.pem");
    let misp = site.party("misp").join("signature.key.pem");
    let mut client = site.connect();
    for (name, new, code) in [
        ("ca", New { ca: "tls", ..good }, "CRT-003"),
        (
            "organisation",
            New {
                organisation: "Civil registry",
                ..good
            },
            "CRT-004",
        ),
        (
            "usage",
            New {
                issued_for: "encryption",
                algorithm: "rsa2048",
                ..good
            },
            "CRT-005",
        ),
        (
            "seeders",
            New {
                key: Some(&seeder),
                ..good
            },
            "CRT-009",
        ),
        (
            "misps",
            New {
                key: Some(&misp),
                ..good
            },
            "CRT-009",
        ),
        (
            "tls",
            New {
                key: Some(&own_tls),
                ..good
            },
            "CRT-009",
        ),
        (
            "same",
            New {
                key: Some(&own),
                ..good
            },
            "CRT-009",
        ),
    ] {
        let dir = new.make(&site, name);
        refused(
            &site,
            &challenge(&site, &mut client, "signature", &dir),
            code,
        );
    }
    // The certificate that is bound already.
    let crvs = site.party("crvs");
    refused(
        &site,
        &challenge(&site, &mut client, "signature", &crvs),
        "CRT-009",
    );
    // P-384 signs no messages; for TLS it would do.
    let dir = New::good("signature", "p384").make(&site, "p384");
    refused(
        &site,
        &challenge(&site, &mut client, "signature", &dir),
        "CRT-006",
    );
    let dir = good.make(&site, "good");
    let asks = |ask: &Value| question(&site, "challenge", ask).send(&mut site.connect());
    let whole = json!({"role": "signature", "certificate": pem(&dir, "signature")});
    for (name, value, code) in [
        ("algorithm", json!("RS256"), "CRT-006"),
        ("algorithm", json!("none"), "CRT-001"),
        ("role", json!("sign"), "CRT-001"),
        ("role", Value::Null, "CRT-001"),
        ("more", json!("x"), "CRT-001"),
        (
            "certificate",
            json!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "CRT-002",
        ),
        ("certificate", json!(""), "CRT-002"),
        (
            "certificate",
            json!(pem(&dir, "signature").repeat(4)),
            "CRT-002",
        ),
    ] {
        let mut ask = whole.clone();
        ask[name] = value;
        refused(&site, &asks(&ask), code);
    }
    // A partner of IDA needs an RSA key: MOSIP's format has no other.
    let curve = New::good("encryption", "p256").make(&site, "curve");
    refused(
        &site,
        &challenge(&site, &mut client, "encryption", &curve),
        "CRT-006",
    );
    let dir = New::good("encryption", "rsa2048").make(&site, "rsa");
    let mut ask = json!({"role": "encryption", "certificate": pem(&dir, "encryption")});
    ask["algorithm"] = json!("ES256");
    refused(&site, &asks(&ask), "CRT-001");
    unchanged(&site);
}

#[test]
fn a_revoked_certificate_is_not_taken() {
    let site = running("certificates-revoked");
    let dir = New::good("signature", "p256").make(&site, "new");
    let (pki, file) = (site.path("pki"), dir.join("signature.pem"));
    let done = triseal([
        "pki",
        "crl",
        "--dir",
        &pki.display().to_string(),
        "--ca",
        "partner",
        "--revoke",
        &file.display().to_string(),
        "--replace",
    ]);
    assert_eq!(done.code, 0, "{}", done.all());
    assert_eq!(site.misp().reload(), Reloaded::Published);
    refused(
        &site,
        &challenge(&site, &mut site.connect(), "signature", &dir),
        "CRT-008",
    );
    unchanged(&site);
}

#[test]
fn a_proof_by_another_key_is_refused_and_uses_the_challenge_up() {
    let site = running("certificates-proof");
    let dir = New::good("signature", "p256").make(&site, "new");
    let other = New::good("signature", "p256").make(&site, "other");
    let mut client = site.connect();
    let mut send = |question_: &Value| question(&site, "replacement", question_).send(&mut client);
    let ask = || challenge(&site, &mut site.connect(), "signature", &dir).json(&site);
    let asked = ask();
    // Another key about the certificate.
    let wrong = proof_about(&asked, "signature", &other, &dir);
    refused(
        &site,
        &send(&replacement(&asked, "signature", &dir, &wrong)),
        "CRT-016",
    );
    // With the right one it would have been taken, but a challenge is good for one answer.
    let right = proof(&asked, "signature", &dir);
    refused(
        &site,
        &send(&replacement(&asked, "signature", &dir, &right)),
        "CRT-014",
    );
    // The key's proof about another certificate.
    let asked = ask();
    let wrong = proof_about(&asked, "signature", &dir, &other);
    refused(
        &site,
        &send(&replacement(&asked, "signature", &dir, &wrong)),
        "CRT-016",
    );
    // A proof for another challenge.
    let (asked, before) = (ask(), ask());
    let wrong = proof(&before, "signature", &dir);
    refused(
        &site,
        &send(&replacement(&asked, "signature", &dir, &wrong)),
        "CRT-016",
    );
    // Another role.
    let mut elsewhere = ask();
    let asked = elsewhere.clone();
    elsewhere["audience"] = json!("another");
    let wrong = proof(&elsewhere, "signature", &dir);
    refused(
        &site,
        &send(&replacement(&asked, "signature", &dir, &wrong)),
        "CRT-016",
    );
    for text in ["", "a.b.c", "x"] {
        let asked = ask();
        refused(
            &site,
            &send(&replacement(&asked, "signature", &dir, text)),
            "CRT-015",
        );
    }
    let mut ahead = replacement(&ask(), "signature", &dir, "x");
    ahead["validFrom"] = json!("2999-01-01T00:00:00Z");
    refused(&site, &send(&ahead), "CRT-017");
    ahead["validFrom"] = json!("2020-01-01T00:00:00Z");
    refused(&site, &send(&ahead), "CRT-017");
    ahead["validFrom"] = json!("tomorrow");
    refused(&site, &send(&ahead), "CRT-001");
    unchanged(&site);
}

#[test]
fn what_was_sealed_to_the_new_key_must_come_back() {
    let site = running("certificates-sealed");
    let dir = New::good("encryption", "rsa2048").make(&site, "new");
    let asked = challenge(&site, &mut site.connect(), "encryption", &dir).json(&site);
    assert_eq!(
        asked.get("nonce"),
        None,
        "it is nowhere but in what is sealed"
    );
    let guess = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let send = |proof: &str| {
        let ask = replacement(&asked, "encryption", &dir, proof);
        question(&site, "replacement", &ask).send(&mut site.connect())
    };
    refused(&site, &send(guess), "CRT-016");
    refused(&site, &send(&proof(&asked, "encryption", &dir)), "CRT-014");
    unchanged(&site);
}

#[test]
fn a_challenge_is_good_for_what_it_was_made_for_alone() {
    let site = running("certificates-foreign");
    let dir = New::good("signature", "p256").make(&site, "new");
    let other = New::good("signature", "p256").make(&site, "other");
    let ask = || challenge(&site, &mut site.connect(), "signature", &dir).json(&site);
    let asked = ask();
    let right = proof(&asked, "signature", &dir);
    let whole = replacement(&asked, "signature", &dir, &right);
    // Of another certificate.
    let swapped = replacement(&asked, "signature", &other, &right);
    let exchange = question(&site, "replacement", &swapped).send(&mut site.connect());
    refused(&site, &exchange, "CRT-012");
    // Of another partner: connected and signed as that one, whose answer is sealed to it.
    let seeder = site.party("seeder");
    let mut theirs = site
        .client_of(&seeder, "tls")
        .connect(site.partner_face())
        .unwrap();
    let exchange = question(&site, "replacement", &whole)
        .signed_by(&seeder, "signature")
        .send(&mut theirs);
    assert_eq!(exchange.answer.code(), "CRT-012");
    // Not ours.
    let mut forged = whole.clone();
    let text = asked["challenge"].as_str().unwrap();
    let (said, signature) = text.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    forged["challenge"] = json!(format!("{said}.{first}{}", &signature[1..]));
    let exchange = question(&site, "replacement", &forged).send(&mut site.connect());
    refused(&site, &exchange, "CRT-012");
    // The partner's own signature certificate does not make challenges.
    forged["challenge"] = json!("a.b.c");
    let exchange = question(&site, "replacement", &forged).send(&mut site.connect());
    refused(&site, &exchange, "CRT-012");
    unchanged(&site);
}

#[test]
fn one_of_the_current_keys_alone_replaces_nothing() {
    let site = running("certificates-alone");
    let dir = New::good("signature", "p256").make(&site, "new");
    let ask = json!({"role": "signature", "certificate": pem(&dir, "signature")});
    let send = |request: crate::jose::draft::Request| request.send(&mut site.connect());
    let asks = || question(&site, "challenge", &ask);
    // The connection of one partner, the signature of another; of the TLS key; of the new key; none.
    refused(
        &site,
        &send(asks().signed_by(&site.party("seeder"), "signature")),
        "SIG-005",
    );
    let of_tls = super::setup::signed_by(asks(), &dir, triseal::config::Algorithm::ES256);
    refused(&site, &send(of_tls), "SIG-004");
    let mut none = asks();
    none.signature = Some(String::new());
    refused(&site, &send(none), "SIG-001");
    // The signature of the partner on another partner's connection.
    let seeder = site.party("seeder");
    let mut theirs = site
        .client_of(&seeder, "tls")
        .connect(site.partner_face())
        .unwrap();
    assert_eq!(asks().send(&mut theirs).answer.code(), "SIG-005");
    unchanged(&site);
}

#[test]
fn an_old_challenge_is_refused() {
    let mut site = before("certificates-stale", "");
    site.limits("freshness_back_ms = 4000");
    site.start_misp();
    let dir = New::good("signature", "p256").make(&site, "new");
    // The first seconds after a start are closed to what may have been seen before.
    thread::sleep(Duration::from_secs(1));
    let asked = challenge(&site, &mut site.connect(), "signature", &dir).json(&site);
    let right = proof(&asked, "signature", &dir);
    thread::sleep(Duration::from_millis(4500));
    let ask = replacement(&asked, "signature", &dir, &right);
    let exchange = question(&site, "replacement", &ask).send(&mut site.connect());
    refused(&site, &exchange, "CRT-013");
    unchanged(&site);
}

#[test]
fn a_route_that_anybody_could_use_is_a_mistake() {
    let site = before(
        "certificates-check",
        "live_max = 1\noverlap_days = 0\nahead_days = 400",
    );
    let config = site.path("misp/gateway.toml").display().to_string();
    let check = || triseal(["check", "--config", &config]);
    let said = check();
    assert!(said.code != 0, "{}", said.all());
    for what in ["live_max", "overlap_days", "ahead_days"] {
        assert!(
            said.all().contains(&format!("certificates.{what}")),
            "{}",
            said.all()
        );
    }
    site.replace(
        "misp/gateway.toml",
        "live_max = 1\noverlap_days = 0\nahead_days = 400",
        "live_max = 2",
    );
    assert_eq!(check().code, 0, "{}", check().all());
    site.replace(
        "misp/gateway.toml",
        "handler = \"certificates\"\nfrom = { face = \"partner\", envelope = \"jose\" }",
        "handler = \"certificates\"\nfrom = { face = \"partner\", envelope = \"insecure_plain\" }",
    );
    let said = check();
    assert!(
        said.code != 0 && said.all().contains("in messages that they sign"),
        "{}",
        said.all()
    );
}
