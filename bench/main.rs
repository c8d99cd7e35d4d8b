//! Triseal side by side with nginx, HAProxy and the bare cryptography: one question each, ratios within one run.
//!
//! `bench/README.md` says how it measures and what limits it. `make bench`, or `cargo bench --bench side_by_side -- --help`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a bench stops at the first surprise and prints what it finds"
)]

mod crypto;
mod evidence;
mod gateway;
mod histogram;
mod intake;
mod jose;
mod load;
mod machine;
mod middleware;
mod partner;
mod peers;
mod pki;
mod policy;
mod questions;
mod replicas;
mod report;
mod sealed;
mod upstream;
mod verify;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use serde_json::json;
use time::OffsetDateTime;
use triseal::clock::Clock;

use self::{
    crypto::Exchange, gateway::Gateway, machine::Cores, pki::Pki, questions::Bench, report::Report,
    report::rounded,
};

/// Compares Triseal with nginx, HAProxy and the bare cryptography. Writes target/bench/report.json.
#[derive(Debug, Parser)]
struct Arguments {
    /// One short round of everything: shows that the bench works, not how fast anything is.
    #[arg(long)]
    quick: bool,
    /// Only this question; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<Question>,
    /// Rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Without the gateway: shows what the peers and the load generator can do.
    #[arg(long)]
    peers_only: bool,
    /// Internal: the child that runs the bare cryptography with the keys in this folder, in the turns that it is told.
    #[arg(long, value_name = "FOLDER", hide = true)]
    bare_crypto: Option<PathBuf>,
    /// Internal: of that exchange.
    #[arg(long, default_value = "mosip", hide = true)]
    exchange: Exchange,
    /// Cargo adds this.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Question {
    /// Start to ready; memory with idle connections.
    Footprint,
    /// Relay over keep-alive connections, and its p99 at half load.
    Relay,
    /// New connections.
    Connections,
    /// Sealed exchanges against the bare cryptography.
    Sealed,
    /// Sealed exchanges with evidence `required` against without; the log's growth.
    Evidence,
    /// Deliveries of a WebSub hub, stored before they are answered.
    Intake,
    /// Two gateways that act as one, against one.
    Replicas,
    /// `/verify` of OpenCRVS, through the handler `opencrvs`.
    Verify,
    /// Decisions of the rules, with 10 and with 100 policies.
    Policy,
    /// The same in the envelope `jose`, with RSA-2048 and with P-256 keys.
    SealedJose,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(pki) = &arguments.bare_crypto {
        return crypto::run(pki, arguments.exchange);
    }
    let nginx = peers::version("nginx", "-V", "nginx-light");
    let haproxy = peers::version("haproxy", "-vv", "haproxy");
    let verify = arguments.only.is_empty() || arguments.only.contains(&Question::Verify);
    let node = (verify && !arguments.peers_only).then(middleware::version);
    if let Some(Err(why)) = &node {
        println!("/verify goes without its Node peer: {why}");
    }
    let cores = Cores::choose();
    machine::settle(cores.load);

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let now = Clock::system().now();
    let pki = Pki::make(
        &folder.join("pki"),
        OffsetDateTime::from_unix_timestamp(now.s()).unwrap(),
    );
    let milliseconds =
        |full, quick| Duration::from_millis(if arguments.quick { quick } else { full });
    let bench = Bench {
        cores,
        pki,
        rounds: if arguments.quick {
            1
        } else {
            arguments.rounds.max(1)
        },
        warm: milliseconds(500, 200),
        window: milliseconds(1_500, 500),
    };
    let mut report = Report::default();
    let (cpu, kernel) = machine::describe();
    report.detail(
        "setting",
        json!({
            "quick": arguments.quick,
            "at_unix_s": now.s(),
            "cpu": cpu,
            "kernel": kernel,
            "server_core": cores.server,
            "load_core": cores.load,
            "rounds": bench.rounds,
            "warm_s": bench.warm.as_secs_f64(),
            "window_s": bench.window.as_secs_f64(),
            "triseal": env!("CARGO_PKG_VERSION"),
            "nginx": nginx,
            "haproxy": haproxy,
            "node": node.and_then(Result::ok),
            "tls": "1.3, mutual, P-256 certificates, CRL checked by all, no resumption; the client offers X25519MLKEM768 and X25519",
            "logs": "nginx and HAProxy write no access log; Triseal writes its own to /dev/null",
        }),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(ask(&arguments, &bench, &folder, &mut report));
    let file = folder.join("report.json");
    report.write(&file);
    report.print();
    println!("\n{}", file.display());
    if arguments.quick {
        println!("quick: one short round; these figures mean nothing");
    }
}

async fn ask(arguments: &Arguments, bench: &Bench, folder: &Path, report: &mut Report) {
    let asked = |q: Question| arguments.only.is_empty() || arguments.only.contains(&q);
    let upstream = upstream::start().await;
    let gateway = (!arguments.peers_only)
        .then(|| Gateway::configure(&bench.pki, &folder.join("triseal"), upstream));
    if let (Some(gateway), true) = (&gateway, asked(Question::Policy)) {
        bench.policy(gateway.file(), report);
    }
    if let (Some(gateway), true) = (&gateway, asked(Question::Footprint)) {
        bench.footprint(gateway, report).await;
    }
    let nginx = peers::nginx(bench.cores, &bench.pki, &folder.join("nginx"), upstream).await;
    let haproxy = peers::haproxy(bench.cores, &bench.pki, &folder.join("haproxy"), upstream).await;
    let triseal = match &gateway {
        Some(gateway) => Some(gateway.start(bench.cores).await.0),
        None => None,
    };
    let servers: Vec<&peers::Server> = [&nginx, &haproxy].into_iter().chain(&triseal).collect();
    if asked(Question::Relay) {
        bench.relay(&servers, report).await;
    }
    if asked(Question::Connections) {
        bench.connections(&servers, report).await;
    }
    if let Some(triseal) = &triseal {
        if asked(Question::Sealed) {
            bench.sealed(triseal, report).await;
        }
        if asked(Question::Evidence) {
            let folder = folder.join("triseal-evidence");
            // It ends with the question: what it still does would be in the next one's way.
            let gateway = Gateway::with_evidence(&bench.pki, &folder, upstream);
            let recording = gateway.start(bench.cores).await.0;
            let log = folder.join("state/evidence");
            bench.evidence(triseal, &recording, &log, report).await;
        }
        if asked(Question::SealedJose) {
            bench.sealed_jose(triseal, Exchange::JoseRsa, report).await;
            let folder = folder.join("triseal-p256");
            let gateway = Gateway::on_curve(&bench.pki, &folder, upstream);
            let triseal = gateway.start(bench.cores).await.0;
            bench
                .sealed_jose(&triseal, Exchange::JoseP256, report)
                .await;
        }
        if asked(Question::Replicas) {
            bench.replicas(folder, upstream, report).await;
        }
        if asked(Question::Verify) {
            bench.verify(&folder.join("sandbox"), report).await;
        }
        // Last: the gateway hands on what it took in for a while after it.
        if asked(Question::Intake) {
            bench.intake(triseal, report).await;
        }
        let peak = machine::rss_mib(&triseal.pids());
        report.figure("rss_after_mib", peak);
    }
    let peers = [&nginx, &haproxy].map(|p| {
        (
            p.name.to_owned(),
            json!(rounded(machine::rss_mib(&p.pids()))),
        )
    });
    report.detail(
        "peers_rss_after_mib",
        serde_json::Value::Object(peers.into_iter().collect()),
    );
}
