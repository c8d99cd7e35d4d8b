//! What is asked of the database inside a transaction. Contents are ciphertext here.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use zeroize::Zeroizing;

use super::{StoreError, failed};
use crate::{
    clock::Moment,
    store::{
        Count, Errand, Filter, NewErrand, Put, Settlement, Standing,
        vault::{KeyId, Sealed},
    },
};

const COLUMNS: &str = "id, kind, key, step, body, attempts, standing, reason, created_ms, updated_ms, due_ms, version, alias";

/// The database inside one transaction.
pub(in crate::store) struct Database<'a> {
    transaction: &'a Transaction<'a>,
}

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Inserted {
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

impl<'a> Database<'a> {
    pub(super) const fn inside(transaction: &'a Transaction<'a>) -> Self {
        Self { transaction }
    }

    pub(in crate::store) fn put(
        &self,
        new: &NewErrand,
        alias: Option<&str>,
        body: &Sealed,
        now: Moment,
    ) -> Result<Inserted, StoreError> {
        let stored = self
            .transaction
            .prepare_cached(
                "INSERT INTO errand (kind, key, alias, step, body, key_id, created_ms, updated_ms, due_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8) ON CONFLICT DO NOTHING",
            )
            .and_then(|mut s| {
                s.execute(params![
                    new.kind,
                    new.key,
                    alias,
                    new.step,
                    body.bytes,
                    body.under.bytes(),
                    now.ms(),
                    new.due.ms()
                ])
            })
            .map_err(failed)?;
        if stored == 1 {
            return Ok(Inserted::Yes);
        }
        Ok(self
            .find(new.kind, &new.key)?
            .map_or(Inserted::Alias, |e| Inserted::Known(e.standing)))
    }

    pub(in crate::store) fn take(
        &self,
        kind: &str,
        now: Moment,
        lease: Duration,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError> {
        let until = now.ms().saturating_add(millis(lease));
        self.transaction
            .prepare_cached(&format!(
                "UPDATE errand SET lease_ms = ?3 WHERE id IN (
                   SELECT id FROM errand WHERE kind = ?1 AND standing = 'open' AND due_ms <= ?2 AND lease_ms <= ?2
                   ORDER BY due_ms LIMIT ?4) RETURNING {COLUMNS}"
            ))
            .and_then(|mut s| {
                s.query_map(params![kind, now.ms(), until, limit(at_most)], read)?
                    .collect()
            })
            .map_err(failed)
    }

    /// `of` is the errand's id, and its version and attempts when it was taken.
    pub(in crate::store) fn settle(
        &self,
        (id, version, attempts): (i64, i64, u32),
        settlement: &Settlement,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let now = now.ms();
        let again = attempts.saturating_add(1);
        let (step, attempts, standing, reason, due) = match settlement {
            Settlement::Done => (None, 0, Standing::Done, None, now),
            Settlement::Finish { step, .. } => (Some(*step), 0, Standing::Done, None, now),
            Settlement::Next { step, .. } => (Some(*step), 0, Standing::Open, None, now),
            Settlement::Wait { step, until, .. } => {
                (Some(*step), 0, Standing::Open, None, until.ms())
            }
            Settlement::Retry { reason, after } => {
                let due = now.saturating_add(millis(*after));
                (None, again, Standing::Open, Some(reason), due)
            }
            Settlement::Park { reason } => (None, again, Standing::Parked, Some(reason), now),
        };
        // News that arrived while the attempt was made are not overwritten: then only the lease ends, and it is due at once.
        let written = self
            .transaction
            .prepare_cached(
                "UPDATE errand SET step = coalesce(?3, step), body = coalesce(?4, body), key_id = coalesce(?5, key_id),
                   attempts = ?6, standing = ?7, reason = ?8, due_ms = ?9, updated_ms = ?10, lease_ms = 0,
                   version = version + 1 WHERE id = ?1 AND version = ?2",
            )
            .and_then(|mut s| {
                let (bytes, under) = parts(body);
                s.execute(params![
                    id,
                    version,
                    step,
                    bytes,
                    under,
                    attempts,
                    standing.as_str(),
                    reason,
                    due,
                    now
                ])
            })
            .map_err(failed)?;
        if written == 0 {
            self.transaction
                .execute(
                    "UPDATE errand SET lease_ms = 0, due_ms = ?2 WHERE id = ?1",
                    params![id, now],
                )
                .map_err(failed)?;
        }
        Ok(())
    }

    pub(in crate::store) fn find(
        &self,
        kind: &str,
        key: &str,
    ) -> Result<Option<Errand>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE kind = ?1 AND key = ?2"
            ))
            .and_then(|mut s| s.query_row(params![kind, key], read).optional())
            .map_err(failed)
    }

    pub(in crate::store) fn find_alias(
        &self,
        kind: &str,
        alias: &str,
    ) -> Result<Option<Errand>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE kind = ?1 AND alias = ?2"
            ))
            .and_then(|mut s| s.query_row(params![kind, alias], read).optional())
            .map_err(failed)
    }

    pub(in crate::store) fn list(&self, filter: &Filter) -> Result<Vec<Errand>, StoreError> {
        let standing = filter.standing.map(Standing::as_str);
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR standing = ?2)
                 ORDER BY id DESC LIMIT ?3"
            ))
            .and_then(|mut s| {
                s.query_map(params![filter.kind, standing, limit(filter.limit)], read)?
                    .collect()
            })
            .map_err(failed)
    }

    pub(in crate::store) fn resume(
        &self,
        kind: &str,
        key: &str,
        step: Option<&str>,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE errand SET step = coalesce(?3, step), body = coalesce(?4, body), key_id = coalesce(?5, key_id),
                   attempts = 0, standing = 'open', reason = NULL, due_ms = ?6, updated_ms = ?6, version = version + 1
                 WHERE kind = ?1 AND key = ?2 AND standing <> 'done'",
            )
            .and_then(|mut s| {
                let (bytes, under) = parts(body);
                s.execute(params![kind, key, step, bytes, under, now.ms()])
            })
            .map(|n| n == 1)
            .map_err(failed)
    }

    pub(in crate::store) fn reopen(
        &self,
        id: i64,
        step: &str,
        body: &Sealed,
        now: Moment,
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE errand SET step = ?2, body = ?3, key_id = ?4, attempts = 0, standing = 'open', reason = NULL,
                   due_ms = ?5, updated_ms = ?5, version = version + 1 WHERE id = ?1",
            )
            .and_then(|mut s| {
                s.execute(params![id, step, body.bytes, body.under.bytes(), now.ms()])
            })
            .map(drop)
            .map_err(failed)
    }

    pub(super) fn end_leases(&self) -> Result<(), StoreError> {
        self.transaction
            .execute(
                "UPDATE errand SET lease_ms = 0 WHERE standing = 'open' AND lease_ms > 0",
                [],
            )
            .map(drop)
            .map_err(failed)
    }

    pub(in crate::store) fn forget_done(
        &self,
        before: Moment,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        self.transaction
            .prepare_cached(
                "DELETE FROM errand WHERE id IN (
                   SELECT id FROM errand WHERE standing = 'done' AND updated_ms < ?1 ORDER BY updated_ms LIMIT ?2)",
            )
            .and_then(|mut s| s.execute(params![before.ms(), limit(at_most)]))
            .map_err(failed)
    }

    pub(in crate::store) fn count(&self) -> Result<Vec<Count>, StoreError> {
        self.transaction
            .prepare_cached(
                "SELECT kind, standing, count(*), min(created_ms), min(due_ms), step FROM errand
                 WHERE standing <> 'done' GROUP BY kind, standing, step",
            )
            .and_then(|mut s| {
                s.query_map([], |row| {
                    let number: i64 = row.get(2)?;
                    Ok(Count {
                        kind: row.get(0)?,
                        standing: standing(row, 1)?,
                        number: u64::try_from(number).unwrap_or(0),
                        oldest: Moment::from_ms(row.get(3)?),
                        first_due: Moment::from_ms(row.get(4)?),
                        step: row.get(5)?,
                    })
                })?
                .collect()
            })
            .map_err(failed)
    }

    /// The keys under which contents may be.
    pub(in crate::store) fn keys(&self) -> Result<Vec<KeyId>, StoreError> {
        self.transaction
            .prepare_cached("SELECT id FROM store_key")
            .and_then(|mut s| {
                s.query_map([], |row| {
                    let bytes: Vec<u8> = row.get(0)?;
                    KeyId::of(&bytes).ok_or(rusqlite::Error::InvalidQuery)
                })?
                .collect()
            })
            .map_err(failed)
    }

    pub(in crate::store) fn register_key(&self, id: KeyId) -> Result<(), StoreError> {
        self.transaction
            .execute(
                "INSERT INTO store_key (id) VALUES (?1) ON CONFLICT DO NOTHING",
                [id.bytes()],
            )
            .map(drop)
            .map_err(failed)
    }

    /// Forgets keys under which nothing is any more; gives the others but `newest`.
    pub(in crate::store) fn release_keys(&self, newest: KeyId) -> Result<Vec<KeyId>, StoreError> {
        self.transaction
            .execute(
                "DELETE FROM store_key WHERE id <> ?1 AND id NOT IN (SELECT key_id FROM errand)",
                [newest.bytes()],
            )
            .map_err(failed)?;
        let mut left = self.keys()?;
        left.retain(|id| *id != newest);
        Ok(left)
    }

    /// Errands whose content is under another key.
    pub(in crate::store) fn under_other_keys(
        &self,
        newest: KeyId,
        after: i64,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE id > ?1 AND key_id <> ?2 ORDER BY id LIMIT ?3"
            ))
            .and_then(|mut s| {
                s.query_map(params![after, newest.bytes(), limit(at_most)], read)?
                    .collect()
            })
            .map_err(failed)
    }

    /// The same content under another key; the errand has not changed by it.
    pub(in crate::store) fn reseal(
        &self,
        id: i64,
        version: i64,
        body: &Sealed,
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE errand SET body = ?3, key_id = ?4 WHERE id = ?1 AND version = ?2",
            )
            .and_then(|mut s| s.execute(params![id, version, body.bytes, body.under.bytes()]))
            .map(drop)
            .map_err(failed)
    }
}

