//! Imports in memory: every variable is spoken of, secrets stay in their files, slips are seen.

use std::fmt::Write as _;

use super::*;
use crate::{
    clock::Clock,
    pki::{Algorithm, PartyPlan, Plan},
};
use variables::KNOWN;

const PASSWORD: &str = "p12-password-4711";

/// Every variable that is known, with a value that fits.
const VARIABLES: [(&str, &str); KNOWN.len()] = [
    ("PORT", "2024"),
    ("HOST", "0.0.0.0"),
    ("LOCALE", "en"),
    ("NODE_ENV", "production"),
    ("SQLITE_DATABASE_PATH", "/data/sqlite/mosip-api.db"),
    ("CLIENT_APP_URL", "https://register.crvs.example/"),
    ("OPENCRVS_GATEWAY_URL", "http://gateway:7070"),
    ("OPENCRVS_PUBLIC_KEY_URL", "http://auth:4040/.well-known"),
    (
        "MOSIP_AUTH_URL",
        "https://api.mosip.example/v1/authmanager/authenticate/clientidsecretkey",
    ),
    ("MOSIP_AUTH_CLIENT_APP_ID", "regproc"),
    ("MOSIP_PACKET_AUTH_CLIENT_ID", "packet-client"),
    ("MOSIP_PACKET_AUTH_CLIENT_SECRET", "packet-secret-4711"),
    ("MOSIP_WEBSUB_AUTH_CLIENT_ID", "websub-client"),
    (
        "MOSIP_WEBSUB_AUTH_CLIENT_SECRET",
        "websub-client-secret-4711",
    ),
    ("MOSIP_WEBSUB_HUB_URL", "https://hub.mosip.example/hub"),
    ("MOSIP_WEBSUB_SECRET", "a-hub-secret-of-4711"),
    ("MOSIP_WEBSUB_TOPIC", "crvs-partner/CREDENTIAL_ISSUED"),
    (
        "MOSIP_WEBSUB_CALLBACK_URL",
        "https://crvs.example:8443/websub/callback",
    ),
    (
        "MOSIP_VERIFIABLE_CREDENTIAL_ALLOWLIST",
        "https://mosip.example/.well-known/public-key.json",
    ),
    ("MOSIP_VERIFIABLE_CREDENTIAL_NATIONAL_ID_KEY", "UIN"),
    ("TRANSACTION_ID_PREFIX", "10002"),
    ("MOSIP_BIRTH_WEBHOOK_URL", "https://x.example/b"),
    ("MOSIP_DEATH_WEBHOOK_URL", "https://x.example/d"),
    (
        "ESIGNET_TOKEN_URL",
        "https://esignet.example/v1/esignet/oauth/v2/token",
    ),
    (
        "ESIGNET_USERINFO_URL",
        "https://esignet.example/v1/esignet/oidc/userinfo",
    ),
    ("OPENID_PROVIDER_CLAIMS", "name"),
    ("OIDP_CLIENT_PRIVATE_KEY_PATH", "jwk.txt"),
    ("PARTNER_ID", "crvs-partner"),
    ("PARTNER_APIKEY", "api-key-4711"),
    ("PARTNER_MISP_LK", "licenceKey4711aaaabbbbccccddddeeee"),
    ("IDA_AUTH_DOMAIN_URI", "https://ida.mosip.example"),
    (
        "IDA_AUTH_URL",
        "https://api.mosip.example/idauthentication/v1/auth",
    ),
    ("ENCRYPT_CERT_PATH", "ida.crt"),
    ("DECRYPT_P12_FILE_PATH", "decrypt.p12"),
    ("DECRYPT_P12_FILE_PASSWORD", PASSWORD),
    ("SIGN_P12_FILE_PATH", "sign.p12"),
    ("SIGN_P12_FILE_PASSWORD", PASSWORD),
    (
        "MOSIP_CREATE_PACKET_URL",
        "https://api.mosip.example/commons/v1/packetmanager/createPacket",
    ),
    (
        "MOSIP_PROCESS_PACKET_URL",
        "https://api.mosip.example/registrationprocessor/v1/workflowmanager/workflowinstance",
    ),
    ("MOSIP_CENTER_ID", "10010"),
    ("MOSIP_MACHINE_ID", "10011"),
    ("OPENCRVS_AUTH_URL", "http://auth:4040"),
    ("OPENCRVS_CLIENT_ID", "client"),
    ("OPENCRVS_CLIENT_SECRET", "client-secret-4711"),
    ("UNSAFE_DEBUG_LOG", "true"),
    ("LOG_LEVEL", "debug"),
    ("OPENID_PROVIDER_CLIENT_ID", "crvs-client"),
    (
        "ESIGNET_REDIRECT_URL",
        "https://register.crvs.example/mosip-callback",
    ),
    (
        "MOSIP_API_USERINFO_URL",
        "http://mosip-api:2024/esignet/get-oidp-user-info",
    ),
    ("MOSIP_INTEROP_URL", "http://mosip-api:2024"),
    ("ESIGNET_URL", "https://esignet.example/authorize"),
];

