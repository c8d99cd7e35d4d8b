//! Evidence: one record for each exchange of an identified partner, in an append-only Merkle log whose heads are signed
//! (docs/evidence.md has the format).
//!
//! A record takes its place in the log, its time and its leaf hash at once, under one lock; the answer is then signed with that leaf while
//! one thread brings the record to the disk together with whatever else waits. Where the level is `required` the answer leaves
//! only when the record is there ([`Noted::durable`]).

pub mod assemble;
pub mod bodies;
pub mod bundle;
mod disk;
mod findings;
mod growth;
pub mod head;
mod heads;
mod index;
mod jws;
mod log;
pub mod merkle;
mod noted;
mod queue;
pub mod reader;
mod record;
#[cfg(test)]
mod testing;
pub mod timestamp;
mod tree;
pub mod verify;
mod writer;

pub use bodies::Bodies;
pub use head::HeadSigner;
pub use log::{Found, LogError};
pub use noted::Noted;
pub use record::{BodySeen, CallerSeen, Draft, ErrandSeen, PeerSeen, Receipt, UpstreamSeen};
pub use tree::{Hash, leaf_hash, node_hash};

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use bodies::{Sealed, Which};
use disk::{Disk, RealDisk};
use growth::Growth;
use heads::HeadFile;
use index::mark;
use log::{Line, Log};
use queue::{Item, Queue};
use record::KeptBodies;
use writer::Writer;

use crate::{
    clock::Clock,
    observe::EvidenceMetrics,
    refusal::{Code, Refusal},
};

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its folder.
    pub folder: PathBuf,
    /// The gateway's name.
    pub gateway: String,
    /// Records that may wait at once.
    pub queue_max: usize,
    /// How long an answer waits for its record.
    pub commit_timeout: Duration,
    /// Bytes that are left free on the disk.
    pub reserve: u64,
}

/// The evidence log of a running gateway.
#[derive(Debug)]
pub struct Evidence {
    queue: Arc<Queue>,
    settings: Settings,
    metrics: EvidenceMetrics,
    clock: Clock,
    bodies: Option<Arc<Bodies>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the process writes there.
    _lock: std::fs::File,
}

/// The bodies of an exchange that its policy keeps, as they travelled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep<'a> {
    /// The request's.
    pub request: Option<&'a [u8]>,
    /// The answer's.
    pub answer: Option<&'a [u8]>,
}

impl Evidence {
    /// Opens or makes the log, verifies its tail and begins to write.
    ///
    /// # Errors
    /// [`LogError`] when the log cannot be used, or is not the one that was signed.
    pub fn start(
        settings: Settings,
        metrics: &EvidenceMetrics,
        clock: &Clock,
        bodies: Option<Bodies>,
    ) -> Result<(Self, Found), LogError> {
        let disk = Box::new(RealDisk::of(settings.folder.clone()));
        Self::start_on(settings, metrics, clock, bodies, disk)
    }

