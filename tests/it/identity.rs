//! Who is calling: each way of being the wrong one is a refusal of its own. A stranger is told nothing but ID-001; the
//! access log has the exact code.

use std::sync::OnceLock;

use crate::harness::{Reloaded, Site, curl, triseal};

/// A gateway that no test here changes.
fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| Site::misp_running("identity"))
}

/// Asks with a certificate of `DIR/ROLE.pem`, and gives what a stranger is told and what is logged.
#[track_caller]
fn told_and_logged(site: &Site, dir: &std::path::Path, role: &str) -> (String, String) {
    let mut client = site
        .client_of(dir, role)
        .connect(site.partner_face())
        .unwrap();
    let answer = client.ask(&site.auth().wire().http1());
    assert_eq!(answer.status, 403);
    let body = answer.json();
    // The body says the same as the header, and no signature was spent on a stranger.
    assert_eq!(body["code"], answer.code().as_str());
    assert!(answer.header("response-signature").is_none());
    (answer.code(), site.misp().logged(&answer))
}

/// The handshake with this certificate is refused, over TLS 1.3 and 1.2.
#[track_caller]
fn assert_no_handshake(site: &Site, dir: &std::path::Path, role: &str) {
    for tls12 in [false, true] {
        let client = site.client_of(dir, role);
        let client = if tls12 { client.tls12() } else { client };
        let refusal = client.refusal(site.partner_face());
        assert!(
            refusal.as_ref().is_some_and(|r| r.contains("fatal alert")),
            "TLS 1.2: {tls12}, {refusal:?}"
        );
    }
}

// The connection.

#[test]
fn another_valid_certificate_of_the_same_ca_is_nobodys() {
    let site = site();
    let pki = site.path("pki").display().to_string();
    let made = triseal([
        "pki",
        "add",
        "--dir",
        &pki,
        "--party",
        "stranger:Civil Registry",
    ]);
    assert_eq!(made.code, 0, "{}", made.all());
    let (told, logged) = told_and_logged(site, &site.party("stranger"), "tls");
    assert_eq!((told.as_str(), logged.as_str()), ("ID-001", "ID-001"));
}

#[test]
fn a_certificate_of_the_right_name_that_is_not_bound_is_nobodys() {
    // Same issuer, same common name; only the organisation differs.
    let (told, logged) = told_and_logged(site(), &site().twin("other-organisation"), "tls");
    assert_eq!((told.as_str(), logged.as_str()), ("ID-001", "ID-001"));
}

#[test]
fn a_certificate_that_is_bound_in_another_role_does_not_identify() {
    let mut site = Site::new("identity-role");
    // The TLS certificate of `sdk` is registered for signatures.
    site.write(
        "misp/partners/odd.toml",
        "id = \"odd\"\norganisation = \"Civil Registry\"\nroutes = [\"ida-auth\"]\nanchors = { tls = [\"tls\"], signature = [\"tls\"] }\ncertificate = [{ role = \"signature\", file = \"../../pki/parties/sdk/tls.pem\" }]\n",
    );
    site.start_misp();
    let (told, logged) = told_and_logged(&site, &site.party("sdk"), "tls");
    assert_eq!((told.as_str(), logged.as_str()), ("ID-001", "ID-002"));
}

#[test]
fn a_bound_certificate_that_is_not_usable_does_not_identify() {
    let mut site = Site::new("identity-unusable");
    // The chain is good for the face, but not for this partner: its anchor is another.
    site.replace(
        "misp/partners/crvs.toml",
        "tls = [\"tls\"]",
        "tls = [\"mosip\"]",
    );
    site.start_misp();
    let (told, logged) = told_and_logged(&site, &site.party("crvs"), "tls");
    assert_eq!((told.as_str(), logged.as_str()), ("ID-001", "ID-003"));
}

#[test]
fn strangers_are_told_the_same_over_http2() {
    let got = curl(site(), "2", "/nowhere")
        .certificate(&site().party("sdk"), "tls")
        .go();
    assert_eq!(
        (got.version.as_str(), got.answer.code().as_str()),
        ("2", "ID-001")
    );
}

#[test]
fn a_signature_or_encryption_certificate_does_not_connect() {
    for role in ["signature", "encryption"] {
        assert_no_handshake(site(), &site().party("crvs"), role);
    }
}

#[test]
fn the_right_name_under_another_root_does_not_connect() {
    assert_no_handshake(site(), &site().twin("other-root"), "tls");
}

#[test]
fn a_certificate_signed_by_a_partners_own_certificate_does_not_connect() {
    assert_no_handshake(site(), &site().twin("below-partner"), "tls");
}

#[test]
fn an_expired_certificate_does_not_connect() {
    assert_no_handshake(site(), &site().twin("expired"), "tls");
}

#[test]
fn a_certificate_before_its_time_does_not_connect() {
    assert_no_handshake(site(), &site().twin("not-yet-valid"), "tls");
}

#[test]
fn a_revoked_certificate_does_not_connect() {
    assert_no_handshake(site(), &site().twin("revoked"), "tls");
}

