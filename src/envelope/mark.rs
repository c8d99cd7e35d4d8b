//! The mark on disk: one moment, replaced as a whole and durably.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::clock::Moment;

const NAME: &str = "replay-mark";
const NEW: &str = "replay-mark.new";

/// Bytes of a mark: the longest i64 and a line end.
const MARK_MAX: usize = 24;

pub(super) struct Mark {
    folder: PathBuf,
    /// Another process writes it now.
    sealed: bool,
}

impl Mark {
    /// The mark of a folder and what it holds now; `None` when there is none or it is not ours.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Option<Moment>)> {
        let mark = Self {
            folder: folder.to_owned(),
            sealed: false,
        };
        match fs::read(mark.folder.join(NAME)) {
            Ok(bytes) => Ok((mark, parse(&bytes))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((mark, None)),
            Err(e) => Err(e),
        }
    }

    /// From here on another process writes it.
    pub(super) const fn seal(&mut self) {
        self.sealed = true;
    }

    /// Whether another process writes it.
    pub(super) const fn sealed(&self) -> bool {
        self.sealed
    }

    /// Replaces the mark. When this returns, it survives a loss of power.
    pub(super) fn write(&mut self, moment: Moment) -> io::Result<()> {
        let new = self.folder.join(NEW);
        let mut file = File::create(&new)?;
        writeln!(file, "{}", moment.ms())?;
        file.sync_data()?;
        fs::rename(&new, self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn parse(bytes: &[u8]) -> Option<Moment> {
    if bytes.len() > MARK_MAX {
        return None;
    }
    let digits = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    digits.parse().ok().map(Moment::from_ms)
}
