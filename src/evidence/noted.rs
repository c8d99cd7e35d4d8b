//! A record that has its place, and waiting until it is on disk.

use std::time::Duration;

use tokio::sync::oneshot;

use super::tree::Hash;
use crate::refusal::{Code, Refusal};

/// A record that has its place in the log, or the certainty that none is wanted. Whoever answers waits for
/// [`Noted::durable`] first.
#[derive(Debug)]
#[must_use]
pub struct Noted {
    pub(super) leaf: Option<Hash>,
    pub(super) waits: Option<(oneshot::Receiver<bool>, Duration)>,
}

impl Noted {
    /// No record is wanted, or none can be had and the policy goes on without.
    pub const fn nothing() -> Self {
        Self {
            leaf: None,
            waits: None,
        }
    }

    /// The leaf that the answer's signature names.
    pub const fn leaf(&self) -> Option<&Hash> {
        self.leaf.as_ref()
    }

    /// Waits until the record is on disk, where the policy wants that.
    ///
    /// # Errors
    /// `EVD-002` when it could not be written, `EVD-003` when that took too long.
    pub async fn durable(self) -> Result<(), Refusal> {
        let Some((done, most)) = self.waits else {
            return Ok(());
        };
        match tokio::time::timeout(most, done).await {
            Ok(Ok(true)) => Ok(()),
            Ok(_) => Err(Refusal::new(
                Code::EvidenceWrite,
                "the record is not on disk",
            )),
            Err(_) => Err(Refusal::new(
                Code::EvidenceSlow,
                "the record was not on disk in time",
            )),
        }
    }
}
