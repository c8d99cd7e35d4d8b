//! A copy of the world's two gateways, in a folder and on ports of its own: configurations to change, gateways to start.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::Value;
use triseal::{
    config::Algorithm,
    envelope::{DetachedJws, Forms},
    keys::VerifyingKey,
    trust::Certificate,
};

use super::{
    Answer, Ask, Identity, Tls, TlsClient, der, get,
    process::Process,
    wait::{until, within},
    world::{World, free_ports, fresh_dir},
};

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    admin: u16,
    access: PathBuf,
}

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The new version is in force.
    Published,
    /// It has mistakes; the running one stays.
    Refused,
}

/// Two configurations, `misp/` and `crvs/`, with the PKI beside them.
#[derive(Debug)]
pub struct Site {
    dir: PathBuf,
    ports: [u16; 4],
    misp: Option<Gateway>,
    crvs: Option<Gateway>,
    environment: Vec<(String, String)>,
    /// What stands before the command line of every gateway.
    through: Vec<String>,
}

impl Site {
    /// A fresh copy before the shared embedded IDA; nothing is started.
    pub fn new(name: &str) -> Self {
        Self::before(World::shared(), name)
    }

    /// A fresh copy before an IDA of its own.
    pub fn before(world: &World, name: &str) -> Self {
        let dir = fresh_dir(name);
        for part in ["misp", "crvs", "pki", "mosip"] {
            copy(&world.dir().join(part), &dir.join(part));
        }
        for part in ["scene.json", "sdk.toml"] {
            fs::copy(world.dir().join(part), dir.join(part)).unwrap();
        }
        let mut site = Self {
            ports: world.ports(),
            dir,
            misp: None,
            crvs: None,
            environment: Vec::new(),
            through: Vec::new(),
        };
        let (old, new) = (
            world.dir().display().to_string(),
            site.dir.display().to_string(),
        );
        for file in ["scene.json", "sdk.toml"] {
            site.edit(file, |text| text.replace(&old, &new));
        }
        site.renumber();
        site
    }

    /// A fresh copy whose MISP gateway runs.
    pub fn misp_running(name: &str) -> Self {
        let mut site = Self::new(name);
        site.start_misp();
        site
    }

    /// Four other ports, in every file that names one.
    fn renumber(&mut self) {
        let base = free_ports(4);
        let new = [base, base + 1, base + 2, base + 3];
        let old = std::mem::replace(&mut self.ports, new);
        for file in [
            "misp/gateway.toml",
            "crvs/gateway.toml",
            "scene.json",
            "sdk.toml",
        ] {
            self.edit(file, |mut text| {
                for (n, from) in old.iter().enumerate() {
                    text = text.replace(&format!(":{from}"), &format!(":<{n}>"));
                }
                for (n, to) in new.iter().enumerate() {
                    text = text.replace(&format!(":<{n}>"), &format!(":{to}"));
                }
                text
            });
        }
    }

