//! Why the store could not do it, and what to do about it.

use crate::refusal::{Code, Refusal};

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file, or the folder around it, cannot be used.
    #[error("the store's file: {0}")]
    File(String),
    /// Somebody else has it.
    #[error("the store {0} is in use by another gateway. Give each gateway a store of its own")]
    InUse(String),
    /// It was written by a newer version of this program.
    #[error(
        "the store has form {found}, but this version of triseal knows forms up to {known}. Run the version that wrote it, or a newer one"
    )]
    Newer {
        /// The form found.
        found: i64,
        /// The newest form known.
        known: i64,
    },
    /// It has not been brought to this version's form.
    #[error(
        "the store has form {found}, this version of triseal wants {known}. Start the gateway once: it migrates the store"
    )]
    Older {
        /// The form found.
        found: i64,
        /// The form wanted.
        known: i64,
    },
    /// A key is missing or is none.
    #[error("{0}")]
    Key(String),
    /// A content does not decrypt.
    #[error("a content of the store cannot be decrypted: its key is missing, or it was changed")]
    Content,
    /// There is no room.
    #[error("the store has no room: {0}. Free disk space")]
    Full(String),
    /// The engine says no.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The database server cannot be reached, or refuses us.
    #[error("the store's database cannot be used: {0}")]
    Unreachable(String),
    /// What was asked may have been done or not: the connection broke during the commit, or no answer came in time.
    #[error(
        "the store's database did not say whether it took a change: {0}. Ask again: what was taken is recognised"
    )]
    Unknown(String),
    /// Another transaction was in the way; tried again by the engine.
    #[error("others change the same in the store at present. Try again")]
    InTheWay,
    /// The writer is gone.
    #[error("the store is closed")]
    Closed,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(Code::StoreDown, error.to_string())
    }
}
