//! `triseal sandbox`: an embedded MOSIP with two gateways before it, to try and to develop against.

use std::{
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::signal::unix::{SignalKind, signal};

use super::{output, probe};
use crate::{
    clock::Clock,
    config::{self, Mistakes, Report},
    sandbox::{
        esignet::{Esignet, EsignetService},
        ida::{Ida, IdaService},
        mosip::Mosip,
        mts::{Mts, MtsService},
        odoo::Odoo,
        opencrvs::Core,
        people,
        scene::{Doors, Ports, Scene},
        server,
    },
    tls,
    trust::{self, Anchors},
};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// Start an embedded MOSIP, and a MISP's and a partner's gateway before it.
///
/// Everything is made on the fly in one folder: the PKI, both configurations, partners, policies, secrets. Nothing beyond
/// 127.0.0.1 is touched. Ctrl-C stops all of it.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// The folder to make everything in. It must not hold an earlier sandbox.
    #[arg(long, value_name = "DIR", default_value = "triseal-sandbox")]
    dir: PathBuf,
    /// The first of twelve ports on 127.0.0.1.
    #[arg(long, default_value_t = 8440)]
    port_base: u16,
    /// Start the embedded MOSIP only; start the gateways yourself with the configurations that are printed.
    #[arg(long)]
    no_gateways: bool,
    /// Configure the gateways for IDA only, without store, packets, WebSub and the other doors.
    #[arg(long)]
    ida_only: bool,
    /// Print the identities that the embedded MOSIP knows, and stop.
    #[arg(long)]
    people: bool,
}

/// Runs it.
pub fn run(args: &Sandbox) -> ExitCode {
    if args.people {
        output::say(people::table().trim_end());
        return ExitCode::SUCCESS;
    }
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("triseal sandbox: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Sandbox) -> Result<(), String> {
    let clock = Clock::system();
    let ports = Ports::from_base(args.port_base);
    let doors = if args.ida_only {
        Doors::Ida
    } else {
        Doors::All
    };
    for port in (0..Ports::COUNT).map(|n| args.port_base.saturating_add(n)) {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|e| format!("port {port} is not free: {e}. Choose another --port-base."))?;
    }
    say("making the PKI, two configurations and their secrets");
    let scene = Scene::set(&args.dir, ports, doors, clock.now()).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        // From the start: a signal that ended us while gateways start would leave them behind.
        let told = Told::listen()?;
        let ida = Ida::new(scene.ida.clone()).map_err(|e| e.to_string())?;
        let seeded = Arc::new(ida.with_log(|line| output::say(line)));
        let ida = start_ida(&scene, &clock, &seeded).await?;
        say(&format!("MOSIP IDA listens on {}", ida.address()));
        let plain = start_plain(&scene, &clock, &seeded).await?;
        let mut gateways = Vec::new();
        if !args.no_gateways {
            for (name, config, admin) in [
                ("misp", &scene.misp_config, ports.misp_admin),
                ("crvs", &scene.partner_config, ports.partner_admin),
            ] {
                gateways.push(Gateway::start(name, config, &scene.dir)?);
                tokio::select! {
                    ready = wait_ready(name, admin, gateways.last_mut()) => ready?,
                    () = told.to_stop() => return Ok(()),
                }
                say(&format!("gateway {name} is ready"));
            }
        }
        output::say(guide(&scene, args.no_gateways));
        until_told(&told, &mut gateways).await?;
        say("stopping");
        for gateway in gateways.iter_mut().rev() {
            gateway.stop();
        }
        for service in plain {
            service.stop().await;
        }
        ida.stop().await;
        Ok(())
    })
}

async fn start_ida(
    scene: &Scene,
    clock: &Clock,
    ida: &Arc<Ida>,
) -> Result<server::Running, String> {
    let service = IdaService::new(ida.clone(), clock.clone());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, scene.ports.ida));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|e| e.to_string())?;
    server::serve(
        listener,
        Some(Arc::new(ida_tls(scene, clock)?)),
        Arc::new(service),
    )
    .map_err(|e| e.to_string())
}