    /// A path in this site's folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    /// Text of a file.
    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    /// Puts a file in place at once, so that nobody sees half of it. It keeps the mode of the one before.
    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        if let Ok(before) = fs::metadata(&path) {
            fs::set_permissions(&new, before.permissions()).unwrap();
        }
        fs::rename(new, path).unwrap();
    }

    /// Changes a file.
    pub fn edit(&self, relative: &str, change: impl FnOnce(String) -> String) {
        self.write(relative, &change(self.read(relative)));
    }

    /// Puts `to` in place of `from`, which must be there.
    #[track_caller]
    pub fn replace(&self, relative: &str, from: &str, to: &str) {
        let text = self.read(relative);
        assert!(text.contains(from), "{relative} has no `{from}`");
        self.write(relative, &text.replace(from, to));
    }

    /// Adds text at the end of a file.
    pub fn append(&self, relative: &str, more: &str) {
        self.edit(relative, |text| format!("{text}\n{more}\n"));
    }

    /// Sets limits of the MISP's gateway, one `name = value` a line.
    pub fn limits(&self, lines: &str) {
        self.append("misp/gateway.toml", &format!("[limits]\n{lines}"));
    }

    /// Starts the MISP's gateway and waits until it is ready.
    pub fn start_misp(&mut self) -> &Gateway {
        self.misp = None;
        let gateway = self.start("misp", 2, 3);
        self.misp.insert(gateway)
    }

    /// Sets a variable in the environment of every gateway that is started from here on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts gateways through another command from here on, which ends in becoming them, such as `nsenter`.
    pub fn start_through(&mut self, command: Vec<String>) {
        self.through = command;
    }

    fn launch(&self, name: &str, outputs: &str, more: &[&str]) -> Process {
        let config = self.path(&format!("{name}/gateway.toml"));
        let triseal = env!("CARGO_BIN_EXE_triseal").to_owned();
        let mut command = self.through.clone();
        command.extend([triseal, "run".to_owned(), "--config".to_owned()]);
        let mut args = command.split_off(1);
        args.push(config.display().to_string());
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let program = Path::new(&command[0]);
        Process::start(program, args, &environment, &self.dir, outputs)
    }

    /// Starts the MISP's gateway without waiting for it.
    pub fn launch_misp(&self, outputs: &str) -> Process {
        self.launch("misp", outputs, &[])
    }

    /// Starts a process that is to take over from the MISP's gateway; its outputs are `OUTPUTS.out` and `.err`.
    pub fn launch_upgrade(&self, outputs: &str) -> Process {
        self.launch("misp", outputs, &["--upgrade"])
    }

    /// The MISP's gateway is another process now. Gives the one that was.
    pub fn succeed_misp(&mut self, process: Process) -> Process {
        let misp = self.misp.as_mut().unwrap();
        std::mem::replace(&mut misp.process, process)
    }

    /// Starts the partner's gateway and waits until it is ready.
    pub fn start_crvs(&mut self) -> &Gateway {
        self.crvs = None;
        let gateway = self.start("crvs", 1, 0);
        self.crvs.insert(gateway)
    }

    fn start(&mut self, name: &str, admin: usize, face: usize) -> Gateway {
        for _ in 0..40 {
            let process = self.launch(name, name, &[]);
            let (port, face) = (self.ports[admin], self.ports[face]);
            let up = until(&format!("gateway {name} answers or ends"), || {
                // The admin listener may come up a moment before the face.
                if get(port, "/healthz").is_some()
                    && TcpStream::connect((Ipv4Addr::LOCALHOST, face)).is_ok()
                {
                    return Some(true);
                }
                (!process.runs()).then_some(false)
            });
            if up {
                return Gateway {
                    process,
                    admin: port,
                    access: self.path(&format!("{name}/access.log")),
                };
            }
            let said = process.err();
            assert!(said.contains("cannot listen"), "{name}: {said}");
            if self.misp.is_none() && self.crvs.is_none() {
                self.renumber();
            } else {
                // The other gateway runs and knows these ports: whoever has one of them for the moment is waited for.
                thread::sleep(Duration::from_millis(250));
            }
        }
        panic!("no free ports for gateway {name}");
    }

    /// The MISP's gateway.
    pub fn misp(&self) -> &Gateway {
        self.misp.as_ref().unwrap()
    }

    /// The partner's gateway.
    pub fn crvs(&self) -> &Gateway {
        self.crvs.as_ref().unwrap()
    }

    /// Stops the MISP's gateway at once.
    pub fn kill_misp(&mut self) {
        self.misp = None;
    }

    /// Stops the partner's gateway at once.
    pub fn kill_crvs(&mut self) {
        self.crvs = None;
    }

    /// Port of the MISP's partner face.
    pub const fn partner_face(&self) -> u16 {
        self.ports[3]
    }

    /// Port of the partner's service face.
    pub const fn service_face(&self) -> u16 {
        self.ports[0]
    }

    /// The folder of a party's certificates, such as `crvs`.
    pub fn party(&self, id: &str) -> PathBuf {
        self.path("pki/parties").join(id)
    }

    /// The folder of a twin's certificates, such as `revoked`.
    pub fn twin(&self, kind: &str) -> PathBuf {
        self.path("pki/twins").join(kind)
    }

    /// The anchors by which clients verify gateways.
    pub fn ca(&self) -> PathBuf {
        self.path("pki/anchors/tls.pem")
    }

    /// A TLS client with the certificate of partner `crvs`.
    pub fn client(&self) -> Tls {
        self.client_of(&self.party("crvs"), "tls")
    }

    /// A TLS client with another certificate, from `DIR/ROLE.pem`.
    pub fn client_of(&self, dir: &Path, role: &str) -> Tls {
        Tls::new(&self.ca()).identity(Identity::load(dir, role))
    }

    /// A connection of partner `crvs` to the partner face.
    #[track_caller]
    pub fn connect(&self) -> TlsClient {
        self.client().connect(self.partner_face()).unwrap()
    }

    /// An IDA authentication of partner `crvs` that is answered yes.
    pub fn auth(&self) -> Ask {
        Ask::auth(self)
    }

    /// Asks over a new connection of partner `crvs`.
    #[track_caller]
    pub fn ask(&self, ask: &Ask) -> Answer {
        self.connect().ask(&ask.wire().http1())
    }
}

