//! The questions, one function each: interleaved rounds over the servers, ratios within a round, the median over rounds.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use triseal::clock::Clock;

use crate::{
    crypto::Exchange,
    gateway::{self, Gateway},
    load::{self, Check, Client, Measured, Next, Pace, Shape},
    machine::{self, Cores},
    partner::Partner,
    peers::Server,
    pki::Pki,
    report::{Report, median, rounded},
    sealed::Sealed,
    upstream::RELAY_ANSWER_BYTES,
};

/// Keep-alive connections of the relay and of the sealed exchange.
const RELAY_CONNECTIONS: u32 = 64;
pub const SEALED_CONNECTIONS: u32 = 8;
/// Connections being made at once.
const CONNECTING: u32 = 16;
const IDLE_CONNECTIONS: usize = 1_000;

/// What every question needs.
pub struct Bench {
    pub cores: Cores,
    pub pki: Pki,
    pub rounds: usize,
    pub warm: Duration,
    pub window: Duration,
}

impl Bench {
    pub const fn shape(&self, connections: u32, pace: Pace) -> Shape {
        Shape {
            connections,
            pace,
            warm: self.warm,
            window: self.window,
            awake: false,
        }
    }

    /// Every server in every round, another one first each time; for each server its rounds.
    async fn rounds(&self, what: &str, servers: &[&Server], shape: Shape) -> Vec<Vec<Measured>> {
        let clients: Vec<Client> = servers
            .iter()
            .map(|s| Client::new(s.port, &self.pki))
            .collect();
        let pids: Vec<Vec<u32>> = servers.iter().map(|s| s.pids()).collect();
        let mut measured = vec![Vec::new(); servers.len()];
        for round in 0..self.rounds {
            for place in 0..servers.len() {
                let at = (place + round) % servers.len();
                let client = &clients[at];
                let next = relay_request(client, matches!(shape.pace, Pace::Reconnect));
                let check = relay_check();
                let seen = load::measure(client, &pids[at], self.cores, shape, &next, &check).await;
                progress(what, round, servers[at].name, &seen);
                measured[at].push(seen);
            }
        }
        measured
    }

    /// Plain relay over 64 keep-alive connections, then its latency at half of nginx's highest rate.
    pub async fn relay(&self, servers: &[&Server], report: &mut Report) {
        let shape = self.shape(RELAY_CONNECTIONS, Pace::Closed);
        let highest = self.rounds("relay", servers, shape).await;
        ratios(report, "relay", servers, &highest, Measured::per_cpu_s);
        let mut detail = describe(servers, &highest);
        detail["connections"] = json!(RELAY_CONNECTIONS);
        detail["answer_bytes"] = json!(RELAY_ANSWER_BYTES);
        for server in servers {
            let client = Client::new(server.port, &self.pki);
            detail[server.name]["handshake"] = json!(client.negotiated().await);
        }
        report.detail("relay", detail);

        let nginx = servers.iter().position(|s| s.name == "nginx").unwrap();
        let per_s = median(highest[nginx].iter().map(Measured::per_wall_s)) / 2.0;
        let shape = self.shape(RELAY_CONNECTIONS, Pace::Open { per_s });
        let half = self.rounds("relay at half load", servers, shape).await;
        let p99 = |m: &Measured| m.latency.quantile_us(0.99) as f64;
        if let Some(triseal) = servers.iter().position(|s| s.name == "triseal") {
            let ratio = |(t, n): (&Measured, &Measured)| p99(t) / p99(n);
            let ratio = median(half[triseal].iter().zip(&half[nginx]).map(ratio));
            report.figure("relay_p99_vs_nginx", ratio);
        }
        let mut detail = describe(servers, &half);
        detail["offered_per_s"] = json!(rounded(per_s));
        report.detail("relay_half_load", detail);
    }

    /// A new connection for each request, every time a full handshake.
    pub async fn connections(&self, servers: &[&Server], report: &mut Report) {
        let shape = self.shape(CONNECTING, Pace::Reconnect);
        let measured = self.rounds("connections", servers, shape).await;
        ratios(
            report,
            "connections",
            servers,
            &measured,
            Measured::per_cpu_s,
        );
        let mut detail = describe(servers, &measured);
        detail["at_once"] = json!(CONNECTING);
        detail["answer_bytes"] = json!(RELAY_ANSWER_BYTES);
        report.detail("connections", detail);
    }

