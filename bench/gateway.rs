//! The gateway under test: its configuration as files, its process, and how long it takes to be ready.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use triseal::config::{self, Document, Mistakes};

use crate::{
    machine::Cores,
    peers::{Server, free_port},
    pki::{self, Pki},
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_triseal");
const PEPPER: &str = "0123456789abcdef0123456789abcdef";
const LICENCE_KEY: &str = "benchlicencekey0123456789";
const API_KEY: &str = "123456";
const PARTNER: &str = "bench";

/// Where the hub delivers, and the secret it signs under.
pub const DELIVERY_PATH: &str = "/websub/callback";
pub const HUB_SECRET: &str = "the secret of the bench's hub";
pub const TOPIC: &str = "bench/EVENTS";
const STORE_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The path of a sealed exchange.
pub fn kyc_path() -> String {
    format!("/idauthentication/v1/kyc/{LICENCE_KEY}/{PARTNER}/{API_KEY}")
}

/// Configuration in a folder.
pub struct Gateway {
    file: PathBuf,
    port: u16,
    admin: u16,
}

impl Gateway {
    /// Writes all files and checks their shape.
    pub fn configure(pki: &Pki, folder: &Path, upstream: u16) -> Self {
        // Also what an earlier run remembers of its messages: those keys are gone.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder.join("partners")).unwrap();
        let (port, admin) = (free_port(), free_port());
        pki::write_private(&folder.join("pepper"), PEPPER);
        pki::write_private(&folder.join("hub"), HUB_SECRET);
        pki::write_private(&folder.join("store-key"), STORE_KEY);
        fs::write(folder.join("policy.json"), POLICY).unwrap();
        let file = folder.join("triseal.toml");
        fs::write(&file, main_file(pki, port, admin, upstream)).unwrap();
        check::<config::Config>(&file, &config::config_schema());
        for (name, text) in [("bench", partner_file(pki)), ("misp", misp_file())] {
            let file = folder.join(format!("partners/{name}.toml"));
            fs::write(&file, text).unwrap();
            check::<config::Partner>(&file, &config::partner_schema());
        }
        Self { file, port, admin }
    }

    /// One that records every exchange and answers when the record is on disk.
    pub fn with_evidence(pki: &Pki, folder: &Path, upstream: u16) -> Self {
        let gateway = Self::configure(pki, folder, upstream);
        let text = fs::read_to_string(&gateway.file).unwrap();
        let more = "[evidence]\nlevel = \"required\"\n";
        fs::write(&gateway.file, format!("{text}\n{more}")).unwrap();
        check::<config::Config>(&gateway.file, &config::config_schema());
        gateway
    }

    /// One of several that share what they have taken, at a Redis server.
    pub fn replica(pki: &Pki, folder: &Path, upstream: u16, redis: u16) -> Self {
        let gateway = Self::configure(pki, folder, upstream);
        pki::write_private(&folder.join("shared-key"), STORE_KEY);
        let text = fs::read_to_string(&gateway.file).unwrap();
        let more = format!(
            "[shared]\nurl = \"redis://127.0.0.1:{redis}\"\nkey = [{{ file = \"shared-key\" }}]\n"
        );
        fs::write(&gateway.file, format!("{text}\n{more}")).unwrap();
        check::<config::Config>(&gateway.file, &config::config_schema());
        gateway
    }

    /// One with P-256 keys throughout and the sealed route of the envelope `jose` alone.
    pub fn on_curve(pki: &Pki, folder: &Path, upstream: u16) -> Self {
        let gateway = Self::configure(pki, folder, upstream);
        let change = |file: &Path, change: &dyn Fn(&str) -> String| {
            fs::write(file, change(&fs::read_to_string(file).unwrap())).unwrap();
        };
        let on_curve = |text: &str| {
            text.replace("encryption.pem", "encryption-p256.pem")
                .replace("encryption.key", "encryption-p256.key")
                .replace("signature.pem", "signature-p256.pem")
                .replace("signature.key", "signature-p256.key")
        };
        change(&gateway.file, &|text| {
            // MOSIP's own form takes RSA alone.
            let from = text.find("[[route]]\nname = \"ida-kyc\"").unwrap();
            let to = text.find("[limits]").unwrap();
            on_curve(&format!("{}{}", &text[..from], &text[to..]))
        });
        change(&folder.join("partners/bench.toml"), &|text| {
            on_curve(&text.replace(", \"ida-kyc\", \"websub\"", ""))
        });
        gateway
    }

    /// Its configuration.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Starts it and waits for `/readyz`; also gives the seconds that took.
    pub async fn start(&self, cores: Cores) -> (Server, f64) {
        let folder = self.file.parent().unwrap();
        let file = self.file.to_str().unwrap();
        let begin = Instant::now();
        let command = [BINARY, "run", "--config", file];
        let mut server = Server::start("triseal", cores, self.port, folder, &command);
        server
            .wait(async || ready(self.admin).await.is_ok_and(|yes| yes))
            .await;
        (server, begin.elapsed().as_secs_f64())
    }
}

/// Whether the gateway with that admin port says that it is ready.
pub async fn ready(admin: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin)).await?;
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"HTTP/1.1 200")
}

fn check<T: serde::de::DeserializeOwned>(file: &Path, schema: &schemars::Schema) {
    let mut mistakes = Mistakes::default();
    let document = Document::read(file).unwrap();
    let parsed = document.parse::<T>(schema, &mut mistakes);
    assert!(parsed.is_some(), "{mistakes}");
}