#[test]
fn a_certificate_with_the_usage_of_another_role_is_not_used() {
    let mut site = Site::new("identity-usage");
    site.replace(
        "misp/partners/crvs.toml",
        "../../pki/parties/crvs/tls.pem",
        "../../pki/twins/role-swapped/tls.pem",
    );
    let file = site.path("misp/gateway.toml").display().to_string();
    let checked = triseal(["check", "--config", &file]);
    assert!(checked.all().contains("usage"), "{}", checked.all());
    if checked.code == 0 {
        site.start_misp();
        let (told, logged) = told_and_logged(&site, &site.twin("role-swapped"), "tls");
        assert_eq!((told.as_str(), logged.as_str()), ("ID-001", "ID-003"));
    }
}

// The path.

#[test]
fn another_partners_id_in_the_path_is_refused() {
    let mut ask = site().auth();
    "seeder".clone_into(&mut ask.partner);
    let answer = site().ask(&ask);
    assert_eq!(answer.code(), "ID-007");
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007", "IDA-MPA-021"]);
    site().assert_signed(&answer);
}

#[test]
fn an_unknown_partner_id_in_the_path_is_refused() {
    for id in ["nobody", "CRVS", "crvs2"] {
        let mut ask = site().auth();
        id.clone_into(&mut ask.partner);
        let answer = site().ask(&ask);
        assert_eq!(answer.code(), "ID-008", "{id}");
        assert_eq!(answer.mosip_codes(), ["IDA-MLC-007", "IDA-MPA-009"]);
    }
}

#[test]
fn another_partner_cannot_use_an_api_key_that_is_not_its_own() {
    let answer = site()
        .client_of(&site().party("seeder"), "tls")
        .connect(site().partner_face())
        .unwrap()
        .ask(&{
            let mut ask = site()
                .auth()
                .signed_by(&site().party("seeder"), "signature");
            "seeder".clone_into(&mut ask.partner);
            ask.wire().http1()
        });
    assert_eq!(answer.code(), "API-001");
}

// The signer.

#[test]
fn a_signer_that_nobody_registered_is_refused() {
    let answer = site().ask(&site().auth().signed_by(&site().party("sdk"), "signature"));
    assert_eq!(answer.code(), "SIG-004");
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007", "IDA-MPA-021"]);
}

#[test]
fn a_signer_with_the_right_name_under_another_root_is_refused() {
    let answer = site().ask(
        &site()
            .auth()
            .signed_by(&site().twin("other-root"), "signature"),
    );
    assert_eq!(answer.code(), "SIG-004");
}

#[test]
fn another_partners_signature_is_refused() {
    let answer = site().ask(
        &site()
            .auth()
            .signed_by(&site().party("seeder"), "signature"),
    );
    assert_eq!(answer.code(), "SIG-005");
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007", "IDA-MPA-021"]);
}

#[test]
fn a_signature_with_the_encryption_key_is_refused() {
    let answer = site().ask(&site().auth().signed_by(&site().party("crvs"), "encryption"));
    assert_eq!(answer.code(), "SIG-006");
}

#[test]
fn a_signature_over_other_bytes_is_refused() {
    let mut wire = site().auth().wire();
    let at = wire.body.len() - 2;
    wire.body.insert(at, b' ');
    let answer = site().connect().ask(&wire.http1());
    assert_eq!(answer.code(), "SIG-008");
    assert_eq!(answer.mosip_codes(), ["IDA-MLC-007", "IDA-MPA-001"]);
}

#[test]
fn a_message_without_signature_is_refused() {
    let mut wire = site().auth().wire();
    wire.headers.retain(|(name, _)| name != "signature");
    assert_eq!(site().connect().ask(&wire.http1()).code(), "SIG-001");
}

#[test]
fn a_registered_certificate_of_another_organisation_is_not_used() {
    let mut site = Site::new("identity-organisation");
    site.replace(
        "misp/partners/crvs.toml",
        "../../pki/parties/crvs/tls.pem",
        "../../pki/twins/other-organisation/tls.pem",
    );
    let checked = triseal([
        "check",
        "--config",
        &site.path("misp/gateway.toml").display().to_string(),
    ]);
    assert!(checked.all().contains("organisation"), "{}", checked.all());
    if checked.code == 0 {
        site.start_misp();
        let (told, logged) = told_and_logged(&site, &site.twin("other-organisation"), "tls");
        assert_eq!((told.as_str(), logged.as_str()), ("ID-001", "ID-003"));
    }
}

#[test]
fn one_key_in_two_roles_is_refused_unless_the_exception_is_written_down() {
    let site = Site::misp_running("identity-shared");
    for role in ["tls", "encryption", "signature"] {
        site.replace(
            "misp/partners/crvs.toml",
            &format!("../../pki/parties/crvs/{role}.pem"),
            &format!("../../pki/twins/shared-key/{role}.pem"),
        );
    }
    assert_eq!(site.misp().reload(), Reloaded::Refused);
    site.edit("misp/partners/crvs.toml", |text| {
        format!("insecure_shared_keys = true\n{text}")
    });
    assert_eq!(site.misp().reload(), Reloaded::Published);
    assert!(site.misp().says("insecure_shared_keys"), "not said loudly");
}
