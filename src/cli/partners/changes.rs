//! `triseal partners changes` and `forget`: what events and requests have changed in the registry.

use std::{io::Write, path::Path};

use clap::Args;

use super::{PartnersError, read, table};
use crate::{
    config::{Mistakes, Report},
    exchange::{registry, rfc3339},
    partners::{Change, Fact, Term, changes::ENTRY_KIND},
    store::{Location, Store},
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
pub(super) fn list(config: &Path, output: &mut impl Write) -> Result<(), PartnersError> {
    let changes = on_store(config, async |store: &Store| registry::read(store).await)?;
    let mut rows = vec![["KEY", "SINCE", "SOURCE", "WHAT"].map(str::to_owned)];
    rows.extend(changes.iter().map(|(key, change)| {
        [
            key.to_owned(),
            rfc3339(change.at()),
            change.source.clone(),
            what(change),
        ]
    }));
    table(&rows, output)?;
    Ok(())
}

/// Takes a change back. A gateway that runs sees it within a second.
pub(super) fn forget(command: &Forget, output: &mut impl Write) -> Result<(), PartnersError> {
    let key = command.key.as_str();
    let gone = on_store(&command.config, async |store: &Store| {
        store.delete_entry(ENTRY_KIND, key).await
    })?;
    if !gone {
        return Err(PartnersError::NoChange(key.to_owned()));
    }
    writeln!(output, "{key}: forgotten; the files alone say what is so")?;
    Ok(())
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

fn on_store<T>(
    config: &Path,
    ask: impl AsyncFnOnce(&Store) -> Result<T, crate::store::StoreError>,
) -> Result<T, PartnersError> {
    let (document, raw) = read(config)?;
    let mut mistakes = Mistakes::default();
    let base = config.parent().unwrap_or_else(|| Path::new(""));
    let location = {
        let mut report = Report::new(&document, &mut mistakes);
        (raw.store.as_ref()).and_then(|raw| Location::read(raw, base, &mut report.within("store")))
    };
    if mistakes.refuse() {
        return Err(PartnersError::Mistakes(mistakes));
    }
    let location = location.ok_or(PartnersError::NoStore)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = Store::open_beside(&location)?;
        Ok(ask(&store).await?)
    })
}
