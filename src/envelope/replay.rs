//! A message is taken once: a bounded memory in this process, and a mark on disk that keeps a restart from opening it.
//!
//! **Memory.** A message is known by (party, SHA-256 of its bytes), kept under the second in which its time lies, and
//! forgotten only when no message of that time can be fresh any more. What has been forgotten stays refused even when the
//! clock is set back. A full memory refuses, and no party can fill it for the others: one may hold at most eight times what is
//! free, so that a ninth stays free however many messages one party sends.
//!
//! **Restart.** Before a message with a later time than any before is accepted, a mark beyond it is written durably: every
//! message ever accepted has a time at or before the mark. After a start, times at or before the mark are refused, since
//! nobody knows whether they were seen. Without a mark the same holds for everything that could be fresh at the start.
//!
//! A sender whose clock is ahead moves the mark ahead too: after a kill the gateway is closed for the forward window and
//! five seconds at most, after a clean stop for as long as the latest message was ahead.
//!
//! One process for each state folder: when listeners are handed over, the old process hands its whole memory over with them
//! ([`Handed`]) and accepts nothing from then on. Several gateways ask the shared state (`shared`) as well; then this memory
//! stands beside it, for the time when that is away.

use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering},
    },
};

mod handed;

pub use handed::Handed;

use super::{forms, freshness::Window, mark::Mark};
use crate::{
    clock::Moment,
    refusal::{Code, Refusal},
};

const SHARDS: usize = 16;

/// How far the mark is written beyond a message, so that writing it is rare.
const RESERVE_MS: i64 = 5_000;

/// Counters of what each party holds. Two parties may meet in one of them and then share a share.
const HOLDERS: usize = 1_024;

/// How many times what is free a party may hold.
const SHARE: usize = 8;

/// The memory of messages.
pub struct ReplayGuard {
    window: Window,
    capacity: usize,
    entries: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
    /// How much is held, by party. Which counter is a party's nobody can foresee.
    held: Box<[AtomicU32]>,
    holders: RandomState,
    /// Times at or before it are refused: they may have been accepted by an earlier process.
    floor: Moment,
    /// Times up to here may be accepted without writing the mark.
    reserved: AtomicI64,
    /// The latest time that was accepted, or is being.
    highest: AtomicI64,
    mark: Mutex<Mark>,
}

/// Half of a SHA-256 is enough: a collision inside one party would only make that party's own message be refused.
type Known = [u8; 16];

/// The number of a party's counter.
type Holder = u16;

/// Of what another process handed over, nobody knows whose it is. No counter has this number.
const HANDED_OVER: Holder = Holder::MAX;

#[derive(Default)]
struct Shard {
    /// By the second of the message's time: a message's time is part of its bytes, so it can be nowhere else. With whose they are.
    seconds: BTreeMap<i64, HashMap<Known, Holder>>,
    /// Everything up to this second may have been forgotten.
    forgotten: Option<i64>,
    /// What was here is another process's.
    sealed: bool,
}

impl ReplayGuard {
    /// Opens the memory in a state folder. Without a mark there it is closed to everything that could be fresh now: a
    /// process before us may have accepted it.
    ///
    /// # Errors
    /// When the mark cannot be read. A mark that is not ours (garbage) counts as none.
    pub fn open(
        folder: &Path,
        window: Window,
        capacity: usize,
        now: Moment,
    ) -> std::io::Result<Self> {
        let (mark, read) = Mark::open(folder)?;
        let floor = read.unwrap_or_else(|| window.latest(now));
        Ok(Self::new(mark, floor, window, capacity))
    }

    /// As [`ReplayGuard::open`], but a missing mark means that nothing can have been accepted before: for a party and keys
    /// that were made a moment ago, as the sandbox's. A mark that is there holds all the same.
    ///
    /// # Errors
    /// When the mark cannot be read.
    pub fn fresh(folder: &Path, window: Window, capacity: usize) -> std::io::Result<Self> {
        let (mark, read) = Mark::open(folder)?;
        let floor = read.unwrap_or(Moment::from_ms(i64::MIN));
        Ok(Self::new(mark, floor, window, capacity))
    }

