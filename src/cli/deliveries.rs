//! `triseal deliveries`: what the hub or the token seeder delivered, what became of it, and another try for what is parked.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};

use super::output::say;
use crate::{
    clock::Clock,
    exchange::{Snapshot, rfc3339},
    handlers::{
        token_seeder,
        websub::{DISCARD, kind},
    },
    store::{Errand, Filter, Standing, Store, StoreError},
};

/// Look after deliveries of the WebSub hub and of the token seeder.
///
/// Works on the store of the configuration, beside a running gateway or without one. Contents are never shown: they are
/// personal.
#[derive(Debug, Args)]
pub struct Deliveries {
    /// The configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "TRISEAL_CONFIG",
        global = true
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List deliveries, the newest first.
    List {
        /// Those of one kind only.
        #[arg(long, value_enum)]
        kind: Option<Kind>,
        /// Those in one standing only.
        #[arg(long, value_enum)]
        standing: Option<Stands>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one delivery.
    Show {
        /// Its number in the list.
        id: i64,
    },
    /// Give parked deliveries up: their contents are forgotten, and nothing is done with them.
    Discard {
        /// Their numbers in the list.
        #[arg(required = true, num_args = 1..)]
        ids: Vec<i64>,
    },
    /// Take parked deliveries up again.
    Retry {
        /// Their numbers in the list.
        #[arg(required = true, num_args = 1..)]
        ids: Vec<i64>,
    },
}

/// A kind of delivery.
#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
enum Kind {
    /// From the hub to us.
    #[value(name = "websub-delivery", alias = "delivery")]
    Delivery,
    /// From us to partners.
    #[value(name = "websub-outbound", alias = "outbound")]
    Outbound,
    /// Without the hub's signature.
    #[value(name = "websub-quarantine", alias = "quarantine")]
    Quarantine,
    /// Callbacks of the token seeder, and what is remembered for them.
    #[value(name = "token-seeder")]
    TokenSeeder,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Delivery,
        Self::Outbound,
        Self::Quarantine,
        Self::TokenSeeder,
    ];

    const fn kind(self) -> &'static str {
        match self {
            Self::Delivery => kind::DELIVERY,
            Self::Outbound => kind::OUTBOUND,
            Self::Quarantine => kind::QUARANTINE,
            Self::TokenSeeder => token_seeder::KIND,
        }
    }
}

/// A standing.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stands {
    /// To be done.
    Open,
    /// Handed on.
    Done,
    /// Given up, with a reason.
    Parked,
}

/// Entries that are looked through for a number.
const LOOKED_THROUGH: usize = 100_000;

/// Runs it.
pub fn run(args: &Deliveries, clock: &Clock) -> ExitCode {
    let Some(file) = &args.config else {
        eprintln!("--config is missing. Say whose deliveries.");
        return ExitCode::from(2);
    };
    let (snapshot, mistakes) = Snapshot::build(file, clock, None);
    let Some(snapshot) = snapshot else {
        for mistake in &mistakes.0 {
            eprintln!("{mistake}");
        }
        return ExitCode::from(2);
    };
    let Some(location) = snapshot.store() else {
        eprintln!(
            "{}: there is no [store], so nothing is kept",
            file.display()
        );
        return ExitCode::from(2);
    };
    let work = async {
        let store = Store::open_beside(location)?;
        act(&store, &args.action, clock).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.map(|runtime| runtime.block_on(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn act(store: &Store, action: &Action, clock: &Clock) -> Result<ExitCode, StoreError> {
    match action {
        Action::List {
            kind,
            standing,
            limit,
        } => {
            let standing = standing.map(|s| match s {
                Stands::Open => Standing::Open,
                Stands::Done => Standing::Done,
                Stands::Parked => Standing::Parked,
            });
            let kinds = Kind::ALL
                .into_iter()
                .filter(|k| kind.is_none_or(|only| only == *k));
            let mut found = Vec::new();
            for kind in kinds {
                found.extend(listed(store, kind, standing, *limit).await?);
            }
            found.sort_by_key(|e| std::cmp::Reverse(e.id()));
            for errand in found.iter().take(*limit) {
                say(line(errand));
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Show { id } => match numbered(store, *id).await? {
            Some(errand) => {
                show(&errand);
                Ok(ExitCode::SUCCESS)
            }
            None => Ok(unknown(*id)),
        },
        Action::Retry { ids } => again(store, ids, None, "is tried again", clock).await,
        Action::Discard { ids } => again(store, ids, Some(DISCARD), "is given up", clock).await,
    }
}

/// Makes errands that are not done due now.
async fn again(
    store: &Store,
    ids: &[i64],
    step: Option<&str>,
    said: &str,
    clock: &Clock,
) -> Result<ExitCode, StoreError> {
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        match numbered(store, *id).await? {
            None => code = unknown(*id),
            Some(errand) if errand.standing() != Standing::Parked => {
                eprintln!("{id}: is not parked, but {}", errand.standing().as_str());
                code = ExitCode::FAILURE;
            }
            Some(errand) => {
                let step = step.map(str::to_owned);
                store
                    .resume(errand.kind(), errand.key(), step, None, clock.now())
                    .await?;
                say(format_args!("{id}: {said}"));
            }
        }
    }
    Ok(code)
}

fn unknown(id: i64) -> ExitCode {
    eprintln!("{id}: there is no such delivery; `triseal deliveries list` shows them");
    ExitCode::FAILURE
}

async fn listed(
    store: &Store,
    kind: Kind,
    standing: Option<Standing>,
    limit: usize,
) -> Result<Vec<Errand>, StoreError> {
    let filter = Filter {
        kind: Some(kind.kind().to_owned()),
        standing,
        limit,
    };
    store.list(filter).await
}

async fn numbered(store: &Store, id: i64) -> Result<Option<Errand>, StoreError> {
    for kind in Kind::ALL {
        let all = listed(store, kind, None, LOOKED_THROUGH).await?;
        if let Some(found) = all.into_iter().find(|e| e.id() == id) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn line(errand: &Errand) -> String {
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}",
        errand.id(),
        errand.kind(),
        errand.standing().as_str(),
        rfc3339(errand.created()),
        whose(errand),
        errand.reason().unwrap_or("-"),
    )
}

/// The subscription, or the partner and the subscription.
fn whose(errand: &Errand) -> &str {
    errand
        .key()
        .rsplit_once(':')
        .map_or("", |(before, _)| before)
}

fn show(errand: &Errand) {
    say(format_args!("number    {}", errand.id()));
    say(format_args!("kind      {}", errand.kind()));
    say(format_args!("of        {}", whose(errand)));
    say(format_args!(
        "digest    {}",
        errand.key().rsplit(':').next().unwrap_or_default()
    ));
    say(format_args!("standing  {}", errand.standing().as_str()));
    say(format_args!("reason    {}", errand.reason().unwrap_or("-")));
    say(format_args!("attempts  {}", errand.attempts()));
    say(format_args!("arrived   {}", rfc3339(errand.created())));
    say(format_args!("changed   {}", rfc3339(errand.updated())));
    say(format_args!("due       {}", rfc3339(errand.due())));
    say(format_args!("bytes     {}", errand.body().len()));
}
