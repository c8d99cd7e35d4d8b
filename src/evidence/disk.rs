//! What the log needs of a disk: a seam, so that tests can have disks that are full, broken or slow.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A disk.
pub(super) trait Disk: Send + fmt::Debug {
    /// Opens a file for writing, making it if it is missing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Bytes that may still be written.
    fn free(&self) -> io::Result<u64>;
}

/// An open file.
pub(super) trait LogFile: Send + fmt::Debug {
    /// Writes at that offset.
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Waits until content and length are on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts or pads to that length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The disk under a folder.
#[derive(Debug)]
pub(super) struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    /// The disk on which `folder` is.
    pub(super) const fn of(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let new = !path.exists();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        if new && let Some(parent) = path.parent() {
            // Else the file's name could be lost while its content is not.
            File::open(parent)?.sync_all()?;
        }
        Ok(Box::new(RealFile(file)))
    }

    fn free(&self) -> io::Result<u64> {
        let system = rustix::fs::statvfs(&self.folder)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

#[derive(Debug)]
struct RealFile(File);

impl LogFile for RealFile {
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
