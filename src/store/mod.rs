//! The durable store: errands, which are at once inbox, outbox and transactions.
//!
//! One thread writes; what waits for it is committed as a group. A call returns when its change is on disk. Contents are
//! encrypted here, before an engine sees them, so that every engine keeps nothing but ciphertext.

mod errand;
mod rotation;
mod sqlite;
#[cfg(test)]
mod tests;
mod vault;

pub use errand::{Count, Errand, Filter, NewErrand, Placed, Put, Revision, Settlement, Standing};
pub use rotation::Rotated;
pub use vault::{Place, Vault, make_key, parse_key};

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};
use zeroize::Zeroizing;

use crate::{
    clock::Moment,
    keys::Secret,
    refusal::{Code, Refusal},
};
use vault::Sealed;

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no engine.
    #[error("`{0}` is no store. Use sqlite:PATH")]
    Url(String),
    /// The file, or the folder around it, cannot be used.
    #[error("the store's file: {0}")]
    File(String),
    /// Somebody else has it.
    #[error("the store {0} is in use by another gateway. Give each gateway a store of its own")]
    InUse(String),
    /// It was written by a newer version of this program.
    #[error(
        "the store has form {found}, but this version of triseal knows forms up to {known}. Run the version that wrote it, or a newer one"
    )]
    Newer {
        /// The form found.
        found: i64,
        /// The newest form known.
        known: i64,
    },
    /// It has not been brought to this version's form.
    #[error(
        "the store has form {found}, this version of triseal wants {known}. Start the gateway once: it migrates the store"
    )]
    Older {
        /// The form found.
        found: i64,
        /// The form wanted.
        known: i64,
    },
    /// A key is missing or is none.
    #[error("{0}")]
    Key(String),
    /// A content does not decrypt.
    #[error("a content of the store cannot be decrypted: its key is missing, or it was changed")]
    Content,
    /// There is no room.
    #[error("the store has no room: {0}. Free disk space")]
    Full(String),
    /// The engine says no.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The writer is gone.
    #[error("the store is closed")]
    Closed,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(Code::StoreDown, error.to_string())
    }
}

/// What the store tells the outside about itself.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Seconds of each commit.
    pub commit_seconds: prometheus::Histogram,
    /// Groups that were not committed.
    pub failures: prometheus::IntCounter,
}

/// The store. Cheap to share by reference; every method may be called from any runtime.
#[derive(Debug)]
pub struct Store {
    engine: sqlite::Engine,
    vault: Arc<Vault>,
    bell: Notify,
    counts: Mutex<Vec<Count>>,
}

impl Store {
    /// Opens the store for a gateway: takes it for itself, makes or migrates its tables, and sets errands free that were
    /// under way when the last gateway ended. `keys` is what contents are encrypted under, the newest first.
    ///
    /// # Errors
    /// When the URL is not one, the file cannot be used or belongs to a running gateway, or contents are under a key that is
    /// not given.
    pub fn open(url: &str, base: &Path, keys: &[Secret]) -> Result<Self, StoreError> {
        Self::with(url, base, keys, |path, vault| {
            sqlite::Engine::open(path, vault, None)
        })
    }

