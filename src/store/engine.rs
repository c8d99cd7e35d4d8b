//! The seam below the store: what every engine does inside a transaction, and how work gets to it.
//!
//! An engine runs jobs on threads of its own. What waits is committed as a group; a job that fails takes back its own work
//! alone. A job is answered after its group's commit, so that an answer means: it is on disk.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{
    Count, Entry, Errand, Filter, NewErrand, Over, Put, Settlement, Standing, StoreError,
    vault::{KeyId, Sealed},
};
use crate::clock::Moment;

/// An engine that runs.
pub(super) trait Engine: Send + Sync + std::fmt::Debug {
    /// Hands work to it; refuses at once when it cannot be done now.
    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError>;
    /// Why it does not commit, when it does not.
    fn ailing(&self) -> Option<Ailing>;
    /// How long a job may take before whoever asked is told that its outcome is unknown.
    fn patience(&self) -> Option<Duration>;
    /// Whether several gateways may be on the store, so that what is new may come from elsewhere.
    fn shared(&self) -> bool;
}

/// Why an engine does not commit, and since when.
#[derive(Clone, Debug)]
pub struct Ailing {
    /// In words for an operator.
    pub why: String,
    /// Since when.
    pub since: Instant,
}

/// The database inside one transaction. Contents are ciphertext here.
pub(super) trait Database {
    /// Stores an errand, once for each kind and key, and for each kind and alias.
    fn put(
        &mut self,
        new: &NewErrand,
        alias: Option<&str>,
        body: &Sealed,
        now: Moment,
    ) -> Result<Inserted, StoreError>;
    /// The kinds of which an open errand is due that nobody has.
    fn due_kinds(&mut self, now: Moment) -> Result<Vec<String>, StoreError>;
    /// Leases open errands that are due and that nobody else has.
    fn take(
        &mut self,
        kind: &str,
        now: Moment,
        lease: Duration,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError>;
    /// Prolongs a lease; `false` when it is not this taker's any more.
    fn renew(&mut self, held: &Held, now: Moment, lease: Duration) -> Result<bool, StoreError>;
    /// Writes down what came of an attempt, over what was attempted only. When news came meanwhile, the lease ends and the
    /// errand is due at once; when somebody else has it, nothing changes.
    fn settle(
        &mut self,
        held: &Held,
        settlement: &Settlement,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<(), StoreError>;
    fn find(&mut self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError>;
    /// The same; nobody else changes it before this transaction ends.
    fn find_to_change(&mut self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError>;
    fn find_alias(&mut self, kind: &str, alias: &str) -> Result<Option<Errand>, StoreError>;
    fn list(&mut self, filter: &Filter) -> Result<Vec<Errand>, StoreError>;
    fn resume(
        &mut self,
        kind: &str,
        key: &str,
        step: Option<&str>,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<bool, StoreError>;
    fn reopen(&mut self, id: i64, step: &str, body: &Sealed, now: Moment)
    -> Result<(), StoreError>;
    fn forget_done(&mut self, before: Moment, at_most: usize) -> Result<usize, StoreError>;
    fn count(&mut self) -> Result<Vec<Count>, StoreError>;
    /// Whether everything may be encrypted under the newest key: every gateway that runs writes under it. Then it is noted
    /// as one under which contents may be.
    fn may_rotate(&mut self, newest: KeyId) -> Result<bool, StoreError>;
    /// Forgets keys under which nothing is any more; gives the others but `newest`.
    fn release_keys(&mut self, newest: KeyId) -> Result<Vec<KeyId>, StoreError>;
    /// Errands whose content is under another key.
    fn under_other_keys(
        &mut self,
        newest: KeyId,
        after: i64,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError>;
    /// The same content under another key; the errand has not changed by it.
    fn reseal(&mut self, id: i64, version: i64, body: &Sealed) -> Result<(), StoreError>;
    /// Stores an entry, when what is there is what `over` says; says whether it did.
    fn put_entry(
        &mut self,
        at: (&str, &str),
        over: Over,
        body: &Sealed,
        now: Moment,
    ) -> Result<bool, StoreError>;
    /// Forgets an entry; says whether there was one.
    fn delete_entry(&mut self, kind: &str, key: &str) -> Result<bool, StoreError>;
    /// Entries of a kind by key, from behind a key on.
    fn entries(
        &mut self,
        kind: &str,
        after: &str,
        at_most: usize,
    ) -> Result<Vec<Entry>, StoreError>;
    /// A number that grows with each change of an entry.
    fn entries_revision(&mut self) -> Result<i64, StoreError>;
    /// Entries whose content is under another key.
    fn entries_under_other_keys(
        &mut self,
        newest: KeyId,
        at_most: usize,
        after: (&str, &str),
    ) -> Result<Vec<Entry>, StoreError>;
    /// The same content under another key; the entry has not changed by it.
    fn reseal_entry(&mut self, entry: &Entry, body: &Sealed) -> Result<(), StoreError>;
    /// How many pages the file may have: a full disk, for tests of SQLite.
    #[cfg(test)]
    fn limit_pages(&mut self, pages: u32) -> Result<(), StoreError>;
}

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Yes,
    /// One of that kind and key is there.
    Known(Standing),
    /// Another one of that kind has the alias.
    Alias,
}

impl From<Inserted> for Put {
    fn from(inserted: Inserted) -> Self {
        match inserted {
            Inserted::Yes => Self::Stored,
            Inserted::Known(standing) => Self::Known(standing),
            Inserted::Alias => Self::Known(Standing::Open),
        }
    }
}

/// An errand as it was when it was taken: what an outcome is written over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) id: i64,
    pub(super) version: i64,
    pub(super) attempts: u32,
    /// Which taking of it; where an engine counts them.
    pub(super) taking: i64,
}

impl From<&Errand> for Held {
    fn from(errand: &Errand) -> Self {
        Self {
            id: errand.id,
            version: errand.version,
            attempts: errand.attempts,
            taking: errand.taking,
        }
    }
}

/// What an outcome makes of an errand; nothing is changed where there is `None`.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) step: Option<&'static str>,
    pub(super) attempts: u32,
    pub(super) standing: Standing,
    pub(super) reason: Option<&'a str>,
    pub(super) due: Moment,
}

impl<'a> Change<'a> {
    pub(super) fn of(settlement: &'a Settlement, attempts: u32, now: Moment) -> Self {
        let again = attempts.saturating_add(1);
        let (step, attempts, standing, reason, due) = match settlement {
            Settlement::Done => (None, 0, Standing::Done, None, now),
            Settlement::Finish { step, .. } => (Some(*step), 0, Standing::Done, None, now),
            Settlement::Next { step, .. } => (Some(*step), 0, Standing::Open, None, now),
            Settlement::Wait { step, until, .. } => (Some(*step), 0, Standing::Open, None, *until),
            Settlement::Retry { reason, after } => {
                let due = now.plus_ms(millis(*after));
                (None, again, Standing::Open, Some(reason.as_str()), due)
            }
            Settlement::Park { reason } => {
                (None, again, Standing::Parked, Some(reason.as_str()), now)
            }
        };
        Self {
            step,
            attempts,
            standing,
            reason,
            due,
        }
    }
}

/// A number of rows, as engines count.
pub(super) fn limit(at_most: usize) -> i64 {
    i64::try_from(at_most).unwrap_or(i64::MAX)
}

/// A time in milliseconds, as engines count.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Work for an engine.
pub(super) trait Job: Send {
    /// Runs inside the group's transaction.
    fn run(&mut self, db: &mut dyn Database) -> Ran;
    /// Whether nobody waits for its answer any more.
    fn abandoned(&self) -> bool;
    /// Called after the group's commit, or when there is none.
    fn done(self: Box<Self>, committed: Result<(), StoreError>);
}

impl std::fmt::Debug for dyn Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

/// What came of a job inside its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// What it did stays.
    Keep,
    /// What it did is taken back.
    Undo,
    /// What it did is taken back, and it may run once more in another transaction: it was in the way of somebody else.
    Again,
}

/// A job that answers whoever asked for it.
pub(super) struct Asked<T, F> {
    job: F,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Asked<T, F> {
    /// The job, and where its answer comes.
    pub(super) fn new(job: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let asked = Self {
            job,
            outcome: None,
            answer,
        };
        (asked, answered)
    }
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnMut(&mut dyn Database) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, db: &mut dyn Database) -> Ran {
        // If the job panics, nothing of an earlier try is left to be answered.
        self.outcome = None;
        let outcome = (self.job)(db);
        let ran = match &outcome {
            Ok(_) => Ran::Keep,
            Err(StoreError::InTheWay) => Ran::Again,
            Err(_) => Ran::Undo,
        };
        self.outcome = Some(outcome);
        ran
    }

    fn abandoned(&self) -> bool {
        self.answer.is_closed()
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
