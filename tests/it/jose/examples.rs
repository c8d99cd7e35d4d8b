//! The examples of `docs/partner-guide.md`, each run against the real gateway where its runtime is here: they were written from
//! `docs/jose.md` with other libraries (jwcrypto, npm jose, Java's own, openssl), so they are the independent side of the envelope.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

use super::{service::Service, site};
use crate::{
    harness::{Output, Site, copy, run},
    python,
};

const PLAIN: &str = r#"{"topic":"a.b","name":"Müller"}"#;

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("docs/examples").join(name).display().to_string()
}

/// How an example is run; `None` where its runtime is not here.
type Runtime = fn() -> Option<(String, Vec<String>)>;

fn with_python() -> Option<(String, Vec<String>)> {
    let program = python::interpreter().display().to_string();
    Some((program, vec![example("python/partner.py")]))
}

fn with_node() -> Option<(String, Vec<String>)> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = READY.get_or_init(|| {
        found("node")?;
        found("npm")?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = Command::new(root.join("tests/setup-node"))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Some(root.join("target/node"))
    });
    let script = folder.as_ref()?.join("partner.js");
    Some((found("node")?, vec![script.display().to_string()]))
}

fn with_java() -> Option<(String, Vec<String>)> {
    Some((found("java")?, vec![example("java/Partner.java")]))
}

/// A program that says its version.
fn found(program: &str) -> Option<String> {
    let there = Command::new(program).arg("--version").output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        println!("{program} is not here: its example is not run");
    }
    there.then(|| program.to_owned())
}

/// The folders that an example is given.
struct Folders {
    partner: PathBuf,
    gateway: PathBuf,
}

impl Folders {
    fn of(site: &Site) -> Self {
        Self {
            partner: site.party("crvs"),
            gateway: site.party("misp"),
        }
    }
}

fn call(
    (program, before): &(String, Vec<String>),
    site: &Site,
    method: &str,
    path: &str,
    plain: &str,
    folders: &Folders,
) -> Output {
    let url = format!("https://localhost:{}{path}", site.partner_face());
    let mut args = before.clone();
    args.extend([
        method.to_owned(),
        url,
        folders.partner.display().to_string(),
        folders.gateway.display().to_string(),
        site.ca().display().to_string(),
    ]);
    run(program, args, &[], plain.as_bytes())
}

/// Status and body, from what an example printed.
#[track_caller]
fn answer(output: &Output) -> (u16, String) {
    assert_eq!(output.code, 0, "{}", output.all());
    let (status, body) = output.out.split_once('\n').unwrap();
    (
        status.parse().unwrap(),
        body.trim_end_matches('\n').to_owned(),
    )
}

/// Asks, is answered, is refused, and believes nobody else, in one language.
fn speaks(name: &str, runtime: Runtime) {
    let Some(runtime) = runtime() else { return };
    let service = Service::echo();
    let mut site = site::before(name, service.port);
    site.start_misp();
    let folders = Folders::of(&site);
    let ask = |method: &str, path: &str, plain: &str| {
        answer(&call(&runtime, &site, method, path, plain, &folders))
    };
    let (status, body) = ask("POST", "/echo/a", PLAIN);
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &said["body"]), (200, &json!(PLAIN)));
    assert_eq!(said["headers"]["content-type"], "application/json");
    let (status, body) = ask("GET", "/echo/a", "");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &said["length"]), (200, &json!(0)));
    assert_eq!(ask("GET", "/echo/empty", ""), (204, String::new()));
    // A refusal is an answer like any other.
    let (status, body) = ask("DELETE", "/echo/a", "");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &said["code"]), (405, &json!("RT-002")));
    // An answer of somebody other than whom it trusts.
    let other = impostor(&site);
    let output = call(&runtime, &site, "GET", "/echo/a", "", &other);
    assert!(
        output.code != 0 && !output.out.contains("headers"),
        "{}",
        output.all()
    );
}

/// The gateway's folder with another's signature certificate.
fn impostor(site: &Site) -> Folders {
    let gateway = site.path("impostor");
    copy(&site.party("misp"), &gateway);
    let other = site.party("mosip").join("signature.pem");
    std::fs::copy(other, gateway.join("signature.pem")).unwrap();
    Folders {
        partner: site.party("crvs"),
        gateway,
    }
}

