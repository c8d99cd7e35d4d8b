//! A real server for tests of this room, on a socket in a folder of its own. It ends with the test, or with the test run.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{Address, Place, Redis, Settings};
use crate::clock::Clock;

/// Starts the program, and kills it when standard input ends.
const GUARD: &str = r#""$@" >/dev/null 2>&1 </dev/null & cat >/dev/null; kill -KILL $!"#;

pub(crate) struct Server {
    folder: tempfile::TempDir,
    guard: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            guard: None,
        };
        server.begin();
        server
    }

    /// Starts it, with nothing of what it knew.
    pub(crate) fn begin(&mut self) {
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", "redis-server", "--port", "0"])
            .args(["--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(self.socket())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .spawn();
        self.guard = Some(guard.unwrap());
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let waited = began.elapsed();
            assert!(
                waited < Duration::from_secs(20),
                "redis-server does not start; tests/setup-system installs it"
            );
            sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// A gateway's way to it. Nothing is closed for longer than a moment at first.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            place: Place::Server(Address::Unix(self.socket())),
            prefix: "test:".to_owned(),
            // Tests move the gateways' clocks; the floor begins at the server's present.
            skew_ms: 600_000,
            forward_ms: -601_000,
            ..Settings::memory()
        }
    }

    pub(crate) fn engine(settings: &Settings, clock: &Clock) -> Arc<Redis> {
        let Place::Server(address) = &settings.place else {
            panic!("no server");
        };
        let mut engine = Redis::new(settings.clone(), address.clone(), clock.clone());
        engine.by_our_clock = true;
        let engine = Arc::new(engine);
        super::begin(&engine, settings).unwrap();
        engine
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
