//! The thread that writes: takes what waits, has it on disk with one write and one flush, tells who waits; once a second it writes what
//! is derived, signs a head, and looks at the disk.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    bodies::Bodies,
    disk::Disk,
    growth::Growth,
    head::{self, Head},
    heads::HeadFile,
    log::{Line, Log},
    queue::{Item, Queue},
};
use crate::{clock::Clock, observe::EvidenceMetrics};

/// How often heads are signed and the disk is looked at.
const TICK: Duration = Duration::from_secs(1);

/// A flush costs the processor more than making a record does. Where others are about to come it is put off by a moment, so often at
/// most, and one flush does for them all; who is alone never waits.
const LINGER: Duration = Duration::from_millis(1);
const LINGER_TIMES: u32 = 3;

/// What the thread works on.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) heads: HeadFile,
    pub(super) queue: Arc<Queue>,
    pub(super) bodies: Option<Arc<Bodies>>,
    pub(super) metrics: EvidenceMetrics,
    pub(super) clock: Clock,
    pub(super) reserve: u64,
    pub(super) growth: Growth,
    /// The tree size over which no head could be signed, so that it is said once.
    pub(super) said: bool,
}

impl Writer {
    /// Works until the queue is stopped, and leaves everything on disk under a last head.
    pub(super) fn run(mut self) {
        let mut last = Instant::now();
        loop {
            if self.queue.wait(TICK.saturating_sub(last.elapsed())) {
                for _ in 0..LINGER_TIMES {
                    if !self.queue.more_may_come() {
                        break;
                    }
                    std::thread::sleep(LINGER);
                }
            }
            let (items, stopping) = self.queue.take();
            if !items.is_empty() {
                self.commit(items);
            }
            if last.elapsed() >= TICK || stopping {
                last = Instant::now();
                self.tick();
            }
            if stopping && self.queue.length() == 0 {
                return;
            }
        }
    }

