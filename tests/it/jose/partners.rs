//! Keys of every kind by binding, and what a configuration must have.

use std::path::PathBuf;

use serde_json::json;

use super::{
    draft::{Request, certificate, sealed},
    service::Service,
    site,
};
use crate::{
    harness::{Reloaded, Site, triseal},
    python,
};

const PLAIN: &[u8] = b"{}";

/// What `triseal check` says of a gateway's configuration.
fn check(site: &Site, gateway: &str) -> (i32, String) {
    let config = site.path(&format!("{gateway}/gateway.toml"));
    let output = triseal(["check", "--config", &config.display().to_string()]);
    (output.code, output.all())
}

#[test]
fn a_jose_route_without_its_certificates_is_a_mistake_with_a_remedy() {
    let site = site::before("jose-check", 1);
    for gateway in ["misp", "crvs"] {
        let (code, said) = check(&site, gateway);
        assert_eq!(code, 0, "{said}");
    }
    let spoil = |file: &str, from: &str, to: &str, gateway: &str, why: &str| {
        let before = site.read(file);
        site.replace(file, from, to);
        let (code, said) = check(&site, gateway);
        assert!(code != 0 && said.contains(why), "{why}: {said}");
        site.write(file, &before);
    };
    let of_partner = |role: &str| {
        format!("    {{ role = \"{role}\", file = \"../../pki/parties/crvs/{role}.pem\" }},\n")
    };
    for role in ["encryption", "signature"] {
        spoil(
            "misp/partners/crvs.toml",
            &of_partner(role),
            "",
            "misp",
            &format!("`crvs` may use the route, but has no certificate in role {role}"),
        );
    }
    spoil(
        "crvs/gateway.toml",
        "party = \"misp\"\n",
        "",
        "crvs",
        "it names no party",
    );
    spoil(
        "crvs/gateway.toml",
        "    { role = \"encryption\", file = \"../pki/parties/misp/encryption.pem\" },\n",
        "",
        "crvs",
        "the peer `misp` has no usable certificate in role Encryption",
    );
    for (gateway, role) in [("misp", "encryption"), ("crvs", "signature")] {
        spoil(
            &format!("{gateway}/gateway.toml"),
            &format!(
                "[[party.certificate]]\nrole = \"{role}\"\ncertificate = \"../pki/parties/{gateway}/{role}.pem\"\nkey = \"../pki/parties/{gateway}/{role}.key.pem\"\n"
            ),
            "",
            gateway,
            "messages are sealed, but we have no usable certificate",
        );
    }
    spoil(
        "misp/gateway.toml",
        "envelope = \"jose\" }",
        "envelope = \"jose\" }\nquery = true",
        "misp",
        "a query string is not under the signature",
    );
    // A service needs a certificate that answers can be sealed to only where it speaks jose itself.
    let (code, said) = check(&site, "crvs");
    assert_eq!(code, 0, "{said}");
}

/// Certificates of crvs with other kinds of keys below the partner CA of the site's PKI: `ROLE-KIND.pem`.
fn issued(site: &Site) -> PathBuf {
    let dir = site.path("kinds");
    std::fs::create_dir_all(&dir).unwrap();
    let job = json!({
        "pki": site.path("pki"),
        "out": dir,
        "organisation": "Civil Registry",
        "kinds": ["p256", "p384", "ed25519"],
    });
    python::lines("issue.py", &job);
    dir
}

#[test]
fn keys_of_every_kind_work_by_their_binding_and_old_and_new_side_by_side() {
    let service = Service::echo();
    let mut site = site::before("jose-kinds", service.port);
    let dir = issued(&site);
    let file = |name: &str| dir.join(name).display().to_string();
    // The partner's: an encryption certificate on P-384 and signature certificates of every kind, beside those it had.
    site.replace(
        "misp/partners/crvs.toml",
        "certificate = [\n",
        &format!(
            "certificate = [\n    {{ role = \"encryption\", file = \"{}\" }},\n    {{ role = \"signature\", file = \"{}\" }},\n    {{ role = \"signature\", file = \"{}\" }},\n",
            file("encryption-p384.pem"),
            file("signature-p256.pem"),
            file("signature-ed25519.pem"),
        ),
    );
    // The MISP's: P-256 beside RSA. MOSIP's own formats stay with RSA.
    let misp = site.path("kinds-misp");
    std::fs::create_dir_all(&misp).unwrap();
    let job = json!({"pki": site.path("pki"), "out": misp, "organisation": "MISP One", "kinds": ["p256"]});
    python::lines("issue.py", &job);
    site.replace(
        "misp/gateway.toml",
        "\n[[anchor]]\nname = \"tls\"",
        &format!(
            "\n[[party.certificate]]\nrole = \"encryption\"\ncertificate = \"{0}/encryption-p256.pem\"\nkey = \"{0}/encryption-p256.key.pem\"\n\n[[anchor]]\nname = \"tls\"",
            misp.display()
        ),
    );
    site.start_misp();
    for (name, algorithm) in [
        ("signature-p256", triseal::config::Algorithm::ES256),
        ("signature-ed25519", triseal::config::Algorithm::EdDSA),
    ] {
        let to = misp.join("encryption-p256.pem");
        let mut request = Request::post(&site, "/echo/a", PLAIN)
            .body(sealed(PLAIN, "application/json", &to))
            .signed_by(&dir, name)
            .set("alg", json!(format!("{algorithm:?}")));
        request.draft.algorithm = algorithm;
        let exchange = request.send(&mut site.connect());
        assert_eq!(
            exchange.answer.status,
            200,
            "{} {name}",
            exchange.answer.code()
        );
        // Sealed to the newest certificate, which is on P-384.
        let newest = certificate(&dir.join("encryption-p384.pem")).fingerprint();
        let text = String::from_utf8(exchange.answer.body.clone()).unwrap();
        let header = super::draft::decoded(text.split('.').next().unwrap());
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["kid"], super::draft::base64url(newest.as_bytes()));
        assert_eq!(header["epk"]["crv"], "P-384");
    }
    // The old certificate of the MISP opens as well.
    let exchange = Request::post(&site, "/echo/a", PLAIN).send(&mut site.connect());
    assert_eq!(exchange.answer.status, 200, "{}", exchange.answer.code());
    // And an IDA exchange still goes to the partner's RSA certificate and opens with ours.
    let answer = site.ask(&site.auth());
    assert!(answer.says_yes(), "{} {}", answer.code(), answer.text());
    assert_eq!(site.misp().reload(), Reloaded::Published);
}