    /// Sealed exchanges against the bare cryptography of the same exchange.
    pub async fn sealed(&self, triseal: &Server, report: &mut Report) {
        let partner = Arc::new(Partner::new(&self.pki));
        let client = Client::new(triseal.port, &self.pki);
        open_window(&partner, &client).await;
        let sealed = Sealed {
            question: "sealed",
            figure: "sealed_share_of_bare_crypto",
            exchange: Exchange::Mosip,
            algorithms: "RSA-2048: RS256, RSA-OAEP-256; AES-256-GCM",
            requests: &|client, count| sealed_requests(&partner, client, count),
            check: sealed_check(&partner),
        };
        self.against_bare(triseal, &sealed, report).await;
    }

    /// Start to ready, and memory with a thousand idle connections that each did one exchange.
    pub async fn footprint(&self, gateway: &Gateway, report: &mut Report) {
        let mut ready = Vec::new();
        for _ in 0..self.rounds.max(3) {
            let (server, seconds) = gateway.start(self.cores).await;
            drop(server);
            ready.push(rounded(seconds));
        }
        let (server, _) = gateway.start(self.cores).await;
        let fresh = machine::rss_mib(&server.pids());
        let client = Client::new(server.port, &self.pki);
        let (next, check) = (relay_request(&client, false), relay_check());
        let mut open = Vec::new();
        for _ in 0..IDLE_CONNECTIONS {
            let mut connection = client.connect().await.unwrap();
            let request = next().unwrap();
            let (head, body) = load::exchange(&mut connection, request).await.unwrap();
            check(&head, &body).unwrap();
            open.push(connection);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(
            open.iter().all(|c| !c.is_closed()),
            "an idle connection was closed"
        );
        report.figure("ready_s", median(ready.iter().copied()));
        report.figure("idle_1000_mib", machine::rss_mib(&server.pids()));
        report.detail(
            "footprint",
            json!({ "ready_s": ready, "rss_fresh_mib": rounded(fresh), "idle_connections": IDLE_CONNECTIONS }),
        );
    }
}

fn relay_request(client: &Client, close: bool) -> Next {
    let host = HeaderValue::from_str(&client.host()).unwrap();
    Arc::new(move || {
        let mut request = Request::get("/relay/fixed").header("host", &host);
        if close {
            request = request.header("connection", "close");
        }
        Some(request.body(Full::default()).unwrap())
    })
}

fn relay_check() -> Check {
    Arc::new(|head, body| {
        if head.status == StatusCode::OK && body.len() == RELAY_ANSWER_BYTES {
            Ok(())
        } else {
            Err("the relay's answer is not the upstream's".to_owned())
        }
    })
}

/// Signs so many requests ahead; also says how large they are.
pub fn sealed_requests(partner: &Partner, client: &Client, count: usize) -> (Next, Value) {
    let clock = Clock::system();
    let path = gateway::kyc_path();
    let host = HeaderValue::from_str(&client.host()).unwrap();
    let mut sizes = Value::Null;
    let mut pool = Vec::with_capacity(count);
    for _ in 0..count {
        let sealed = partner.seal(clock.now());
        sizes = json!({
            "request_body": sealed.body.len(),
            "request_plain": sealed.request.len() - crate::partner::TAG - crate::partner::NONCE,
            "signature_header": sealed.signature.len(),
            "answer_identity_plain": crate::upstream::identity().len(),
        });
        let request = Request::post(&path)
            .header("host", &host)
            .header("content-type", "application/json")
            .header("authorization", "Authorization")
            .header("signature", sealed.signature)
            .body(Full::new(sealed.body))
            .unwrap();
        pool.push(request);
    }
    let pool: Mutex<Vec<Request<Full<Bytes>>>> = Mutex::new(pool);
    (Arc::new(move || pool.lock().unwrap().pop()), sizes)
}

/// Waits until a sealed exchange succeeds: after a start, messages that an earlier process may have seen are refused.
pub async fn open_window(partner: &Arc<Partner>, client: &Client) {
    let mut connection = client.connect().await.unwrap();
    let mut refusal = String::new();
    for _ in 0..40 {
        let request = sealed_requests(partner, client, 1).0().unwrap();
        let (head, body) = load::exchange(&mut connection, request).await.unwrap();
        match sealed_check(partner)(&head, &body) {
            Ok(()) => return,
            Err(why) => refusal = format!("{why}\n{head:?}\n{}", String::from_utf8_lossy(&body)),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if connection.is_closed() {
            connection = client.connect().await.unwrap();
        }
    }
    panic!("no sealed exchange succeeds: {refusal}");
}

/// Every answer must be a signed success; one in a hundred is verified and opened, which the generator's core can afford.
pub fn sealed_check(partner: &Arc<Partner>) -> Check {
    let partner = Arc::clone(partner);
    let seen = AtomicU32::new(0);
    Arc::new(move |head, body| {
        let signature = head.headers.get("response-signature");
        let signature = signature.and_then(|value| value.to_str().ok());
        let signature = signature.ok_or("the answer is not signed")?;
        if head.status != StatusCode::OK {
            return Err("the exchange was refused".to_owned());
        }
        if seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(100) {
            partner.open(signature, body)?;
        }
        Ok(())
    })
}

/// Triseal over each peer, round by round; the median is the figure.
fn ratios(
    report: &mut Report,
    question: &str,
    servers: &[&Server],
    measured: &[Vec<Measured>],
    rate: fn(&Measured) -> f64,
) {
    let Some(triseal) = servers.iter().position(|s| s.name == "triseal") else {
        return;
    };
    for (server, peer) in servers.iter().zip(measured) {
        if server.name != "triseal" {
            let ratio = |(t, p): (&Measured, &Measured)| rate(t) / rate(p);
            let ratio = median(measured[triseal].iter().zip(peer).map(ratio));
            report.figure(&format!("{question}_vs_{}", server.name), ratio);
        }
    }
}

pub fn describe(servers: &[&Server], measured: &[Vec<Measured>]) -> Value {
    let mut all = json!({});
    for (server, rounds) in servers.iter().zip(measured) {
        let middle = |what: fn(&Measured) -> f64| rounded(median(rounds.iter().map(what)));
        all[server.name] = json!({
            "per_cpu_s": middle(Measured::per_cpu_s),
            "us_cpu_each": middle(|m| 1e6 / m.per_cpu_s()),
            "per_wall_s": middle(Measured::per_wall_s),
            "p50_us": middle(|m| m.latency.quantile_us(0.5) as f64),
            "p90_us": middle(|m| m.latency.quantile_us(0.9) as f64),
            "p99_us": middle(|m| m.latency.quantile_us(0.99) as f64),
            "p999_us": middle(|m| m.latency.quantile_us(0.999) as f64),
            "rounds": rounds.iter().map(round).collect::<Vec<_>>(),
        });
    }
    all
}

fn round(m: &Measured) -> Value {
    json!({
        "done": m.done,
        "wall_s": rounded(m.wall_s),
        "cpu_s": rounded(m.cpu_s),
        "per_cpu_s": rounded(m.per_cpu_s()),
        "per_wall_s": rounded(m.per_wall_s()),
        "p99_us": m.latency.quantile_us(0.99),
        "server_core_idle": rounded(m.server_core.idle_share()),
        "server_core_others": rounded(m.disturbance()),
        "server_core_stolen": rounded(m.server_core.stolen_share()),
        "load_core_idle": rounded(m.load_core.idle_share()),
        "bottleneck": m.bottleneck(),
    })
}

pub fn progress(question: &str, round: usize, server: &str, m: &Measured) {
    println!(
        "{question:18} round {round} {server:8} {:8.0}/s  {:8.0}/CPU s  p99 {:6} µs  idle: servers {:2.0} % load {:2.0} %  others {:2.0} % stolen {:2.0} %  ({})",
        m.per_wall_s(),
        m.per_cpu_s(),
        m.latency.quantile_us(0.99),
        m.server_core.idle_share() * 100.0,
        m.load_core.idle_share() * 100.0,
        m.disturbance() * 100.0,
        m.server_core.stolen_share() * 100.0,
        m.bottleneck(),
    );
}