#[test]
fn python_with_jwcrypto_speaks_it_both_ways() {
    speaks("example-python", with_python);
}

#[test]
fn node_with_jose_speaks_it_both_ways() {
    speaks("example-node", with_node);
}

#[test]
fn plain_java_speaks_it_both_ways() {
    speaks("example-java", with_java);
}

#[test]
fn curl_and_openssl_ask_without_a_body_and_open_the_answer() {
    let service = Service::echo();
    let mut site = site::before("example-curl", service.port);
    site.start_misp();
    let call = |path: &str, folders: &Folders| {
        let url = format!("https://localhost:{}{path}", site.partner_face());
        let args = [
            url,
            folders.partner.display().to_string(),
            folders.gateway.display().to_string(),
            site.ca().display().to_string(),
        ];
        run(&example("curl/partner.sh"), args, &[], b"")
    };
    let folders = Folders::of(&site);
    let (status, body) = answer(&call("/echo/a", &folders));
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &said["method"]), (200, &json!("GET")));
    assert_eq!(answer(&call("/echo/empty", &folders)).0, 204);
    assert_eq!(
        answer(&call("/echo/text", &folders)),
        (404, "nothing here".to_owned())
    );
    let output = call("/echo/a", &impostor(&site));
    assert!(
        output.code != 0 && output.err.contains("signature"),
        "{}",
        output.all()
    );
}

/// Every kind of key on both sides, with the two JOSE libraries.
#[test]
fn other_libraries_agree_on_every_kind_of_key() {
    let service = Service::echo();
    for (encrypts, signs) in [("p256", "p256"), ("p384", "ed25519")] {
        let mut site = site::before("example-kinds", service.port);
        let folders = Folders {
            partner: issued(&site, "crvs", "Civil Registry", encrypts, signs),
            gateway: issued(&site, "misp", "MISP One", encrypts, signs),
        };
        // Beside the RSA ones, which MOSIP's own formats need; the newest is sealed to and signs.
        let (mut partner, mut gateway) = (String::new(), String::new());
        for role in ["encryption", "signature"] {
            let file = folders.partner.join(format!("{role}.pem"));
            partner += &format!(
                "    {{ role = \"{role}\", file = \"{}\" }},\n",
                file.display()
            );
            let dir = folders.gateway.display();
            gateway += &format!(
                "\n[[party.certificate]]\nrole = \"{role}\"\ncertificate = \"{dir}/{role}.pem\"\nkey = \"{dir}/{role}.key.pem\"\n"
            );
        }
        let list = "certificate = [\n";
        site.replace("misp/partners/crvs.toml", list, &format!("{list}{partner}"));
        let anchor = "\n[[anchor]]\nname = \"tls\"";
        site.replace("misp/gateway.toml", anchor, &format!("{gateway}{anchor}"));
        site.start_misp();
        for runtime in [with_python as Runtime, with_node] {
            let Some(runtime) = runtime() else { continue };
            let output = call(&runtime, &site, "POST", "/echo/a", PLAIN, &folders);
            let (status, body) = answer(&output);
            let said: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                (status, &said["body"]),
                (200, &json!(PLAIN)),
                "{encrypts} {signs}"
            );
        }
    }
}

/// The folder of a party with certificates of other kinds.
fn issued(site: &Site, party: &str, organisation: &str, encrypts: &str, signs: &str) -> PathBuf {
    let made = site.path(&format!("kinds-{party}"));
    std::fs::create_dir_all(&made).unwrap();
    let job = json!({
        "pki": site.path("pki"),
        "out": made,
        "organisation": organisation,
        "kinds": ["p256", "p384", "ed25519"],
    });
    python::lines("issue.py", &job);
    let folder = site.path(&format!("own-{party}"));
    copy(&site.party(party), &folder);
    for (role, kind) in [("encryption", encrypts), ("signature", signs)] {
        for end in ["pem", "key.pem"] {
            let from = made.join(format!("{role}-{kind}.{end}"));
            std::fs::copy(from, folder.join(format!("{role}.{end}"))).unwrap();
        }
    }
    folder
}
