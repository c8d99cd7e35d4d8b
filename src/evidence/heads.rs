//! The file of tree heads: one compact JWS a line, each over more records than the one before. Appended to by the gateway; read from its
//! end, or by halving, since it grows by up to a line a second for as long as the gateway lives.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    disk::{Disk, LogFile},
    head::Head,
};

/// The file of heads in the log's folder.
const FILE: &str = "heads.jws";

/// The longest line: a head is below 2 KiB whatever the key.
const LINE_MAX: u64 = 8 << 10;

/// Where the file is.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The heads of a log, to look up. No question reads more than a few lines.
#[derive(Debug)]
pub(super) struct Heads {
    /// None where no head was ever signed.
    file: Option<File>,
    /// Where whole lines end; a line without its end is being written, or torn.
    length: u64,
}

impl Heads {
    /// Opens what is there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = match File::open(path(folder)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    file: None,
                    length: 0,
                });
            }
            Err(e) => return Err(e),
        };
        let there = file.metadata()?.len();
        let from = there.saturating_sub(LINE_MAX);
        let tail = read(&file, from, there)?;
        let length = match tail.iter().rposition(|b| *b == b'\n') {
            Some(at) => after(from, at),
            None if from == 0 => 0,
            None => return Err(damaged("its end is no head")),
        };
        Ok(Self {
            file: Some(file),
            length,
        })
    }

    /// The newest.
    pub(super) fn last(&self) -> io::Result<Option<(String, Head)>> {
        self.before(self.length)
    }

    /// The oldest that covers so many records.
    pub(super) fn at_least(&self, size: u64) -> io::Result<Option<(String, Head)>> {
        let at = self.first_over(size)?;
        if at >= self.length {
            return Ok(None);
        }
        self.line(at).map(|(_, text, head)| Some((text, head)))
    }

    /// The newest that covers no more than so many records.
    pub(super) fn at_most(&self, size: u64) -> io::Result<Option<(String, Head)>> {
        self.before(self.first_over(size.saturating_add(1))?)
    }

    /// Where the first line begins whose head covers `size` records; the end where none does.
    fn first_over(&self, size: u64) -> io::Result<u64> {
        // Lines before `low` cover less; the line at `high` covers enough, or there is none.
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low.midpoint(high);
            let begin = self.begin_of(middle)?.max(low);
            let (end, _, head) = self.line(begin)?;
            if head.size >= size {
                high = begin;
            } else {
                low = end;
            }
        }
        Ok(low)
    }

    /// Where the line begins in which that offset lies.
    fn begin_of(&self, offset: u64) -> io::Result<u64> {
        let from = offset.saturating_sub(LINE_MAX);
        let bytes = self.read(from, offset)?;
        match bytes.iter().rposition(|b| *b == b'\n') {
            Some(at) => Ok(after(from, at)),
            None if from == 0 => Ok(0),
            None => Err(damaged("a line is too long for a head")),
        }
    }

    /// The line that begins there, and where the next one does.
    fn line(&self, begin: u64) -> io::Result<(u64, String, Head)> {
        let bytes = self.read(begin, begin.saturating_add(LINE_MAX).min(self.length))?;
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        if line.len() >= bytes.len() {
            return Err(damaged("a line is too long for a head"));
        }
        let text = String::from_utf8(line.to_vec()).map_err(|_| damaged("a head is no text"))?;
        let head = Head::parse(&text).ok_or_else(|| damaged("a head cannot be read"))?;
        Ok((after(begin, line.len()), text, head))
    }

    /// The line that ends there.
    fn before(&self, end: u64) -> io::Result<Option<(String, Head)>> {
        let Some(of_line) = end.checked_sub(1) else {
            return Ok(None);
        };
        let (_, text, head) = self.line(self.begin_of(of_line)?)?;
        Ok(Some((text, head)))
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        match &self.file {
            Some(file) => read(file, from, to),
            None => Ok(Vec::new()),
        }
    }
}

fn read(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

/// The offset behind the line end at `at`, counted from `from`.
fn after(from: u64, at: usize) -> u64 {
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    from.saturating_add(at).saturating_add(1)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {what}"))
}

/// The file of heads, open for writing.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: Box<dyn LogFile>,
    length: u64,
}

