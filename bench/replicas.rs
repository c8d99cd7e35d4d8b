//! Two gateways that act as one, against one: sealed exchanges, each message taken once at a Redis server that both ask.
//!
//! One replica has the servers' core. The other one shares the second core with generator, upstream and Redis, so twice as much
//! cannot come of it; by processor time it shows what acting as one costs.

use std::{fs, path::Path, sync::Arc};

use serde_json::json;

use crate::{
    gateway::Gateway,
    load::{self, Client, Measured, Pace},
    machine::Cores,
    partner::Partner,
    peers::{Server, find, free_port},
    questions::{
        Bench, SEALED_CONNECTIONS, describe, open_window, progress, sealed_check, sealed_requests,
    },
    report::{Report, median, rounded},
};

/// Requests are signed ahead for at most this rate at each gateway.
const CEILING_PER_S: f64 = 2_000.0;

impl Bench {
    /// Round by round: the first alone, then both at once with half of the connections each.
    pub async fn replicas(&self, folder: &Path, upstream: u16, report: &mut Report) {
        let second = Cores {
            server: self.cores.load,
            load: self.cores.load,
        };
        let redis = redis(second, &folder.join("redis")).await;
        let start = async |name: &str, cores: Cores| {
            let gateway = Gateway::replica(&self.pki, &folder.join(name), upstream, redis.port);
            gateway.start(cores).await.0
        };
        let one = start("triseal-replica-1", self.cores).await;
        let two = start("triseal-replica-2", second).await;
        let partner = Arc::new(Partner::new(&self.pki));
        for server in [&one, &two] {
            open_window(&partner, &Client::new(server.port, &self.pki)).await;
        }
        let (mut alone, mut first, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds {
            alone.push(self.replica(&partner, &one, SEALED_CONNECTIONS).await);
            progress("one replica", round, "triseal", &alone[round]);
            let half = SEALED_CONNECTIONS / 2;
            let (a, b) = tokio::join!(
                self.replica(&partner, &one, half),
                self.replica(&partner, &two, half)
            );
            progress("two replicas", round, "first", &a);
            progress("two replicas", round, "second", &b);
            first.push(a);
            other.push(b);
        }
        let both = || first.iter().zip(&other).zip(&alone);
        let by_wall: Vec<f64> = both()
            .map(|((a, b), one)| rounded((a.per_wall_s() + b.per_wall_s()) / one.per_wall_s()))
            .collect();
        let by_cpu: Vec<f64> = both()
            .map(|((a, b), one)| {
                let done = (a.done + b.done) as f64;
                rounded(done / (a.cpu_s + b.cpu_s) / one.per_cpu_s())
            })
            .collect();
        report.figure("replicas_two_vs_one", median(by_wall.iter().copied()));
        report.figure(
            "replicas_two_vs_one_per_cpu",
            median(by_cpu.iter().copied()),
        );
        let mut detail = describe(&[&one], &[alone]);
        detail["two"] = json!([describe(&[&one], &[first]), describe(&[&two], &[other])]);
        detail["by_wall"] = json!(by_wall);
        detail["by_cpu"] = json!(by_cpu);
        report.detail("replicas", detail);
    }

    async fn replica(&self, partner: &Arc<Partner>, server: &Server, connections: u32) -> Measured {
        let client = Client::new(server.port, &self.pki);
        let count = (CEILING_PER_S * (self.warm + self.window).as_secs_f64()) as usize;
        let (next, _) = sealed_requests(partner, &client, count);
        let shape = self.shape(connections, Pace::Closed);
        let check = sealed_check(partner);
        load::measure(&client, &server.pids(), self.cores, shape, &next, &check).await
    }
}

/// A Redis server that keeps nothing on disk.
async fn redis(cores: Cores, folder: &Path) -> Server {
    fs::create_dir_all(folder).unwrap();
    let port = free_port();
    let (program, text) = (find("redis-server"), port.to_string());
    let command = [
        &program,
        "--port",
        &text,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    Server::start("redis", cores, port, folder, &command)
        .listening()
        .await
}
