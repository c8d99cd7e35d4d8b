//! SQLite: one writer thread, what waits is committed as a group.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Errand, Filter, NewErrand, Put, Settlement, Standing, StoreError};
use crate::{clock::Moment, keys::Secret};

/// Work that may wait for the writer.
const WAITING_MAX: usize = 4_096;
/// Jobs in one commit.
const GROUP_MAX: usize = 256;

/// A job is called twice: inside the transaction, and after its commit.
pub(super) type Job = Box<dyn FnMut(Phase<'_>) + Send>;

/// What a job is called for.
pub(super) enum Phase<'a> {
    Run(&'a Database<'a>),
    Committed(Result<(), &'a str>),
}

/// The database inside one transaction.
pub(super) struct Database<'a> {
    transaction: &'a Transaction<'a>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS errand (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        step TEXT NOT NULL,
        body BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        standing TEXT NOT NULL DEFAULT 'open',
        reason TEXT,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        due_ms INTEGER NOT NULL,
        lease_ms INTEGER NOT NULL DEFAULT 0,
        version INTEGER NOT NULL DEFAULT 0,
        UNIQUE (kind, key)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS errand_due ON errand (kind, due_ms) WHERE standing = 'open';
";

const COLUMNS: &str = "id, kind, key, step, body, attempts, standing, reason, created_ms, updated_ms, due_ms, version";

/// Opens the file and starts the writer.
pub(super) fn start(path: &Path, _keys: &[Secret]) -> Result<SyncSender<Job>, StoreError> {
    let connection = Connection::open(path).map_err(failed)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;",
        )
        .map_err(failed)?;
    connection.execute_batch(SCHEMA).map_err(failed)?;
    let (jobs, waiting) = sync_channel(WAITING_MAX);
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || write(connection, &waiting))
        .map_err(|e| StoreError::Engine(e.to_string()))?;
    Ok(jobs)
}

fn write(mut connection: Connection, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(job) = waiting.try_recv()
        {
            group.push(job);
        }
        let committed = commit(&mut connection, &mut group).map_err(|e| e.to_string());
        if let Err(error) = &committed {
            tracing::error!(%error, "the store could not commit");
        }
        for job in &mut group {
            job(Phase::Committed(
                committed.as_ref().map(|()| ()).map_err(String::as_str),
            ));
        }
    }
}

fn commit(connection: &mut Connection, group: &mut [Job]) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    for job in group {
        job(Phase::Run(&Database {
            transaction: &transaction,
        }));
    }
    transaction.commit()
}

