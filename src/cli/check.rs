//! `triseal check`: what `run` would say of a configuration, without starting.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::output::say;
use crate::{
    clock::{Clock, Moment},
    config,
    exchange::Snapshot,
};

/// Check a configuration and everything it names: files, keys, certificates, lists, partners, policies, routes.
///
/// All mistakes are shown at once, each with file, line and what to do. Exit code 0: it can be used (there may be
/// warnings); 2: it cannot.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "TRISEAL_CONFIG",
        required_unless_present = "schema"
    )]
    config: Option<PathBuf>,
    /// Print the JSON schema for editors instead.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "config", value_name = "OF")]
    schema: Option<SchemaOf>,
    /// Check as of another time (RFC 3339), to see what will have expired.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Which schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    /// Of the configuration file.
    Config,
    /// Of a partner file.
    Partner,
}

/// Runs it.
pub fn run(args: &Check) -> ExitCode {
    if let Some(of) = args.schema {
        let schema = match of {
            SchemaOf::Config => config::config_schema(),
            SchemaOf::Partner => config::partner_schema(),
        };
        say(format_args!("{:#}", schema.as_value()));
        return ExitCode::SUCCESS;
    }
    let clock = match args.at.as_deref().map(moment) {
        None => Clock::system(),
        Some(Ok(at)) => Clock::standing_at(at),
        Some(Err(why)) => {
            eprintln!("--at: {why}");
            return ExitCode::from(2);
        }
    };
    let Some(file) = &args.config else {
        eprintln!("--config is missing. Say which file to check.");
        return ExitCode::from(2);
    };
    let (snapshot, mistakes) = Snapshot::build(file, &clock, None);
    for mistake in &mistakes.0 {
        eprintln!("{mistake}");
    }
    let Some(snapshot) = snapshot else {
        let errors = mistakes.errors();
        eprintln!(
            "{}: {errors} mistake{}; nothing was started or changed",
            file.display(),
            if errors == 1 { "" } else { "s" }
        );
        return ExitCode::from(2);
    };
    say(format_args!(
        "{}: good. Faces: {}, routes: {}, upstreams: {}, partners: {}, warnings: {}",
        file.display(),
        snapshot.config().face.len(),
        snapshot.config().route.len(),
        snapshot.config().upstream.len(),
        snapshot.directory().len(),
        mistakes.0.len(),
    ));
    if let Some(rules) = snapshot.rules() {
        say(format_args!(
            "rules: {} policies, version {}",
            rules.written().len(),
            rules.digest()
        ));
    }
    if let Some(next) = snapshot.next_change() {
        say(format_args!(
            "the next change of a certificate or list is at {}",
            crate::exchange::rfc3339(next)
        ));
    }
    ExitCode::SUCCESS
}

fn moment(text: &str) -> Result<Moment, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|t| Moment::from_s(t.unix_timestamp()))
        .map_err(|e| format!("`{text}` is not a time such as 2027-01-31T12:00:00Z: {e}"))
}
