//! `triseal partners changes` and `forget`: what events and requests have changed in the registry.

use std::{io::Write, path::Path};

use clap::Args;

use super::table;
use crate::{
    cli::store::{CommandError, on_store},
    exchange::{registry, rfc3339},
    partners::{Change, Fact, Term, changes::ENTRY_KIND},
};

/// Which change.
#[derive(Debug, Args)]
pub(super) struct Forget {
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE")]
    pub(super) config: std::path::PathBuf,
    /// The change's key, as `changes` prints it.
    pub(super) key: String,
}

/// Prints every change: its key, the event's time, who says it, what is so.
pub(super) fn list(config: &Path, output: &mut impl Write) -> Result<(), CommandError> {
    on_store(config, async |store, _| {
        let changes = registry::read(store).await?.changes;
        let mut rows = vec![["KEY", "SINCE", "SOURCE", "WHAT"].map(str::to_owned)];
        rows.extend(changes.iter().map(|(key, change)| {
            [
                key.to_owned(),
                rfc3339(change.at()),
                change.source.clone(),
                what(change),
            ]
        }));
        Ok(table(&rows, output)?)
    })
}

/// Takes a change back. A gateway that runs sees it within a second.
pub(super) fn forget(command: &Forget, output: &mut impl Write) -> Result<(), CommandError> {
    let key = command.key.as_str();
    on_store(&command.config, async |store, _| {
        if !store.delete_entry(ENTRY_KIND, key).await? {
            return Err(CommandError::NoChange(key.to_owned()));
        }
        writeln!(output, "{key}: forgotten; the files alone say what is so")?;
        Ok(())
    })
}

fn what(change: &Change) -> String {
    let term = |term: &Term| {
        let state = format!("{:?}", term.state).to_lowercase();
        let day = |word: &str, ms: Option<i64>| {
            ms.map_or_else(String::new, |ms| {
                let at = rfc3339(crate::clock::Moment::from_ms(ms));
                format!(", {word} {at}")
            })
        };
        format!(
            "{state}{}{}",
            day("from", term.from_ms),
            day("until", term.until_ms)
        )
    };
    let of = |partner: &str, policy: Option<&String>| {
        policy.map_or_else(
            || partner.to_owned(),
            |policy| format!("{partner} for {policy}"),
        )
    };
    match &change.fact {
        Fact::Partner { term: t, .. } => term(t),
        Fact::ApiKey {
            partner,
            policy,
            term: t,
            ..
        } => {
            let partner = partner.as_deref().unwrap_or("a known key");
            format!("{}: {}", of(partner, policy.as_ref()), term(t))
        }
        Fact::Licence {
            partner,
            policy,
            term: t,
            ..
        } => format!("{}: {}", of(partner, policy.as_ref()), term(t)),
        Fact::Policy {
            document, term: t, ..
        } => {
            let narrowed = document.as_ref().map_or("", |_| ", narrowed by a document");
            format!("{}{narrowed}", term(t))
        }
        Fact::Certificate { .. } => "a further certificate".to_owned(),
    }
}
