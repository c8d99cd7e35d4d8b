//! `/verify` of OpenCRVS through the handler `opencrvs`: a plain question to the partner's gateway, which checks the OpenCRVS token,
//! seals and signs for IDA, and believes the answer by its signature. The MISP's gateway and the embedded MOSIP stand behind it, on the
//! generator's core; what counts is the processor time of the partner's gateway. Beside it, on the same core, a Node service does for
//! the same question what OpenCRVS' middleware does (`middleware`).

use std::{fs, net::TcpListener, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    gateway::{BINARY, ready},
    load::{self, Check, Client, Measured, Next, Pace, Shape},
    machine::Cores,
    middleware::{self, Middleware},
    peers::Server,
    questions::{Bench, SEALED_CONNECTIONS, describe, progress},
    report::{Report, median, rounded},
};

/// Ports of a sandbox.
const PORTS: u16 = 12;

impl Bench {
    /// Everything is started for this question alone and ends with it.
    pub async fn verify(&self, folder: &Path, report: &mut Report) {
        let _ = fs::remove_dir_all(folder);
        let outputs = folder.with_extension("outputs");
        fs::create_dir_all(&outputs).unwrap();
        let behind = Cores {
            server: self.cores.load,
            load: self.cores.load,
        };
        let base = free_ports();
        let dir = folder.display().to_string();
        let ports = base.to_string();
        let command = [
            BINARY,
            "sandbox",
            "--dir",
            &dir,
            "--port-base",
            &ports,
            "--no-gateways",
        ];
        let mut mosip = Server::start("sandbox", behind, base, &outputs, &command);
        // Written last, and whole when it is there.
        let scene = folder.join("scene.json");
        mosip.wait(async || scene.exists()).await;
        let scene: Value = serde_json::from_slice(&fs::read(scene).unwrap()).unwrap();
        let port = |name: &str| middleware::port(&scene, name);
        let core = port("core");
        mosip
            .wait(async || TcpStream::connect(("127.0.0.1", core)).await.is_ok())
            .await;
        let start = async |name: &'static str, cores: Cores, face: &str, admin: &str| {
            let config = folder.join(name).join("gateway.toml").display().to_string();
            let outputs = folder.join(name);
            let command = [BINARY, "run", "--config", &config];
            let mut server = Server::start(name, cores, port(face), &outputs, &command);
            let admin = port(admin);
            server
                .wait(async || ready(admin).await.is_ok_and(|yes| yes))
                .await;
            server
        };
        let _misp = start("misp", behind, "partner_face", "misp_admin").await;
        let crvs = start("crvs", self.cores, "service_face", "partner_admin").await;
        let mut servers = vec![crvs];
        if middleware::version().is_ok() {
            let node = Middleware::prepare(self.cores, folder, &scene, outputs.join("node")).await;
            servers.push(node.start("node", &[]).await);
            servers.push(node.start("node-once", &["--keys-once"]).await);
        }
        let servers: Vec<&Server> = servers.iter().collect();
        let token = token(&Client::plain(core)).await;
        let measured = self.verify_rounds(&servers, &token).await;
        let (ours, peers) = measured.split_first().unwrap();
        let per_cpu_s = median(ours.iter().map(Measured::per_cpu_s));
        report.figure("verify_per_cpu_s", per_cpu_s);
        let mut detail = describe(&servers, &measured);
        for (key, theirs) in ["verify_vs_node", "verify_vs_node_keys_once"]
            .into_iter()
            .zip(peers)
        {
            let ratio = |(o, t): (&Measured, &Measured)| rounded(o.per_cpu_s() / t.per_cpu_s());
            let ratios: Vec<f64> = ours.iter().zip(theirs).map(ratio).collect();
            report.figure(key, median(ratios.clone()));
            detail[format!("{key}_by_round")] = json!(ratios);
        }
        detail["connections"] = json!(SEALED_CONNECTIONS);
        detail["behind"] =
            json!("the MISP's gateway and the embedded MOSIP, on the generator's core");
        report.detail("verify", detail);
    }

    /// Every server in every round, another one first each time. Half as many rounds as elsewhere: the Node peer that reads its keys
    /// for each question answers so few that its window is twice as long.
    async fn verify_rounds(&self, servers: &[&Server], token: &str) -> Vec<Vec<Measured>> {
        let asking: Vec<(Client, Next, Vec<u32>, Shape)> = servers
            .iter()
            .map(|server| {
                let client = Client::plain(server.port);
                let next = questions(&client, token);
                let mut shape = self.shape(SEALED_CONNECTIONS, Pace::Closed);
                if server.name == "node" {
                    shape.window *= 2;
                }
                (client, next, server.pids(), shape)
            })
            .collect();
        for (client, next, ..) in &asking {
            open_window(client, next).await;
        }
        let mut measured = vec![Vec::new(); servers.len()];
        for round in 0..self.rounds.div_ceil(2) {
            for place in 0..servers.len() {
                let at = (place + round) % servers.len();
                let (client, next, pids, shape) = &asking[at];
                let seen = load::measure(client, pids, self.cores, *shape, next, &verified()).await;
                progress("/verify", round, servers[at].name, &seen);
                measured[at].push(seen);
            }
        }
        measured
    }
}

/// An OpenCRVS token, as core gives it for a registration.
async fn token(core: &Client) -> String {
    let request = Request::post("/sandbox/actions")
        .header("host", core.host())
        .header("content-type", "application/json")
        .body(Full::from(r#"{"kind":"birth"}"#))
        .unwrap();
    let mut connection = core.connect().await.unwrap();
    let (head, body) = load::exchange(&mut connection, request).await.unwrap();
    assert!(head.status.is_success(), "{head:?}");
    let action: Value = serde_json::from_slice(&body).unwrap();
    action["token"].as_str().expect("a token").to_owned()
}

/// About somebody whom the embedded MOSIP knows.
fn questions(client: &Client, token: &str) -> Next {
    let host = HeaderValue::from_str(&client.host()).unwrap();
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let body = json!({
        "nid": "2753114735",
        "dob": "1987-11-25",
        "name": {"firstname": "Ada", "surname": "Example"},
    });
    let body = Bytes::from(body.to_string());
    Arc::new(move || {
        let request = Request::post("/verify")
            .header("host", &host)
            .header("authorization", &bearer)
            .header("content-type", "application/json")
            .body(Full::new(body.clone()))
            .unwrap();
        Some(request)
    })
}

fn verified() -> Check {
    Arc::new(|head, body| {
        if head.status == StatusCode::OK && body.windows(8).any(|w| w == b"verified") {
            Ok(())
        } else {
            Err("not verified".to_owned())
        }
    })
}

/// Waits until a question is answered: keys are fetched, and messages that an earlier process may have seen are refused.
async fn open_window(client: &Client, next: &Next) {
    let mut last = String::new();
    for _ in 0..80 {
        let mut connection = client.connect().await.unwrap();
        let (head, body) = load::exchange(&mut connection, next().unwrap())
            .await
            .unwrap();
        match verified()(&head, &body) {
            Ok(()) => return,
            Err(_) => last = format!("{head:?}\n{}", String::from_utf8_lossy(&body)),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("no question is answered: {last}");
}

/// The first of twelve ports on which nobody listens.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (20_000..30_000)
        .step_by(usize::from(PORTS))
        .find(|base| (0..PORTS).all(|n| free(base + n)))
        .expect("twelve ports that are free")
}
