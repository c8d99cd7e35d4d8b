//! The tables, and how older forms of them are brought to the present one. One gateway at a time does so, under an advisory
//! lock; `triseal_store` says which form they have.

use postgres::Client;

use super::{For, connect::failed, presence};
use crate::store::{
    StoreError,
    vault::{KeyId, Vault},
};

/// Never change one that was released: add one.
const MIGRATIONS: &[&str] = &[ERRANDS, ENTRIES];

/// Form 1. Contents are ciphertext, which does not get smaller by compressing it. A lease ends by the server's clock.
const ERRANDS: &str = "
    CREATE TABLE triseal_store (form bigint NOT NULL);
    INSERT INTO triseal_store VALUES (0);
    CREATE TABLE triseal_errand (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL,
        key text NOT NULL,
        alias text,
        step text NOT NULL,
        body bytea NOT NULL,
        key_id bytea NOT NULL,
        attempts bigint NOT NULL DEFAULT 0,
        standing text NOT NULL DEFAULT 'open' CHECK (standing IN ('open', 'done', 'parked')),
        reason text,
        created_ms bigint NOT NULL,
        updated_ms bigint NOT NULL,
        due_ms bigint NOT NULL,
        lease_until timestamptz NOT NULL DEFAULT '-infinity',
        taking bigint NOT NULL DEFAULT 0,
        version bigint NOT NULL DEFAULT 0,
        UNIQUE (kind, key)
    );
    ALTER TABLE triseal_errand ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE UNIQUE INDEX triseal_errand_alias ON triseal_errand (kind, alias) WHERE alias IS NOT NULL;
    CREATE INDEX triseal_errand_due ON triseal_errand (kind, due_ms) WHERE standing = 'open';
    CREATE INDEX triseal_errand_live ON triseal_errand (kind, standing, step) WHERE standing <> 'done';
    CREATE INDEX triseal_errand_done ON triseal_errand (updated_ms) WHERE standing = 'done';
    CREATE TABLE triseal_store_key (id bytea PRIMARY KEY);";

/// Form 2: entries, which are facts that stay until they are replaced, and the number of their last change. The row of that
/// number is locked by whoever changes an entry, so that the numbers come in the order of the commits. Keys are in the order
/// of their bytes.
const ENTRIES: &str = "
    CREATE TABLE triseal_entry (
        kind text COLLATE \"C\" NOT NULL,
        key text COLLATE \"C\" NOT NULL,
        body bytea NOT NULL,
        key_id bytea NOT NULL,
        revision bigint NOT NULL,
        updated_ms bigint NOT NULL,
        PRIMARY KEY (kind, key)
    );
    ALTER TABLE triseal_entry ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE TABLE triseal_entry_revision (revision bigint NOT NULL);
    INSERT INTO triseal_entry_revision VALUES (0);";

/// How long a migration may take, and the wait for another gateway's.
const MIGRATION_LIMIT: &str =
    "SET LOCAL statement_timeout = '120s'; SET LOCAL lock_timeout = '120s';
    SET LOCAL idle_in_transaction_session_timeout = '120s'";

/// The form that this version writes.
fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Everything that a new connection looks at before it is used: the form of the tables, and that all keys are given. For a
/// gateway, tables are made and migrated, and the others are told of it.
pub(super) fn prepare(client: &mut Client, vault: &Vault, who: For) -> Result<(), StoreError> {
    // A server that forgets what it has acknowledged is no store.
    client
        .batch_execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        )
        .map_err(failed)?;
    if who == For::Command {
        demand_form(client)?;
        return vault.demand(&keys(client)?);
    }
    say(client, "BEGIN")?;
    say(client, MIGRATION_LIMIT)?;
    presence::alone(client)?;
    migrate(client)?;
    vault.demand(&keys(client)?)?;
    presence::join(client, vault)?;
    register_key(client, vault.newest())?;
    say(client, "COMMIT")
}

fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let found = form(client)?;
    if found > known() {
        return Err(StoreError::Newer {
            found,
            known: known(),
        });
    }
    if found == known() {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        say(client, migration)?;
    }
    client
        .execute("UPDATE triseal_store SET form = $1", &[&known()])
        .map_err(failed)?;
    tracing::info!(
        from = found,
        to = known(),
        "the store's tables were made or migrated"
    );
    Ok(())
}

fn demand_form(client: &mut Client) -> Result<(), StoreError> {
    let (found, known) = (form(client)?, known());
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { found, known }),
        std::cmp::Ordering::Less => Err(StoreError::Older { found, known }),
    }
}

/// The form found; 0 when there are no tables.
fn form(client: &mut Client) -> Result<i64, StoreError> {
    let there: bool = client
        .query_one("SELECT to_regclass('triseal_store') IS NOT NULL", &[])
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    if !there {
        return Ok(0);
    }
    client
        .query_one("SELECT form FROM triseal_store", &[])
        .and_then(|row| row.try_get(0))
        .map_err(failed)
}

/// The keys under which contents may be.
pub(super) fn keys(client: &mut Client) -> Result<Vec<KeyId>, StoreError> {
    let rows = client
        .query("SELECT id FROM triseal_store_key", &[])
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let bytes: Vec<u8> = row.try_get(0).map_err(failed)?;
            KeyId::of(&bytes).ok_or_else(|| StoreError::Engine("a key's id is none".to_owned()))
        })
        .collect()
}

pub(super) fn register_key(client: &mut Client, id: KeyId) -> Result<(), StoreError> {
    client
        .execute(
            "INSERT INTO triseal_store_key (id) VALUES ($1) ON CONFLICT DO NOTHING",
            &[&id.bytes()],
        )
        .map(drop)
        .map_err(failed)
}

fn say(client: &mut Client, text: &str) -> Result<(), StoreError> {
    client.batch_execute(text).map_err(failed)
}
