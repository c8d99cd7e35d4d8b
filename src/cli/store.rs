//! `triseal store`: keys of the durable store.

use std::{
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::output::say;
use crate::{
    config::{Config, Document, Mistakes, Report, config_schema},
    store::{self, Location, Store, StoreError},
};

/// The durable store: its keys.
#[derive(Debug, Args)]
pub struct StoreCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Prints a new key: 32 random bytes in base64. Put it into a file of mode 0600 and name that in `store.key`.
    Key,
    /// Encrypts everything in the store again, under the newest key.
    ///
    /// Put the new key first in `store.key`, the old one behind it, restart the gateway, then run this; the gateway may go on
    /// running. Afterwards the old key can be taken out.
    Rotate {
        /// The gateway's configuration.
        #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
        config: PathBuf,
    },
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("the configuration has no [store]")]
    NoStore,
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("--config is missing. Name the gateway's configuration")]
    NoConfig,
    #[error("{0}: there is no such registration; `triseal transactions list` shows them")]
    Unknown(String),
    #[error("{0}: already confirmed, so there is nothing to try again")]
    Done(String),
    #[error(
        "{0}: no replaced certificate that is bound has this number; see `triseal partners replacements`"
    )]
    NoReplacement(i64),
    #[error("there is no change `{0}`; `triseal partners changes` prints them")]
    NoChange(String),
    #[error("the system has no randomness")]
    NoRandomness,
    #[error("{} errands have contents that do not decrypt (ids {}); they were left as they are", .0.len(), list(.0))]
    Unreadable(Vec<i64>),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

fn list(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().take(20).map(ToString::to_string).collect();
    ids.join(", ")
}

/// Runs the command.
pub fn run(command: &StoreCommand) -> ExitCode {
    end(match &command.what {
        What::Key => key(),
        What::Rotate { config } => on_store(config, async |store, _| rotate(store).await),
    })
}

/// The exit code, after the error was told.
pub(super) fn end(done: Result<(), CommandError>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing to be done about a failing standard error.
            let _ = writeln!(stderr(), "{}", error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

fn key() -> Result<(), CommandError> {
    let key = store::make_key().ok_or(CommandError::NoRandomness)?;
    say(key.as_str());
    Ok(())
}

async fn rotate(store: &Store) -> Result<(), CommandError> {
    let rotated = store.rotate().await?;
    say(format_args!("{} contents encrypted again", rotated.again));
    if !rotated.unreadable.is_empty() {
        return Err(CommandError::Unreadable(rotated.unreadable));
    }
    if rotated.still_needed.is_empty() {
        say("every content is under the newest key; older ones can be taken out of store.key");
    } else {
        let left = rotated.still_needed.join(", ");
        say(format_args!(
            "meanwhile something was written under {left}; restart the gateway, then rotate again"
        ));
    }
    Ok(())
}

/// Does something with the store of a configuration, beside a gateway that may be running on it.
pub(super) fn on_store(
    config: &Path,
    act: impl AsyncFnOnce(&Store, &Config) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let (parsed, location) = read(config)?;
    let store = Store::open_beside(&location)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(act(&store, &parsed))
}

/// A configuration and where its store is.
pub(super) fn read(config: &Path) -> Result<(Config, Location), CommandError> {
    let mut mistakes = Mistakes::default();
    let document =
        Document::read(config).map_err(|e| CommandError::Mistakes(Mistakes(vec![e.0])))?;
    let parsed: Option<Config> = document.parse(&config_schema(), &mut mistakes);
    let Some(parsed) = parsed.filter(|_| !mistakes.refuse()) else {
        return Err(CommandError::Mistakes(mistakes));
    };
    let Some(settings) = &parsed.store else {
        return Err(CommandError::NoStore);
    };
    let mut report = Report::new(&document, &mut mistakes);
    let base = config.parent().unwrap_or_else(|| Path::new(""));
    let location = Location::read(settings, base, &mut report.within("store"));
    let Some(location) = location.filter(|_| !mistakes.refuse()) else {
        return Err(CommandError::Mistakes(mistakes));
    };
    Ok((parsed, location))
}