/// A deployment with everything, in a folder of its own.
struct Deployment {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Deployment {
    fn new(shared: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Clock::system().now();
        let plan = Plan::of(
            vec!["crvs-partner:Civil Registry".parse::<PartyPlan>().unwrap()],
            now,
        );
        let built = pki::build(&Plan {
            authority_algorithm: Algorithm::P256,
            ..plan
        })
        .unwrap();
        let party = built.party("crvs-partner").unwrap();
        let store = |issued: &pki::Issued| {
            pki::write_p12("partner", &issued.key, &issued.chain_der, PASSWORD).unwrap()
        };
        let sign = store(&party.signature);
        let decrypt = if shared {
            sign.clone()
        } else {
            store(&party.encryption)
        };
        std::fs::write(dir.path().join("sign.p12"), sign).unwrap();
        std::fs::write(dir.path().join("decrypt.p12"), decrypt).unwrap();
        let ida = pki::certificate_pem(&party.encryption.certificate_der);
        std::fs::write(dir.path().join("ida.crt"), ida).unwrap();
        let jwk = "eyJrdHkiOiJSU0EiLCJuIjoiQVEiLCJlIjoiQVFBQiIsImQiOiJBUSJ9";
        std::fs::write(dir.path().join("jwk.txt"), jwk).unwrap();
        Self {
            dir,
            variables: VARIABLES
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let found = self.variables.iter_mut().find(|(n, _)| *n == name).unwrap();
        value.clone_into(&mut found.1);
    }

    fn without(&mut self, name: &str) {
        self.variables.retain(|(n, _)| *n != name);
    }

    fn request(&self) -> Request {
        let mut text = String::new();
        for (name, value) in &self.variables {
            writeln!(text, "{name}='{value}'").unwrap();
        }
        let env = self.dir.path().join(".env");
        std::fs::write(&env, text).unwrap();
        Request {
            env,
            out: self.dir.path().join("out"),
            ..Request::default()
        }
    }

    fn import(&self, direct: bool) -> (Findings, String) {
        let request = Request {
            direct,
            ..self.request()
        };
        let done = import(&request).unwrap();
        let text = std::fs::read_to_string(request.out.join("gateway.toml")).unwrap();
        (done.findings, text)
    }
}

#[test]
fn every_variable_is_spoken_of_and_none_is_unknown() {
    for direct in [false, true] {
        let full = Deployment::new(false);
        assert_eq!(full.variables.len(), KNOWN.len());
        let (findings, _) = full.import(direct);
        for name in KNOWN {
            assert!(findings.speaks_of(name), "{name} (direct: {direct})");
        }
        assert!(!findings.to_string().contains("Unknown"), "{findings}");
    }
}

#[test]
fn what_is_written_is_toml_of_the_right_shape() {
    for direct in [false, true] {
        let (_, text) = Deployment::new(false).import(direct);
        let parsed: Result<crate::config::Config, _> = toml::from_str(&text);
        assert!(parsed.is_ok(), "{:?}\n{text}", parsed.err());
    }
}

#[test]
fn with_nothing_set_everything_is_named_and_the_shape_is_still_right() {
    let mut empty = Deployment::new(false);
    empty.variables.clear();
    empty.variables.push(("SOMETHING_ELSE", "1".to_owned()));
    let (findings, text) = empty.import(false);
    let parsed: Result<crate::config::Config, _> = toml::from_str(&text);
    assert!(parsed.is_ok(), "{:?}\n{text}", parsed.err());
    let told = findings.to_string();
    for what in [
        "PARTNER_ID",
        "SIGN_P12_FILE_PATH",
        "MOSIP_WEBSUB_SECRET",
        "Unknown",
        "SOMETHING_ELSE",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    assert!(findings.open().len() > 10);
}

#[test]
fn secrets_stand_in_their_files_and_nowhere_else() {
    use std::os::unix::fs::PermissionsExt;
    for direct in [false, true] {
        let full = Deployment::new(false);
        let (findings, _) = full.import(direct);
        let out = full.dir.path().join("out");
        let mut secrets = 0;
        for folder in ["", "partners", "secrets"] {
            for entry in std::fs::read_dir(out.join(folder)).unwrap().flatten() {
                if !entry.path().is_file() {
                    continue;
                }
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                if folder == "secrets" {
                    assert_eq!(mode, 0o600, "{:?}", entry.path());
                    secrets += 1;
                    continue;
                }
                let text = std::fs::read_to_string(entry.path()).unwrap();
                assert!(!text.contains("4711"), "{:?}: {text}", entry.path());
            }
        }
        assert!(secrets >= 8, "{secrets}");
        assert!(!findings.to_string().contains("4711"));
        let api_key = std::fs::read_to_string(out.join("secrets/api-key")).unwrap();
        assert_eq!(api_key, "api-key-4711");
    }
}

#[test]
fn exchanged_partner_id_and_licence_key_are_seen_and_put_right() {
    let mut swapped = Deployment::new(false);
    swapped.set("PARTNER_ID", "licenceKey4711aaaabbbbccccddddeeee");
    swapped.set("PARTNER_MISP_LK", "crvs-partner");
    let (findings, text) = swapped.import(false);
    assert!(
        findings.warnings().concat().contains("look exchanged"),
        "{findings}"
    );
    assert!(text.contains("id = \"crvs-partner\"") && !text.contains("4711"));
    // The topic tells as well, where the forms do not.
    swapped.set("PARTNER_ID", "lk-short");
    let (findings, text) = Deployment {
        dir: tempfile::tempdir().unwrap(),
        variables: swapped.variables,
    }
    .import(false);
    assert!(
        findings.warnings().concat().contains("look exchanged"),
        "{findings}"
    );
    assert!(text.contains("id = \"crvs-partner\""));
    // As they should be, nothing is said.
    let (findings, _) = Deployment::new(false).import(false);
    assert!(!findings.to_string().contains("exchanged"), "{findings}");
}

#[test]
fn one_key_for_two_uses_is_allowed_loudly_and_two_keys_need_no_allowance() {
    let (findings, text) = Deployment::new(true).import(false);
    assert!(text.contains("insecure_shared_keys = true"));
    assert!(
        findings
            .warnings()
            .concat()
            .contains("one key signs and decrypts"),
        "{findings}"
    );
    let (findings, text) = Deployment::new(false).import(false);
    assert!(!text.contains("insecure_shared_keys = true"), "{findings}");
}

#[test]
fn published_secrets_are_warned_of_by_name() {
    let mut weak = Deployment::new(false);
    weak.set("MOSIP_PACKET_AUTH_CLIENT_SECRET", "abcdeABCDE123456");
    weak.set("MOSIP_WEBSUB_SECRET", "mosip-websub-secret");
    let (findings, _) = weak.import(false);
    let told = findings.warnings().concat();
    assert!(
        told.contains("MOSIP_PACKET_AUTH_CLIENT_SECRET") && told.contains("MOSIP_WEBSUB_SECRET")
    );
    assert!(!findings.to_string().contains("abcdeABCDE"), "{findings}");
}

#[test]
fn a_wrong_password_or_a_file_that_is_not_there_is_told_and_left_open() {
    let mut wrong = Deployment::new(false);
    wrong.set("SIGN_P12_FILE_PASSWORD", "another");
    wrong.set("DECRYPT_P12_FILE_PATH", "/certs/decrypt.p12");
    let (findings, _) = wrong.import(false);
    let told = findings.to_string();
    assert!(told.contains("password is wrong"), "{told}");
    assert!(told.contains("--files"), "{told}");
    // Where the container's files lie can be said.
    let request = Request {
        files: Some(wrong.dir.path().to_path_buf()),
        force: true,
        ..wrong.request()
    };
    let findings = import(&request).unwrap().findings.to_string();
    assert!(!findings.contains("--files"), "{findings}");
}

#[test]
fn nothing_is_overwritten_unless_told_and_the_stores_key_is_kept_even_then() {
    let full = Deployment::new(false);
    let request = full.request();
    import(&request).unwrap();
    let key = request.out.join("secrets/store-key");
    let before = std::fs::read(&key).unwrap();
    let again = import(&request).unwrap_err().to_string();
    assert!(
        again.contains("--force") && again.contains("gateway.toml"),
        "{again}"
    );
    let force = Request {
        force: true,
        ..request
    };
    import(&force).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), before);
}

#[test]
fn a_file_with_a_line_of_two_readings_writes_nothing() {
    let mut full = Deployment::new(false);
    full.without("PORT");
    let request = full.request();
    std::fs::write(&request.env, "PORT=1\nnonsense\n").unwrap();
    let error = import(&request).unwrap_err().to_string();
    assert!(error.contains(".env:2: "), "{error}");
    assert!(!request.out.exists());
}
