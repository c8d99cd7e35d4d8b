//! The log on disk, for the one thread that writes: files of records, the tree over them, and what a start finds.
//!
//! The records are the truth; the index and the tree are made from them. A batch is on disk as a whole or, after an error, cut off
//! again before anything else is written.

mod start;

use start::{Tail, contiguous, identity, keep_torn, tree_of};

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    disk::{Disk, LogFile},
    heads::Heads,
    index::{ENTRY, Entry, Segment},
    tree::{Hash, Tree},
};
use crate::clock::Moment;

/// A file of records ends where it has reached this many bytes.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Index entries that are held before they are written, whatever the time.
const HELD_MAX: usize = 4096;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system said no.
    #[error(
        "EVD-010: evidence log, {what}: {error}. Check the folder, its permissions and the disk."
    )]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Another process writes there.
    #[error(
        "EVD-011: another process writes to the evidence log in {0}. Stop it, or give this gateway a folder of its own."
    )]
    Locked(PathBuf),
    /// The log is not what its last signed head says.
    #[error(
        "EVD-012: the evidence log in {folder} is not the one that was signed: {what}. Nothing was changed. Keep the folder for an investigation, and restore it from a copy or set `evidence.folder` to a new one."
    )]
    Mismatch {
        /// Where.
        folder: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// A record on its way to the disk.
#[derive(Debug)]
pub(super) struct Line {
    /// Its octets with the line end.
    pub(super) bytes: Vec<u8>,
    pub(super) leaf: Hash,
    pub(super) time: Moment,
    pub(super) correlation: u64,
    pub(super) partner: u64,
}

/// What a start found and put right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Records in the log.
    pub records: u64,
    /// Bytes behind the last whole record that were cut off.
    pub torn_bytes: u64,
    /// Whether the tree's files had to be made anew.
    pub rebuilt: bool,
}

/// The log, open for writing.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    id: String,
    disk: Box<dyn Disk>,
    file: Box<dyn LogFile>,
    segment: Segment,
    /// Bytes of the segment that are on disk and count.
    length: u64,
    /// Whether bytes may stand behind them that do not count.
    untidy: bool,
    tree: Tree,
    index: Vec<u8>,
    /// Index entries of the segment that are in its file.
    indexed: u64,
    last_time: Option<Moment>,
    last_head: Option<u64>,
    segment_bytes: u64,
}