    fn start_on(
        settings: Settings,
        metrics: &EvidenceMetrics,
        clock: &Clock,
        bodies: Option<Bodies>,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Found), LogError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |error| LogError::Io { what, error }
        };
        std::fs::create_dir_all(&settings.folder).map_err(io("making its folder"))?;
        let lock = lock(&settings.folder)?;
        bodies::finish(&settings.folder).map_err(io("erasing kept bodies to the end"))?;
        let (log, found) = Log::open(&settings.folder, &settings.gateway, disk)?;
        let heads = HeadFile::open(&settings.folder, log.disk()).map_err(io("its heads"))?;
        let queue = Arc::new(Queue::default());
        queue.seconds_left.store(i64::MAX, Ordering::Relaxed);
        queue.lock().last_time = log.last_time();
        let bodies = bodies.map(Arc::new);
        let mut writer = Writer {
            log,
            heads,
            queue: Arc::clone(&queue),
            bodies: bodies.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            reserve: settings.reserve,
            growth: Growth::new(Instant::now()),
            said: false,
        };
        // A disk that is full already is found before the first exchange.
        writer.look_at_disk();
        let thread = std::thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || writer.run())
            .map_err(io("its thread"))?;
        let evidence = Self {
            queue,
            settings,
            metrics: metrics.clone(),
            clock: clock.clone(),
            bodies,
            thread: Mutex::new(Some(thread)),
            _lock: lock,
        };
        Ok((evidence, found))
    }

    /// The folder of the log.
    pub fn folder(&self) -> &Path {
        &self.settings.folder
    }

    /// Which key signs heads from now on.
    pub fn set_signer(&self, signer: Option<HeadSigner>) {
        self.queue.set_signer(signer);
    }

    /// Whether records can be written, as far as is known: asked before anything goes upstream.
    ///
    /// # Errors
    /// `EVD-004` with what is wrong.
    pub fn ready(&self) -> Result<(), Refusal> {
        if self.queue.troubled() {
            let cause = self.queue.trouble().unwrap_or_default();
            return Err(Refusal::new(Code::EvidenceDown, cause));
        }
        Ok(())
    }

    /// Counts an exchange of a stranger.
    pub fn stranger(&self) {
        self.metrics.strangers.inc();
    }

    /// Tells how many exchanges are under way: the more there are, the more records one flush may serve.
    pub fn company(&self, exchanges: usize) {
        self.queue.set_company(exchanges);
    }

    /// Gives a record its place in the log. Where it is not `required` and cannot be had, the loss is counted and the exchange goes
    /// on without.
    ///
    /// # Errors
    /// Where it is required: `EVD-001` when too many wait, `EVD-002` when a body cannot be kept, `EVD-004` when
    /// nothing can be written at present.
    pub fn note(
        &self,
        draft: &Draft<'_>,
        keep: Keep<'_>,
        required: bool,
    ) -> Result<Noted, Refusal> {
        match self.place(draft, keep, required) {
            Ok(noted) => Ok(noted),
            Err(refusal) if required => Err(refusal),
            Err(_) => {
                self.metrics.lost.inc();
                Ok(Noted::nothing())
            }
        }
    }

    fn place(&self, draft: &Draft<'_>, keep: Keep<'_>, required: bool) -> Result<Noted, Refusal> {
        self.ready()?;
        let partner = draft.partner();
        let kept = self.keep(partner, keep)?;
        let rest = match &kept {
            None => record::rest(draft, None),
            Some(kept) => record::rest(draft, Some(&kept.view())),
        };
        let correlation = mark(draft.correlation_id);
        let partner = if partner.is_empty() { 0 } else { mark(partner) };
        let (done, waits) = if required {
            let (done, waits) = oneshot::channel();
            (Some(done), Some((waits, self.settings.commit_timeout)))
        } else {
            (None, None)
        };
        let mut waiting = self.queue.lock();
        if waiting.items.len() >= self.settings.queue_max || waiting.stopping {
            drop(waiting);
            let cause = format!("{} records wait for the disk", self.settings.queue_max);
            return Err(Refusal::new(Code::EvidenceQueue, cause));
        }
        let now = self.clock.now();
        let time = waiting.last_time.map_or(now, |last| last.max(now));
        let behind = time.since_ms(now);
        waiting.last_time = Some(time);
        let bytes = record::head(time, behind > 0, &rest);
        let leaf = leaf_hash(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        let item = Item {
            line: Line {
                bytes,
                leaf,
                time,
                correlation,
                partner,
            },
            bodies: kept.map_or_else(Vec::new, KeptNow::into_sealed),
            done,
        };
        self.queue.push(waiting, item);
        if behind > 0 {
            self.metrics.clock_back.inc();
        }
        self.queue.behind_ms.store(behind, Ordering::Relaxed);
        Ok(Noted {
            leaf: Some(leaf),
            waits,
        })
    }

    fn keep(&self, partner: &str, keep: Keep<'_>) -> Result<Option<KeptNow>, Refusal> {
        if partner.is_empty() || (keep.request.is_none() && keep.answer.is_none()) {
            return Ok(None);
        }
        let Some(bodies) = &self.bodies else {
            let cause = "bodies are to be kept, but the gateway was started without a store";
            return Err(Refusal::new(Code::EvidenceWrite, cause));
        };
        let failed = |e: bodies::BodyError| Refusal::new(Code::EvidenceWrite, e.to_string());
        let batch = bodies.begin(self.clock.now(), partner).map_err(failed)?;
        let seal = |which, body: Option<&[u8]>| {
            body.map(|body| bodies.seal(&batch, which, body))
                .transpose()
                .map_err(failed)
        };
        let request = seal(Which::Request, keep.request)?;
        let answer = seal(Which::Answer, keep.answer)?;
        Ok(Some(KeptNow {
            batch,
            request,
            answer,
        }))
    }

    /// Brings everything to the disk under a last head.
    pub fn stop(&self) {
        self.queue.stop();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("evidence: the writer ended in a fault");
        }
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Bodies that were sealed for a record.
struct KeptNow {
    batch: bodies::Batch,
    request: Option<Sealed>,
    answer: Option<Sealed>,
}

impl KeptNow {
    fn view(&self) -> KeptBodies<'_> {
        KeptBodies {
            id: &self.batch.id,
            key: &self.batch.key.name,
            request: self.request.as_ref(),
            answer: self.answer.as_ref(),
        }
    }

    fn into_sealed(self) -> Vec<Sealed> {
        self.request.into_iter().chain(self.answer).collect()
    }
}

/// One process writes to a log.
fn lock(folder: &Path) -> Result<std::fs::File, LogError> {
    let path = folder.join("lock");
    let io = |error| LogError::Io {
        what: "its lock".to_owned(),
        error,
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| LogError::Locked(folder.to_path_buf()))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
