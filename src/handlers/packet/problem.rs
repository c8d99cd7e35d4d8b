//! Why a packet or a workflow was not made, and whether it is worth asking again.

use crate::refusal::{Code, Refusal, Side};

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It may: both calls may be repeated as they are.
    Later,
    /// It will be refused again until somebody changes it.
    Never,
}

/// A packet or a workflow that was not made, as far as is known.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct PacketError {
    again: Again,
    refusal: Refusal,
}

impl PacketError {
    pub(super) const fn new(again: Again, refusal: Refusal) -> Self {
        Self { again, refusal }
    }

    pub(super) const fn later(refusal: Refusal) -> Self {
        Self::new(Again::Later, refusal)
    }

    /// Whether to ask again.
    pub const fn again(&self) -> Again {
        self.again
    }

    /// The refusal: its code, MOSIP's own code where there is one ([`Refusal::stated`]), and the cause for the log.
    pub const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// The refusal, taken out.
    pub fn into_refusal(self) -> Refusal {
        self.refusal
    }
}

impl From<Refusal> for PacketError {
    /// A refusal of ours, or one stated by a gateway behind us.
    fn from(refusal: Refusal) -> Self {
        let again = match (refusal.code(), refusal.code().side()) {
            (Code::Replayed | Code::Stale | Code::FromTheFuture, _) => Again::Later,
            (_, Side::Caller) => Again::Never,
            (_, Side::Gateway | Side::Upstream) => Again::Later,
        };
        Self::new(again, refusal)
    }
}
