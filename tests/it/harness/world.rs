//! One embedded IDA with its PKI for the whole run, and where everything of this run lies.

use std::{
    collections::HashSet,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use super::{process::Process, wait::within};

/// The sandbox's MOSIP, without gateways. Its folder is a template: nothing in it is changed.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    base: u16,
    scene: Value,
    /// Held for its end: it stops when the world does.
    process: Process,
}

impl World {
    /// The one of this run.
    pub fn shared() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(|| Self::start("world"))
    }

    /// One of its own, for tests that make MOSIP misbehave.
    pub fn start(name: &str) -> Self {
        Self::with(name, &["--ida-only"])
    }

    /// One of its own, whose gateways are configured with all their doors.
    pub fn whole(name: &str) -> Self {
        Self::with(name, &[])
    }

    fn with(name: &str, more: &[&str]) -> Self {
        for _ in 0..20 {
            let base = free_ports(triseal::sandbox::scene::Ports::COUNT);
            let dir = fresh_dir(name);
            let process = Process::start(
                Path::new(env!("CARGO_BIN_EXE_triseal")),
                [
                    "sandbox".to_owned(),
                    "--no-gateways".to_owned(),
                    "--dir".to_owned(),
                    dir.join("scene").display().to_string(),
                    "--port-base".to_owned(),
                    base.to_string(),
                ]
                .into_iter()
                .chain(more.iter().map(|flag| (*flag).to_owned())),
                &[],
                &dir,
                "sandbox",
            );
            // It makes a dozen RSA keys first; on a busy machine that takes its time.
            let ready = within(Duration::from_secs(90), || {
                if process.out().contains("MOSIP IDA listens") {
                    // The line before the guide: everything is written by then.
                    return process.out().contains("Ctrl-C").then_some(true);
                }
                (!process.runs()).then_some(false)
            })
            .expect("the sandbox starts or ends");
            if !ready {
                assert!(process.err().contains("port"), "{}", process.err());
                continue;
            }
            let text = fs::read_to_string(dir.join("scene/scene.json")).unwrap();
            return Self {
                dir: dir.join("scene"),
                base,
                scene: serde_json::from_str(&text).unwrap(),
                process,
            };
        }
        panic!("no free ports for a sandbox");
    }

    /// What the sandbox has said so far.
    pub fn said(&self) -> String {
        self.process.out()
    }

    /// The folder of the scene.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The port of the embedded IDA.
    pub const fn ida_port(&self) -> u16 {
        self.base + 4
    }

    /// The ports that stand in its configurations: service face, partner admin, MISP admin, partner face.
    pub(super) const fn ports(&self) -> [u16; 4] {
        [self.base, self.base + 1, self.base + 2, self.base + 3]
    }

    /// The licence key of the scene.
    pub fn licence(&self) -> &str {
        self.scene["licence_key"].as_str().unwrap()
    }

    /// The API key of the scene.
    pub fn api_key(&self) -> &str {
        self.scene["api_key"].as_str().unwrap()
    }

    /// The password of a party's PKCS#12 files.
    pub fn password(&self, party: &str) -> &str {
        self.scene["passwords"][party].as_str().unwrap()
    }
}

/// The folder of this run, below the target folder. Those of earlier runs are removed.
pub fn run_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for entry in fs::read_dir(all).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(pid) = name.strip_prefix("it-")
                && !Path::new("/proc").join(pid).exists()
            {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let dir = all.join(format!("it-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    })
}

/// A new folder of this run.
pub(super) fn fresh_dir(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = run_dir().join(format!("{n:03}-{name}"));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The first of `n` consecutive ports that were free a moment ago and were not given out before. They lie below the range
/// from which the system takes ports for outgoing connections.
pub fn free_ports(n: u16) -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap();
    let given = given.get_or_insert_with(HashSet::new);
    for _ in 0..1000 {
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let base = 12_000 + u16::from_be_bytes(random) % 20_000;
        let mut ports = base..base + n;
        if ports.clone().any(|p| given.contains(&p)) {
            continue;
        }
        if ports.all(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).is_ok()) {
            given.extend(base..base + n);
            return base;
        }
    }
    panic!("no {n} free ports in a row");
}
