//! The registry while the gateway runs: changes are tried, stored, and put in force by a reload, here and on every gateway
//! that has the same store.
//!
//! A change is tried before it is stored: a snapshot is built with it, by the same checks that files go through. What does
//! not pass is not stored. What is in the store is in force a second later everywhere.

use std::{path::Path, sync::Arc, time::Duration};

use super::{Gateway, Snapshot, StartError, replacements};
use crate::{
    clock::Clock,
    partners::{
        Beside, Change, Changes,
        changes::{CHANGES_MAX, ENTRY_KIND},
    },
    store::{Over, Store, StoreError},
};

/// How often the store is asked whether something is new.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Tries at a change that others change at the same time.
const TRIES: usize = 5;

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is stored and in force.
    InForce,
    /// It is known already, or something newer about the same is.
    Known,
}

/// Why there was no change.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unchanged {
    /// It does not pass the checks that files go through, or it may not be.
    #[error("{0}")]
    Objection(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others change the same.
    #[error("others change the same at present")]
    Busy,
}

/// Reads what the store has. Entries that cannot be read are said loudly: what they took away is not known.
///
/// # Errors
/// When the store fails.
pub async fn read(store: &Store) -> Result<Beside, StoreError> {
    // First the number: what is changed in between is read once more.
    let revision = store.entries_revision().await?;
    let entries = store.entries(ENTRY_KIND).await?;
    let (changes, unreadable) = Changes::read(&entries);
    for key in unreadable {
        tracing::error!(
            key,
            "a change of the registry cannot be read and is not in force"
        );
    }
    Ok(Beside {
        kept: Arc::new(replacements::kept(store).await?),
        changes,
        revision,
    })
}

/// What was read from the files, with what the store has beside them: nobody whom an event has switched off, and no certificate whose
/// overlap is over, is let in between a start and the first look at the store. A store that cannot be read is waited for,
/// unless something may be in it that takes away.
///
/// # Errors
/// When it cannot be read, and the files alone could admit too much.
pub(super) fn at_start(
    file: &Path,
    clock: &Clock,
    snapshot: Arc<Snapshot>,
    store: Option<&Store>,
) -> Result<Arc<Snapshot>, StartError> {
    // Also where nobody can change anything any more: what was changed stays changed.
    let Some(store) = store else {
        return Ok(snapshot);
    };
    let beside = match read_at_start(store) {
        Ok(beside) => beside,
        Err(error) if snapshot.takes_events() || replacements::wanted(snapshot.config()) => {
            return Err(error.into());
        }
        Err(error) => {
            tracing::warn!(%error, "what is beside the files cannot be read yet; the files alone are in force");
            return Ok(snapshot);
        }
    };
    if beside.is_empty() {
        return Ok(snapshot);
    }
    let (built, mistakes) = Snapshot::build_with(file, clock, Some(&snapshot), &beside);
    let built = built.ok_or(StartError::Configuration(mistakes))?;
    say_left_out(&built);
    Ok(Arc::new(built))
}

/// Somewhere else: whoever starts a gateway may be in a runtime or not.
fn read_at_start(store: &Store) -> Result<Beside, StoreError> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| StoreError::Engine(error.to_string()))?;
            runtime.block_on(read(store))
        });
        reader.join().map_err(|_| StoreError::Closed)?
    })
}

fn say_left_out(snapshot: &Snapshot) {
    for one in snapshot.left_out() {
        tracing::warn!(
            change = one.key,
            why = one.why,
            "a change of the registry is not in force"
        );
    }
}

