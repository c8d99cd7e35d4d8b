//! `triseal check`: every mistake at once, each with its place; and what is right is accepted, samples included.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Output, Site, World, copy, run, triseal};

#[track_caller]
fn check(file: &Path) -> Output {
    triseal(["check", "--config", &file.display().to_string()])
}

/// The line on which a text stands.
fn line_of(text: &str, what: &str) -> usize {
    text.lines().position(|l| l.contains(what)).unwrap() + 1
}

#[test]
fn ten_mistakes_are_reported_at_once_each_with_file_line_and_remedy() {
    let site = Site::new("check-ten");
    site.edit("misp/gateway.toml", |text| {
        text.replace("name = \"misp\"", "name = \"misp\"\nspeed = \"fast\"") // 1: unknown member
            .replacen("role = \"tls\"", "role = \"tsl\"", 1) // 2: unknown word
            .replace(
                "grace_s = 86400\n\n[[anchor]]\nname = \"mosip\"",
                "grace_s = -5\n\n[[anchor]]\nname = \"mosip\"",
            ) // 3: negative
            .replace(
                "[admin]",
                "[[upstream]]\nname = \"spare\"\naddresses = 5\n\n[admin]",
            ) // 4: wrong type
    });
    site.limits("exchanges_max = \"many\""); // 5: wrong type
    let text = site.read("misp/gateway.toml");
    let shape = check(&site.path("misp/gateway.toml"));
    assert_eq!(shape.code, 2);
    for what in [
        "speed = \"fast\"",
        "\"tsl\"",
        "grace_s = -5",
        "addresses = 5",
        "exchanges_max = \"many\"",
    ] {
        let place = format!("gateway.toml:{}: error: ", line_of(&text, what));
        assert!(
            shape.err.contains(&place),
            "{what} at {place}\n{}",
            shape.err
        );
    }

    // Mistakes of meaning, in three kinds of files.
    let site = Site::new("check-ten-meaning");
    site.edit("misp/gateway.toml", |text| {
        text.replace(
            "document = \"policies/ekyc.json\"",
            "document = \"policies/none.json\"",
        ) // 1
        .replace(
            "anchors = [\"tls\"]\n\n[admin]",
            "anchors = [\"tsl\"]\n\n[admin]",
        ) // 2
        .replacen("to = { upstream = \"ida\"", "to = { upstream = \"idaa\"", 1) // 3
        .replace("hosts = [\"localhost\"]", "hosts = []") // 4
        .replace("../pki/crl/mosip.crl.pem", "../pki/crl/nothing.crl.pem") // 5
        .replace(
            "path = \"/idauthentication/v1/otp/",
            "path = \"idauthentication/v1/otp/",
        ) // 6
    });
    site.edit("misp/partners/crvs.toml", |text| {
        text.replace("policy = \"ekyc\"", "policy = \"ekyk\"") // 7
            .replace(
                "../../pki/parties/crvs/tls.pem",
                "../../pki/parties/crvs/lts.pem",
            ) // 8
    });
    site.edit("misp/partners/misp.toml", |text| {
        text.replace("hash = \"hmac-sha256:", "hash = \"sha256:") // 9
    });
    site.edit("misp/partners/seeder.toml", |text| {
        format!("valid_from = \"yesterday\"\n{text}") // 10
    });
    let said = check(&site.path("misp/gateway.toml"));
    assert_eq!(said.code, 2, "{}", said.all());
    for (file, what) in [
        ("gateway.toml", "document = \"policies/none.json\""),
        ("gateway.toml", "anchors = [\"tsl\"]"),
        ("gateway.toml", "upstream = \"idaa\""),
        ("gateway.toml", "hosts = []"),
        ("gateway.toml", "nothing.crl.pem"),
        ("gateway.toml", "path = \"idauthentication"),
        ("partners/crvs.toml", "policy = \"ekyk\""),
        ("partners/crvs.toml", "lts.pem"),
        ("partners/misp.toml", "hash = \"sha256:"),
        ("partners/seeder.toml", "yesterday"),
    ] {
        let line = line_of(&site.read(&format!("misp/{file}")), what);
        let place = format!("{file}:{line}: error: ");
        assert!(said.err.contains(&place), "{what} at {place}\n{}", said.err);
    }
    // Every line says what to do: a sentence after what is wrong.
    for line in said.err.lines().filter(|l| l.contains(": error: ")) {
        assert!(line.ends_with(['.', '?']) && line.contains(". "), "{line}");
    }
    // And nothing starts with it.
    let run = run(
        env!("CARGO_BIN_EXE_triseal"),
        [
            "run",
            "--config",
            &site.path("misp/gateway.toml").display().to_string(),
        ],
        &[],
        b"",
    );
    assert_eq!(run.code, 2);
}

#[test]
fn a_misspelt_name_is_answered_with_the_right_one() {
    let site = Site::new("check-spelling");
    site.replace("misp/partners/crvs.toml", "\"ida-kyc\",", "\"ida-kcy\",");
    let said = check(&site.path("misp/gateway.toml"));
    assert!(said.err.contains("ida-kyc"), "{}", said.err);
}

