//! `triseal partners replacements`: what partners replaced themselves, and taking one of them back.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    cli::store::{CommandError, on_store},
    clock::{Clock, Moment},
    config::Config,
    exchange::{registry, replacements, rfc3339},
    partners::Beside,
};

/// Print the certificates that partners replaced themselves; or take one of them back.
///
/// What is taken back is bound no longer, and what it replaced holds again as long as its file says. Running gateways follow within
/// seconds.
#[derive(Debug, Args)]
pub(super) struct Replacements {
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take this one back: its number in the list.
    #[arg(long, value_name = "NUMBER")]
    withdraw: Option<i64>,
}

impl Replacements {
    pub(super) fn run(&self, clock: &Clock, output: &mut impl Write) -> Result<(), CommandError> {
        on_store(&self.config, async |store, _| {
            let all = replacements::stored(store).await?;
            let Some(number) = self.withdraw else {
                return Ok(list(&all, output)?);
            };
            let one = all.into_iter().find(|one| one.number == number);
            let unknown = || CommandError::NoReplacement(number);
            let one = one.filter(|one| one.is_bound()).ok_or_else(unknown)?;
            let key = one.key.clone();
            if !replacements::withdraw(store, one, clock.now()).await? {
                return Err(unknown());
            }
            writeln!(output, "withdrawn: {key}")?;
            Ok(())
        })
    }
}

fn list(all: &[replacements::Stored], output: &mut impl Write) -> io::Result<()> {
    for one in all {
        let standing = match &one.replacement {
            None => "unreadable",
            Some(one) if one.withdrawn => "withdrawn",
            Some(_) => "bound",
        };
        let when = one.replacement.as_ref();
        let when = when.map_or_else(String::new, |r| rfc3339(Moment::from_ms(r.at_ms)));
        writeln!(output, "{}  {when}  {standing}  {}", one.number, one.key)?;
    }
    Ok(())
}

/// What holds beside the partner files; nothing where there is no store, or none yet.
pub(super) fn beside(config: &Path, raw: &Config, notes: &mut impl Write) -> io::Result<Beside> {
    let mut beside = Beside::default();
    if raw.store.is_some() {
        let read = on_store(config, async |store, _| {
            beside = registry::read(store).await?;
            Ok(())
        });
        if let Err(error) = read {
            writeln!(
                notes,
                "what partners and events have changed is not shown: {error}"
            )?;
        }
    }
    Ok(beside)
}
