//! The durable store: errands, which are at once inbox, outbox and transactions.
//!
//! An engine keeps them: SQLite inside the program, or a PostgreSQL that several gateways share. What waits for it is
//! committed as a group. A call returns when its change is on disk. Contents are encrypted here, before an engine sees them,
//! so that every engine keeps nothing but ciphertext.

mod engine;
mod entry;
mod errand;
mod error;
mod location;
mod postgres;
mod rotation;
mod sqlite;
#[cfg(test)]
mod tests;
mod vault;

pub use engine::Ailing;
pub use entry::{Entry, Over};
pub use errand::{Count, Errand, Filter, NewErrand, Placed, Put, Revision, Settlement, Standing};
pub use error::StoreError;
pub use location::Location;
pub use rotation::Rotated;
pub use vault::{Place, Vault, make_key, parse_key};

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::clock::Moment;
use engine::{Asked, Database, Engine, Held, Inserted};
use location::Kind;
use vault::Sealed;

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
    engine: Box<dyn Engine>,
    vault: Arc<Vault>,
    bell: Notify,
    counts: Mutex<Vec<Count>>,
    lease: Duration,
}

impl Store {
    /// Opens the store for a gateway, and makes or migrates its tables. SQLite's file is taken for this gateway alone, and
    /// errands that were under way when the last gateway ended are free; a PostgreSQL that cannot be reached now is waited
    /// for, while what needs it is refused.
    ///
    /// # Errors
    /// When the file cannot be used or belongs to a running gateway, the database refuses us, or contents are under a key
    /// that is not given.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        Self::for_gateway(location, None)
    }

    /// The same, and tells of its commits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_watched(location: &Location, watch: Watch) -> Result<Self, StoreError> {
        Self::for_gateway(location, Some(watch))
    }

    /// Opens the store beside gateways that may be running on it: for commands. Nothing is made or migrated.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no store yet or it cannot be reached.
    pub fn open_beside(location: &Location) -> Result<Self, StoreError> {
        Self::with(location, |vault| {
            Ok(match location.kind() {
                Kind::Sqlite(path) => Box::new(sqlite::Engine::open_beside(path, vault)?),
                Kind::Postgres(server) => Box::new(postgres::Engine::open_beside(server, vault)?),
            })
        })
    }

    fn for_gateway(location: &Location, watch: Option<Watch>) -> Result<Self, StoreError> {
        Self::with(location, |vault| {
            Ok(match location.kind() {
                Kind::Sqlite(path) => Box::new(sqlite::Engine::open(path, vault, watch)?),
                Kind::Postgres(server) => Box::new(postgres::Engine::open(server, vault, watch)?),
            })
        })
    }

    fn with(
        location: &Location,
        start: impl FnOnce(&Arc<Vault>) -> Result<Box<dyn Engine>, StoreError>,
    ) -> Result<Self, StoreError> {
        let vault = Arc::new(Vault::new(location.keys())?);
        Ok(Self {
            engine: start(&vault)?,
            vault,
            bell: Notify::new(),
            counts: Mutex::default(),
            lease: location.lease(),
        })
    }

    /// How long an errand belongs to who took it, unless that is renewed.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// Whether other gateways may be on the same store.
    pub fn shared(&self) -> bool {
        self.engine.shared()
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
        for (place, new) in all.into_iter().enumerate() {
            let body = self.seal(new.kind, &new.key, new.body.clone())?;
            sealed.push((place, new, body));
        }
        // In one order everywhere, so that two who store the same do not wait for each other.
        sealed.sort_by(|(_, a, _), (_, b, _)| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
        let puts = self
            .ask(move |db| {
                let mut puts = Vec::with_capacity(sealed.len());
                for (place, new, body) in &sealed {
                    puts.push((*place, db.put(new, None, body, now)?.into()));
                }
                puts.sort_by_key(|(place, _)| *place);
                Ok(puts.into_iter().map(|(_, put)| put).collect())
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
        let mut revise = Some(revise);
        let placed = self
            .ask(move |db| match db.put(&new, Some(&alias), &sealed, now)? {
                Inserted::Yes => Ok(Placed::Stored),
                Inserted::Alias => Ok(Placed::AliasTaken),
                Inserted::Known(_) => revised(db, &vault, (new.kind, &new.key), now, &mut revise)?
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
        let mut revise = Some(revise);
        let made = self
            .ask(move |db| revised(db, &vault, (&kind, &key), now, &mut revise))
            .await?;
        self.bell.notify_one();
        Ok(made)
    }

    /// The kinds of which an errand is due: one question, where [`Store::take`] would be one for each kind.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due_kinds(&self, now: Moment) -> Result<Vec<String>, StoreError> {
        self.ask(move |db| db.due_kinds(now)).await
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

    /// Prolongs the lease of an errand whose step takes long. `false` when it is not ours any more: then somebody else has
    /// it, or will, and this attempt must end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew(
        &self,
        errand: &Errand,
        now: Moment,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let held = Held::from(errand);
        self.ask(move |db| db.renew(&held, now, lease)).await
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
        let held = Held::from(errand);
        self.ask(move |db| db.settle(&held, &settlement, body.as_ref(), now))
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

    /// Why it does not commit, when it does not.
    pub fn ailing(&self) -> Option<Ailing> {
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
        job: impl FnMut(&mut dyn Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answered) = Asked::new(job);
        self.engine.submit(Box::new(job))?;
        let answered = match self.engine.patience() {
            None => answered.await,
            Some(limit) => tokio::time::timeout(limit, answered)
                .await
                .map_err(|_| StoreError::Unknown("it did not answer in time".to_owned()))?,
        };
        answered.map_err(|_| StoreError::Closed)?
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

/// Inside a transaction: what becomes of an errand. `revise` is asked once, when nobody else can change the errand any more.
fn revised<T>(
    db: &mut dyn Database,
    vault: &Vault,
    (kind, key): (&str, &str),
    now: Moment,
    revise: &mut Option<impl FnOnce(&Errand) -> (Revision, T)>,
) -> Result<Option<T>, StoreError> {
    let Some(errand) = db.find_to_change(kind, key)? else {
        return Ok(None);
    };
    let errand = opened(vault, errand)?;
    let Some(revise) = revise.take() else {
        return Err(StoreError::Engine("a change was tried twice".to_owned()));
    };
    let (revision, made) = revise(&errand);
    if let Revision::Reopen { step, body } = revision {
        let sealed = vault.seal(place(kind, key), &Zeroizing::new(body))?;
        db.reopen(errand.id, &step, &sealed, now)?;
    }
    Ok(Some(made))
}