impl HeadFile {
    /// Opens it, and cuts a torn line off.
    pub(super) fn open(folder: &Path, disk: &dyn Disk) -> io::Result<Self> {
        let length = Heads::open(folder)?.length;
        let mut file = disk.open(&path(folder))?;
        file.cut(length)?;
        Ok(Self { file, length })
    }

    /// Appends a head; after an error nothing of it counts.
    pub(super) fn append(&mut self, jws: &str) -> io::Result<()> {
        let line = format!("{jws}\n");
        let written = self
            .file
            .write(line.as_bytes(), self.length)
            .and_then(|()| self.file.sync());
        if let Err(error) = written {
            // Else its rest would stand behind the next, shorter one.
            self.file.cut(self.length)?;
            return Err(error);
        }
        let bytes = u64::try_from(line.len()).unwrap_or(0);
        self.length = self.length.saturating_add(bytes);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests on small numbers")]
mod tests {
    use std::{fs, io::Write, os::unix::fs::MetadataExt};

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    /// A head by its form; lines are of different lengths.
    fn line(size: u64, salt: usize) -> String {
        let root = URL_SAFE_NO_PAD.encode([7; 32]);
        let payload = format!(r#"{{"log":"l","size":{size},"root":"{root}","time":"t"}}"#);
        let signature = "s".repeat(300 + salt % 400);
        format!("e30.{}.{signature}", URL_SAFE_NO_PAD.encode(payload))
    }

    fn write(folder: &Path, sizes: impl Iterator<Item = u64>) {
        let file = File::create(path(folder)).unwrap();
        let mut file = io::BufWriter::new(file);
        for (n, size) in sizes.enumerate() {
            writeln!(file, "{}", line(size, n * 37)).unwrap();
        }
        file.flush().unwrap();
    }

    #[test]
    fn every_head_is_found_by_size_as_if_each_had_been_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        for count in [0, 1, 2, 3, 40] {
            let sizes: Vec<u64> = (1..=count).map(|n| n * n + 2).collect();
            write(folder.path(), sizes.iter().copied());
            let heads = Heads::open(folder.path()).unwrap();
            let size = |found: Option<(String, Head)>| found.map(|(_, head)| head.size);
            assert_eq!(size(heads.last().unwrap()), sizes.last().copied());
            for asked in 0..=count * count + 5 {
                let least = sizes.iter().find(|size| **size >= asked).copied();
                let most = sizes.iter().rfind(|size| **size <= asked).copied();
                assert_eq!(size(heads.at_least(asked).unwrap()), least, "{asked}");
                assert_eq!(size(heads.at_most(asked).unwrap()), most, "{asked}");
            }
        }
    }

    #[test]
    fn a_file_of_gigabytes_is_answered_from_a_few_lines() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1..=200);
        // A hole that no reader of the whole file would get over in time or memory, and then a whole last line.
        let file = fs::OpenOptions::new()
            .write(true)
            .open(path(folder.path()))
            .unwrap();
        let far = 64 << 30;
        file.write_all_at(format!("\n{}\n", line(9_999, 0)).as_bytes(), far)
            .unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < 16 << 20);
        let heads = Heads::open(folder.path()).unwrap();
        let (text, head) = heads.last().unwrap().unwrap();
        assert_eq!((text, head.size), (line(9_999, 0), 9_999));
        // What is no head is said, not read on and on.
        assert!(heads.at_least(150).is_err());
    }

    #[test]
    fn a_line_without_its_end_does_not_count_and_is_cut_off_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1..=3);
        let whole = fs::metadata(path(folder.path())).unwrap().len();
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(path(folder.path()))
            .unwrap();
        file.write_all(&line(4, 0).as_bytes()[..100]).unwrap();
        let heads = Heads::open(folder.path()).unwrap();
        assert_eq!(heads.last().unwrap().unwrap().1.size, 3);
        assert!(heads.at_least(4).unwrap().is_none());
        let disk = crate::evidence::disk::RealDisk::of(folder.path().to_path_buf());
        let mut file = HeadFile::open(folder.path(), &disk).unwrap();
        assert_eq!(fs::metadata(path(folder.path())).unwrap().len(), whole);
        file.append(&line(4, 0)).unwrap();
        let heads = Heads::open(folder.path()).unwrap();
        assert_eq!(heads.at_least(4).unwrap().unwrap().1.size, 4);
    }
}
