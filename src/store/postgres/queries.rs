//! What is asked of the database inside a transaction. Contents are ciphertext here.
//!
//! Two gateways may ask at once. What must be there once is held by unique indexes, what is read to be changed is locked, and
//! what one has taken another one skips. Leases run by the server's clock; due times are the gateways' own.

use std::{collections::HashMap, time::Duration};

use postgres::{
    Client, Row, Statement,
    types::{FromSql, ToSql},
};
use zeroize::Zeroizing;

use super::{
    connect::{failed, lost},
    presence, schema,
};
use crate::{
    clock::Moment,
    store::{
        Count, Entry, Errand, Filter, NewErrand, Over, Settlement, Standing, StoreError,
        engine::{Change, Database, Held, Inserted, limit, millis},
        vault::{KeyId, Sealed},
    },
};

macro_rules! columns {
    () => {
        "e.id, e.kind, e.key, e.step, e.body, e.attempts, e.standing, e.reason, e.created_ms, e.updated_ms, e.due_ms, e.version, e.alias, e.taking"
    };
}

/// A connection with the statements that it knows already.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: HashMap<&'static str, Statement>,
}

/// The database inside one transaction.
pub(super) struct Queries<'a> {
    session: &'a mut Session,
    /// Set by the first statement that failed: the transaction takes nothing more before it is rolled back.
    pub(super) broken: bool,
    /// Whether the connection is gone.
    pub(super) lost: bool,
}

impl<'a> Queries<'a> {
    pub(super) const fn inside(session: &'a mut Session) -> Self {
        Self {
            session,
            broken: false,
            lost: false,
        }
    }

    fn rows(
        &mut self,
        text: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = prepared(self.session, text)
            .and_then(|statement| self.session.client.query(&statement, values));
        self.noted(rows)
    }

    fn change(
        &mut self,
        text: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        let changed = prepared(self.session, text)
            .and_then(|statement| self.session.client.execute(&statement, values));
        self.noted(changed)
    }

    fn noted<T>(&mut self, outcome: Result<T, postgres::Error>) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            self.broken = true;
            self.lost = self.lost || lost(&error);
            failed(error)
        })
    }

    /// What a helper that has the connection itself gave.
    fn told<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.broken = self.broken || outcome.is_err();
        self.lost = self.lost || self.session.client.is_closed();
        outcome
    }

    /// Waits for whoever else changes an entry, until that is committed.
    fn next_revision(&mut self) -> Result<i64, StoreError> {
        let rows = self.rows(
            "UPDATE triseal_entry_revision SET revision = revision + 1 RETURNING revision",
            &[],
        )?;
        number(&rows)
    }

    fn errands(
        &mut self,
        text: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Errand>, StoreError> {
        self.rows(text, values)?.iter().map(read).collect()
    }
}

fn prepared(session: &mut Session, text: &'static str) -> Result<Statement, postgres::Error> {
    if let Some(statement) = session.statements.get(text) {
        return Ok(statement.clone());
    }
    let statement = session.client.prepare(text)?;
    session.statements.insert(text, statement.clone());
    Ok(statement)
}

