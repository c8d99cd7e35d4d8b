//! The durable store: errands, which are at once inbox, outbox and transactions.
//!
//! One thread writes; what waits for it is committed as a group. A call returns when its change is on disk.

mod errand;
mod sqlite;

pub use errand::{Errand, Filter, NewErrand, Put, Settlement, Standing};

use std::{path::Path, time::Duration};

use tokio::sync::{Notify, oneshot};

use crate::{clock::Moment, keys::Secret};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no engine.
    #[error("`{0}` is no store. Use sqlite:PATH.")]
    Url(String),
    /// The engine says no.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The writer is gone.
    #[error("the store is closed")]
    Closed,
}

/// The store. Cheap to share by reference; every method may be called from any runtime.
#[derive(Debug)]
pub struct Store {
    jobs: std::sync::mpsc::SyncSender<sqlite::Job>,
    bell: Notify,
}

impl Store {
    /// Opens the store, makes or migrates its tables. `keys` is what contents are encrypted under, the newest first.
    ///
    /// # Errors
    /// When the URL is not one, the file cannot be used, or its contents are under a key that is not given.
    pub fn open(url: &str, base: &Path, keys: &[Secret]) -> Result<Self, StoreError> {
        let path = url
            .strip_prefix("sqlite:")
            .filter(|p| !p.is_empty())
            .ok_or_else(|| StoreError::Url(url.to_owned()))?;
        Ok(Self {
            jobs: sqlite::start(&base.join(path), keys)?,
            bell: Notify::new(),
        })
    }

    /// Stores an errand, once for each kind and key. Durable when this returns.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn put(&self, new: NewErrand, now: Moment) -> Result<Put, StoreError> {
        let put = self.ask(move |db| db.put(&new, now)).await?;
        self.bell.notify_one();
        Ok(put)
    }

    /// Takes errands that are due, for as long as the lease lasts.
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
        self.ask(move |db| db.take(kind, now, lease, at_most)).await
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
        let errand = errand.clone();
        self.ask(move |db| db.settle(&errand, &settlement, now))
            .await?;
        self.bell.notify_one();
        Ok(())
    }

    /// An errand by kind and key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        self.ask(move |db| db.find(&kind, &key)).await
    }

    /// Errands, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Errand>, StoreError> {
        self.ask(move |db| db.list(&filter)).await
    }

    /// How many errands of a kind there are, in one standing or in all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(
        &self,
        kind: &'static str,
        standing: Option<Standing>,
    ) -> Result<usize, StoreError> {
        self.ask(move |db| db.count(kind, standing)).await
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
        let (kind, key) = (kind.to_owned(), key.to_owned());
        let found = self
            .ask(move |db| db.resume(&kind, &key, step.as_deref(), body.as_deref(), now))
            .await?;
        self.bell.notify_one();
        Ok(found)
    }

    /// Returns when something was stored since the last call.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&sqlite::Database<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let mut answer = Some(answer);
        let mut outcome = None;
        let mut job = Some(job);
        // Run inside the group's transaction; answered after its commit.
        let boxed: sqlite::Job = Box::new(move |phase| match phase {
            sqlite::Phase::Run(db) => {
                if let Some(job) = job.take() {
                    outcome = Some(job(db));
                }
            }
            sqlite::Phase::Committed(committed) => {
                if let (Some(answer), Some(outcome)) = (answer.take(), outcome.take()) {
                    // Whoever asked may have given up.
                    let _ = answer.send(match committed {
                        Ok(()) => outcome,
                        Err(e) => Err(StoreError::Engine(e.to_owned())),
                    });
                }
            }
        });
        self.jobs.try_send(boxed).map_err(|e| match e {
            std::sync::mpsc::TrySendError::Full(_) => {
                StoreError::Engine("too much waits to be written".to_owned())
            }
            std::sync::mpsc::TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> Store {
        let keys = [Secret::new(vec![7; 32])];
        Store::open("sqlite:state.db", folder, &keys).expect("opens")
    }

    fn errand(key: &str) -> NewErrand {
        NewErrand {
            kind: "test",
            key: key.to_owned(),
            step: "first",
            body: b"content".to_vec(),
            due: Moment::from_s(100),
        }
    }

    #[tokio::test]
    async fn an_errand_is_stored_once_for_each_key() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(folder.path());
        let now = Moment::from_s(100);
        assert_eq!(store.put(errand("a"), now).await.expect("put"), Put::Stored);
        let again = store.put(errand("a"), now).await.expect("put");
        assert_eq!(again, Put::Known(Standing::Open));
    }

    #[tokio::test]
    async fn what_one_has_taken_no_other_takes_before_its_lease_ends() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(folder.path());
        let lease = Duration::from_secs(10);
        let now = Moment::from_s(100);
        store.put(errand("a"), now).await.expect("put");
        let early = Moment::from_s(99);
        assert!(
            store
                .take("test", early, lease, 9)
                .await
                .expect("take")
                .is_empty()
        );
        assert_eq!(
            store.take("test", now, lease, 9).await.expect("take").len(),
            1
        );
        assert!(
            store
                .take("test", now, lease, 9)
                .await
                .expect("take")
                .is_empty()
        );
        let later = Moment::from_s(111);
        assert_eq!(
            store
                .take("test", later, lease, 9)
                .await
                .expect("take")
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn news_that_came_during_an_attempt_are_not_overwritten() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(folder.path());
        let now = Moment::from_s(100);
        store.put(errand("a"), now).await.expect("put");
        let taken = store
            .take("test", now, Duration::from_secs(10), 1)
            .await
            .expect("take");
        let resumed = store
            .resume("test", "a", Some("second".to_owned()), None, now)
            .await;
        assert!(resumed.expect("resumed"));
        let wait = Settlement::Wait {
            step: "first",
            body: None,
            until: Moment::from_s(900),
        };
        store.settle(&taken[0], wait, now).await.expect("settled");
        let again = store
            .take("test", now, Duration::from_secs(10), 1)
            .await
            .expect("take");
        assert_eq!(again[0].step(), "second");
    }
}
