//! Reading a log, also beside the gateway that writes it: records by index, look-ups, subtree hashes, heads.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    head::Head,
    heads::{self, Heads},
    index::{ENTRY, Entry, Segment, mark},
    tree::{self, Hash},
};
use crate::clock::Moment;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no log, or the system said no.
    #[error("evidence log: {what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// The log is not that long.
    #[error("evidence log: there is no record {0}")]
    None(u64),
    /// A file does not fit another.
    #[error("evidence log: {0}")]
    Damaged(String),
}

/// The largest record that is read, in bytes.
const RECORD_MAX: u64 = 1 << 20;

/// A log, open for reading.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    id: String,
}

/// What to look for; all that is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'q> {
    /// The correlation id.
    pub correlation_id: Option<&'q str>,
    /// The partner's id.
    pub partner: Option<&'q str>,
    /// Not before.
    pub from: Option<Moment>,
    /// Before.
    pub until: Option<Moment>,
}

impl Log {
    /// Opens the log in a folder.
    ///
    /// # Errors
    /// [`ReadError::Io`] when there is none.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        #[derive(serde::Deserialize)]
        struct Identity {
            log: String,
        }
        let path = folder.join("log.json");
        let bytes = fs::read(&path).map_err(io(&path))?;
        let identity: Identity = serde_json::from_slice(&bytes)
            .map_err(|e| ReadError::Damaged(format!("log.json: {e}")))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            id: identity.log,
        })
    }

    /// Which log it is, as heads name it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Records whose leaf hash is on disk.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn size(&self) -> Result<u64, ReadError> {
        let path = self.folder.join("tree").join("0");
        match fs::metadata(&path) {
            Ok(meta) => Ok(meta.len() / 32),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(io(&path)(error)),
        }
    }

    /// The octets of a record: the leaf.
    ///
    /// # Errors
    /// [`ReadError::None`] when the log is shorter.
    pub fn record(&self, index: u64) -> Result<Vec<u8>, ReadError> {
        let segments = self.segments()?;
        let segment = segment_of(&segments, index)?;
        let at = index.saturating_sub(segment.first);
        let file = File::open(segment.index()).map_err(io(&segment.index()))?;
        let begin = match at.checked_sub(1) {
            None => 0,
            Some(before) => entry(&file, before)?.ok_or(ReadError::None(index))?.end,
        };
        let end = entry(&file, at)?.ok_or(ReadError::None(index))?.end;
        line(segment, begin, end)
    }

    /// Records in order, as far as they are there.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn records(&self, range: Range<u64>) -> Result<Records<'_>, ReadError> {
        let end = range.end.min(self.size()?);
        Ok(Records {
            log: self,
            next: range.start,
            end,
        })
    }

    /// Indices of the records that fit, in order, at most `max`.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn find(&self, query: &Query<'_>, max: usize) -> Result<Vec<u64>, ReadError> {
        let correlation = query.correlation_id.map(mark);
        let partner = query.partner.map(mark);
        let mut found = Vec::new();
        for segment in self.segments()? {
            let path = segment.index();
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io(&path)(error)),
            };
            let mut begin = 0;
            for (at, bytes) in (0_u64..).zip(bytes.chunks_exact(ENTRY)) {
                let Some(entry) = Entry::from_bytes(bytes) else {
                    break;
                };
                let from = std::mem::replace(&mut begin, entry.end);
                let fits = correlation.is_none_or(|mark| mark == entry.correlation)
                    && partner.is_none_or(|mark| mark == entry.partner)
                    && query.from.is_none_or(|from| entry.time >= from)
                    && query.until.is_none_or(|until| entry.time < until);
                // The marks are short: the record itself has the last word.
                if fits && says(&line(&segment, from, entry.end)?, query) {
                    found.push(segment.first.saturating_add(at));
                    if found.len() >= max {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The hash of a complete subtree of 2^level leaves, the `index`-th from the left.
    ///
    /// # Errors
    /// [`ReadError::None`] when the log is shorter.
    pub fn subtree(&self, level: u32, index: u64) -> Result<Hash, ReadError> {
        let folder = self.folder.join("tree");
        tree::read_hash(&folder, level, index)
            .map_err(io(&folder))?
            .ok_or_else(|| {
                ReadError::None(index.saturating_mul(1_u64.checked_shl(level).unwrap_or(u64::MAX)))
            })
    }

    /// The newest signed head.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_head(&self) -> Result<Option<String>, ReadError> {
        self.head(Heads::last)
    }

    /// The oldest head that covers so many records.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head_at_least(&self, size: u64) -> Result<Option<String>, ReadError> {
        self.head(|heads| heads.at_least(size))
    }

    /// The newest head that covers no more than so many records.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head_at_most(&self, size: u64) -> Result<Option<String>, ReadError> {
        self.head(|heads| heads.at_most(size))
    }

    fn head(
        &self,
        which: impl FnOnce(&Heads) -> io::Result<Option<(String, Head)>>,
    ) -> Result<Option<String>, ReadError> {
        let found = Heads::open(&self.folder).and_then(|heads| which(&heads));
        let found = found.map_err(io(&heads::path(&self.folder)))?;
        Ok(found.map(|(text, _)| text))
    }

    fn segments(&self) -> Result<Vec<Segment>, ReadError> {
        Segment::all(&self.folder).map_err(io(&self.folder.join("records")))
    }
}

/// Records in order.
#[derive(Debug)]
pub struct Records<'l> {
    log: &'l Log,
    next: u64,
    end: u64,
}

impl Iterator for Records<'_> {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if index >= self.end {
            return None;
        }
        self.next = index.saturating_add(1);
        Some(self.log.record(index).map(|record| (index, record)))
    }
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> ReadError + use<> {
    let what = path.display().to_string();
    move |error| ReadError::Io { what, error }
}

fn segment_of(segments: &[Segment], index: u64) -> Result<&Segment, ReadError> {
    segments
        .iter()
        .rev()
        .find(|s| s.first <= index)
        .ok_or(ReadError::None(index))
}

fn entry(file: &File, at: u64) -> Result<Option<Entry>, ReadError> {
    let mut bytes = [0; ENTRY];
    let offset = at.saturating_mul(u64::try_from(ENTRY).unwrap_or(u64::MAX));
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Entry::from_bytes(&bytes)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(ReadError::Io {
            what: "reading the index".to_owned(),
            error,
        }),
    }
}

fn line(segment: &Segment, begin: u64, end: u64) -> Result<Vec<u8>, ReadError> {
    let damaged = || {
        ReadError::Damaged(format!(
            "the index of {} does not fit it",
            segment.path.display()
        ))
    };
    let length = end
        .checked_sub(begin)
        .filter(|l| (1..=RECORD_MAX).contains(l))
        .ok_or_else(damaged)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged())?];
    let file = File::open(&segment.path).map_err(io(&segment.path))?;
    file.read_exact_at(&mut bytes, begin)
        .map_err(io(&segment.path))?;
    if bytes.pop() != Some(b'\n') || bytes.contains(&b'\n') {
        return Err(damaged());
    }
    Ok(bytes)
}

fn says(record: &[u8], query: &Query<'_>) -> bool {
    let Ok(record) = serde_json::from_slice::<serde_json::Value>(record) else {
        return false;
    };
    let text = |pointer: &str| record.pointer(pointer).and_then(serde_json::Value::as_str);
    query
        .correlation_id
        .is_none_or(|id| text("/correlationId") == Some(id))
        && query.partner.is_none_or(|id| {
            let called = || text("/peer/id");
            text("/caller/id").or_else(called) == Some(id)
        })
}
