//! A Redis server of a test's own: on a free port, with nothing on disk, stopped by its id.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    process::Process,
    wait::until,
    world::{free_ports, fresh_dir},
};

/// A server that runs, or ran.
#[derive(Debug)]
pub struct Redis {
    dir: PathBuf,
    port: u16,
    options: Vec<String>,
    process: Option<Process>,
}

impl Redis {
    /// Starts one, with more options of `redis-server` such as `--requirepass`.
    pub fn start(name: &str, options: &[&str]) -> Self {
        let mut redis = Self {
            dir: fresh_dir(name),
            port: free_ports(1),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            process: None,
        };
        redis.begin();
        redis
    }

    /// One that speaks TLS alone, with that certificate and key.
    pub fn with_tls(name: &str, certificate: &Path, key: &Path, options: &[&str]) -> Self {
        let port = free_ports(1);
        let text = |path: &Path| path.display().to_string();
        let mut all = vec![
            "--port".to_owned(),
            "0".to_owned(),
            "--tls-port".to_owned(),
            port.to_string(),
            "--tls-cert-file".to_owned(),
            text(certificate),
            "--tls-key-file".to_owned(),
            text(key),
            "--tls-auth-clients".to_owned(),
            "no".to_owned(),
        ];
        all.extend(options.iter().map(|o| (*o).to_owned()));
        let mut redis = Self {
            dir: fresh_dir(name),
            port,
            options: all,
            process: None,
        };
        redis.begin();
        redis
    }

    /// Starts it again, with nothing of what it knew.
    pub fn begin(&mut self) {
        let port = self.port.to_string();
        let mut args = vec!["--port", &port, "--bind", "127.0.0.1"];
        args.extend(["--save", "", "--appendonly", "no"]);
        args.extend(self.options.iter().map(String::as_str));
        let process = Process::start(Path::new("redis-server"), args, &[], &self.dir, "redis");
        until(
            "redis-server takes connections (tests/setup-system installs it)",
            || {
                assert!(process.runs(), "{}{}", process.out(), process.err());
                TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
            },
        );
        self.process = Some(process);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it answers to a command of plain words, where it speaks without TLS.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let limit = Some(Duration::from_secs(5));
        stream.set_read_timeout(limit).unwrap();
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(command.as_bytes()).unwrap();
        let mut answer = vec![0; 64 << 10];
        let read = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }
}