/// The services that are reached without TLS: MOSIP's within its cluster, and the partner's own.
async fn start_plain(
    scene: &Scene,
    clock: &Clock,
    ida: &Arc<Ida>,
) -> Result<Vec<server::Running>, String> {
    let log = Some(|line: &str| output::say(line));
    let mosip = Mosip::new(scene.mosip.clone(), ida.clone(), clock.clone(), log);
    let core = Core::new(scene.core.clone(), clock.clone(), log);
    let mosip = start_one(scene.ports.mosip, mosip).await?;
    say(&format!(
        "MOSIP registration listens on {}",
        mosip.address()
    ));
    let core = start_one(scene.ports.core, core).await?;
    say(&format!("OpenCRVS core listens on {}", core.address()));
    let esignet = Esignet::new(scene.esignet.clone()).map_err(|e| e.to_string())?;
    let esignet = EsignetService::new(Arc::new(esignet), clock.clone());
    let esignet = start_one(scene.ports.esignet, esignet).await?;
    say(&format!("E-Signet listens on {}", esignet.address()));
    let mts = Mts::start(scene.mts.clone(), ida.clone(), clock.clone());
    let mts = start_one(scene.ports.mts, MtsService::new(mts)).await?;
    say(&format!("the token seeder listens on {}", mts.address()));
    let odoo = Odoo::new(scene.odoo.clone(), clock.clone());
    let odoo = start_one(scene.ports.odoo, odoo).await?;
    say(&format!("Odoo's stand-in listens on {}", odoo.address()));
    Ok(vec![mosip, core, esignet, mts, odoo])
}

async fn start_one(port: u16, service: impl server::Handler) -> Result<server::Running, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|e| e.to_string())?;
    server::serve(listener, None, Arc::new(service)).map_err(|e| e.to_string())
}

/// MOSIP behind its own edge: mutual TLS against the same root.
fn ida_tls(scene: &Scene, clock: &Clock) -> Result<rustls::ServerConfig, String> {
    let mosip = scene
        .built
        .parties
        .iter()
        .find(|p| p.id == "mosip")
        .ok_or("no party mosip")?;
    let document = config::Document::from_text(&scene.dir.join("ida.toml"), String::new());
    let mut mistakes = Mistakes::default();
    let raw = config::Anchor {
        name: "tls".to_owned(),
        certificates: vec![PathBuf::from("pki/anchors/tls.pem")],
        crls: vec![
            PathBuf::from("pki/crl/root.crl.pem"),
            PathBuf::from("pki/crl/tls.crl.pem"),
        ],
        revocation: config::Revocation::Required,
        grace_s: 0,
    };
    let anchors = Arc::new(Anchors::build(
        &[raw],
        &mut Report::new(&document, &mut mistakes),
        clock.now(),
    ));
    if mistakes.refuse() {
        return Err(mistakes.to_string());
    }
    let provider = tls::provider();
    let verifier = trust::client_verifier(&["tls".to_owned()], &anchors, &provider)
        .map_err(|e| e.to_string())?;
    let chain = mosip
        .tls
        .chain_der
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        mosip.tls.key.expose_pkcs8_der().to_vec(),
    ));
    let key = CertifiedKey::from_der(chain, key, &provider).map_err(|e| e.to_string())?;
    tls::server(Arc::new(key), Vec::new(), Some(verifier)).map_err(|e| e.to_string())
}

/// A gateway process of ours; ended with us.
struct Gateway {
    name: &'static str,
    child: Child,
}

