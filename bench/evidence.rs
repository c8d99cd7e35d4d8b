//! What evidence costs: the sealed exchange with records that are on disk before the answer leaves, against without, round by round;
//! and what a log alone takes and grows by.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use triseal::{
    clock::Clock,
    evidence::{BodySeen, CallerSeen, Draft, Evidence, Keep, Settings, reader::Log},
    observe::Metrics,
};

use crate::{
    load::{self, Client, Measured, Pace},
    partner::Partner,
    peers::Server,
    questions::{
        Bench, SEALED_CONNECTIONS, describe, open_window, progress, sealed_check, sealed_requests,
    },
    report::{Report, median, rounded},
};

/// Requests are signed ahead for at most this rate.
const CEILING_PER_S: f64 = 2_000.0;

impl Bench {
    /// Both gateways on the same core, one after the other, another one first each round.
    pub async fn evidence(&self, off: &Server, required: &Server, log: &Path, report: &mut Report) {
        let partner = Arc::new(Partner::new(&self.pki));
        let servers = [off, required];
        for server in servers {
            open_window(&partner, &Client::new(server.port, &self.pki)).await;
        }
        let shape = self.shape(SEALED_CONNECTIONS, Pace::Closed);
        let count = (CEILING_PER_S * (self.warm + self.window).as_secs_f64()) as usize;
        let mut measured = [Vec::new(), Vec::new()];
        for round in 0..self.rounds {
            for place in 0..2 {
                let at = (place + round) % 2;
                let client = Client::new(servers[at].port, &self.pki);
                let (next, _) = sealed_requests(&partner, &client, count);
                let check = sealed_check(&partner);
                let pids = servers[at].pids();
                let seen = load::measure(&client, &pids, self.cores, shape, &next, &check).await;
                progress("evidence", round, ["off", "required"][at], &seen);
                measured[at].push(seen);
            }
        }
        let ratios = |rate: fn(&Measured) -> f64| -> Vec<f64> {
            let pairs = measured[1].iter().zip(&measured[0]);
            pairs
                .map(|(with, without)| rounded(rate(with) / rate(without)))
                .collect()
        };
        let (by_wall, by_cpu) = (ratios(Measured::per_wall_s), ratios(Measured::per_cpu_s));
        report.figure("evidence_required_vs_off", median(by_wall.iter().copied()));
        let records = Log::open(log).unwrap().size().unwrap();
        let bytes = folder_bytes(log);
        report.figure("evidence_bytes_per_record", bytes as f64 / records as f64);
        let mut detail = describe(&[off], &[measured[0].clone()]);
        detail["required"] = describe(&[required], &[measured[1].clone()]);
        detail["by_wall"] = json!(by_wall);
        detail["by_cpu"] = json!(by_cpu);
        detail["records"] = json!(records);
        detail["mib_per_million"] = json!(rounded(
            bytes as f64 / records as f64 * 1e6 / f64::from(1 << 20)
        ));
        detail["append"] = append_alone(log, self.window).await;
        report.detail("evidence", detail);
    }
}

/// Records a second and their time to the disk, without any exchange around them: with so many that wait at once.
async fn append_alone(beside: &Path, window: Duration) -> serde_json::Value {
    let mut all = serde_json::Map::new();
    for waiting in [1_usize, 8, 64] {
        let folder = beside.with_file_name(format!("append-{waiting}"));
        let settings = Settings {
            folder: folder.clone(),
            gateway: "bench".to_owned(),
            queue_max: 4096,
            commit_timeout: Duration::from_secs(5),
            reserve: 0,
        };
        let metrics = Metrics::new().unwrap().evidence;
        let before = resident_kib();
        let (evidence, _) = Evidence::start(settings, &metrics, &Clock::system(), None).unwrap();
        let signature = "x".repeat(2_400);
        let draft = Draft {
            gateway: "bench",
            correlation_id: "0123456789abcdef0123456789abcdef",
            caller: Some(CallerSeen {
                id: "bench",
                organisation: "Bench",
                kind: "auth",
                how: "certificate",
                policy: Some("bench"),
            }),
            signature: Some(signature.as_bytes()),
            status: Some(200),
            answer_body: Some(BodySeen {
                digest: Some([0; 32]),
                bytes: 2_000,
            }),
            ..Draft::default()
        };
        let began = Instant::now();
        while began.elapsed() < window {
            let noted: Vec<_> = (0..waiting)
                .map(|_| evidence.note(&draft, Keep::default(), true).unwrap())
                .collect();
            for one in noted {
                one.durable().await.unwrap();
            }
        }
        let took = began.elapsed().as_secs_f64();
        evidence.stop();
        let records = metrics.records.get() as f64;
        all.insert(
            format!("{waiting}_waiting"),
            json!({
                "per_s": rounded(records / took),
                "commit_ms": rounded(metrics.commit_seconds.get_sample_sum() / metrics.commit_seconds.get_sample_count() as f64 * 1e3),
                "records_per_commit": rounded(records / metrics.commit_seconds.get_sample_count() as f64),
                "bytes_per_record": rounded(folder_bytes(&folder) as f64 / records),
                "resident_kib_more": resident_kib().saturating_sub(before),
            }),
        );
        fs::remove_dir_all(&folder).unwrap();
    }
    all.into()
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folder_bytes(&entry.path())
            } else {
                meta.len()
            }
        })
        .sum()
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0)
}
