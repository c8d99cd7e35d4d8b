//! `triseal import`: a configuration from what a deployment already has.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::output::say;
use crate::import::{self, Request};

/// Make a configuration from what a deployment already has.
#[derive(Debug, Args)]
pub struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// From the environment of OpenCRVS' MOSIP middleware (`mosip-api`).
    ///
    /// Writes gateway.toml, partner files, the deployment's key stores and certificates, and import.txt: what became of each
    /// variable. Secrets go into files of mode 0600. What no variable says is marked TODO, and `triseal check` names it.
    Opencrvs(Box<OpenCrvs>),
}

#[derive(Debug, Args)]
struct OpenCrvs {
    /// The environment file.
    #[arg(value_name = ".env")]
    env: PathBuf,
    /// The folder to write; made if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the files lie that the variables name, if not where the variables say: they are looked for by their last name.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Write over files that are already there. The store's key is kept.
    #[arg(long)]
    force: bool,
    /// Speak to MOSIP's services themselves, where there is no gateway at the MISP yet.
    #[arg(long, conflicts_with_all = ["misp_id", "misp_organisation", "misp_address", "partner_listen"])]
    direct: bool,
    /// The MISP's party id.
    #[arg(long, value_name = "ID")]
    misp_id: Option<String>,
    /// The organisation in the MISP's certificates.
    #[arg(long, value_name = "O")]
    misp_organisation: Option<String>,
    /// The address of the MISP's gateway, such as https://gateway.misp.example:8443.
    #[arg(long, value_name = "URL")]
    misp_address: Option<String>,
    /// Where the MISP's gateway delivers to us. Default: 0.0.0.0:8443.
    #[arg(long, value_name = "ADDRESS:PORT")]
    partner_listen: Option<String>,
    /// A name by which this gateway is addressed, beside that in MOSIP_WEBSUB_CALLBACK_URL; may be said several times.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// A network in which country configuration runs; may be said several times.
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// With --direct: a network from which MOSIP's hub delivers; may be said several times.
    #[arg(long = "hub-network", value_name = "CIDR", requires = "direct")]
    hub_networks: Vec<String>,
    /// A scope that lets people's tokens use /verify and the E-Signet login; may be said several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The folder for state, as the gateway will see it. Default: `state` beside gateway.toml.
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
}

/// Runs it. Exit code 0: written (there may be TODOs); 1: nothing was written.
pub fn run(args: Import) -> ExitCode {
    let From::Opencrvs(args) = args.from;
    let request = Request {
        env: args.env,
        files: args.files,
        out: args.out,
        force: args.force,
        direct: args.direct,
        misp_id: args.misp_id,
        misp_organisation: args.misp_organisation,
        misp_address: args.misp_address,
        partner_listen: args.partner_listen,
        hosts: args.hosts,
        networks: args.networks,
        hub_networks: args.hub_networks,
        scopes: args.scopes,
        state: args.state,
    };
    match import::import(&request) {
        Ok(done) => {
            say(done.findings.to_string().trim_end());
            for file in &done.files {
                say(format_args!("wrote {}", file.display()));
            }
            let check = request.out.join("gateway.toml");
            say(format_args!(
                "{} to fill in, {} to look at. Next: triseal check --config {}",
                done.findings.open().len(),
                done.findings.warnings().len(),
                check.display()
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("triseal import: {error}");
            ExitCode::FAILURE
        }
    }
}
