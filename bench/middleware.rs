//! The Node peer of `/verify`: a service of ours that does what OpenCRVS' middleware does, with the libraries it uses
//! (`bench/middleware/server.mjs`), against the IDA of the same embedded MOSIP.
//!
//! It is spared what the gateway does beside: it speaks plain HTTP, to a door that puts its bytes into mutual TLS on the
//! generator's core, and reaches IDA directly instead of through a MISP.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

use crate::{
    machine::Cores,
    peers::{Server, free_port},
};

const HOW: &str = "tests/setup-node bench";
/// Of a file that lives as long as the question.
const PASSWORD: &str = "bench";

/// What the peers of one scene have in common.
pub struct Middleware<'a> {
    cores: Cores,
    /// The sandbox's folder.
    scene_dir: &'a Path,
    scene: &'a Value,
    /// Where our own files go.
    folder: PathBuf,
    /// The door to IDA.
    ida: u16,
}

impl<'a> Middleware<'a> {
    /// The partner's keys in a PKCS#12 file, and a plain door to IDA.
    pub async fn prepare(
        cores: Cores,
        scene_dir: &'a Path,
        scene: &'a Value,
        folder: PathBuf,
    ) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let ida = door(scene_dir, port(scene, "ida")).await;
        let made = Self {
            cores,
            scene_dir,
            scene,
            folder,
            ida,
        };
        made.key_store();
        made
    }

    /// As the original has it: IDA knows one certificate of a partner, and takes what is signed with its key.
    fn key_store(&self) {
        let (key, certificate) = ("encryption.key.pem", "encryption.pem");
        let party = self.scene_dir.join("pki/parties/crvs");
        let made = Command::new("openssl")
            .args(["pkcs12", "-export", "-passout"])
            .arg(format!("pass:{PASSWORD}"))
            .arg("-inkey")
            .arg(party.join(key))
            .arg("-in")
            .arg(party.join(certificate))
            .arg("-out")
            .arg(self.keys())
            .output()
            .expect("openssl is missing: apt-get install --no-install-recommends openssl");
        assert!(made.status.success(), "{made:?}");
    }

    fn keys(&self) -> PathBuf {
        self.folder.join("keystore.p12")
    }

    /// Starts one; `more` are its arguments.
    pub async fn start(&self, name: &'static str, more: &[&str]) -> Server {
        let port = free_port();
        let of = |name: &str| self.scene[name].as_str().expect("a text");
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let certificate = self.scene_dir.join("pki/parties/mosip/encryption.pem");
        let settings = [
            ("NODE_ENV", "production".to_owned()),
            ("PORT", port.to_string()),
            (
                "OPENCRVS_PUBLIC_KEY_URL",
                format!("{}/.well-known", of("core")),
            ),
            (
                "IDA_AUTH_URL",
                format!("http://127.0.0.1:{}/idauthentication/v1/auth", self.ida),
            ),
            ("IDA_AUTH_DOMAIN_URI", "https://localhost".to_owned()),
            ("PARTNER_MISP_LK", of("licence_key").to_owned()),
            ("PARTNER_ID", of("partner_id").to_owned()),
            ("PARTNER_APIKEY", of("api_key").to_owned()),
            ("ENCRYPT_CERT_PATH", certificate.display().to_string()),
            ("SIGN_P12_FILE_PATH", self.keys().display().to_string()),
            ("SIGN_P12_FILE_PASSWORD", PASSWORD.to_owned()),
        ]
        .map(|(name, value)| format!("{name}=\"{value}\"\n"));
        // In a file: other users of the machine can read arguments.
        let file = folder.join("settings.env");
        fs::write(&file, settings.concat()).unwrap();
        let file = format!("--env-file={}", file.display());
        let server = installed().join("server.mjs").display().to_string();
        let command: Vec<&str> = ["env", "-u", "UV_THREADPOOL_SIZE", "-u", "NODE_OPTIONS"]
            .into_iter()
            .chain(["node", &file, &server])
            .chain(more.iter().copied())
            .collect();
        Server::start(name, self.cores, port, &folder, &command)
            .listening()
            .await
    }
}

/// The port in an address of the scene.
pub fn port(scene: &Value, name: &str) -> u16 {
    let address = scene[name].as_str().expect("an address");
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Node's version and its packages'; why there is no such peer, where they are not there.
pub fn version() -> Result<String, String> {
    let node = Command::new("node").arg("--version").output();
    let node = node.map_err(|_| "node is missing: install Node 20 or later".to_owned())?;
    let node = String::from_utf8_lossy(&node.stdout).trim().to_owned();
    let package = fs::read(installed().join("package.json")).unwrap_or_default();
    let package: Value = serde_json::from_slice(&package).unwrap_or_default();
    if !installed().join("node_modules").is_dir() {
        return Err(format!("its packages are missing: {HOW}"));
    }
    let packages: Vec<String> = package["dependencies"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default()))
        .collect();
    Ok(format!("{node}; {}", packages.join(", ")))
}

/// Where `tests/setup-node bench` puts it.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/middleware")
}

/// A plain port in front of IDA's mutual TLS, with the partner's TLS certificate.
async fn door(scene_dir: &Path, ida: u16) -> u16 {
    let pki = scene_dir.join("pki");
    let mut roots = RootCertStore::empty();
    for anchor in certificates(&pki.join("anchors/tls.pem")) {
        roots.add(anchor).unwrap();
    }
    let party = pki.join("parties/crvs");
    let key = PrivateKeyDer::from_pem_file(party.join("tls.key.pem")).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&party.join("tls.pem")), key)
        .unwrap();
    let tls = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((plain, _)) = listener.accept().await {
            tokio::spawn(through(plain, tls.clone(), ida));
        }
    });
    port
}

/// One connection; Node sees an error as a connection that ends, and the bench as an answer that is not right.
async fn through(mut plain: TcpStream, tls: TlsConnector, ida: u16) -> std::io::Result<()> {
    plain.set_nodelay(true)?;
    let stream = TcpStream::connect(("127.0.0.1", ida)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut sealed = tls.connect(name, stream).await?;
    copy_bidirectional(&mut plain, &mut sealed).await?;
    Ok(())
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}