#[test]
fn the_schemas_are_json_schemas() {
    for of in ["config", "partner"] {
        let said = triseal(["check", "--schema", of]);
        assert_eq!(said.code, 0);
        let schema: Value = serde_json::from_str(&said.out).unwrap();
        assert!(
            schema["$schema"]
                .as_str()
                .unwrap()
                .contains("json-schema.org")
        );
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
    }
    let plain = triseal(["check", "--schema"]);
    assert!(
        serde_json::from_str::<Value>(&plain.out).unwrap()["properties"]["gateway"].is_object()
    );
}

#[test]
fn both_configurations_of_the_sandbox_are_good() {
    let site = Site::new("check-sandbox");
    for gateway in ["misp", "crvs"] {
        let said = check(&site.path(&format!("{gateway}/gateway.toml")));
        assert_eq!(said.code, 0, "{}", said.all());
        assert!(said.out.contains("good"), "{}", said.all());
    }
}

#[test]
fn every_sample_in_the_documentation_is_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let site = Site::new("check-samples");
    copy(&root.join("docs/samples"), &site.path("docs/samples"));
    copy(&root.join("policies"), &site.path("policies"));
    copy(&site.path("pki"), &site.path("docs/samples/pki"));
    for (from, to) in [
        ("misp/secrets", "docs/samples/misp/secrets"),
        ("crvs/secrets", "docs/samples/partner/secrets"),
        ("misp/secrets", "docs/samples/partner/secrets"),
    ] {
        copy(&site.path(from), &site.path(to));
    }
    let configurations = tomls(&site.path("docs/samples"), "gateway.toml");
    assert!(configurations.len() >= 2);
    for file in configurations {
        let said = check(&file);
        assert_eq!(said.code, 0, "{}: {}", file.display(), said.all());
        assert!(!said.err.contains("warning"), "{}", said.err);
    }
}

/// Every file of that name below a folder.
fn tomls(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(tomls(&path, name));
        } else if path.file_name().is_some_and(|n| n == name) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let site = Site::new("check-modes");
    for file in ["pki/parties/misp/tls.key.pem", "misp/secrets/pepper"] {
        let path = site.path(file);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let said = check(&site.path("misp/gateway.toml"));
        assert_eq!(said.code, 2, "{file}");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            said.err.contains(&name) && said.err.contains("read"),
            "{}",
            said.err
        );
        fs::set_permissions(&path, before).unwrap();
    }
    assert_eq!(check(&site.path("misp/gateway.toml")).code, 0);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let site = Site::new("check-pair");
    site.replace(
        "misp/gateway.toml",
        "../pki/parties/misp/signature.key.pem",
        "../pki/parties/misp/encryption.key.pem",
    );
    let said = check(&site.path("misp/gateway.toml"));
    assert_eq!(said.code, 2);
    assert!(said.err.contains("key"), "{}", said.err);
}

/// Our TLS certificate out of a PKCS#12 file.
fn with_keystore(name: &str, password: &str) -> Site {
    let site = Site::new(name);
    site.replace(
        "misp/gateway.toml",
        "certificate = \"../pki/parties/misp/tls.pem\"\nkey = \"../pki/parties/misp/tls.key.pem\"",
        &format!("keystore = \"../pki/parties/misp/tls.p12\"\npassword = {password}"),
    );
    site
}

#[test]
fn a_key_store_with_its_password_in_a_file_serves() {
    let mut site = with_keystore(
        "p12-file",
        "{ file = \"../pki/parties/misp/password.txt\" }",
    );
    site.start_misp();
    assert!(site.ask(&site.auth()).says_yes());
}

#[test]
fn a_key_store_with_its_password_in_the_environment_is_accepted() {
    let site = with_keystore("p12-env", "{ env = \"IT_KEYSTORE_PASSWORD\" }");
    let file = site.path("misp/gateway.toml").display().to_string();
    let with = |password: &str| {
        run(
            env!("CARGO_BIN_EXE_triseal"),
            ["check", "--config", &file],
            &[("IT_KEYSTORE_PASSWORD", password)],
            b"",
        )
    };
    let right = World::shared().password("misp");
    assert_eq!(with(right).code, 0, "{}", with(right).all());
    let wrong = with("not-the-password-4711");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("password"), "{}", wrong.err);
    assert!(!wrong.err.contains("4711"), "the password is told");
    let missing = check(Path::new(&file));
    assert_eq!(missing.code, 2);
    assert!(
        missing.err.contains("IT_KEYSTORE_PASSWORD"),
        "{}",
        missing.err
    );
}

#[test]
fn check_as_of_a_later_time_says_what_will_have_expired() {
    let site = Site::new("check-at");
    let file = site.path("misp/gateway.toml").display().to_string();
    let said = triseal(["check", "--config", &file, "--at", "2199-01-01T00:00:00Z"]);
    assert!(
        said.all().contains("expired") || said.all().contains("valid"),
        "{}",
        said.all()
    );
    assert!(
        said.all().contains("error") || said.all().contains("warning"),
        "{}",
        said.all()
    );
    assert_eq!(
        triseal(["check", "--config", &file, "--at", "tomorrow"]).code,
        2
    );
}