impl Gateway {
    fn start(name: &'static str, config: &Path, dir: &Path) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let log =
            std::fs::File::create(dir.join(name).join("gateway.log")).map_err(|e| e.to_string())?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| e.to_string())?;
        Ok(Self { name, child })
    }

    /// SIGTERM, then a while, then the end.
    fn stop(&mut self) {
        // A gateway that is gone already needs no signal.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(12) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for `/readyz` to answer 200.
async fn wait_ready(name: &str, admin: u16, gateway: Option<&mut Gateway>) -> Result<(), String> {
    let began = Instant::now();
    let mut gateway = gateway;
    while began.elapsed() < READY_WITHIN {
        if let Some(gateway) = gateway.as_deref_mut()
            && let Ok(Some(status)) = gateway.child.try_wait()
        {
            return Err(format!(
                "gateway {name} ended with {status}; see {name}/gateway.log"
            ));
        }
        if is_ready(admin) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!(
        "gateway {name} is not ready after {} s; see {name}/gateway.log",
        READY_WITHIN.as_secs()
    ))
}

fn is_ready(admin: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
    probe::get(address, "/readyz", Duration::from_secs(1)).is_ok_and(|(status, _)| status == 200)
}

/// Whether somebody asked us to stop.
struct Told(tokio::sync::watch::Receiver<bool>);

impl Told {
    fn listen() -> Result<Self, String> {
        let mut term = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
        let mut int = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
        let mut hangup = signal(SignalKind::hangup()).map_err(|e| e.to_string())?;
        let (tell, told) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                _ = hangup.recv() => {}
            }
            tell.send_replace(true);
        });
        Ok(Self(told))
    }

    async fn to_stop(&self) {
        let _ = self.0.clone().wait_for(|told| *told).await;
    }
}

async fn until_told(told: &Told, gateways: &mut [Gateway]) -> Result<(), String> {
    loop {
        tokio::select! {
            () = told.to_stop() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                for gateway in gateways.iter_mut() {
                    if let Ok(Some(status)) = gateway.child.try_wait() {
                        return Err(format!("gateway {} ended with {status}; see its gateway.log", gateway.name));
                    }
                }
            }
        }
    }
}

fn say(text: &str) {
    let (on, off) = if std::io::stdout().is_terminal() {
        ("\u{1b}[36m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    output::say(format_args!("{on}sandbox{off} {text}"));
}

fn guide(scene: &Scene, no_gateways: bool) -> String {
    let dir = scene.dir.display();
    let ports = scene.ports;
    let start = if no_gateways {
        format!(
            "  start the gateways with\n    triseal run --config {}\n    triseal run --config {}\n",
            scene.misp_config.display(),
            scene.partner_config.display()
        )
    } else {
        String::new()
    };
    format!(
        r"
  services  ──▶  http://127.0.0.1:{service}   the partner's gateway, service face  (admin http://127.0.0.1:{partner_admin})
  partners  ──▶  https://localhost:{partner}  the MISP's gateway, partner face     (admin http://127.0.0.1:{misp_admin})
  MOSIP     ──▶  https://localhost:{ida}  the embedded IDA
                 http://127.0.0.1:{mosip}   login, packets, workflows, WebSub hub
  OpenCRVS  ──▶  http://127.0.0.1:{core}   a stand-in for its core
  browsers  ──▶  http://127.0.0.1:{esignet}   E-Signet, and its login page
  OpenG2P   ──▶  http://127.0.0.1:{mts}   the token seeder
                 http://127.0.0.1:{odoo}   a stand-in for its Odoo

{start}  Python SDK settings   {dir}/sdk.toml
  ids, keys and ports   {dir}/scene.json
  access logs           {dir}/misp/access.log, {dir}/crvs/access.log
  who can be asked for  triseal sandbox --people
  Ctrl-C stops everything.
",
        service = ports.service_face,
        partner_admin = ports.partner_admin,
        partner = ports.partner_face,
        misp_admin = ports.misp_admin,
        ida = ports.ida,
        mosip = ports.mosip,
        core = ports.core,
        esignet = ports.esignet,
        mts = ports.mts,
        odoo = ports.odoo,
    )
}