    /// Has the items on disk, or tells each that it is lost.
    pub(super) fn commit(&mut self, items: Vec<Item>) {
        let began = Instant::now();
        let number = items.len();
        let (mut lines, mut done): (Vec<Line>, Vec<_>) = (Vec::new(), Vec::new());
        let mut bodies = Vec::new();
        for item in items {
            lines.push(item.line);
            done.push(item.done);
            bodies.extend(item.bodies);
        }
        let kept = bodies
            .iter()
            .fold(0_usize, |sum, b| sum.saturating_add(b.entry.len()));
        let written = keep(&bodies).and_then(|()| self.log.append(&lines));
        let took = began.elapsed();
        self.queue.commit_us.store(
            u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        self.metrics.commit_seconds.observe(took.as_secs_f64());
        let counted = u64::try_from(number).unwrap_or(u64::MAX);
        let on_disk = written.is_ok();
        match written {
            Ok(()) => {
                #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
                self.metrics.batch.observe(number as f64);
                self.metrics.records.inc_by(counted);
                let bytes = lines
                    .iter()
                    .fold(kept, |sum, l| sum.saturating_add(l.bytes.len()));
                let derived = number.saturating_mul(96);
                let bytes = u64::try_from(bytes.saturating_add(derived)).unwrap_or(0);
                self.metrics.bytes.inc_by(bytes);
                self.growth.grew(bytes);
            }
            Err(error) => {
                self.metrics.lost.inc_by(counted);
                self.broken(&error, number);
            }
        }
        for done in done.into_iter().flatten() {
            // Who waited may have gone.
            let _ = done.send(on_disk);
        }
    }

    fn broken(&self, error: &io::Error, records: usize) {
        tracing::error!(%error, records, "evidence: records could not be written");
        self.metrics.broken.set(1);
        self.queue
            .set_trouble(Some(format!("records cannot be written: {error}")));
    }

    /// What is done once a second.
    pub(super) fn tick(&mut self) {
        if self.log.held()
            && let Err(error) = self.log.flush()
        {
            tracing::warn!(%error, "evidence: index and tree are behind the records");
        } else {
            self.sign_head();
        }
        let now = self.clock.now();
        if let Some(bodies) = &self.bodies {
            bodies.look_after(now);
        }
        self.look_at_disk();
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.size.set(number(self.log.size()));
        let covered = self.log.last_head().unwrap_or(0);
        self.metrics
            .unsigned
            .set(number(self.log.size().saturating_sub(covered)));
    }

    fn sign_head(&mut self) {
        let size = self.log.size();
        if size == 0 || self.log.last_head() == Some(size) {
            return;
        }
        let Some(signer) = self.queue.signer() else {
            if !std::mem::replace(&mut self.said, true) {
                tracing::warn!(
                    "evidence: no usable signature certificate of ours, so no tree head is signed"
                );
            }
            return;
        };
        self.said = false;
        let head = Head {
            log: self.log.id().to_owned(),
            size,
            root: self.log.root(),
        };
        let signed = head::sign(&signer, &head, self.clock.now()).map_err(io::Error::other);
        match signed.and_then(|jws| self.heads.append(&jws)) {
            Ok(()) => self.log.headed(),
            Err(error) => tracing::warn!(%error, "evidence: no tree head could be written"),
        }
    }

    /// Measures how long the room lasts; tries again what failed.
    pub(super) fn look_at_disk(&mut self) {
        let free = match self.log.free() {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(%error, "evidence: the disk does not say how much room it has");
                return;
            }
        };
        let room = free.saturating_sub(self.reserve);
        let left = self.growth.seconds_left(room);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.metrics
            .seconds_left
            .set(left.map_or(f64::INFINITY, |s| s as f64));
        let shown = left.and_then(|s| i64::try_from(s).ok()).unwrap_or(i64::MAX);
        self.queue.seconds_left.store(shown, Ordering::Relaxed);
        let was = self.queue.troubled();
        if free < self.reserve {
            if !was {
                tracing::error!(free, reserve = self.reserve, "evidence: the disk is full");
            }
            self.metrics.broken.set(1);
            self.queue.set_trouble(Some(format!(
                "the disk is full: {} MiB are free, {} MiB are reserved",
                free >> 20,
                self.reserve >> 20
            )));
        } else if was {
            match self
                .log
                .tidy()
                .and_then(|()| probe(self.log.disk(), self.log.folder()))
            {
                Ok(()) => {
                    tracing::info!("evidence: records can be written again");
                    self.metrics.broken.set(0);
                    self.queue.set_trouble(None);
                }
                Err(error) => self
                    .queue
                    .set_trouble(Some(format!("records cannot be written: {error}"))),
            }
        }
    }
}

/// Whether the disk takes a few records' worth.
fn probe(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let mut file = disk.open(&path)?;
    file.write(&[b' '; 64 << 10], 0)
        .and_then(|()| file.sync())?;
    std::fs::remove_file(&path)
}

/// Appends kept bodies to the files of their keys.
fn keep(bodies: &[super::bodies::Sealed]) -> io::Result<()> {
    let mut by_file: BTreeMap<&Path, Vec<u8>> = BTreeMap::new();
    for sealed in bodies {
        // Erased while it waited: nobody could ever open it.
        if sealed.key.is_erased() {
            continue;
        }
        by_file
            .entry(&sealed.key.sealed)
            .or_default()
            .extend_from_slice(&sealed.entry);
    }
    for (path, entries) in by_file {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let before = file.metadata()?.len();
        let named = || match path.parent() {
            // Else a new file's name could be lost while its content is not.
            Some(parent) if before == 0 => std::fs::File::open(parent)?.sync_all(),
            _ => Ok(()),
        };
        let written = file.write_all(&entries).and_then(|()| file.sync_data());
        if let Err(error) = written.and_then(|()| named()) {
            // Half an entry would hide those behind it.
            file.set_len(before)?;
            return Err(error);
        }
    }
    Ok(())
}