impl Gateway {
    /// Tries a change; when it passes, it is durable and in force on this gateway when this returns, and within a second
    /// on others. `merge` is given what is known about the same and says what is to be; `None` says that nothing is.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn change(
        self: &Arc<Self>,
        key: &str,
        merge: impl Fn(Option<&Change>) -> Result<Option<Change>, String>,
    ) -> Result<Changed, Unchanged> {
        let store = self
            .store()
            .ok_or_else(|| Unchanged::Objection("there is no store".to_owned()))?;
        for _ in 0..TRIES {
            let entries = store.entries(ENTRY_KIND).await?;
            let known = entries.iter().find(|entry| entry.key == key);
            let over = known.map_or(Over::Nothing, |entry| Over::Revision(entry.revision));
            if known.is_none() && entries.len() >= CHANGES_MAX {
                let why =
                    format!("there are {CHANGES_MAX} changes already; take them into the files");
                return Err(Unchanged::Objection(why));
            }
            let known = known.and_then(|entry| serde_json::from_slice::<Change>(&entry.body).ok());
            let wanted = merge(known.as_ref()).map_err(Unchanged::Objection)?;
            let Some(change) = wanted else {
                return Ok(Changed::Known);
            };
            if change.key() != key {
                let why = "the change is about something else".to_owned();
                return Err(Unchanged::Objection(why));
            }
            let (changes, _) = Changes::read(&entries);
            self.try_out(changes.with(change.clone()), key.to_owned())
                .await
                .map_err(Unchanged::Objection)?;
            let body = change
                .to_body()
                .map_err(|error| Unchanged::Objection(error.to_string()))?;
            let now = self.clock().now();
            if store.put_entry(ENTRY_KIND, key, over, body, now).await? {
                self.catch_up().await?;
                return Ok(Changed::InForce);
            }
        }
        Err(Unchanged::Busy)
    }

    /// Puts in force what the store has.
    async fn catch_up(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(store) = self.store() else {
            return Ok(());
        };
        let beside = read(store).await?;
        let snapshot = self.snapshot();
        let known = snapshot.beside();
        if beside.says_what(known) {
            return Ok(());
        }
        if beside.revision < known.revision {
            tracing::error!(
                "the store has older changes of the registry than are in force, as after a restored backup: restart the gateway for them"
            );
            return Ok(());
        }
        let gateway = Arc::clone(self);
        // Reading everything takes a while, and others are waiting on this thread.
        let work = tokio::task::spawn_blocking(move || gateway.reload_beside(Some(beside)));
        match work.await {
            Ok(Ok(_)) => {
                let snapshot = self.snapshot();
                let (beside, generation) = (snapshot.beside(), snapshot.generation());
                let (changes, replaced) = (beside.changes.len(), beside.kept.len());
                tracing::info!(changes, replaced, generation, "the registry has changed");
                say_left_out(&snapshot);
                Ok(())
            }
            // It is tried again when the files are others.
            Ok(Err(mistakes)) => {
                let errors = mistakes.errors();
                tracing::error!(
                    errors,
                    "a change of the registry waits for the configuration to be right"
                );
                Ok(())
            }
            Err(_) => Err(StoreError::Engine("a reload broke off".to_owned())),
        }
    }

    async fn try_out(self: &Arc<Self>, changes: Changes, key: String) -> Result<(), String> {
        let gateway = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || gateway.trial(&changes, &key));
        work.await.map_err(|_| "the check broke off".to_owned())?
    }

    fn trial(&self, changes: &Changes, key: &str) -> Result<(), String> {
        let previous = self.snapshot();
        let beside = Beside {
            changes: changes.clone(),
            ..previous.beside().clone()
        };
        let (built, mistakes) =
            Snapshot::build_with(self.config_file(), self.clock(), Some(&previous), &beside);
        let Some(built) = built else {
            return Err(format!(
                "the configuration is not right at present: {} mistakes",
                mistakes.errors()
            ));
        };
        if built.beside().changes.get(key) != changes.get(key) {
            return Err("it contradicts the configuration".to_owned());
        }
        match built.left_out().find(|one| one.key == key) {
            Some(one) => Err(one.why.clone()),
            None => Ok(()),
        }
    }
}

/// Looks for what other gateways and commands have changed, until the gateway stops.
pub(super) async fn watch(gateway: Arc<Gateway>) {
    let Some(store) = gateway.store() else {
        return;
    };
    // What was looked at, under which configuration: nothing is read twice for it, and nothing said twice.
    let mut looked = None;
    loop {
        match store.entries_revision().await {
            Ok(revision) => {
                let now = |gateway: &Gateway| Some((revision, gateway.snapshot().generation()));
                let new = revision != gateway.snapshot().beside().revision;
                if new && looked != now(&gateway) {
                    match gateway.catch_up().await {
                        Ok(()) => looked = now(&gateway),
                        Err(error) => {
                            tracing::error!(%error, "changes of the registry cannot be read");
                        }
                    }
                }
            }
            // That is said once, by the store itself.
            Err(StoreError::Unreachable(_)) => {}
            Err(error) => tracing::error!(%error, "changes of the registry cannot be looked for"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