    /// Writes a mark that closes nothing into a folder that has none: for a party and keys that were made a moment ago, so
    /// that no message to them can have been accepted yet. A mark that is there stays.
    ///
    /// # Errors
    /// When the mark cannot be read or written.
    pub fn found(folder: &Path) -> std::io::Result<()> {
        let (mut mark, read) = Mark::open(folder)?;
        match read {
            Some(_) => Ok(()),
            None => mark.write(Moment::from_ms(0)),
        }
    }

    fn new(mark: Mark, floor: Moment, window: Window, capacity: usize) -> Self {
        Self {
            window,
            capacity,
            entries: AtomicUsize::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            held: (0..HOLDERS).map(|_| AtomicU32::new(0)).collect(),
            holders: RandomState::new(),
            floor,
            reserved: AtomicI64::new(floor.ms()),
            highest: AtomicI64::new(floor.ms()),
            mark: Mutex::new(mark),
        }
    }

    /// Takes a message once. `t` must be the time inside the very bytes of which `body_digest` is the SHA-256, and the
    /// message must be authenticated: strangers must not fill the memory.
    ///
    /// Blocks for a moment on a disk write at most once in five seconds of message time.
    ///
    /// # Errors
    /// `FRS-002` and `FRS-003` outside the window; `FRS-004` when the message was taken before; `FRS-005` when that cannot be
    /// known; `FRS-006` when the memory is full; `GW-002` when the mark cannot be written.
    pub fn admit(
        &self,
        party: &str,
        body_digest: &[u8; 32],
        t: Moment,
        now: Moment,
    ) -> Result<(), Refusal> {
        self.window.check(t, now)?;
        if t <= self.floor {
            let cause = format!(
                "closed for another {} ms after the start",
                self.closed_for_ms(now)
            );
            return Err(Refusal::new(Code::ReplayClosed, cause));
        }
        self.remember(party, known(party, body_digest), t, now)?;
        self.reserve(t)
    }

    /// Remembers a message that was decided elsewhere to be the first of its kind: the same as [`ReplayGuard::admit`] but for what
    /// is closed after a start, of which the other place knows.
    ///
    /// # Errors
    /// As [`ReplayGuard::admit`], but for `FRS-005` after a start.
    pub fn remember_too(
        &self,
        party: &str,
        body_digest: &[u8; 32],
        t: Moment,
        now: Moment,
    ) -> Result<(), Refusal> {
        self.window.check(t, now)?;
        self.remember(party, known(party, body_digest), t, now)?;
        self.reserve(t)
    }

    /// What a message is known by, everywhere.
    pub fn name(party: &str, body_digest: &[u8; 32]) -> [u8; 16] {
        known(party, body_digest)
    }

    /// For how long a message of time `t` must be known, in milliseconds.
    pub fn known_for_ms(&self, t: Moment, now: Moment) -> i64 {
        self.window.forgettable_after(t).since_ms(now).max(0)
    }

