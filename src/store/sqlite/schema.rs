//! The tables, and how older forms of them are brought to the present one. `user_version` says which form a file has.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{Queries, StoreError, failed};
use crate::store::{place, vault::Vault};

/// From one form to the next; the first makes form 1 of nothing.
type Migration = fn(&Transaction<'_>, &Vault) -> Result<(), StoreError>;

/// Never change one that was released: add one.
const MIGRATIONS: &[Migration] = &[plain, encrypted, entries];

/// The form that this version writes.
fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the file to the present form, in one transaction.
pub(super) fn migrate(connection: &mut Connection, vault: &Vault) -> Result<(), StoreError> {
    let found = form(connection)?;
    if found > known() {
        return Err(StoreError::Newer {
            found,
            known: known(),
        });
    }
    if found == known() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(failed)?;
    let skip = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(skip) {
        migration(&transaction, vault)?;
    }
    transaction
        .pragma_update(None, "user_version", known())
        .map_err(failed)?;
    transaction.commit().map_err(failed)?;
    if found > 0 {
        tracing::info!(from = found, to = known(), "the store was migrated");
    }
    // What was plain before must not stay in free pages, nor in the log.
    connection.execute_batch("VACUUM").map_err(failed)?;
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(failed)
}

/// Refuses a file that is not in the present form.
pub(super) fn demand_form(connection: &Connection) -> Result<(), StoreError> {
    let (found, known) = (form(connection)?, known());
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { found, known }),
        std::cmp::Ordering::Less => Err(StoreError::Older { found, known }),
    }
}

/// Every key under which contents may be has to be given.
pub(super) fn demand_keys(db: &Queries<'_>, vault: &Vault) -> Result<(), StoreError> {
    vault.demand(&db.keys()?)
}

fn form(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)
}

/// Form 1: contents in plain, before there was a release.
fn plain(transaction: &Transaction<'_>, _: &Vault) -> Result<(), StoreError> {
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS errand (
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
            CREATE INDEX IF NOT EXISTS errand_due ON errand (kind, due_ms) WHERE standing = 'open';",
        )
        .map_err(failed)
}

/// Form 2: contents encrypted, aliases, indexes for counting and forgetting.
fn encrypted(transaction: &Transaction<'_>, vault: &Vault) -> Result<(), StoreError> {
    transaction
        .execute_batch(
            "ALTER TABLE errand ADD COLUMN alias TEXT;
            ALTER TABLE errand ADD COLUMN key_id BLOB NOT NULL DEFAULT x'';
            CREATE UNIQUE INDEX errand_alias ON errand (kind, alias) WHERE alias IS NOT NULL;
            CREATE INDEX errand_live ON errand (kind, standing, step, created_ms, due_ms) WHERE standing <> 'done';
            CREATE INDEX errand_done ON errand (updated_ms) WHERE standing = 'done';
            CREATE TABLE store_key (id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;",
        )
        .map_err(failed)?;
    let mut rows = transaction
        .prepare("SELECT id, kind, key, body FROM errand WHERE id > ?1 ORDER BY id LIMIT 200")
        .map_err(failed)?;
    let mut write = transaction
        .prepare("UPDATE errand SET body = ?2, key_id = ?3 WHERE id = ?1")
        .map_err(failed)?;
    let mut after = 0_i64;
    loop {
        let batch: Vec<(i64, String, String, Vec<u8>)> = rows
            .query_map([after], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .and_then(Iterator::collect)
            .map_err(failed)?;
        let Some((last, ..)) = batch.last() else {
            return Ok(());
        };
        after = *last;
        for (id, kind, key, body) in &batch {
            let sealed = vault.seal(place(kind, key), body)?;
            write
                .execute(params![id, sealed.bytes, sealed.under.bytes()])
                .map_err(failed)?;
        }
    }
}

/// Form 3: entries, which are facts that stay until they are replaced, and the number of their last change.
fn entries(transaction: &Transaction<'_>, _: &Vault) -> Result<(), StoreError> {
    transaction
        .execute_batch(
            "CREATE TABLE entry (
                kind TEXT NOT NULL,
                key TEXT NOT NULL,
                body BLOB NOT NULL,
                key_id BLOB NOT NULL,
                revision INTEGER NOT NULL,
                updated_ms INTEGER NOT NULL,
                PRIMARY KEY (kind, key)
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE entry_revision (revision INTEGER NOT NULL) STRICT;
            INSERT INTO entry_revision VALUES (0);",
        )
        .map_err(failed)
}