    /// The same, and tells of its commits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_watched(
        url: &str,
        base: &Path,
        keys: &[Secret],
        watch: Watch,
    ) -> Result<Self, StoreError> {
        Self::with(url, base, keys, |path, vault| {
            sqlite::Engine::open(path, vault, Some(watch))
        })
    }

    /// Opens the store beside a gateway that may be running on it: for commands. Nothing is made or migrated.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no store yet.
    pub fn open_beside(url: &str, base: &Path, keys: &[Secret]) -> Result<Self, StoreError> {
        Self::with(url, base, keys, sqlite::Engine::open_beside)
    }

    fn with(
        url: &str,
        base: &Path,
        keys: &[Secret],
        start: impl FnOnce(&Path, &Arc<Vault>) -> Result<sqlite::Engine, StoreError>,
    ) -> Result<Self, StoreError> {
        let path = url
            .strip_prefix("sqlite:")
            .filter(|p| !p.is_empty())
            .ok_or_else(|| StoreError::Url(url.to_owned()))?;
        let vault = Arc::new(Vault::new(keys)?);
        Ok(Self {
            engine: start(&base.join(path), &vault)?,
            vault,
            bell: Notify::new(),
            counts: Mutex::default(),
        })
    }

    /// Stores an errand, once for each kind and key. Durable when this returns.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn put(&self, new: NewErrand, now: Moment) -> Result<Put, StoreError> {
        let sealed = self.seal(new.kind, &new.key, new.body.clone())?;
        let put = self
            .ask(move |db| db.put(&new, None, &sealed, now).map(Into::into))
            .await?;
        self.bell.notify_one();
        Ok(put)
    }

    /// Stores several errands in one commit: all of them, or none.
    ///
    /// # Errors
    /// When they are not on disk.
    pub async fn put_many(&self, all: Vec<NewErrand>, now: Moment) -> Result<Vec<Put>, StoreError> {
        let mut sealed = Vec::with_capacity(all.len());
        for new in all {
            let body = self.seal(new.kind, &new.key, new.body.clone())?;
            sealed.push((new, body));
        }
        let puts = self
            .ask(move |db| {
                (sealed.iter())
                    .map(|(new, body)| db.put(new, None, body, now).map(Into::into))
                    .collect()
            })
            .await?;
        self.bell.notify_one();
        Ok(puts)
    }

    /// Stores an errand that can also be found by an alias, which no other of its kind may have. When one of that kind and
    /// key is there, `revise` says what becomes of it, in the same transaction.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn place<T: Send + 'static>(
        &self,
        new: NewErrand,
        alias: String,
        now: Moment,
        revise: impl FnOnce(&Errand) -> (Revision, T) + Send + 'static,
    ) -> Result<Placed<T>, StoreError> {
        let sealed = self.seal(new.kind, &new.key, new.body.clone())?;
        let vault = Arc::clone(&self.vault);
        let placed = self
            .ask(move |db| match db.put(&new, Some(&alias), &sealed, now)? {
                sqlite::Inserted::Yes => Ok(Placed::Stored),
                sqlite::Inserted::Alias => Ok(Placed::AliasTaken),
                sqlite::Inserted::Known(_) => revised(db, &vault, new.kind, &new.key, now, revise)?
                    .map(Placed::Known)
                    .ok_or(StoreError::Content),
            })
            .await?;
        self.bell.notify_one();
        Ok(placed)
    }

    /// Changes an errand by what is known of it, in one transaction. `None` when there is none.
    ///
    /// # Errors
    /// When the change is not on disk.
    pub async fn revise<T: Send + 'static>(
        &self,
        kind: &str,
        key: &str,
        now: Moment,
        revise: impl FnOnce(&Errand) -> (Revision, T) + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        let vault = Arc::clone(&self.vault);
        let made = self
            .ask(move |db| revised(db, &vault, &kind, &key, now, revise))
            .await?;
        self.bell.notify_one();
        Ok(made)
    }

    /// Takes errands that are due, for as long as the lease lasts. One whose content does not decrypt is parked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take(
        &self,
        kind: &'static str,
        now: Moment,
        lease: Duration,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError> {
        let taken = self
            .ask(move |db| db.take(kind, now, lease, at_most))
            .await?;
        let mut opened = Vec::with_capacity(taken.len());
        for errand in taken {
            match self.opened(errand.clone()) {
                Ok(errand) => opened.push(errand),
                Err(error) => {
                    tracing::error!(kind, errand = errand.id, %error, "an errand is parked");
                    let reason = error.to_string();
                    self.settle(&errand, Settlement::Park { reason }, now)
                        .await?;
                }
            }
        }
        Ok(opened)
    }

    /// Writes down what came of an attempt.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn settle(
        &self,
        errand: &Errand,
        settlement: Settlement,
        now: Moment,
    ) -> Result<(), StoreError> {
        let body = match &settlement {
            Settlement::Next { body, .. } | Settlement::Wait { body, .. } => body.clone(),
            Settlement::Finish { body, .. } => Some(body.clone()),
            Settlement::Done | Settlement::Retry { .. } | Settlement::Park { .. } => None,
        };
        let body = body
            .map(|body| self.seal(&errand.kind, &errand.key, body))
            .transpose()?;
        let (id, version, attempts) = (errand.id, errand.version, errand.attempts);
        self.ask(move |db| db.settle((id, version, attempts), &settlement, body.as_ref(), now))
            .await?;
        self.bell.notify_one();
        Ok(())
    }

    /// An errand by kind and key.
    ///
    /// # Errors
    /// When the store fails, or its content does not decrypt.
    pub async fn find(&self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        let found = self.ask(move |db| db.find(&kind, &key)).await?;
        found.map(|errand| self.opened(errand)).transpose()
    }

    /// An errand by kind and alias.
    ///
    /// # Errors
    /// When the store fails, or its content does not decrypt.
    pub async fn find_alias(&self, kind: &str, alias: &str) -> Result<Option<Errand>, StoreError> {
        let (kind, alias) = (kind.to_owned(), alias.to_owned());
        let found = self.ask(move |db| db.find_alias(&kind, &alias)).await?;
        found.map(|errand| self.opened(errand)).transpose()
    }

    /// Errands, the newest first. The body of one that does not decrypt is empty.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Errand>, StoreError> {
        let found = self.ask(move |db| db.list(&filter)).await?;
        let open = |errand: Errand| match self.opened(errand.clone()) {
            Ok(opened) => opened,
            Err(_) => Errand {
                body: Zeroizing::default(),
                ..errand
            },
        };
        Ok(found.into_iter().map(open).collect())
    }

    /// Makes an errand due now, from outside: news for it arrived, or a person asks for another try. With a step, it goes on
    /// from there; with a body, that replaces its own. Says whether there was one that is not done.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn resume(
        &self,
        kind: &str,
        key: &str,
        step: Option<String>,
        body: Option<Vec<u8>>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let body = body.map(|body| self.seal(kind, key, body)).transpose()?;
        let (kind, key) = (kind.to_owned(), key.to_owned());
        let found = self
            .ask(move |db| db.resume(&kind, &key, step.as_deref(), body.as_ref(), now))
            .await?;
        self.bell.notify_one();
        Ok(found)
    }

    /// Forgets done errands that last changed before that moment, at most so many; says how many. Parked ones stay.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_done(&self, before: Moment, at_most: usize) -> Result<usize, StoreError> {
        self.ask(move |db| db.forget_done(before, at_most)).await
    }

    /// Counts open and parked errands anew.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(&self) -> Result<(), StoreError> {
        let counts = self.ask(|db| db.count()).await?;
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
        Ok(())
    }

    /// Open and parked errands as last counted.
    pub fn counts(&self) -> Vec<Count> {
        (self.counts.lock().unwrap_or_else(PoisonError::into_inner)).clone()
    }

    /// Why the last commit failed, when it did.
    pub fn ailing(&self) -> Option<String> {
        self.engine.ailing()
    }

    /// Returns when something was stored since the last call.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    fn seal(&self, kind: &str, key: &str, body: Vec<u8>) -> Result<Sealed, StoreError> {
        self.vault.seal(place(kind, key), &Zeroizing::new(body))
    }

    fn opened(&self, errand: Errand) -> Result<Errand, StoreError> {
        opened(&self.vault, errand)
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&sqlite::Database<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.engine.submit(Box::new(Asked {
            job: Some(job),
            outcome: None,
            answer,
        }))?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

const fn place<'a>(kind: &'a str, key: &'a str) -> Place<'a> {
    Place {
        kind,
        key,
        column: "body",
    }
}

fn opened(vault: &Vault, errand: Errand) -> Result<Errand, StoreError> {
    let body = vault.open(place(&errand.kind, &errand.key), &errand.body)?;
    Ok(Errand { body, ..errand })
}

/// Inside a transaction: what becomes of an errand.
fn revised<T>(
    db: &sqlite::Database<'_>,
    vault: &Vault,
    kind: &str,
    key: &str,
    now: Moment,
    revise: impl FnOnce(&Errand) -> (Revision, T),
) -> Result<Option<T>, StoreError> {
    let Some(errand) = db.find(kind, key)? else {
        return Ok(None);
    };
    let errand = opened(vault, errand)?;
    let (revision, made) = revise(&errand);
    if let Revision::Reopen { step, body } = revision {
        let sealed = vault.seal(place(kind, key), &Zeroizing::new(body))?;
        db.reopen(errand.id, &step, &sealed, now)?;
    }
    Ok(Some(made))
}

/// Work for the writer: run inside the group's transaction, answered after its commit.
struct Asked<T, F> {
    job: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> sqlite::Job for Asked<T, F>
where
    T: Send,
    F: FnOnce(&sqlite::Database<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, db: &sqlite::Database<'_>) -> bool {
        let outcome = self.job.take().map(|job| job(db));
        let keep = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        keep
    }

    fn done(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Engine("a job broke off".to_owned())),
            (Err(error), _) => Err(error),
        };
        // Whoever asked may have given up.
        let _ = self.answer.send(outcome);
    }
}
