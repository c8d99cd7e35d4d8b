//! `triseal health`: asks a running gateway how it is; for container health checks, where there is no curl.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;

use super::{output::say, probe};
use crate::config::{self, Config, Document, Mistakes};

const LIMIT: Duration = Duration::from_secs(3);

/// Ask the running gateway of a configuration how it is.
///
/// Exit code 0: it answers, and with --ready also serves; 1: it does not. What is wrong is printed.
#[derive(Debug, Args)]
pub struct Health {
    /// The configuration file of the gateway.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: PathBuf,
    /// Ask whether it can serve requests, not only whether it lives.
    #[arg(long)]
    ready: bool,
}

/// Runs it.
pub fn run(args: &Health) -> ExitCode {
    let mut mistakes = Mistakes::default();
    let config = Document::read(&args.config)
        .map_err(|e| e.to_string())
        .and_then(|d| {
            d.parse::<Config>(&config::config_schema(), &mut mistakes)
                .ok_or_else(|| mistakes.to_string())
        });
    let admin = match config {
        Ok(config) => config.admin.listen,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let path = if args.ready { "/readyz" } else { "/healthz" };
    match probe::get(admin, path, LIMIT) {
        Ok((status, body)) => {
            say(body);
            if status == 200 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("no answer from {admin}: {error}. Is the gateway running?");
            ExitCode::FAILURE
        }
    }
}