impl Log {
    /// Opens or makes the log, verifies its tail, and puts right what a crash leaves behind.
    pub(super) fn open(
        folder: &Path,
        gateway: &str,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Found), LogError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |error| LogError::Io { what, error }
        };
        for part in ["records", "tree"] {
            fs::create_dir_all(folder.join(part)).map_err(io("making its folder"))?;
        }
        let id = identity(folder, gateway).map_err(io("log.json"))?;
        let mut found = Found::default();
        let segments = Segment::all(folder).map_err(io("listing its records"))?;
        let last_head = Heads::open(folder)
            .and_then(|heads| heads.last())
            .map_err(io("its heads"))?;
        let last_head = last_head.map(|(_, head)| head);
        let mismatch = |what: String| LogError::Mismatch {
            folder: folder.to_path_buf(),
            what,
        };
        let Some((last, whole)) = segments.split_last() else {
            if last_head.as_ref().is_some_and(|head| head.size > 0) {
                return Err(mismatch("there are heads, but no records".to_owned()));
            }
            let segment = Segment::at(folder, 0);
            let file = disk.open(&segment.path).map_err(io("its first file"))?;
            let tree = Tree::empty(folder.join("tree"));
            let log = Self::at(folder, id, disk, file, segment, tree);
            return Ok((log, found));
        };
        contiguous(whole, last).map_err(mismatch)?;
        let mut tail = Tail::read(last).map_err(io("its last records"))?;
        found.torn_bytes = tail.torn;
        if tail.torn > 0 {
            keep_torn(folder, last, &tail).map_err(io("the torn tail"))?;
        }
        let mut file = disk.open(&last.path).map_err(io("its last file"))?;
        if tail.torn > 0 {
            file.cut(tail.length)
                .and_then(|()| file.sync())
                .map_err(io("cutting a torn record off"))?;
        }
        fs::write(last.index(), &tail.index).map_err(io("its index"))?;
        let size = last.first.saturating_add(tail.records());
        found.records = size;
        if let Some(head) = &last_head
            && head.size > size
        {
            return Err(mismatch(format!(
                "a head over {} records is signed, and {size} are there",
                head.size
            )));
        }
        let (tree, rebuilt) = tree_of(folder, whole, last, &tail.leaves, size, last_head.as_ref())
            .map_err(io("its tree"))?
            .ok_or_else(|| {
                mismatch("the records do not lead to the last signed head".to_owned())
            })?;
        found.rebuilt = rebuilt;
        let mut log = Self::at(folder, id, disk, file, last.clone(), tree);
        log.length = tail.length;
        log.indexed = tail.records();
        log.last_time = tail.last_time.take();
        log.last_head = last_head.map(|head| head.size);
        Ok((log, found))
    }

    fn at(
        folder: &Path,
        id: String,
        disk: Box<dyn Disk>,
        file: Box<dyn LogFile>,
        segment: Segment,
        tree: Tree,
    ) -> Self {
        Self {
            folder: folder.to_path_buf(),
            id,
            disk,
            file,
            segment,
            length: 0,
            untidy: false,
            tree,
            index: Vec::new(),
            indexed: 0,
            last_time: None,
            last_head: None,
            segment_bytes: SEGMENT_BYTES,
        }
    }

    /// Which log this is.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Records on disk.
    pub(super) const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree's hash.
    pub(super) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The time of the last record.
    pub(super) const fn last_time(&self) -> Option<Moment> {
        self.last_time
    }

    /// The size that the last head covers.
    pub(super) const fn last_head(&self) -> Option<u64> {
        self.last_head
    }

    /// The disk under it.
    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Bytes that may still be written to the disk.
    pub(super) fn free(&self) -> io::Result<u64> {
        self.disk.free()
    }

    /// Whether everything derived is on disk.
    pub(super) fn held(&self) -> bool {
        self.tree.waiting() > 0
    }

    /// Appends lines: all of them are on disk, or none counts.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        self.tidy()?;
        if self.length >= self.segment_bytes {
            self.begin_segment()?;
        }
        let bytes: Vec<u8>;
        let whole = if let [one] = lines {
            one.bytes.as_slice()
        } else {
            let parts: Vec<&[u8]> = lines.iter().map(|line| &*line.bytes).collect();
            bytes = parts.concat();
            bytes.as_slice()
        };
        self.untidy = true;
        self.file.write(whole, self.length)?;
        self.file.sync()?;
        self.untidy = false;
        for line in lines {
            let bytes = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
            self.length = self.length.saturating_add(bytes);
            self.tree.push(line.leaf);
            self.last_time = Some(line.time);
            let entry = Entry {
                end: self.length,
                time: line.time,
                correlation: line.correlation,
                partner: line.partner,
            };
            self.index.extend_from_slice(&entry.to_bytes());
        }
        if self.tree.waiting() >= HELD_MAX
            && let Err(error) = self.flush()
        {
            tracing::warn!(%error, "evidence: index and tree are behind the records; they are made anew at the next start");
        }
        Ok(())
    }

    /// Cuts off what an append that failed may have left.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        if self.untidy {
            // The file may be gone bad with its descriptor.
            self.file = self.disk.open(&self.segment.path)?;
            self.file.cut(self.length)?;
            self.file.sync()?;
            self.untidy = false;
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.flush()?;
        let segment = Segment::at(&self.folder, self.tree.size());
        self.file = self.disk.open(&segment.path)?;
        self.segment = segment;
        self.length = 0;
        self.indexed = 0;
        Ok(())
    }

    /// Writes index and tree.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.index.is_empty() {
            let entry = u64::try_from(ENTRY).unwrap_or(u64::MAX);
            fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.segment.index())?
                .write_all_at(&self.index, self.indexed.saturating_mul(entry))?;
            let written = u64::try_from(self.index.len() / ENTRY).unwrap_or(0);
            self.indexed = self.indexed.saturating_add(written);
            self.index.clear();
        }
        self.tree.flush()
    }

    /// Notes that a head over everything was written.
    pub(super) const fn headed(&mut self) {
        self.last_head = Some(self.tree.size());
    }

    #[cfg(test)]
    pub(super) const fn set_segment_bytes(&mut self, bytes: u64) {
        self.segment_bytes = bytes;
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests on small numbers")]
pub(in crate::evidence) mod tests;
