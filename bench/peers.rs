//! The servers under test as child processes: nginx, HAProxy and, configured in `gateway`, Triseal.
//!
//! Each is pinned to the servers' core, works with one thread, has the same certificates and the same upstream, and is
//! ended by its id whatever happens to the bench.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use crate::{
    machine::{self, Cores},
    pki::{self, Pki},
};

/// How long a server may take until it listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a program on a core; what it prints goes to a file in its folder.
    pub fn start(
        name: &'static str,
        cores: Cores,
        port: u16,
        folder: &Path,
        command: &[&str],
    ) -> Self {
        let log = folder.join("output.log");
        let file = fs::File::create(&log).unwrap();
        // setpriv: should the bench itself be killed, the kernel ends its servers
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "TERM",
                "taskset",
                "-c",
                &cores.server.to_string(),
            ])
            .args(command)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("setpriv (package util-linux) can be run");
        Self {
            name,
            port,
            child,
            log,
        }
    }

    /// Waits until `ready` says so; a server that ends before that ends the bench.
    pub async fn wait(&mut self, ready: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !ready().await {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || start.elapsed() > PATIENCE {
                let output = fs::read_to_string(&self.log).unwrap_or_default();
                panic!("{} does not come up ({ended:?}):\n{output}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until it takes connections.
    pub async fn listening(mut self) -> Self {
        let port = self.port;
        self.wait(async || TcpStream::connect(("127.0.0.1", port)).await.is_ok())
            .await;
        self
    }

    /// The server's processes: master and workers.
    pub fn pids(&self) -> Vec<u32> {
        machine::tree(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pids: Vec<String> = self.pids().iter().map(u32::to_string).collect();
        signal("-TERM", &[self.child.id().to_string()]);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > PATIENCE {
                signal("-KILL", &pids);
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn signal(which: &str, pids: &[String]) {
    // a shell's own `kill`: no package needed
    let _ = Command::new("sh")
        .args(["-c", r#"kill "$@""#, "kill", which])
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What a peer calls itself; without it the bench cannot say anything, so it ends here.
pub fn version(program: &str, argument: &str, package: &str) -> String {
    let out = Command::new(find(program)).arg(argument).output();
    let out = out.unwrap_or_else(|_| {
        panic!("{program} is missing: apt-get install --no-install-recommends {package}")
    });
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .filter(|line| line.contains("version") || line.contains("OpenSSL"))
        .take(2)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Where a peer is: its folder is often not in the path of those who are not root.
pub fn find(program: &str) -> String {
    let usual = format!("/usr/sbin/{program}");
    if Path::new(&usual).exists() {
        usual
    } else {
        program.to_owned()
    }
}

pub async fn nginx(cores: Cores, pki: &Pki, folder: &Path, upstream: u16) -> Server {
    let port = free_port();
    fs::create_dir_all(folder).unwrap();
    let config = format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream standin {{
    server 127.0.0.1:{upstream};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=1024;
    server_name localhost;
    ssl_protocols TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {ca};
    ssl_crl {crl};
    ssl_verify_client on;
    ssl_session_tickets off;
    ssl_session_cache off;
    location /relay/ {{
      proxy_pass http://standin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
",
        folder = folder.display(),
        certificate = pki.certificate_file(pki::GATEWAY_TLS).display(),
        key = pki.key_file(pki::GATEWAY_TLS).display(),
        ca = pki.ca_file().display(),
        crl = pki.crl_file().display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let (prefix, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
    let command = [&find("nginx"), "-e", "stderr", "-p", prefix, "-c", file];
    Server::start("nginx", cores, port, folder, &command)
        .listening()
        .await
}

pub async fn haproxy(cores: Cores, pki: &Pki, folder: &Path, upstream: u16) -> Server {
    let port = free_port();
    fs::create_dir_all(folder).unwrap();
    let config = format!(
        "global
  nbthread 1
  maxconn 1024
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-request 10s
  timeout http-keep-alive 600s
frontend partners
  bind 127.0.0.1:{port} ssl crt {certificate} ca-file {ca} crl-file {crl} verify required no-tls-tickets alpn http/1.1
  default_backend standin
backend standin
  server standin 127.0.0.1:{upstream}
",
        certificate = pki.haproxy_file().display(),
        ca = pki.ca_file().display(),
        crl = pki.crl_file().display(),
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, config).unwrap();
    let command = [&find("haproxy"), "-db", "-f", file.to_str().unwrap()];
    Server::start("haproxy", cores, port, folder, &command)
        .listening()
        .await
}
