//! `/verify` of OpenCRVS through the handler `opencrvs`: a plain question to the partner's gateway, which checks the OpenCRVS token,
//! seals and signs for IDA, and believes the answer by its signature. The MISP's gateway and the embedded MOSIP stand behind it, on the
//! generator's core; what counts is the processor time of the partner's gateway.

use std::{fs, net::TcpListener, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    gateway::{BINARY, ready},
    load::{self, Check, Client, Measured, Next, Pace},
    machine::Cores,
    peers::Server,
    questions::{Bench, SEALED_CONNECTIONS, describe, progress},
    report::{Report, median},
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
        // Written last.
        let scene = folder.join("scene.json");
        mosip.wait(async || scene.exists()).await;
        let scene: Value = serde_json::from_slice(&fs::read(scene).unwrap()).unwrap();
        let port = |name: &str| -> u16 {
            let address = scene[name].as_str().expect("an address");
            address.rsplit_once(':').unwrap().1.parse().unwrap()
        };
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
        let client = Client::plain(crvs.port);
        let next = questions(&client, &token(&Client::plain(port("core"))).await);
        open_window(&client, &next).await;
        let shape = self.shape(SEALED_CONNECTIONS, Pace::Closed);
        let mut rounds = Vec::new();
        for round in 0..self.rounds {
            let pids = crvs.pids();
            let seen = load::measure(&client, &pids, self.cores, shape, &next, &verified()).await;
            progress("/verify", round, "triseal", &seen);
            rounds.push(seen);
        }
        let per_cpu_s = median(rounds.iter().map(Measured::per_cpu_s));
        report.figure("verify_per_cpu_s", per_cpu_s);
        let mut detail = describe(&[&crvs], &[rounds]);
        detail["connections"] = json!(SEALED_CONNECTIONS);
        detail["behind"] =
            json!("the MISP's gateway and the embedded MOSIP, on the generator's core");
        report.detail("verify", detail);
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
