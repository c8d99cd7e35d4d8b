//! What was replaced is in force at once, beside the old one, and after a restart.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use triseal::config::Algorithm;

use super::setup::{
    New, PATH, before, challenge, current, proof, question, replacement, signed_by, with_command,
};
use crate::{
    harness::{Output, Site, free_ports, run, triseal, until},
    jose::draft::{Exchange, Request, base64url, certificate, decoded},
    python,
};

/// The example of docs/partner-guide.md: no code of ours.
fn with_python(site: &Site, role: &str, new: &Path) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("docs/examples/python/replace_certificate.py");
    let args = [
        script.display().to_string(),
        role.to_owned(),
        format!("https://localhost:{}{PATH}", site.partner_face()),
        site.party("crvs").display().to_string(),
        new.display().to_string(),
        site.party("misp").display().to_string(),
        site.ca().display().to_string(),
    ];
    run(&python::interpreter().display().to_string(), args, &[], b"")
}

/// The name of a certificate in messages.
fn name(dir: &Path, role: &str) -> String {
    let file = certificate(&dir.join(format!("{role}.pem")));
    base64url(file.fingerprint().as_bytes())
}

#[track_caller]
fn works(site: &Site, request: &Request, dir: &Path) {
    let mut client = site
        .client_of(dir, "tls")
        .connect(site.partner_face())
        .unwrap();
    let exchange = request.send(&mut client);
    assert_eq!(exchange.answer.status, 200, "{}", exchange.answer.code());
}

/// Old and new side by side, in all three roles.
#[track_caller]
fn all_hold(site: &Site, new: &Path, algorithm: Algorithm) {
    let old = site.party("crvs");
    let asks = || Request::get(site, &format!("{PATH}/current"));
    for tls in [&old, &new.to_owned()] {
        works(site, &asks(), tls);
        works(site, &signed_by(asks(), new, algorithm), tls);
    }
    // What is sealed to the partner goes to the new key.
    let exchange = asks().send(&mut site.connect());
    let text = String::from_utf8(exchange.answer.body).unwrap();
    let header: Value = serde_json::from_slice(&decoded(text.split('.').next().unwrap())).unwrap();
    assert_eq!(header["kid"], name(new, "encryption"));
}

#[test]
fn the_example_replaces_all_three_and_they_outlive_a_restart() {
    let mut site = before("certificates-python", "");
    site.start_misp();
    let new = New::good("signature", "p256").make(&site, "new");
    New::good("encryption", "rsa2048").make(&site, "new");
    New::good("tls", "p384").make(&site, "new");
    // The encryption key last: the example opens answers with the old one.
    for role in ["tls", "signature", "encryption"] {
        let output = with_python(&site, role, &new);
        assert_eq!(output.code, 0, "{role}: {}", output.all());
        let said: Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!(said["certificate"], name(&new, role));
        let old = said["replaces"].as_array().unwrap();
        assert_eq!(old.len(), 1);
        assert_eq!(old[0]["certificate"], name(&site.party("crvs"), role));
        assert!(site.misp().says("a partner replaced its certificate"));
        let metric = "triseal_certificate_replacements_total";
        let counted = site.misp().metric(metric, &[&format!("role=\"{role}\"")]);
        assert!((counted - 1.0).abs() < 0.1, "{counted}");
    }
    all_hold(&site, &new, Algorithm::ES256);
    site.kill_misp();
    site.start_misp();
    // For a moment after a kill nobody knows what was seen before.
    until("signed requests are taken again", || {
        let asks = Request::get(&site, &format!("{PATH}/current"));
        let status = asks.send(&mut site.connect()).answer.status;
        (status == 200).then_some(())
    });
    all_hold(&site, &new, Algorithm::ES256);
    let checked = triseal([
        "check",
        "--config",
        &site.path("misp/gateway.toml").display().to_string(),
    ]);
    assert_eq!(checked.code, 0, "{}", checked.all());
}

/// Puts a certificate into the `[party]` of the partner's own gateway.
fn own(site: &Site, role: &str, new: &Path) {
    let dir = new.display();
    let more = format!(
        "\n[[party.certificate]]\nrole = \"{role}\"\ncertificate = \"{dir}/{role}.pem\"\nkey = \"{dir}/{role}.key.pem\"\n"
    );
    let anchor = "\n[[anchor]]\nname = \"tls\"";
    site.replace("crvs/gateway.toml", anchor, &format!("{more}{anchor}"));
}

