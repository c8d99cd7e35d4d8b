//! Between the exchanges and the one thread that writes: a bounded queue in the order of the log, and what is wrong at present.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{bodies::Sealed, head::HeadSigner, log::Line};
use crate::clock::Moment;

/// With fewer exchanges under way nobody waits for another's record.
const COMPANY: usize = 4;

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
    /// Exchanges that were under way when the last record was made: whose records may be about to come.
    company: AtomicUsize,
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

    /// Sleeps at most so long for the first that waits. Says whether there is one.
    pub(super) fn wait(&self, most: Duration) -> bool {
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
        !waiting.items.is_empty()
    }

    /// Whether it pays to wait a moment: several exchanges are under way, and fewer than half of them wait here.
    pub(super) fn more_may_come(&self) -> bool {
        let company = self.company.load(Ordering::Relaxed);
        if company < COMPANY {
            return false;
        }
        let waiting = self.lock();
        !waiting.stopping && waiting.items.len() < company / 2
    }

    /// Everything that waits. `true` beside it: the log is to be closed.
    pub(super) fn take(&self) -> (Vec<Item>, bool) {
        let mut waiting = self.lock();
        (std::mem::take(&mut waiting.items), waiting.stopping)
    }

    /// Takes note of how many exchanges are under way.
    pub(super) fn set_company(&self, company: usize) {
        self.company.store(company, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item {
            line: Line {
                bytes: Vec::new(),
                leaf: [0; 32],
                time: Moment::from_s(0),
                correlation: 0,
                partner: 0,
            },
            bodies: Vec::new(),
            done: None,
        }
    }

    #[test]
    fn who_is_alone_never_waits_for_company_and_nobody_waits_for_more_than_half() {
        let queue = Queue::default();
        queue.push(queue.lock(), item());
        for alone in 0..COMPANY {
            queue.set_company(alone);
            assert!(!queue.more_may_come(), "{alone} under way");
        }
        queue.set_company(8);
        for waiting in 1..4 {
            assert!(queue.more_may_come(), "{waiting} of 8 wait");
            queue.push(queue.lock(), item());
        }
        assert!(!queue.more_may_come());
        queue.set_company(100);
        assert!(queue.more_may_come());
        // A stop waits for nobody.
        queue.stop();
        assert!(!queue.more_may_come());
        assert_eq!(queue.take().0.len(), 4);
    }
}
