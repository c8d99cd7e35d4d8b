//! What is asked of the database inside a transaction. Contents are ciphertext here.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use zeroize::Zeroizing;

use super::{StoreError, failed, file::Lock};
use crate::{
    clock::Moment,
    store::{
        Count, Entry, Errand, Filter, NewErrand, Over, Settlement, Standing,
        engine::{Change, Database, Held, Inserted, limit, millis},
        vault::{KeyId, Sealed},
    },
};

const COLUMNS: &str = "id, kind, key, step, body, attempts, standing, reason, created_ms, updated_ms, due_ms, version, alias";

const ENTRY: &str = "kind, key, body, revision, updated_ms";

/// The database inside one transaction.
pub(super) struct Queries<'a> {
    transaction: &'a Transaction<'a>,
    /// The lock of the gateway that runs on the file; there for whoever may ask about it.
    lock: Option<&'a Lock>,
}

impl<'a> Queries<'a> {
    pub(super) const fn inside(transaction: &'a Transaction<'a>, lock: Option<&'a Lock>) -> Self {
        Self { transaction, lock }
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

    /// The keys under which contents may be.
    pub(super) fn keys(&self) -> Result<Vec<KeyId>, StoreError> {
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

    fn next_revision(&self) -> Result<i64, StoreError> {
        self.transaction
            .prepare_cached("UPDATE entry_revision SET revision = revision + 1 RETURNING revision")
            .and_then(|mut s| s.query_row([], |row| row.get(0)))
            .map_err(failed)
    }

    pub(super) fn register_key(&self, id: KeyId) -> Result<(), StoreError> {
        self.transaction
            .execute(
                "INSERT INTO store_key (id) VALUES (?1) ON CONFLICT DO NOTHING",
                [id.bytes()],
            )
            .map(drop)
            .map_err(failed)
    }
}

impl Database for Queries<'_> {
    fn put(
        &mut self,
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

    fn due_kinds(&mut self, now: Moment) -> Result<Vec<String>, StoreError> {
        self.transaction
            .prepare_cached(
                "SELECT DISTINCT kind FROM errand WHERE standing = 'open' AND due_ms <= ?1 AND lease_ms <= ?1",
            )
            .and_then(|mut s| s.query_map([now.ms()], |row| row.get(0))?.collect())
            .map_err(failed)
    }

    fn take(
        &mut self,
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

    fn settle(
        &mut self,
        held: &Held,
        settlement: &Settlement,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let Held {
            id,
            version,
            attempts,
            ..
        } = *held;
        let change = Change::of(settlement, attempts, now);
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
                    change.step,
                    bytes,
                    under,
                    change.attempts,
                    change.standing.as_str(),
                    change.reason,
                    change.due.ms(),
                    now.ms()
                ])
            })
            .map_err(failed)?;
        if written == 0 {
            self.transaction
                .execute(
                    "UPDATE errand SET lease_ms = 0, due_ms = ?2 WHERE id = ?1",
                    params![id, now.ms()],
                )
                .map_err(failed)?;
        }
        Ok(())
    }

    fn renew(&mut self, held: &Held, now: Moment, lease: Duration) -> Result<bool, StoreError> {
        let until = now.ms().saturating_add(millis(lease));
        self.transaction
            .prepare_cached(
                "UPDATE errand SET lease_ms = ?2 WHERE id = ?1 AND standing = 'open' AND lease_ms > 0",
            )
            .and_then(|mut s| s.execute(params![held.id, until]))
            .map(|n| n == 1)
            .map_err(failed)
    }

    fn find_to_change(&mut self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        // A transaction of the one writer has the file for itself.
        self.find(kind, key)
    }

    fn find(&mut self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE kind = ?1 AND key = ?2"
            ))
            .and_then(|mut s| s.query_row(params![kind, key], read).optional())
            .map_err(failed)
    }

    fn find_alias(&mut self, kind: &str, alias: &str) -> Result<Option<Errand>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM errand WHERE kind = ?1 AND alias = ?2"
            ))
            .and_then(|mut s| s.query_row(params![kind, alias], read).optional())
            .map_err(failed)
    }

    fn list(&mut self, filter: &Filter) -> Result<Vec<Errand>, StoreError> {
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

    fn resume(
        &mut self,
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

    fn reopen(
        &mut self,
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

    fn forget_done(&mut self, before: Moment, at_most: usize) -> Result<usize, StoreError> {
        self.transaction
            .prepare_cached(
                "DELETE FROM errand WHERE id IN (
                   SELECT id FROM errand WHERE standing = 'done' AND updated_ms < ?1 ORDER BY updated_ms LIMIT ?2)",
            )
            .and_then(|mut s| s.execute(params![before.ms(), limit(at_most)]))
            .map_err(failed)
    }

    fn count(&mut self) -> Result<Vec<Count>, StoreError> {
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

    fn may_rotate(&mut self, newest: KeyId) -> Result<bool, StoreError> {
        // A gateway that starts notes the key it writes under; without one there is nobody to wait for.
        if self.lock.is_some_and(Lock::is_free) {
            self.register_key(newest)?;
        }
        Ok(self.keys()?.contains(&newest))
    }

    fn release_keys(&mut self, newest: KeyId) -> Result<Vec<KeyId>, StoreError> {
        self.transaction
            .execute(
                "DELETE FROM store_key WHERE id <> ?1 AND id NOT IN (SELECT key_id FROM errand)
                   AND id NOT IN (SELECT key_id FROM entry)",
                [newest.bytes()],
            )
            .map_err(failed)?;
        let mut left = self.keys()?;
        left.retain(|id| *id != newest);
        Ok(left)
    }

    fn under_other_keys(
        &mut self,
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

    fn reseal(&mut self, id: i64, version: i64, body: &Sealed) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE errand SET body = ?3, key_id = ?4 WHERE id = ?1 AND version = ?2",
            )
            .and_then(|mut s| s.execute(params![id, version, body.bytes, body.under.bytes()]))
            .map(drop)
            .map_err(failed)
    }

    fn put_entry(
        &mut self,
        (kind, key): (&str, &str),
        over: Over,
        body: &Sealed,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let there: Option<i64> = self
            .transaction
            .prepare_cached("SELECT revision FROM entry WHERE kind = ?1 AND key = ?2")
            .and_then(|mut s| s.query_row([kind, key], |row| row.get(0)).optional())
            .map_err(failed)?;
        if !over.allows(there) {
            return Ok(false);
        }
        let revision = self.next_revision()?;
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO entry (kind, key, body, key_id, revision, updated_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut s| {
                let under = body.under.bytes();
                s.execute(params![kind, key, body.bytes, under, revision, now.ms()])
            })
            .map(|_| true)
            .map_err(failed)
    }

    fn delete_entry(&mut self, kind: &str, key: &str) -> Result<bool, StoreError> {
        let gone = self
            .transaction
            .execute(
                "DELETE FROM entry WHERE kind = ?1 AND key = ?2",
                [kind, key],
            )
            .map_err(failed)?;
        if gone > 0 {
            self.next_revision()?;
        }
        Ok(gone > 0)
    }

    fn entries(
        &mut self,
        kind: &str,
        after: &str,
        at_most: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {ENTRY} FROM entry WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
            ))
            .and_then(|mut s| {
                s.query_map(params![kind, after, limit(at_most)], entry)?
                    .collect()
            })
            .map_err(failed)
    }

    fn entries_revision(&mut self) -> Result<i64, StoreError> {
        self.transaction
            .prepare_cached("SELECT revision FROM entry_revision")
            .and_then(|mut s| s.query_row([], |row| row.get(0)))
            .map_err(failed)
    }

    fn entries_under_other_keys(
        &mut self,
        newest: KeyId,
        at_most: usize,
        (kind, key): (&str, &str),
    ) -> Result<Vec<Entry>, StoreError> {
        self.transaction
            .prepare_cached(&format!(
                "SELECT {ENTRY} FROM entry WHERE key_id <> ?1 AND (kind, key) > (?2, ?3)
                 ORDER BY kind, key LIMIT ?4"
            ))
            .and_then(|mut s| {
                s.query_map(params![newest.bytes(), kind, key, limit(at_most)], entry)?
                    .collect()
            })
            .map_err(failed)
    }

    fn reseal_entry(&mut self, old: &Entry, body: &Sealed) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "UPDATE entry SET body = ?4, key_id = ?5 WHERE kind = ?1 AND key = ?2 AND revision = ?3",
            )
            .and_then(|mut s| {
                let under = body.under.bytes();
                s.execute(params![old.kind, old.key, old.revision, body.bytes, under])
            })
            .map(drop)
            .map_err(failed)
    }

    #[cfg(test)]
    fn limit_pages(&mut self, pages: u32) -> Result<(), StoreError> {
        self.transaction
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(failed)
    }
}

fn parts(body: Option<&Sealed>) -> (Option<&[u8]>, Option<&[u8]>) {
    (
        body.map(|b| b.bytes.as_slice()),
        body.map(|b| b.under.bytes()),
    )
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
        taking: 0,
    })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        kind: row.get(0)?,
        key: row.get(1)?,
        body: Zeroizing::new(row.get(2)?),
        revision: row.get(3)?,
        updated: Moment::from_ms(row.get(4)?),
    })
}
