//! `triseal policy`: why something is allowed or not, and what other rules would have said. Nothing is started or changed.

mod explain;
mod records;
mod replay;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::output::say;
use crate::{
    clock::{Clock, Moment},
    exchange::Snapshot,
    policy::rules,
};

/// Something is denied, or would change.
pub(super) const NO: u8 = 1;
/// The question cannot be answered.
const CANNOT: u8 = 2;

/// The rules: why something is allowed or not, and what other rules would have said of yesterday's traffic.
#[derive(Debug, Args)]
pub struct PolicyCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Explain(explain::Explain),
    Replay(replay::Replay),
    /// Print the schema that rules are validated against, with the actions of this gateway's routes.
    Schema {
        /// The gateway's configuration. Without it, the part that is the same for every gateway.
        #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
        config: Option<PathBuf>,
    },
}

/// Runs it.
pub fn run(args: &PolicyCommand, clock: &Clock) -> ExitCode {
    let done = match &args.what {
        What::Explain(args) => explain::run(args, clock),
        What::Replay(args) => replay::run(args, clock),
        What::Schema { config } => schema(config.as_ref(), clock),
    };
    done.unwrap_or_else(|why| {
        eprintln!("{why}");
        ExitCode::from(CANNOT)
    })
}

fn schema(config: Option<&PathBuf>, clock: &Clock) -> Result<ExitCode, String> {
    match config {
        None => say(rules::schema::EMBEDDED.trim_end()),
        Some(file) => {
            let snapshot = snapshot(file, clock)?;
            say(rules::schema::text(snapshot.routes()).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration as `run` would take it.
fn snapshot(file: &PathBuf, clock: &Clock) -> Result<Snapshot, String> {
    let (snapshot, mistakes) = Snapshot::build(file, clock, None);
    snapshot.ok_or_else(|| {
        format!(
            "{mistakes}{}: this configuration cannot be used",
            file.display()
        )
    })
}

/// A moment such as 2027-01-31T12:00:00Z.
fn moment(text: &str) -> Result<Moment, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|t| Moment::from_s(t.unix_timestamp()))
        .map_err(|e| format!("`{text}` is not a time such as 2027-01-31T12:00:00Z: {e}"))
}

/// A policy with its place and what it says of itself.
fn named(rules: &rules::Rules, id: &str) -> String {
    let Some(one) = rules.find(id) else {
        return id.to_owned();
    };
    let file = one.file().file_name().unwrap_or_default().to_string_lossy();
    match one.about() {
        Some(about) => format!("{id} ({file}:{}: {about})", one.line()),
        None => format!("{id} ({file}:{})", one.line()),
    }
}

/// Several of them.
fn all_named(rules: &rules::Rules, ids: &[String]) -> String {
    let named: Vec<String> = ids.iter().map(|id| named(rules, id)).collect();
    named.join(", ")
}
