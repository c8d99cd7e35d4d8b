//! `triseal pki` on the command line, and its files in the hands of OpenSSL and keytool.

use std::{fs, path::PathBuf};

use crate::harness::{Output, Site, World, run, run_dir, triseal};

/// A new folder for `pki make`.
fn folder(name: &str) -> PathBuf {
    run_dir().join(format!("pki-{name}"))
}

fn openssl(args: &[&str]) -> Output {
    run("openssl", args, &[], b"")
}

#[test]
fn make_refuses_to_overwrite_and_replaces_when_told() {
    let dir = folder("overwrite").display().to_string();
    let make = |more: &[&str]| {
        let mut args = vec!["pki", "make", "--dir", &dir, "--party", "one:Some Office"];
        args.extend(more);
        triseal(args)
    };
    assert_eq!(make(&[]).code, 0);
    let key = PathBuf::from(&dir).join("parties/one/tls.key.pem");
    let before = fs::read(&key).unwrap();
    let again = make(&[]);
    assert_ne!(again.code, 0);
    assert!(again.err.contains("--replace"), "{}", again.err);
    assert_eq!(fs::read(&key).unwrap(), before);
    assert_eq!(make(&["--replace"]).code, 0);
    assert_ne!(fs::read(&key).unwrap(), before);
}

