//! Which gateways run on the database, and which keys they have: advisory locks of their sessions, which end with them.
//!
//! Every connection of a gateway holds, shared: that it is there, each key that it can read by, and the key that it writes
//! under. So nobody starts to write under a key that another one cannot read by, and nothing is rotated to it either.

use postgres::Client;

use super::connect::failed;
use crate::store::{
    StoreError,
    vault::{KeyId, Vault},
};

/// One gateway at a time looks at the tables and joins. The numbers are ours: letters, as bytes.
const JOINING: i32 = 0x5453_0001;
const RUNS: i32 = 0x5453_0002;
const READS: i32 = 0x5453_0003;
const WRITES: i32 = 0x5453_0004;

/// Connections of gateways that do not hold a lock.
const WITHOUT: &str = "SELECT count(*) FROM (
       SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = $1 AND objid::bigint = 0
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       EXCEPT
       SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = $2 AND objid::bigint = $3
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
     ) AS without";

/// Waits until nobody else joins, for the rest of the transaction.
pub(super) fn alone(client: &mut Client) -> Result<(), StoreError> {
    client
        .execute("SELECT pg_advisory_xact_lock($1, 0)", &[&JOINING])
        .map(drop)
        .map_err(failed)
}

/// Says to the others that we are here, and by which keys. Refused when one of them cannot read what we would write.
pub(super) fn join(client: &mut Client, vault: &Vault) -> Result<(), StoreError> {
    if !all_hold(client, READS, vault.newest())? {
        return Err(StoreError::Key(format!(
            "another gateway on this store does not have the key {}, which is the first of store.key here, and could not read what is written. Give it the key first: behind its present one, then restart it; then put it first everywhere",
            vault.newest()
        )));
    }
    let mut hold = |class: i32, object: i32| {
        client
            .execute("SELECT pg_advisory_lock_shared($1, $2)", &[&class, &object])
            .map(drop)
            .map_err(failed)
    };
    hold(RUNS, 0)?;
    for id in vault.ids() {
        hold(READS, object(id))?;
    }
    hold(WRITES, object(vault.newest()))
}

/// Whether every gateway that runs writes under a key.
pub(super) fn all_write_under(client: &mut Client, id: KeyId) -> Result<bool, StoreError> {
    all_hold(client, WRITES, id)
}

fn all_hold(client: &mut Client, class: i32, id: KeyId) -> Result<bool, StoreError> {
    let unsigned = |n: i32| i64::from(n.cast_unsigned());
    let row = client
        .query_one(
            WITHOUT,
            &[&unsigned(RUNS), &unsigned(class), &unsigned(object(id))],
        )
        .map_err(failed)?;
    let without: i64 = row.try_get(0).map_err(failed)?;
    Ok(without == 0)
}

/// A key's id as locks are numbered.
fn object(id: KeyId) -> i32 {
    let first: [u8; 4] = (id.bytes().first_chunk().copied()).unwrap_or_default();
    i32::from_be_bytes(first)
}
