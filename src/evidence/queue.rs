//! Between the exchanges and the one thread that writes: a bounded queue in the order of the log, and what is wrong at present.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{bodies::Sealed, head::HeadSigner, log::Line};
use crate::clock::Moment;

/// A record that waits, with what goes to disk before it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) line: Line,
    pub(super) bodies: Vec<Sealed>,
    /// Told whether the record is on disk; nobody waits where the level is `best_effort`.
    pub(super) done: Option<oneshot::Sender<bool>>,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) items: Vec<Item>,
    pub(super) last_time: Option<Moment>,
    pub(super) stopping: bool,
    /// Whether the writer sleeps and must be woken.
    idle: bool,
}

/// Shared by the exchanges and the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    signer: Mutex<Option<HeadSigner>>,
    /// Why records cannot be written at present.
    trouble: Mutex<Option<String>>,
    troubled: AtomicBool,
    /// How long the last commit took.
    pub(super) commit_us: AtomicU64,
    /// Seconds until the disk is full; `i64::MAX` where it does not fill.
    pub(super) seconds_left: AtomicI64,
    /// How far the clock was behind the last record when a record was made, in milliseconds.
    pub(super) behind_ms: AtomicI64,
}

impl Queue {
    /// What waits, locked.
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item that took its time under this very lock.
    pub(super) fn push(&self, mut waiting: MutexGuard<'_, Waiting>, item: Item) {
        waiting.items.push(item);
        let idle = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if idle {
            self.wake.notify_one();
        }
    }

    /// Everything that waits; sleeps at most so long for the first. `true` beside it: the log is to be closed.
    pub(super) fn take(&self, most: Duration) -> (Vec<Item>, bool) {
        let mut waiting = self.lock();
        if waiting.items.is_empty() && !waiting.stopping {
            waiting.idle = true;
            waiting = self
                .wake
                .wait_timeout(waiting, most)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            waiting.idle = false;
        }
        (std::mem::take(&mut waiting.items), waiting.stopping)
    }

    /// How many wait.
    pub(super) fn length(&self) -> usize {
        self.lock().items.len()
    }

    /// No more is taken.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_one();
    }

    pub(super) fn set_signer(&self, signer: Option<HeadSigner>) {
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = signer;
    }

    pub(super) fn signer(&self) -> Option<HeadSigner> {
        let signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        signer.clone()
    }

    /// Whether records cannot be written at present. One load: it is asked for every exchange.
    pub(super) fn troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Sets or clears what is wrong.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        self.troubled.store(trouble.is_some(), Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}