fn parts(body: Option<&Sealed>) -> (Option<&[u8]>, Option<&[u8]>) {
    (
        body.map(|b| b.bytes.as_slice()),
        body.map(|b| b.under.bytes()),
    )
}

fn limit(at_most: usize) -> i64 {
    i64::try_from(at_most).unwrap_or(i64::MAX)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn standing(row: &Row<'_>, column: usize) -> rusqlite::Result<Standing> {
    let word: String = row.get(column)?;
    Standing::parse(&word).ok_or(rusqlite::Error::InvalidQuery)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Errand> {
    Ok(Errand {
        id: row.get(0)?,
        kind: row.get(1)?,
        key: row.get(2)?,
        step: row.get(3)?,
        body: Zeroizing::new(row.get(4)?),
        attempts: row.get(5)?,
        standing: standing(row, 6)?,
        reason: row.get(7)?,
        created: Moment::from_ms(row.get(8)?),
        updated: Moment::from_ms(row.get(9)?),
        due: Moment::from_ms(row.get(10)?),
        version: row.get(11)?,
        alias: row.get(12)?,
    })
}

#[cfg(test)]
impl Database<'_> {
    /// How many pages the file may have: a full disk, for tests.
    pub(in crate::store) fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.transaction
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(failed)
    }
}