    /// Writes the exact latest time that was accepted, so that the next start is closed no longer than needed. Call it when
    /// no more messages come; a message that comes all the same is handled rightly.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn close(&self) -> std::io::Result<()> {
        let mut mark = lock(&self.mark);
        if mark.sealed() {
            return Ok(());
        }
        // From here on every admission has to wait for the lock: `highest` below covers all that did not.
        self.reserved.store(i64::MIN, Ordering::SeqCst);
        let highest = self.highest.load(Ordering::SeqCst);
        if highest != i64::MIN {
            mark.write(Moment::from_ms(highest))?;
        }
        self.reserved.store(highest, Ordering::SeqCst);
        Ok(())
    }

    /// Messages remembered now.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Messages that can be remembered.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How long messages of the present moment are still refused after a start; zero when open.
    pub fn closed_for_ms(&self, now: Moment) -> u64 {
        let left = self.floor.since_ms(now);
        u64::try_from(left.saturating_add(1)).unwrap_or(0)
    }

    fn remember(&self, party: &str, known: Known, t: Moment, now: Moment) -> Result<(), Refusal> {
        let holder = self.holder(party);
        let Some(shard) = self.shards.get(shard_of(&known)) else {
            return Err(Refusal::new(Code::Fault, "no such shard"));
        };
        let mut swept_all = false;
        loop {
            let mut shard = lock(shard);
            if shard.sealed {
                return Err(handed_over());
            }
            self.sweep(&mut shard, now);
            let second = t.s();
            if shard.forgotten.is_some_and(|forgotten| second <= forgotten) {
                let cause = "older than what is remembered; was the clock set back?";
                return Err(Refusal::new(Code::ReplayClosed, cause));
            }
            if shard
                .seconds
                .get(&second)
                .is_some_and(|known_then| known_then.contains_key(&known))
            {
                return Err(Refusal::new(Code::Replayed, "seen before"));
            }
            if self.has_share(holder) && self.take_place() {
                (shard.seconds.entry(second).or_default()).insert(known, holder);
                self.count(holder, |n| n.saturating_add(1));
                return Ok(());
            }
            drop(shard);
            if swept_all {
                let entries = self.entries();
                let cause = if entries < self.capacity {
                    format!(
                        "{party} has filled its share of the memory; {entries} messages are remembered"
                    )
                } else {
                    format!("{entries} messages are remembered")
                };
                return Err(Refusal::new(Code::ReplayFull, cause));
            }
            // The places may be held by what other shards have not forgotten yet.
            for other in &self.shards {
                self.sweep(&mut lock(other), now);
            }
            swept_all = true;
        }
    }

    fn holder(&self, party: &str) -> Holder {
        let at = self.holders.hash_one(party).checked_rem(HOLDERS as u64);
        at.and_then(|at| Holder::try_from(at).ok()).unwrap_or(0)
    }

    /// Whether the party may hold one more. Counts of others that change meanwhile move it by a few.
    fn has_share(&self, holder: Holder) -> bool {
        let held = self.held.get(usize::from(holder));
        let held = held.map_or(0, |held| held.load(Ordering::Relaxed));
        let free = self.capacity.saturating_sub(self.entries());
        usize::try_from(held).unwrap_or(usize::MAX) < free.saturating_mul(SHARE)
    }

    fn count(&self, holder: Holder, change: impl Fn(u32) -> u32) {
        if let Some(held) = self.held.get(usize::from(holder)) {
            let _ = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(change(n)));
        }
    }

    fn take_place(&self) -> bool {
        self.entries
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                n.checked_add(1).filter(|n| *n <= self.capacity)
            })
            .is_ok()
    }

    fn sweep(&self, shard: &mut Shard, now: Moment) {
        while let Some(first) = shard.seconds.first_entry() {
            let last_of_second = Moment::from_s(*first.key()).plus_ms(999);
            if self.window.forgettable_after(last_of_second) >= now {
                return;
            }
            let (second, set) = first.remove_entry();
            shard.forgotten = shard.forgotten.max(Some(second));
            let gone = set.len();
            for holder in set.values() {
                self.count(*holder, |n| n.saturating_sub(1));
            }
            let _ = self
                .entries
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                    Some(n.saturating_sub(gone))
                });
        }
    }

    /// Sees to it that the mark on disk covers `t`.
    fn reserve(&self, t: Moment) -> Result<(), Refusal> {
        // Before looking at `reserved`: see `close`.
        self.highest.fetch_max(t.ms(), Ordering::SeqCst);
        if t.ms() <= self.reserved.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut mark = lock(&self.mark);
        if t.ms() <= self.reserved.load(Ordering::SeqCst) {
            return Ok(());
        }
        if mark.sealed() {
            return Err(handed_over());
        }
        let beyond = t.plus_ms(RESERVE_MS);
        mark.write(beyond).map_err(|e| {
            Refusal::new(
                Code::Fault,
                format!("the replay mark cannot be written: {e}"),
            )
        })?;
        self.reserved.store(beyond.ms(), Ordering::SeqCst);
        Ok(())
    }
}

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard")
            .field("entries", &self.entries())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

fn known(party: &str, body_digest: &[u8; 32]) -> Known {
    // The digest's length is fixed, so that party and digest cannot run into each other.
    let digest = forms::sha256(&[body_digest, party.as_bytes()].concat());
    let mut out = [0; 16];
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    out
}

fn shard_of(known: &Known) -> usize {
    known.first().map_or(0, |byte| usize::from(*byte) % SHARDS)
}

fn handed_over() -> Refusal {
    Refusal::new(Code::ReplayClosed, "the replay memory is another process's")
}

/// A thread that panicked while it held a lock left at worst an entry too many.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
