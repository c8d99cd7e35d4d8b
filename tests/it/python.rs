//! The Python programs in `tests/python`, run in the virtual environment that `tests/setup-python` makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::{Value, json};

use crate::harness::{Process, Site, free_ports, run, until};

/// The interpreter; made when it is missing.
pub fn interpreter() -> &'static Path {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = Command::new(root.join("tests/setup-python"))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        root.join("target/venv/bin/python")
    })
}

fn program(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/python").join(name).display().to_string()
}

/// Runs a program with a job on its standard input, and reads the objects it prints.
#[track_caller]
pub fn lines(name: &str, job: &Value) -> Vec<Value> {
    let output = run(
        &interpreter().display().to_string(),
        ["-W", "ignore", &program(name)],
        &[],
        job.to_string().as_bytes(),
    );
    assert!(output.code == 0, "{name}: {}", output.all());
    objects(&output.out)
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sends the upstream of a site's MISP gateway elsewhere: the text of its `addresses`.
pub fn upstream(site: &Site, addresses: &str) {
    site.edit("misp/gateway.toml", |text| {
        let old = text
            .lines()
            .find(|line| line.starts_with("addresses = "))
            .unwrap()
            .to_owned();
        text.replace(&old, &format!("addresses = [{addresses}]"))
    });
}

/// Seals the MISP gateway's routes in another envelope onward.
pub fn onward(site: &Site, envelope: &str) {
    site.replace(
        "misp/gateway.toml",
        "to = { upstream = \"ida\", envelope = \"mosip-ida\" }",
        &format!("to = {{ upstream = \"ida\", envelope = \"{envelope}\" }}"),
    );
}

/// The job of `ida_partner.py`: partner `crvs` at the partner face of a site.
pub fn partner_job(site: &Site, ask: &[&str]) -> Value {
    let scene: Value = serde_json::from_str(&site.read("scene.json")).unwrap();
    json!({
        "port": site.partner_face(),
        "pki": site.path("pki"),
        "licence": scene["licence_key"],
        "api_key": scene["api_key"],
        "do": ask,
    })
}

/// `ida_server.py`: an IDA that is not ours, to stand behind a gateway.
#[derive(Debug)]
pub struct IdaServer {
    process: Process,
    /// Where it listens.
    pub port: u16,
}

impl IdaServer {
    /// Starts it with the keys of a site.
    pub fn start(site: &Site, mode: &str, tls: bool) -> Self {
        Self::with(site, mode, tls, &json!({}))
    }

    /// The same with more members of the job.
    pub fn with(site: &Site, mode: &str, tls: bool, more: &Value) -> Self {
        let port = free_ports(1);
        let job = site.path("ida_server.json");
        let mut text = json!({"port": port, "tls": tls, "pki": site.path("pki"), "mode": mode});
        text.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        std::fs::write(&job, text.to_string()).unwrap();
        let process = Process::start(
            interpreter(),
            [program("ida_server.py"), job.display().to_string()],
            &[],
            &site.path("."),
            "ida_server",
        );
        until("the Python IDA is ready", || {
            assert!(process.runs(), "{}", process.err());
            process.out().contains("ready").then_some(())
        });
        Self { process, port }
    }

    /// What it has received so far.
    pub fn received(&self) -> Vec<Value> {
        let out = self.process.out();
        // The last line may be half written.
        objects(out.get(..out.rfind('\n').map_or(0, |n| n + 1)).unwrap())
    }

    /// Waits for so many requests.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        until("the Python IDA has received the requests", || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }
}