impl Site {
    /// The answer bears the signature of the MISP's gateway over its exact bytes.
    #[track_caller]
    pub fn assert_signed(&self, answer: &Answer) {
        let header = answer
            .header("response-signature")
            .unwrap_or_else(|| panic!("not signed: {} {}", answer.code(), answer.text()));
        let jws = DetachedJws::parse_answer(header, &Forms::STRICT).unwrap();
        let certificate =
            Certificate::from_der(der(&self.party("misp").join("signature.pem"))).unwrap();
        assert_eq!(jws.fingerprint(), certificate.fingerprint());
        let key = VerifyingKey::new(certificate.key(), Algorithm::RS256).unwrap();
        jws.verify(&key, &answer.body).unwrap();
    }
}

impl Gateway {
    /// The process.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// The port of its admin listener.
    pub const fn admin(&self) -> u16 {
        self.admin
    }

    /// Sends SIGHUP and waits for what comes of it.
    pub fn reload(&self) -> Reloaded {
        let before = self.reloads_by_signal().len();
        self.process.signal("HUP");
        until("the reload ends", || {
            self.reloads_by_signal().get(before).copied()
        })
    }

    /// What came of each reload that a signal asked for.
    fn reloads_by_signal(&self) -> Vec<Reloaded> {
        self.process
            .err()
            .lines()
            .filter(|line| line.contains("SIGHUP"))
            .filter_map(|line| {
                if line.contains("configuration reloaded") {
                    Some(Reloaded::Published)
                } else if line.contains("the running one stays in force") {
                    Some(Reloaded::Refused)
                } else {
                    None
                }
            })
            .collect()
    }

    /// `/readyz`.
    pub fn readyz(&self) -> Answer {
        get(self.admin, "/readyz").unwrap()
    }

    /// `/healthz`.
    pub fn healthz(&self) -> Answer {
        get(self.admin, "/healthz").unwrap()
    }

    /// `/metrics`.
    pub fn metrics(&self) -> String {
        get(self.admin, "/metrics").unwrap().text()
    }

    /// The sum of the samples of a metric whose line contains each of these words.
    pub fn metric(&self, name: &str, having: &[&str]) -> f64 {
        self.metrics()
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
            })
            .filter(|line| having.iter().all(|word| line.contains(word)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The access log as it is now.
    pub fn access(&self) -> Vec<Value> {
        fs::read_to_string(&self.access)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The access log's line of an exchange.
    #[track_caller]
    pub fn line(&self, correlation_id: &str) -> Value {
        assert!(!correlation_id.is_empty(), "no correlation id");
        until("the access log has the line", || {
            self.access()
                .into_iter()
                .rfind(|line| line["correlation_id"] == correlation_id)
        })
    }

    /// The code in the access log's line of an exchange.
    #[track_caller]
    pub fn logged(&self, answer: &Answer) -> String {
        let line = self.line(answer.correlation_id());
        line["code"].as_str().unwrap_or("-").to_owned()
    }

    /// Waits until the operator's log has a text, and says whether it came.
    pub fn says(&self, text: &str) -> bool {
        within(Duration::from_secs(10), || {
            self.process.err().contains(text).then_some(())
        })
        .is_some()
    }
}

/// Copies a folder into another, with the modes of its files; sockets in it are nobody's files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