fn main_file(pki: &Pki, port: u16, admin: u16, upstream: u16) -> String {
    let own: String = [
        ("tls", pki::GATEWAY_TLS),
        ("encryption", pki::GATEWAY_ENCRYPTION),
        ("signature", pki::GATEWAY_SIGNATURE),
    ]
    .map(|(role, name)| {
        format!(
            "[[party.certificate]]\nrole = \"{role}\"\ncertificate = {:?}\nkey = {:?}\n\n",
            pki.certificate_file(name),
            pki.key_file(name)
        )
    })
    .concat();
    format!(
        r#"# Written by the bench.
[gateway]
name = "bench"
partners = "partners"
state = "state"
pepper = {{ file = "pepper" }}
workers = 1

[party]
id = "bench-misp"
organisation = "{organisation}"

{own}[[anchor]]
name = "bench"
certificates = [{ca:?}]
crls = [{crl:?}]

[[face]]
name = "partners"
kind = "partner"
listen = "127.0.0.1:{port}"
hosts = ["localhost"]
anchors = ["bench"]

[admin]
listen = "127.0.0.1:{admin}"

[[upstream]]
name = "standin"
addresses = ["http://127.0.0.1:{upstream}"]
http = "1.1"
idle_connections_max = 128

[[policy]]
id = "bench"
document = "policy.json"

[[route]]
name = "relay"
path = "/relay/{{rest}}"
methods = ["GET"]
handler = "relay"
from = {{ face = "partner", envelope = "insecure_plain" }}
to = {{ upstream = "standin", envelope = "insecure_plain" }}

[[route]]
name = "jose"
path = "/jose/{{rest}}"
methods = ["POST"]
handler = "relay"
from = {{ face = "partner", envelope = "jose" }}
to = {{ upstream = "standin", envelope = "insecure_plain" }}

[[route]]
name = "ida-kyc"
path = "/idauthentication/v1/kyc/{{misp_lk}}/{{partner_id}}/{{api_key}}"
handler = "ida"
from = {{ face = "partner", envelope = "mosip-ida" }}
to = {{ upstream = "standin", envelope = "opened" }}

[[route]]
name = "websub"
path = "{DELIVERY_PATH}"
handler = "websub"
from = {{ face = "partner", envelope = "insecure_plain" }}

[store]
url = "sqlite:state/store.db"
key = [{{ file = "store-key" }}]

[websub]
upstream = "standin"
envelope = "insecure_plain"

[[websub.subscription]]
name = "bench"
topic = "{TOPIC}"
callback = "https://localhost{DELIVERY_PATH}"
secret = {{ file = "hub" }}
hand_on = {{ service = {{ upstream = "standin", envelope = "insecure_plain", path = "/taken" }} }}

[limits]
# Requests are signed ahead of a round, and none is dated ahead.
freshness_back_ms = 600_000
freshness_forward_ms = 1_000
idle_timeout_ms = 600_000

[log]
access = "/dev/null"
"#,
        organisation = pki::GATEWAY_ORGANISATION,
        ca = pki.ca_file(),
        crl = pki.crl_file(),
    )
}

fn partner_file(pki: &Pki) -> String {
    let certificates: String = [
        ("tls", pki::PARTNER_TLS),
        ("encryption", pki::PARTNER_ENCRYPTION),
        ("signature", pki::PARTNER_SIGNATURE),
    ]
    .map(|(role, name)| {
        let file = pki.certificate_file(name);
        format!("[[certificate]]\nrole = \"{role}\"\nfile = {file:?}\n\n")
    })
    .concat();
    format!(
        r#"# Written by the bench.
id = "{PARTNER}"
organisation = "{organisation}"
kind = "auth"
routes = ["relay", "jose", "ida-kyc", "websub"]
clients = ["keymanager"]

[anchors]
tls = ["bench"]
encryption = ["bench"]
signature = ["bench"]

{certificates}[[api_key]]
hash = "{hash}"
policy = "bench"
"#,
        organisation = pki::PARTNER_ORGANISATION,
        hash = hash("api-key", API_KEY),
    )
}

/// The MISP that carries the partner's traffic: holds the licence key and calls nothing itself.
fn misp_file() -> String {
    format!(
        r#"# Written by the bench.
id = "bench-carrier"
organisation = "Bench Carrier"
kind = "misp"

[[licence_key]]
hash = "{}"
"#,
        hash("licence-key", LICENCE_KEY)
    )
}

/// What `triseal partners hash` prints for a secret of that kind.
fn hash(kind: &str, secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, PEPPER.as_bytes());
    let mac = hmac::sign(&key, format!("{kind}\0{secret}").as_bytes());
    format!("hmac-sha256:{}", URL_SAFE_NO_PAD.encode(mac))
}

const POLICY: &str = r#"{
  "authTokenType": "policy",
  "allowedAuthTypes": [
    {"authType": "demo", "mandatory": false},
    {"authType": "kyc", "mandatory": false}
  ],
  "allowedKycAttributes": [
    {"attributeName": "fullName"}, {"attributeName": "dob"}, {"attributeName": "dateOfBirth"},
    {"attributeName": "gender"}, {"attributeName": "phone"}, {"attributeName": "email"},
    {"attributeName": "fullAddress"}, {"attributeName": "photo"}
  ],
  "kycLanguages": ["eng"]
}
"#;
