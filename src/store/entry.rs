//! Entries: facts that stay until they are replaced or taken back, such as what is changed in the registry while gateways run.
//!
//! Every change of an entry takes the next number, so that gateways on one store see by one small question that something is
//! new. Contents are encrypted like those of errands.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Place, Store, StoreError, vault::Vault};
use crate::clock::Moment;

/// Entries read in one transaction.
const BATCH: usize = 500;
/// Entries of one kind that are read at all.
const ENTRIES_MAX: usize = 100_000;

/// A fact in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What sort of fact.
    pub kind: String,
    /// Which one; one entry for each kind and key.
    pub key: String,
    /// The fact itself.
    pub body: Zeroizing<Vec<u8>>,
    /// The number of the change that wrote it.
    pub revision: i64,
    /// When that was.
    pub updated: Moment,
}

/// What has to be there for an entry to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Nothing may be there yet.
    Nothing,
    /// What was read before, and is unchanged since.
    Revision(i64),
}

impl Over {
    /// Whether it may be stored over this.
    pub(super) fn allows(self, there: Option<i64>) -> bool {
        match self {
            Self::Nothing => there.is_none(),
            Self::Revision(read) => there == Some(read),
        }
    }
}

impl Store {
    /// Stores an entry when what is there is what `over` says; says whether it did. So two who have read the same do not
    /// write one over the other.
    ///
    /// # Errors
    /// When it is not on disk.
    pub async fn put_entry(
        &self,
        kind: &str,
        key: &str,
        over: Over,
        body: Vec<u8>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let sealed = self.vault.seal(place(kind, key), &Zeroizing::new(body))?;
        let (kind, key) = (kind.to_owned(), key.to_owned());
        self.ask(move |db| db.put_entry((&kind, &key), over, &sealed, now))
            .await
    }

    /// Forgets an entry; says whether there was one.
    ///
    /// # Errors
    /// When the change is not on disk.
    pub async fn delete_entry(&self, kind: &str, key: &str) -> Result<bool, StoreError> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        self.ask(move |db| db.delete_entry(&kind, &key)).await
    }

    /// All entries of a kind, by key.
    ///
    /// # Errors
    /// When the store fails, a content does not decrypt, or there are more than 100000.
    pub async fn entries(&self, kind: &str) -> Result<Vec<Entry>, StoreError> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map_or_else(String::new, |last| last.key.clone());
            let kind = kind.to_owned();
            let batch = self.ask(move |db| db.entries(&kind, &after, BATCH)).await?;
            let done = batch.len() < BATCH;
            for entry in batch {
                all.push(opened(&self.vault, entry)?);
            }
            if done {
                return Ok(all);
            }
            if all.len() >= ENTRIES_MAX {
                let what = format!("more than {ENTRIES_MAX} entries of one kind");
                return Err(StoreError::Engine(what));
            }
        }
    }

    /// A number that grows with each change of an entry, by whichever gateway.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn entries_revision(&self) -> Result<i64, StoreError> {
        self.ask(|db| db.entries_revision()).await
    }

    /// Encrypts entries again under the newest key; says how many, and which do not decrypt.
    pub(super) async fn rotate_entries(&self) -> Result<(u64, Vec<String>), StoreError> {
        let newest = self.vault.newest();
        let (mut again, mut unreadable) = (0_u64, Vec::new());
        let mut after = (String::new(), String::new());
        loop {
            let vault = Arc::clone(&self.vault);
            let (done, broken, last) = self
                .ask(move |db| {
                    let batch = db.entries_under_other_keys(newest, BATCH, (&after.0, &after.1))?;
                    let last = (batch.last()).map(|last| (last.kind.clone(), last.key.clone()));
                    let (mut done, mut broken) = (0_u64, Vec::new());
                    for entry in batch {
                        let here = place(&entry.kind, &entry.key);
                        match vault.open(here, &entry.body) {
                            Ok(plain) => {
                                db.reseal_entry(&entry, &vault.seal(here, &plain)?)?;
                                done = done.saturating_add(1);
                            }
                            Err(_) => broken.push(format!("{} {}", entry.kind, entry.key)),
                        }
                    }
                    Ok((done, broken, last))
                })
                .await?;
            again = again.saturating_add(done);
            unreadable.extend(broken);
            match last {
                Some(last) => after = last,
                None => return Ok((again, unreadable)),
            }
        }
    }
}

/// Another column than that of errands, so that no content can be taken for the other.
const fn place<'a>(kind: &'a str, key: &'a str) -> Place<'a> {
    Place {
        kind,
        key,
        column: "entry",
    }
}

fn opened(vault: &Vault, entry: Entry) -> Result<Entry, StoreError> {
    let body = vault.open(place(&entry.kind, &entry.key), &entry.body)?;
    Ok(Entry { body, ..entry })
}
