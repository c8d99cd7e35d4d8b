//! Rotation: what is under an older key is encrypted again under the newest, a bounded batch at a time.

use std::sync::Arc;

use super::{Store, StoreError, place};

/// Errands looked at in one transaction.
const BATCH: usize = 200;

/// What came of a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Contents that are now under the newest key.
    pub again: u64,
    /// Errands whose content does not decrypt; they were left as they are.
    pub unreadable: Vec<i64>,
    /// Entries whose content does not decrypt, by kind and key.
    pub unreadable_entries: Vec<String>,
    /// Ids of older keys under which contents still are.
    pub still_needed: Vec<String>,
}

impl Store {
    /// Encrypts everything under the newest key. Afterwards a key that is not in `still_needed` may be taken out of the
    /// configuration.
    ///
    /// # Errors
    /// When a running gateway does not write under the newest key yet, or the store fails.
    pub async fn rotate(&self) -> Result<Rotated, StoreError> {
        let newest = self.vault.newest();
        let known = self.ask(move |db| db.may_rotate(newest)).await?;
        if !known {
            return Err(StoreError::Key(
                "a gateway that runs on this store does not write under the newest key yet. Restart it with the new key first in store.key, then rotate"
                    .to_owned(),
            ));
        }
        let mut rotated = Rotated::default();
        let mut after = 0;
        loop {
            let vault = Arc::clone(&self.vault);
            let (again, unreadable, last) = self
                .ask(move |db| {
                    let batch = db.under_other_keys(newest, after, BATCH)?;
                    let last = batch.last().map(|errand| errand.id);
                    let (mut again, mut unreadable) = (0_u64, Vec::new());
                    for errand in batch {
                        let here = place(&errand.kind, &errand.key);
                        match vault.open(here, &errand.body) {
                            Ok(plain) => {
                                let sealed = vault.seal(here, &plain)?;
                                db.reseal(errand.id, errand.version, &sealed)?;
                                again = again.saturating_add(1);
                            }
                            Err(_) => unreadable.push(errand.id),
                        }
                    }
                    Ok((again, unreadable, last))
                })
                .await?;
            rotated.again = rotated.again.saturating_add(again);
            rotated.unreadable.extend(unreadable);
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        let (again, unreadable) = self.rotate_entries().await?;
        rotated.again = rotated.again.saturating_add(again);
        rotated.unreadable_entries = unreadable;
        let left = self.ask(move |db| db.release_keys(newest)).await?;
        rotated.still_needed = left.iter().map(ToString::to_string).collect();
        Ok(rotated)
    }
}
