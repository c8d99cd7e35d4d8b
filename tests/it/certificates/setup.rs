//! A site whose MISP gateway lets partners replace their certificates, and certificates to replace them with.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use triseal::{
    config::{Algorithm, Document, Mistakes, OwnCertificate, Report, Role},
    envelope::possession::Claim,
    keys::{KeyEntry, load},
};

use crate::{
    harness::{Output, Site, TlsClient, triseal},
    jose::draft::{Exchange, Request, certificate},
};

pub const PATH: &str = "/certificates";

/// Nothing is started.
pub fn before(name: &str, settings: &str) -> Site {
    let site = Site::new(name);
    let key = site.path("misp/secrets/store-key");
    std::fs::write(&key, triseal(["store", "key"]).out).unwrap();
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    site.append(
        "misp/gateway.toml",
        &format!(
            "[store]\nurl = \"sqlite:state/store.db\"\nkey = [{{ file = \"secrets/store-key\" }}]\n\n\
             [[route]]\nname = \"certificates\"\npath = \"{PATH}/{{rest}}\"\nhandler = \"certificates\"\n\
             from = {{ face = \"partner\", envelope = \"jose\" }}\n\n[certificates]\n{settings}"
        ),
    );
    for file in ["crvs", "seeder"] {
        let file = format!("misp/partners/{file}.toml");
        site.replace(&file, "routes = [", "routes = [\"certificates\", ");
    }
    site
}

/// What a new certificate is made of.
#[derive(Clone, Copy)]
pub struct New<'a> {
    pub role: &'a str,
    pub algorithm: &'a str,
    pub ca: &'a str,
    pub organisation: &'a str,
    /// A key that is there already.
    pub key: Option<&'a Path>,
    /// What it is issued for, where that is another than the role it is sent for.
    pub issued_for: &'a str,
}

impl New<'_> {
    /// One that will be taken.
    pub fn good(role: &'static str, algorithm: &'static str) -> New<'static> {
        New {
            role,
            algorithm,
            ca: if role == "tls" { "tls" } else { "partner" },
            organisation: "Civil Registry",
            key: None,
            issued_for: role,
        }
    }

    /// A folder with ROLE.pem and ROLE.key.pem.
    #[track_caller]
    pub fn make(&self, site: &Site, name: &str) -> PathBuf {
        let dir = site.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        let file = |end: &str| {
            dir.join(format!("{}.{end}", self.role))
                .display()
                .to_string()
        };
        let mut args: Vec<String> = [
            "pki",
            "csr",
            "--role",
            self.issued_for,
            "--common-name",
            "crvs",
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend(["--organisation".to_owned(), self.organisation.to_owned()]);
        args.extend(["--out".to_owned(), file("csr"), "--replace".to_owned()]);
        match self.key {
            Some(key) => {
                std::fs::copy(key, file("key.pem")).unwrap();
                args.extend(["--key".to_owned(), key.display().to_string()]);
            }
            None => {
                args.extend(["--key-out".to_owned(), file("key.pem")]);
                args.extend(["--algorithm".to_owned(), self.algorithm.to_owned()]);
            }
        }
        let made = triseal(args.iter().map(String::as_str));
        assert_eq!(made.code, 0, "{}", made.all());
        let pki = site.path("pki").display().to_string();
        let (csr, out) = (file("csr"), file("pem"));
        let made = triseal([
            "pki",
            "issue",
            "--dir",
            &pki,
            "--ca",
            self.ca,
            "--role",
            self.issued_for,
            "--csr",
            &csr,
            "--out",
            &out,
            "--replace",
        ]);
        assert_eq!(made.code, 0, "{}", made.all());
        dir
    }
}

/// The certificate of a folder with its key.
pub fn entry(dir: &Path, role: &str) -> KeyEntry {
    let raw = OwnCertificate {
        role: Role::Signature,
        certificate: Some(dir.join(format!("{role}.pem"))),
        key: Some(dir.join(format!("{role}.key.pem"))),
        keystore: None,
        password: None,
        alias: None,
        anchors: Vec::new(),
        algorithm: None,
    };
    let document = Document::from_text("test".as_ref(), String::new());
    let mut mistakes = Mistakes::default();
    load(&raw, &mut Report::new(&document, &mut mistakes)).unwrap()
}

/// A question of partner `crvs`, before it is sent.
pub fn question(site: &Site, what: &str, question: &Value) -> Request {
    Request::post(
        site,
        &format!("{PATH}/{what}"),
        question.to_string().as_bytes(),
    )
}

pub fn pem(dir: &Path, role: &str) -> String {
    std::fs::read_to_string(dir.join(format!("{role}.pem"))).unwrap()
}

/// Asks for a challenge as partner `crvs`.
pub fn challenge(site: &Site, client: &mut TlsClient, role: &str, dir: &Path) -> Exchange {
    let asked = json!({"role": role, "certificate": pem(dir, role)});
    question(site, "challenge", &asked).send(client)
}

/// The answer to a challenge with the key of a folder.
pub fn proof(asked: &Value, role: &str, dir: &Path) -> String {
    proof_about(asked, role, dir, dir)
}

/// The same about the certificate of another folder than the key's.
pub fn proof_about(asked: &Value, role: &str, key: &Path, about: &Path) -> String {
    let claim = Claim {
        audience: asked["audience"].as_str().unwrap(),
        partner: asked["partner"].as_str().unwrap(),
        role: triseal::envelope::possession::role(role).unwrap(),
        algorithm: None,
        certificate: certificate(&about.join(format!("{role}.pem"))).fingerprint(),
    };
    let entry = entry(key, role);
    match asked["sealed"].as_str() {
        Some(sealed) => claim.open(sealed, &entry.content_key().unwrap()),
        None => claim.prove(&entry, asked["nonce"].as_str().unwrap()),
    }
    .unwrap()
}

/// The replacement that goes with a challenge.
pub fn replacement(asked: &Value, role: &str, dir: &Path, proof: &str) -> Value {
    json!({"challenge": asked["challenge"], "certificate": pem(dir, role), "proof": proof})
}

/// What partner `crvs` is told of its certificates.
#[track_caller]
pub fn current(site: &Site) -> Vec<Value> {
    let exchange = Request::get(site, &format!("{PATH}/current")).send(&mut site.connect());
    let said = exchange.json(site);
    assert_eq!(exchange.answer.status, 200, "{said}");
    said["certificates"].as_array().unwrap().clone()
}

/// The algorithm that goes with a request signed by the key of a folder.
pub fn signed_by(request: Request, dir: &Path, algorithm: Algorithm) -> Request {
    let mut request = request
        .signed_by(dir, "signature")
        .set("alg", json!(format!("{algorithm:?}")));
    request.draft.algorithm = algorithm;
    request
}

/// The command of the partner's own gateway.
pub fn with_command(site: &Site, role: &str, new: &Path) -> Output {
    let file = |end: &str| new.join(format!("{role}.{end}")).display().to_string();
    triseal([
        "partners",
        "replace-certificate",
        "--config",
        &site.path("crvs/gateway.toml").display().to_string(),
        "--upstream",
        "misp",
        "--role",
        role,
        "--certificate",
        &file("pem"),
        "--key",
        &file("key.pem"),
    ])
}
