//! An errand: something to be done outward, in steps, until it is done or parked.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Moment;

/// Where an errand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be done; attempted when due.
    Open,
    /// Done; kept for the retention.
    Done,
    /// Given up, with a reason; a person can take it up again.
    Parked,
}

impl Standing {
    /// The word in the store and in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Done, Self::Parked]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// A new errand.
#[derive(Clone)]
pub struct NewErrand {
    /// Who does it.
    pub kind: &'static str,
    /// What makes it one and the same: a second one of the same kind and key is not stored.
    pub key: String,
    /// The first step.
    pub step: &'static str,
    /// What it is about; encrypted in the store.
    pub body: Vec<u8>,
    /// When the first attempt is due.
    pub due: Moment,
}

impl std::fmt::Debug for NewErrand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewErrand")
            .field("kind", &self.kind)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// Whether an errand was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was, and is on disk.
    Stored,
    /// One of that kind and key is there, in this standing.
    Known(Standing),
}

/// A stored errand.
#[derive(Clone)]
pub struct Errand {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) alias: Option<String>,
    pub(super) step: String,
    /// Encrypted when the engine gives it, plain when the store does.
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) attempts: u32,
    pub(super) standing: Standing,
    pub(super) reason: Option<String>,
    pub(super) created: Moment,
    pub(super) updated: Moment,
    pub(super) due: Moment,
    /// Grows with every change, so that an outcome is written only over what was attempted.
    pub(super) version: i64,
    /// Which taking of it this is, where the engine counts them: an outcome is written by who took it last.
    pub(super) taking: i64,
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl Errand {
    /// Its number in this store.
    pub const fn id(&self) -> i64 {
        self.id
    }
    /// Who does it.
    pub fn kind(&self) -> &str {
        &self.kind
    }
    /// What makes it one and the same.
    pub fn key(&self) -> &str {
        &self.key
    }
    /// The other name it can be found by, where it has one.
    pub fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }
    /// The step that is next.
    pub fn step(&self) -> &str {
        &self.step
    }
    /// What it is about, decrypted.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
    /// Attempts at this step so far.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
    /// Where it stands.
    pub const fn standing(&self) -> Standing {
        self.standing
    }
    /// Why the last attempt failed, or why it is parked.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
    /// When it was stored.
    pub const fn created(&self) -> Moment {
        self.created
    }
    /// When it last changed.
    pub const fn updated(&self) -> Moment {
        self.updated
    }
    /// When the next attempt is due.
    pub const fn due(&self) -> Moment {
        self.due
    }

    /// How long to wait after as many failed attempts: doubling from one second to five minutes.
    pub fn back_off(&self) -> Duration {
        Duration::from_secs(
            1_u64
                .checked_shl(self.attempts.min(9))
                .unwrap_or(512)
                .min(300),
        )
    }
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// All is done.
    Done,
    /// All is done, and of the content only this is kept.
    Finish {
        /// The step to be in.
        step: &'static str,
        /// The new body.
        body: Vec<u8>,
    },
    /// This step is done; the next is due at once. A body replaces the errand's.
    Next {
        /// The next step.
        step: &'static str,
        /// The new body.
        body: Option<Vec<u8>>,
    },
    /// Nothing to do before somebody resumes it, or before that time.
    Wait {
        /// The step to be in.
        step: &'static str,
        /// The new body.
        body: Option<Vec<u8>>,
        /// When to look again.
        until: Moment,
    },
    /// It failed, and may succeed later.
    Retry {
        /// Why, in words for an operator; no secrets.
        reason: String,
        /// When to try again.
        after: Duration,
    },
    /// It failed, and will not succeed by itself.
    Park {
        /// Why, in words for an operator; no secrets.
        reason: String,
    },
}

/// What becomes of a known errand when more is learnt about it.
#[derive(Clone, Debug)]
pub enum Revision {
    /// Nothing.
    Keep,
    /// It goes on from this step with this body, at once; it is open again if it was parked or done.
    Reopen {
        /// The step to go on from.
        step: String,
        /// The new body.
        body: Vec<u8>,
    },
}

/// What came of placing an errand that may be there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed<T> {
    /// It was new, and is on disk.
    Stored,
    /// One of that kind and key was there; this is what was made of it.
    Known(T),
    /// Another one of that kind has the alias.
    AliasTaken,
}

/// How many errands of a kind are in a standing and a step, and how old they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The kind.
    pub kind: String,
    /// The standing; done errands are not counted.
    pub standing: Standing,
    /// The step.
    pub step: String,
    /// How many.
    pub number: u64,
    /// When the oldest was stored.
    pub oldest: Moment,
    /// When the first of them is or was due.
    pub first_due: Moment,
}

/// Which errands to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this kind only.
    pub kind: Option<String>,
    /// In this standing only.
    pub standing: Option<Standing>,
    /// At most so many.
    pub limit: usize,
}