impl Database<'_> {
    pub(super) fn put(&self, new: &NewErrand, now: Moment) -> Result<Put, StoreError> {
        let stored = self
            .transaction
            .prepare_cached(
                "INSERT INTO errand (kind, key, step, body, created_ms, updated_ms, due_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)
                 ON CONFLICT (kind, key) DO NOTHING",
            )
            .and_then(|mut s| s.execute(params![new.kind, new.key, new.step, new.body, now.ms(), new.due.ms()]))
            .map_err(failed)?;
        if stored == 1 {
            return Ok(Put::Stored);
        }
        let standing = self
            .find(new.kind, &new.key)?
            .map_or(Standing::Open, |e| e.standing);
        Ok(Put::Known(standing))
    }

    pub(super) fn take(
        &self,
        kind: &str,
        now: Moment,
        lease: Duration,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError> {
        let until = now
            .ms()
            .saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached(&format!(
                "UPDATE errand SET lease_ms = ?3 WHERE id IN (
                   SELECT id FROM errand WHERE kind = ?1 AND standing = 'open' AND due_ms <= ?2 AND lease_ms <= ?2
                   ORDER BY due_ms LIMIT ?4) RETURNING {COLUMNS}"
            ))
            .and_then(|mut s| {
                s.query_map(params![kind, now.ms(), until, at_most], read)?
                    .collect()
            })
            .map_err(failed)
    }

    pub(super) fn settle(
        &self,
        errand: &Errand,
        settlement: &Settlement,
        now: Moment,
    ) -> Result<(), StoreError> {
        let now = now.ms();
        let (step, body, attempts, standing, reason, due) = match settlement {
            Settlement::Done => (None, None, 0, Standing::Done, None, now),
            Settlement::Next { step, body } => {
                (Some(*step), body.as_deref(), 0, Standing::Open, None, now)
            }
            Settlement::Wait { step, body, until } => (
                Some(*step),
                body.as_deref(),
                0,
                Standing::Open,
                None,
                until.ms(),
            ),
            Settlement::Retry { reason, after } => {
                let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
                let attempts = errand.attempts.saturating_add(1);
                (
                    None,
                    None,
                    attempts,
                    Standing::Open,
                    Some(reason),
                    now.saturating_add(after),
                )
            }
            Settlement::Park { reason } => (
                None,
                None,
                errand.attempts.saturating_add(1),
                Standing::Parked,
                Some(reason),
                now,
            ),
        };
        // News that arrived while the attempt was made are not overwritten: then only the lease ends, and it is due at once.
        let written = self
            .transaction
            .prepare_cached(
                "UPDATE errand SET step = coalesce(?3, step), body = coalesce(?4, body), attempts = ?5, standing = ?6, reason = ?7,
                   due_ms = ?8, updated_ms = ?9, lease_ms = 0, version = version + 1 WHERE id = ?1 AND version = ?2",
            )
            .and_then(|mut s| {
                s.execute(params![errand.id, errand.version, step, body, attempts, standing.as_str(), reason, due, now])
            })
            .map_err(failed)?;
        if written == 0 {
            self.transaction
                .execute(
                    "UPDATE errand SET lease_ms = 0, due_ms = ?2 WHERE id = ?1",
                    params![errand.id, now],
                )
                .map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn find(&self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE kind = ?1 AND key = ?2"
            ))
            .and_then(|mut s| s.query_row(params![kind, key], read).optional())
            .map_err(failed)
    }

    pub(super) fn list(&self, filter: &Filter) -> Result<Vec<Errand>, StoreError> {
        let standing = filter.standing.map(Standing::as_str);
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR standing = ?2)
                 ORDER BY id DESC LIMIT ?3"
            ))
            .and_then(|mut s| s.query_map(params![filter.kind, standing, limit], read)?.collect())
            .map_err(failed)
    }

    pub(super) fn count(&self, kind: &str, standing: Option<Standing>) -> Result<usize, StoreError> {
        let count: i64 = self
            .transaction
            .prepare_cached(
                "SELECT count(*) FROM errand WHERE kind = ?1 AND (?2 IS NULL OR standing = ?2)",
            )
            .and_then(|mut s| s.query_row(params![kind, standing.map(Standing::as_str)], |r| r.get(0)))
            .map_err(failed)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(super) fn resume(
        &self,
        kind: &str,
        key: &str,
        step: Option<&str>,
        body: Option<&[u8]>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE errand SET step = coalesce(?3, step), body = coalesce(?4, body), attempts = 0, standing = 'open',
                   reason = NULL, due_ms = ?5, updated_ms = ?5, version = version + 1
                 WHERE kind = ?1 AND key = ?2 AND standing <> 'done'",
            )
            .and_then(|mut s| s.execute(params![kind, key, step, body, now.ms()]))
            .map(|n| n == 1)
            .map_err(failed)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Errand> {
    let standing: String = row.get(6)?;
    Ok(Errand {
        id: row.get(0)?,
        kind: row.get(1)?,
        key: row.get(2)?,
        step: row.get(3)?,
        body: row.get(4)?,
        attempts: row.get(5)?,
        standing: Standing::parse(&standing).ok_or(rusqlite::Error::InvalidQuery)?,
        reason: row.get(7)?,
        created: Moment::from_ms(row.get(8)?),
        updated: Moment::from_ms(row.get(9)?),
        due: Moment::from_ms(row.get(10)?),
        version: row.get(11)?,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Engine(error.to_string())
}