impl Database for Queries<'_> {
    fn put(
        &mut self,
        new: &NewErrand,
        alias: Option<&str>,
        body: &Sealed,
        now: Moment,
    ) -> Result<Inserted, StoreError> {
        // One that is in the way may be forgotten between the two statements.
        for _ in 0..3 {
            // Waits for another transaction that stores the same, until that is decided.
            let stored = self.change(
                "INSERT INTO triseal_errand (kind, key, alias, step, body, key_id, created_ms, updated_ms, due_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    &new.kind,
                    &new.key,
                    &alias,
                    &new.step,
                    &body.bytes,
                    &body.under.bytes(),
                    &now.ms(),
                    &new.due.ms(),
                ],
            )?;
            if stored == 1 {
                return Ok(Inserted::Yes);
            }
            if let Some(known) = self.find(new.kind, &new.key)? {
                return Ok(Inserted::Known(known.standing));
            }
            if let Some(alias) = alias
                && self.find_alias(new.kind, alias)?.is_some()
            {
                return Ok(Inserted::Alias);
            }
        }
        Err(StoreError::InTheWay)
    }

    fn due_kinds(&mut self, now: Moment) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(
            "SELECT DISTINCT kind FROM triseal_errand
             WHERE standing = 'open' AND due_ms <= $1 AND lease_until <= clock_timestamp()",
            &[&now.ms()],
        )?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    fn take(
        &mut self,
        kind: &str,
        now: Moment,
        lease: Duration,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError> {
        let mut taken = self.errands(
            concat!(
                "WITH free AS MATERIALIZED (
                   SELECT id FROM triseal_errand
                   WHERE kind = $1 AND standing = 'open' AND due_ms <= $2 AND lease_until <= clock_timestamp()
                   ORDER BY due_ms LIMIT $4 FOR UPDATE SKIP LOCKED)
                 UPDATE triseal_errand AS e
                 SET lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond', taking = e.taking + 1
                 FROM free WHERE e.id = free.id RETURNING ",
                columns!()
            ),
            &[&kind, &now.ms(), &millis(lease), &limit(at_most)],
        )?;
        taken.sort_by_key(|errand| errand.due);
        Ok(taken)
    }

    fn renew(&mut self, held: &Held, _: Moment, lease: Duration) -> Result<bool, StoreError> {
        let renewed = self.change(
            "UPDATE triseal_errand SET lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
             WHERE id = $1 AND taking = $2 AND standing = 'open'",
            &[&held.id, &held.taking, &millis(lease)],
        )?;
        Ok(renewed == 1)
    }

    fn settle(
        &mut self,
        held: &Held,
        settlement: &Settlement,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let change = Change::of(settlement, held.attempts, now);
        let bytes = body.map(|b| b.bytes.as_slice());
        let under = body.map(|b| b.under.bytes());
        let written = self.change(
            "UPDATE triseal_errand SET step = coalesce($4, step), body = coalesce($5, body),
               key_id = coalesce($6, key_id), attempts = $7, standing = $8, reason = $9, due_ms = $10,
               updated_ms = $11, lease_until = '-infinity', version = version + 1
             WHERE id = $1 AND version = $2 AND taking = $3",
            &[
                &held.id,
                &held.version,
                &held.taking,
                &change.step,
                &bytes,
                &under,
                &i64::from(change.attempts),
                &change.standing.as_str(),
                &change.reason,
                &change.due.ms(),
                &now.ms(),
            ],
        )?;
        if written == 1 {
            return Ok(());
        }
        // News came meanwhile: only the lease ends.
        let ended = self.change(
            "UPDATE triseal_errand SET lease_until = '-infinity', due_ms = $3 WHERE id = $1 AND taking = $2",
            &[&held.id, &held.taking, &now.ms()],
        )?;
        if ended == 0 {
            tracing::warn!(
                errand = held.id,
                "an errand was taken over by another gateway, or is gone; the outcome of this attempt is not written"
            );
        }
        Ok(())
    }

    fn find(&mut self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        let found = self.errands(
            concat!(
                "SELECT ",
                columns!(),
                " FROM triseal_errand AS e WHERE e.kind = $1 AND e.key = $2"
            ),
            &[&kind, &key],
        )?;
        Ok(found.into_iter().next())
    }

    fn find_to_change(&mut self, kind: &str, key: &str) -> Result<Option<Errand>, StoreError> {
        let found = self.errands(
            concat!(
                "SELECT ",
                columns!(),
                " FROM triseal_errand AS e WHERE e.kind = $1 AND e.key = $2 FOR UPDATE"
            ),
            &[&kind, &key],
        )?;
        Ok(found.into_iter().next())
    }

    fn find_alias(&mut self, kind: &str, alias: &str) -> Result<Option<Errand>, StoreError> {
        let found = self.errands(
            concat!(
                "SELECT ",
                columns!(),
                " FROM triseal_errand AS e WHERE e.kind = $1 AND e.alias = $2"
            ),
            &[&kind, &alias],
        )?;
        Ok(found.into_iter().next())
    }

    fn list(&mut self, filter: &Filter) -> Result<Vec<Errand>, StoreError> {
        let standing = filter.standing.map(Standing::as_str);
        self.errands(
            concat!(
                "SELECT ",
                columns!(),
                " FROM triseal_errand AS e WHERE ($1::text IS NULL OR e.kind = $1)
                   AND ($2::text IS NULL OR e.standing = $2) ORDER BY e.id DESC LIMIT $3"
            ),
            &[&filter.kind, &standing, &limit(filter.limit)],
        )
    }

    fn resume(
        &mut self,
        kind: &str,
        key: &str,
        step: Option<&str>,
        body: Option<&Sealed>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let bytes = body.map(|b| b.bytes.as_slice());
        let under = body.map(|b| b.under.bytes());
        let resumed = self.change(
            "UPDATE triseal_errand SET step = coalesce($3, step), body = coalesce($4, body),
               key_id = coalesce($5, key_id), attempts = 0, standing = 'open', reason = NULL, due_ms = $6,
               updated_ms = $6, version = version + 1 WHERE kind = $1 AND key = $2 AND standing <> 'done'",
            &[&kind, &key, &step, &bytes, &under, &now.ms()],
        )?;
        Ok(resumed == 1)
    }

    fn reopen(
        &mut self,
        id: i64,
        step: &str,
        body: &Sealed,
        now: Moment,
    ) -> Result<(), StoreError> {
        self.change(
            "UPDATE triseal_errand SET step = $2, body = $3, key_id = $4, attempts = 0, standing = 'open', reason = NULL,
               due_ms = $5, updated_ms = $5, version = version + 1 WHERE id = $1",
            &[&id, &step, &body.bytes, &body.under.bytes(), &now.ms()],
        )
        .map(drop)
    }

    fn forget_done(&mut self, before: Moment, at_most: usize) -> Result<usize, StoreError> {
        // What another gateway forgets at the same time is skipped.
        let forgotten = self.change(
            "DELETE FROM triseal_errand WHERE id IN (
               SELECT id FROM triseal_errand WHERE standing = 'done' AND updated_ms < $1
               ORDER BY updated_ms LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&before.ms(), &limit(at_most)],
        )?;
        Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
    }

    fn count(&mut self) -> Result<Vec<Count>, StoreError> {
        let rows = self.rows(
            "SELECT kind, standing, count(*), min(created_ms), min(due_ms), step FROM triseal_errand
             WHERE standing <> 'done' GROUP BY kind, standing, step ORDER BY kind, standing, step",
            &[],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Count {
                    kind: get(row, 0)?,
                    standing: standing(row, 1)?,
                    number: u64::try_from(get::<i64>(row, 2)?).unwrap_or(0),
                    oldest: Moment::from_ms(get(row, 3)?),
                    first_due: Moment::from_ms(get(row, 4)?),
                    step: get(row, 5)?,
                })
            })
            .collect()
    }

    fn may_rotate(&mut self, newest: KeyId) -> Result<bool, StoreError> {
        let may = presence::alone(&mut self.session.client)
            .and_then(|()| presence::all_write_under(&mut self.session.client, newest));
        if !self.told(may)? {
            return Ok(false);
        }
        // From now on nobody starts who lacks it.
        let registered = schema::register_key(&mut self.session.client, newest);
        self.told(registered).map(|()| true)
    }

    fn release_keys(&mut self, newest: KeyId) -> Result<Vec<KeyId>, StoreError> {
        self.change(
            "DELETE FROM triseal_store_key AS k WHERE k.id <> $1
               AND NOT EXISTS (SELECT 1 FROM triseal_errand AS e WHERE e.key_id = k.id)
               AND NOT EXISTS (SELECT 1 FROM triseal_entry AS n WHERE n.key_id = k.id)",
            &[&newest.bytes()],
        )?;
        let keys = schema::keys(&mut self.session.client);
        let mut left = self.told(keys)?;
        left.retain(|id| *id != newest);
        Ok(left)
    }

    fn under_other_keys(
        &mut self,
        newest: KeyId,
        after: i64,
        at_most: usize,
    ) -> Result<Vec<Errand>, StoreError> {
        self.errands(
            concat!(
                "SELECT ",
                columns!(),
                " FROM triseal_errand AS e WHERE e.id > $1 AND e.key_id <> $2 ORDER BY e.id LIMIT $3"
            ),
            &[&after, &newest.bytes(), &limit(at_most)],
        )
    }

    fn reseal(&mut self, id: i64, version: i64, body: &Sealed) -> Result<(), StoreError> {
        self.change(
            "UPDATE triseal_errand SET body = $3, key_id = $4 WHERE id = $1 AND version = $2",
            &[&id, &version, &body.bytes, &body.under.bytes()],
        )
        .map(drop)
    }

    fn put_entry(
        &mut self,
        (kind, key): (&str, &str),
        over: Over,
        body: &Sealed,
        now: Moment,
    ) -> Result<bool, StoreError> {
        // First, so that nobody else changes an entry before this transaction ends.
        let revision = self.next_revision()?;
        let rows = self.rows(
            "SELECT revision FROM triseal_entry WHERE kind = $1 AND key = $2",
            &[&kind, &key],
        )?;
        let there = rows.first().map(|row| get(row, 0)).transpose()?;
        if !over.allows(there) {
            return Ok(false);
        }
        self.change(
            "INSERT INTO triseal_entry (kind, key, body, key_id, revision, updated_ms) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (kind, key) DO UPDATE SET body = $3, key_id = $4, revision = $5, updated_ms = $6",
            &[
                &kind,
                &key,
                &body.bytes,
                &body.under.bytes(),
                &revision,
                &now.ms(),
            ],
        )
        .map(|_| true)
    }

    fn delete_entry(&mut self, kind: &str, key: &str) -> Result<bool, StoreError> {
        self.next_revision()?;
        self.change(
            "DELETE FROM triseal_entry WHERE kind = $1 AND key = $2",
            &[&kind, &key],
        )
        .map(|gone| gone > 0)
    }

    fn entries(
        &mut self,
        kind: &str,
        after: &str,
        at_most: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.rows(
            "SELECT kind, key, body, revision, updated_ms FROM triseal_entry WHERE kind = $1 AND key > $2
             ORDER BY key LIMIT $3",
            &[&kind, &after, &limit(at_most)],
        )?
        .iter()
        .map(entry)
        .collect()
    }

    fn entries_revision(&mut self) -> Result<i64, StoreError> {
        let rows = self.rows("SELECT revision FROM triseal_entry_revision", &[])?;
        number(&rows)
    }

    fn entries_under_other_keys(
        &mut self,
        newest: KeyId,
        at_most: usize,
        (kind, key): (&str, &str),
    ) -> Result<Vec<Entry>, StoreError> {
        self.rows(
            "SELECT kind, key, body, revision, updated_ms FROM triseal_entry
             WHERE key_id <> $1 AND (kind, key) > ($2, $3) ORDER BY kind, key LIMIT $4",
            &[&newest.bytes(), &kind, &key, &limit(at_most)],
        )?
        .iter()
        .map(entry)
        .collect()
    }

    fn reseal_entry(&mut self, old: &Entry, body: &Sealed) -> Result<(), StoreError> {
        self.change(
            "UPDATE triseal_entry SET body = $4, key_id = $5 WHERE kind = $1 AND key = $2 AND revision = $3",
            &[
                &old.kind,
                &old.key,
                &old.revision,
                &body.bytes,
                &body.under.bytes(),
            ],
        )
        .map(drop)
    }

    #[cfg(test)]
    fn limit_pages(&mut self, _: u32) -> Result<(), StoreError> {
        Err(StoreError::Engine("this is about SQLite's file".to_owned()))
    }
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(failed)
}