#[test]
fn the_command_replaces_all_three_in_the_order_that_cuts_nobody_off() {
    let mut site = before("certificates-command", "");
    site.start_misp();
    let new = New::good("signature", "ed25519").make(&site, "new");
    New::good("encryption", "rsa2048").make(&site, "new");
    New::good("tls", "p256").make(&site, "new");
    let said = with_command(&site, "encryption", &new);
    assert!(
        said.code != 0 && said.all().contains("not in [party] yet"),
        "{}",
        said.all()
    );
    own(&site, "encryption", &new);
    for role in ["encryption", "tls", "signature"] {
        let said = with_command(&site, role, &new);
        assert_eq!(said.code, 0, "{role}: {}", said.all());
        assert!(
            said.out.contains(&name(&new, role)) && said.out.contains("Next: "),
            "{}",
            said.out
        );
        if role != "encryption" {
            own(&site, role, &new);
            let again = with_command(&site, role, &new);
            assert!(
                again.code != 0 && again.all().contains("already"),
                "{}",
                again.all()
            );
        }
    }
    all_hold(&site, &new, Algorithm::EdDSA);
    // The partner's gateway with its new keys goes on as if nothing had been.
    site.start_crvs();
    let said = with_command(&site, "encryption", &new);
    assert!(said.all().contains("CRT-009"), "{}", said.all());
}

#[test]
fn at_most_so_many_hold_at_once_and_a_challenge_is_used_once() {
    let mut site = before("certificates-many", "live_max = 2");
    site.start_misp();
    let mut client = site.connect();
    let replace = |client: &mut crate::harness::TlsClient, dir: &PathBuf| {
        let asked = challenge(&site, client, "signature", dir);
        if asked.answer.status != 200 {
            return asked.refused(&site);
        }
        let asked = asked.json(&site);
        let right = replacement(&asked, "signature", dir, &proof(&asked, "signature", dir));
        let exchange = question(&site, "replacement", &right).send(client);
        assert_eq!(exchange.answer.status, 200, "{}", exchange.answer.code());
        let again = question(&site, "replacement", &right).send(client);
        assert_eq!(again.refused(&site), "CRT-014");
        String::new()
    };
    let first = New::good("signature", "p256").make(&site, "first");
    assert_eq!(replace(&mut client, &first), "");
    let second = New::good("signature", "p256").make(&site, "second");
    assert_eq!(replace(&mut client, &second), "CRT-010");
    let all = current(&site);
    let newest: Vec<&Value> = all.iter().filter(|c| c["newest"] == json!(true)).collect();
    assert!(
        newest
            .iter()
            .any(|c| c["certificate"] == name(&first, "signature")),
        "{all:?}"
    );
    assert_eq!(all.len(), 4);
}

/// Replaces the signature certificate, which is taken.
#[track_caller]
fn replace_signature(site: &Site, new: &Path) -> Exchange {
    let mut client = site.connect();
    let asked = challenge(site, &mut client, "signature", new).json(site);
    let right = replacement(&asked, "signature", new, &proof(&asked, "signature", new));
    let exchange = question(site, "replacement", &right).send(&mut client);
    assert_eq!(exchange.answer.status, 200, "{}", exchange.answer.code());
    exchange
}

#[test]
fn a_gateway_that_cannot_read_what_was_replaced_does_not_start() {
    let site = before("certificates-no-store", "");
    let port = free_ports(1);
    let nobody = format!("url = \"postgres://triseal@127.0.0.1:{port}/t?sslmode=disable\"");
    site.replace(
        "misp/gateway.toml",
        "url = \"sqlite:state/store.db\"",
        &nobody,
    );
    let process = site.launch_misp("misp");
    until("it gives up", || (!process.runs()).then_some(()));
    assert!(process.err().contains("not started"), "{}", process.err());
}

#[test]
fn a_replacement_is_recorded_like_any_exchange() {
    let mut site = before("certificates-evidence", "");
    site.start_misp();
    let new = New::good("signature", "p256").make(&site, "new");
    let id = replace_signature(&site, &new)
        .answer
        .correlation_id()
        .to_owned();
    let config = site.path("misp/gateway.toml").display().to_string();
    let shown = until("the record is there", || {
        let said = triseal(["evidence", "show", "--config", &config, &id]);
        (said.code == 0).then_some(said.out)
    });
    assert!(
        shown.contains("certificates") && shown.contains("answered"),
        "{shown}"
    );
}

#[test]
fn what_the_operator_withdraws_is_bound_no_longer() {
    let mut site = before("certificates-withdrawn", "");
    site.start_misp();
    let new = New::good("signature", "p256").make(&site, "new");
    replace_signature(&site, &new);
    let config = site.path("misp/gateway.toml").display().to_string();
    let partners = |more: &[&str]| {
        let args = ["partners", "replacements", "--config", &config];
        triseal(args.iter().chain(more))
    };
    let listed = partners(&[]);
    assert!(
        listed.out.contains("bound") && listed.out.contains("crvs signature"),
        "{}",
        listed.all()
    );
    let number = listed.out.split_whitespace().next().unwrap().to_owned();
    let done = partners(&["--withdraw", &number]);
    assert_eq!(done.code, 0, "{}", done.all());
    until("the running gateway follows", || {
        (current(&site).len() == 3).then_some(())
    });
    let asks = Request::get(&site, &format!("{PATH}/current"));
    let exchange = signed_by(asks, &new, Algorithm::ES256).send(&mut site.connect());
    assert_eq!(exchange.refused(&site), "SIG-004");
    assert!(partners(&["--withdraw", &number]).code != 0);
}
