//! What one process hands to the next: everything that the memory knows, so that no message is accepted by both.
//!
//! The one that hands over is sealed by it: from then on it accepts nothing and writes no mark.

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{HANDED_OVER, Known, Mark, ReplayGuard, SHARDS, Shard, lock, shard_of};
use crate::{clock::Moment, envelope::freshness::Window};

/// The most messages that are handed over: 384 MiB of them. A memory that holds more is not handed over, but begins closed.
const ENTRIES_MAX: u64 = 1 << 24;

/// Bytes of the head: floor, highest, forgotten, count.
const HEAD: usize = 32;
/// Bytes of one message: its second and what it is known by.
const ENTRY: u64 = 24;

/// The whole of a replay memory, out of its process.
#[derive(Default)]
pub struct Handed {
    floor: i64,
    highest: i64,
    forgotten: Option<i64>,
    entries: Vec<(i64, Known)>,
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handed")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl Handed {
    /// Messages in it.
    pub const fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Writes it for [`Handed::read`].
    ///
    /// # Errors
    /// When it is more than can be handed over, or the other side does not take it.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let count = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        if count > ENTRIES_MAX {
            return Err(io::Error::other(format!(
                "{count} messages are remembered, more than the {ENTRIES_MAX} that can be handed over"
            )));
        }
        let mut to = io::BufWriter::with_capacity(64 << 10, to);
        for number in [self.floor, self.highest, self.forgotten.unwrap_or(i64::MIN)] {
            to.write_all(&number.to_be_bytes())?;
        }
        to.write_all(&count.to_be_bytes())?;
        for (second, known) in &self.entries {
            to.write_all(&second.to_be_bytes())?;
            to.write_all(known)?;
        }
        to.flush()
    }

    /// Reads what [`Handed::write`] wrote.
    ///
    /// # Errors
    /// When it ends early, or says that more comes than can be handed over.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        let [floor, highest, forgotten, count] = numbers(&head);
        let count = u64::try_from(count)
            .ok()
            .filter(|count| *count <= ENTRIES_MAX)
            .ok_or_else(|| io::Error::other("more messages than can be handed over"))?;
        let mut from =
            io::BufReader::with_capacity(64 << 10, from.take(count.saturating_mul(ENTRY)));
        let mut entries = Vec::new();
        let mut entry = [0; ENTRY as usize];
        for _ in 0..count {
            from.read_exact(&mut entry)?;
            let (second, known) = entry.split_at(8);
            let (Ok(second), Ok(known)) = (second.try_into(), known.try_into()) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            entries.push((i64::from_be_bytes(second), known));
        }
        Ok(Self {
            floor,
            highest,
            forgotten: (forgotten != i64::MIN).then_some(forgotten),
            entries,
        })
    }
}

fn numbers(head: &[u8; HEAD]) -> [i64; 4] {
    let mut numbers = [0; 4];
    for (number, bytes) in numbers.iter_mut().zip(head.chunks_exact(8)) {
        *number = bytes.try_into().map_or(0, i64::from_be_bytes);
    }
    numbers
}

impl ReplayGuard {
    /// Takes everything out for the next process and accepts nothing from here on. The mark on disk covers all that was
    /// accepted; it is left to the next process.
    pub fn hand_over(&self) -> Handed {
        let mut mark = lock(&self.mark);
        // Whoever has been remembered but waits for the mark finds this, and is refused: see `reserve`.
        mark.seal();
        let mut handed = Handed {
            floor: self.floor.ms(),
            ..Handed::default()
        };
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.sealed = true;
            handed.forgotten = handed.forgotten.max(shard.forgotten);
            for (second, set) in std::mem::take(&mut shard.seconds) {
                handed.entries.extend(set.into_keys().map(|k| (second, k)));
            }
        }
        self.entries.store(0, Ordering::Relaxed);
        handed.highest = self.highest.load(Ordering::SeqCst);
        drop(mark);
        handed
    }

    /// Goes on where another process ended: what that one knew is known here, and nothing is closed that was open there.
    ///
    /// # Errors
    /// When the mark cannot be read.
    pub fn take_over(
        folder: &Path,
        window: Window,
        capacity: usize,
        handed: Handed,
    ) -> io::Result<Self> {
        let (mark, read) = Mark::open(folder)?;
        // Whatever was accepted has its time at or before the mark on disk; the next message beyond it writes a new one.
        let covered = read.map_or(i64::MIN, Moment::ms);
        let mut shards: [Shard; SHARDS] = std::array::from_fn(|_| Shard {
            forgotten: handed.forgotten,
            ..Shard::default()
        });
        let count = handed.entries.len();
        let mut highest = handed.highest.max(handed.floor);
        for (second, known) in handed.entries {
            // One that was being accepted when the other was sealed may not have counted yet.
            highest = highest.max(Moment::from_s(second).plus_ms(999).ms());
            if let Some(shard) = shards.get_mut(shard_of(&known)) {
                let known_then = shard.seconds.entry(second).or_default();
                known_then.insert(known, HANDED_OVER);
            }
        }
        let mut guard = Self::new(mark, Moment::from_ms(handed.floor), window, capacity);
        guard.shards = shards.map(std::sync::Mutex::new);
        guard.entries = AtomicUsize::new(count);
        guard.highest = highest.into();
        guard.reserved = covered.into();
        Ok(guard)
    }
}