#[test]
fn private_keys_can_be_read_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new("pki-modes");
    for file in ["tls.key.pem", "tls.p12", "password.txt"] {
        let mode = fs::metadata(site.party("crvs").join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file} {mode:o}");
    }
    let key = fs::metadata(site.path("pki/ca/root.key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o077, 0);
}

#[test]
fn show_finds_every_made_file_good_and_every_wrong_twin_wrong() {
    let site = Site::new("pki-show");
    let path = |relative: &str| site.path("pki").join(relative).display().to_string();
    let around: Vec<String> = ["root", "tls", "partner", "mosip"]
        .iter()
        .flat_map(|ca| {
            [
                path(&format!("ca/{ca}.pem")),
                path(&format!("crl/{ca}.crl.pem")),
            ]
        })
        .collect();
    for party in ["crvs", "misp", "mosip", "seeder", "sdk"] {
        for role in ["tls", "encryption", "signature"] {
            let mut args = vec!["pki".to_owned(), "show".to_owned()];
            args.push(path(&format!("parties/{party}/{role}.pem")));
            args.push(path(&format!("parties/{party}/{role}.key.pem")));
            args.extend(around.clone());
            let said = triseal(args);
            assert_eq!(said.code, 0, "{party} {role}: {}", said.all());
            assert!(said.out.contains(role), "{}", said.out);
        }
    }
    for twin in ["expired", "not-yet-valid", "revoked"] {
        let mut args = vec!["pki".to_owned(), "show".to_owned()];
        args.push(path(&format!("twins/{twin}/tls.pem")));
        args.extend(around.clone());
        let said = triseal(args);
        assert_eq!(said.code, 1, "{twin}: {}", said.all());
    }
}

#[test]
fn show_opens_a_key_store_with_its_password_and_with_no_other() {
    let site = Site::new("pki-show-p12");
    let party = site.party("crvs");
    let (store, password) = (
        party.join("tls.p12").display().to_string(),
        party.join("password.txt").display().to_string(),
    );
    let said = triseal([
        "pki",
        "show",
        "--json",
        &store,
        "--password-file",
        &password,
    ]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(serde_json::from_str::<serde_json::Value>(&said.out).is_ok());
    assert!(!said.all().contains(World::shared().password("crvs")));
    let wrong = run(
        env!("CARGO_BIN_EXE_triseal"),
        ["pki", "show", &store, "--password-env", "IT_WRONG"],
        &[("IT_WRONG", "wrong")],
        b"",
    );
    assert_eq!(wrong.code, 1);
}

#[test]
fn openssl_opens_the_key_stores_and_verifies_the_chains() {
    let site = Site::new("pki-openssl");
    let password = format!("pass:{}", World::shared().password("crvs"));
    let root = site.path("pki/ca/root.pem").display().to_string();
    for role in ["tls", "encryption", "signature"] {
        let file = |end: &str| {
            site.party("crvs")
                .join(format!("{role}.{end}"))
                .display()
                .to_string()
        };
        let opened = openssl(&[
            "pkcs12",
            "-in",
            &file("p12"),
            "-passin",
            &password,
            "-nodes",
        ]);
        assert_eq!(opened.code, 0, "{}", opened.err);
        assert!(opened.out.contains("PRIVATE KEY") && opened.out.contains("CERTIFICATE"));
        let wrong = openssl(&[
            "pkcs12",
            "-in",
            &file("p12"),
            "-passin",
            "pass:wrong",
            "-nodes",
        ]);
        assert_ne!(wrong.code, 0);
        // The issuers stand behind the leaf in the same file.
        let verified = openssl(&[
            "verify",
            "-CAfile",
            &root,
            "-untrusted",
            &file("pem"),
            &file("pem"),
        ]);
        assert_eq!(verified.code, 0, "{role}: {}", verified.all());
    }
    let crl = site.path("pki/crl/tls.crl.pem").display().to_string();
    let ca = site.path("pki/anchors/tls.pem").display().to_string();
    let revoked = site.twin("revoked").join("tls.pem").display().to_string();
    let verified = openssl(&[
        "verify",
        "-CAfile",
        &ca,
        "-CRLfile",
        &crl,
        "-crl_check",
        "-partial_chain",
        &revoked,
    ]);
    assert_ne!(verified.code, 0);
    assert!(verified.all().contains("revoked"), "{}", verified.all());
}

#[test]
fn keytool_opens_the_key_stores() {
    if run("sh", ["-c", "command -v keytool"], &[], b"").code != 0 {
        println!("no keytool here: not shown");
        return;
    }
    let site = Site::new("pki-keytool");
    let store = site
        .party("crvs")
        .join("signature.p12")
        .display()
        .to_string();
    let list = |password: &str| {
        run(
            "keytool",
            [
                "-list",
                "-storetype",
                "PKCS12",
                "-keystore",
                &store,
                "-storepass",
                password,
            ],
            &[],
            b"",
        )
    };
    let said = list(World::shared().password("crvs"));
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.out.contains("PrivateKeyEntry"), "{}", said.all());
    assert_ne!(list("wrong-password").code, 0);
}

#[test]
fn a_request_is_certified_and_the_certificate_connects_once_it_is_registered() {
    let mut site = Site::new("pki-issue");
    let at = |name: &str| site.path(name).display().to_string();
    let (key, csr, out) = (at("csr.key.pem"), at("csr.csr.pem"), at("csr.pem"));
    let made = triseal([
        "pki",
        "csr",
        "--role",
        "tls",
        "--common-name",
        "crvs",
        "--organisation",
        "Civil Registry",
        "--key-out",
        &key,
        "--out",
        &csr,
    ]);
    assert_eq!(made.code, 0, "{}", made.all());
    assert_eq!(openssl(&["req", "-in", &csr, "-verify", "-noout"]).code, 0);
    let pki = at("pki");
    let issue = |organisation: &str| {
        triseal([
            "pki",
            "issue",
            "--dir",
            &pki,
            "--ca",
            "tls",
            "--role",
            "tls",
            "--csr",
            &csr,
            "--organisation",
            organisation,
            "--out",
            &out,
        ])
    };
    assert_ne!(issue("Another Office").code, 0);
    let issued = issue("Civil Registry");
    assert_eq!(issued.code, 0, "{}", issued.all());
    fs::rename(
        site.path("csr.pem"),
        site.path("pki/parties/crvs/issued.pem"),
    )
    .unwrap();
    fs::rename(
        site.path("csr.key.pem"),
        site.path("pki/parties/crvs/issued.key.pem"),
    )
    .unwrap();
    site.replace(
        "misp/partners/crvs.toml",
        "certificate = [",
        "certificate = [\n    { role = \"tls\", file = \"../../pki/parties/crvs/issued.pem\" },",
    );
    site.start_misp();
    let answer = site
        .client_of(&site.party("crvs"), "issued")
        .connect(site.partner_face())
        .unwrap()
        .ask(&site.auth().wire().http1());
    assert!(answer.says_yes(), "{}", answer.text());
}

#[test]
fn a_certificate_that_mosip_re_signed_signs_messages() {
    let mut site = Site::new("pki-resign");
    let at = |name: &str| site.path(name).display().to_string();
    let (from, out) = (
        at("pki/parties/crvs/signature.pem"),
        at("pki/parties/crvs/resigned.pem"),
    );
    let done = triseal([
        "pki",
        "resign",
        "--dir",
        &at("pki"),
        "--ca",
        "partner",
        "--certificate",
        &from,
        "--out",
        &out,
    ]);
    assert_eq!(done.code, 0, "{}", done.all());
    fs::copy(
        site.path("pki/parties/crvs/signature.key.pem"),
        site.path("pki/parties/crvs/resigned.key.pem"),
    )
    .unwrap();
    site.replace(
        "misp/partners/crvs.toml",
        "../../pki/parties/crvs/signature.pem",
        "../../pki/parties/crvs/resigned.pem",
    );
    site.start_misp();
    let ask = site.auth().signed_by(&site.party("crvs"), "resigned");
    assert!(site.ask(&ask).says_yes());
    // The one before is no longer registered, though it has the same key.
    assert_eq!(site.ask(&site.auth()).code(), "SIG-004");
}
