//! `triseal transactions`: the registrations of OpenCRVS, how far they are, and another try for those that are parked.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    output::say,
    store::{CommandError, end, on_store},
};
use crate::{
    clock::Clock,
    exchange::{registrations::REGISTRATION, rfc3339},
    handlers::opencrvs,
    store::{Errand, Filter, Standing, Store},
};

/// Registrations of OpenCRVS: how far they are, and another try.
///
/// Works on the store of the configuration, beside a running gateway or without one; a running gateway notices within a
/// second. Persons and tokens are never shown.
#[derive(Debug, Args)]
pub struct Transactions {
    /// The gateway's configuration.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "TRISEAL_CONFIG",
        global = true
    )]
    config: Option<PathBuf>,
    /// Print JSON: one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List registrations, the newest first.
    List {
        /// Those in one standing only.
        #[arg(long, value_enum)]
        standing: Option<Stands>,
        /// Those in one step only: received, packet-created, workflow-started, credential-received, confirmed.
        #[arg(long)]
        step: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one registration.
    Show {
        /// Its key (such as birth:B2026ABC) or its transaction id at MOSIP.
        which: String,
    },
    /// Take registrations up again, from the step they are in.
    Retry {
        /// Their keys or transaction ids.
        #[arg(required_unless_present = "all_parked")]
        which: Vec<String>,
        /// All that are parked.
        #[arg(long, conflicts_with = "which")]
        all_parked: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stands {
    /// Under way.
    Open,
    /// Confirmed.
    Done,
    /// Given up, with a reason.
    Parked,
}

impl From<Stands> for Standing {
    fn from(stands: Stands) -> Self {
        match stands {
            Stands::Open => Self::Open,
            Stands::Done => Self::Done,
            Stands::Parked => Self::Parked,
        }
    }
}

/// Registrations looked through for those in a step.
const LOOKED_THROUGH: usize = 100_000;

/// Runs it.
pub fn run(args: &Transactions, clock: &Clock) -> ExitCode {
    let Some(file) = &args.config else {
        return end(Err(CommandError::NoConfig));
    };
    end(on_store(file, async |store, _| {
        act(store, &args.action, args.json, clock).await
    }))
}

async fn act(
    store: &Store,
    action: &Action,
    as_json: bool,
    clock: &Clock,
) -> Result<(), CommandError> {
    match action {
        Action::List {
            standing,
            step,
            limit,
        } => {
            let filter = Filter {
                kind: Some(REGISTRATION.to_owned()),
                standing: standing.map(Into::into),
                limit: step.as_ref().map_or(*limit, |_| LOOKED_THROUGH),
            };
            let all = store.list(filter).await?;
            let wanted = |e: &&Errand| step.as_deref().is_none_or(|step| e.step() == step);
            let found: Vec<&Errand> = all.iter().filter(wanted).take(*limit).collect();
            if as_json {
                found.iter().for_each(|errand| say(shown(errand)));
            } else {
                table(&found);
            }
            Ok(())
        }
        Action::Show { which } => {
            let shown = shown(&find(store, which).await?);
            if as_json {
                say(&shown);
            } else if let Some(members) = shown.as_object() {
                for (name, value) in members {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    say(format_args!("{name:<20} {text}"));
                }
            }
            Ok(())
        }
        Action::Retry { which, all_parked } => {
            let mut keys = Vec::new();
            if *all_parked {
                let filter = Filter {
                    kind: Some(REGISTRATION.to_owned()),
                    standing: Some(Standing::Parked),
                    limit: LOOKED_THROUGH,
                };
                keys.extend(store.list(filter).await?.iter().map(|e| e.key().to_owned()));
            }
            for which in which {
                keys.push(find(store, which).await?.key().to_owned());
            }
            let mut done = Vec::new();
            for key in keys {
                if store
                    .resume(REGISTRATION, &key, None, None, clock.now())
                    .await?
                {
                    say(format_args!("{key}: is tried again"));
                } else {
                    done.push(key);
                }
            }
            if done.is_empty() {
                Ok(())
            } else {
                Err(CommandError::Done(done.join(", ")))
            }
        }
    }
}

async fn find(store: &Store, which: &str) -> Result<Errand, CommandError> {
    if let Some(errand) = store.find(REGISTRATION, which).await? {
        return Ok(errand);
    }
    let by_alias = store.find_alias(REGISTRATION, which).await?;
    by_alias.ok_or_else(|| CommandError::Unknown(which.to_owned()))
}

/// What may be shown of a registration.
fn shown(errand: &Errand) -> Value {
    let mut shown = json!({
        "key": errand.key(),
        "step": errand.step(),
        "standing": errand.standing().as_str(),
        "attempts": errand.attempts(),
        "reason": errand.reason(),
        "created": rfc3339(errand.created()),
        "updated": rfc3339(errand.updated()),
        "due": rfc3339(errand.due()),
    });
    if let (Some(shown), Some(Value::Object(more))) =
        (shown.as_object_mut(), opencrvs::summary(errand))
    {
        shown.extend(more);
    }
    shown
}

/// A table whose columns are as wide as they have to be; the reason comes last.
fn table(errands: &[&Errand]) {
    let mut rows = vec![
        [
            "KEY",
            "TRANSACTION",
            "STEP",
            "STANDING",
            "TRIES",
            "CHANGED",
            "REASON",
        ]
        .map(str::to_owned),
    ];
    for errand in errands {
        rows.push([
            errand.key().to_owned(),
            errand.alias().unwrap_or("-").to_owned(),
            errand.step().to_owned(),
            errand.standing().as_str().to_owned(),
            errand.attempts().to_string(),
            rfc3339(errand.updated()),
            errand.reason().unwrap_or("-").to_owned(),
        ]);
    }
    let mut widths = [0_usize; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<String> = (row.iter().zip(widths))
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        say(cells.join("  ").trim_end());
    }
}