fn standing(row: &Row, column: usize) -> Result<Standing, StoreError> {
    Standing::parse(get(row, column)?)
        .ok_or_else(|| StoreError::Engine("a standing that is none".to_owned()))
}

fn read(row: &Row) -> Result<Errand, StoreError> {
    Ok(Errand {
        id: get(row, 0)?,
        kind: get(row, 1)?,
        key: get(row, 2)?,
        step: get(row, 3)?,
        body: Zeroizing::new(get(row, 4)?),
        attempts: u32::try_from(get::<i64>(row, 5)?).unwrap_or(u32::MAX),
        standing: standing(row, 6)?,
        reason: get(row, 7)?,
        created: Moment::from_ms(get(row, 8)?),
        updated: Moment::from_ms(get(row, 9)?),
        due: Moment::from_ms(get(row, 10)?),
        version: get(row, 11)?,
        alias: get(row, 12)?,
        taking: get(row, 13)?,
    })
}

fn number(rows: &[Row]) -> Result<i64, StoreError> {
    let row = rows.first();
    row.map_or_else(
        || Err(StoreError::Engine("a number is missing".to_owned())),
        |row| get(row, 0),
    )
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        kind: get(row, 0)?,
        key: get(row, 1)?,
        body: Zeroizing::new(get(row, 2)?),
        revision: get(row, 3)?,
        updated: Moment::from_ms(get(row, 4)?),
    })
}
