//! The file itself: nobody but its owner reads it, and one gateway alone runs on it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::StoreError;

/// How long a gateway waits for the one before it to be gone.
const WAIT: Duration = Duration::from_secs(5);
const OWNER_ONLY: u32 = 0o600;

/// The lock beside the store's file: held by the gateway that runs on it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Opens it, without taking it.
    pub(super) fn beside(path: &Path) -> Result<Self, StoreError> {
        folder(path)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let file = open(&path)?;
        Ok(Self { path, file })
    }

    /// Takes it, until it is dropped or the process ends.
    pub(super) fn take(&self, store: &Path) -> Result<(), StoreError> {
        let began = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                // One that was killed may take a moment to be gone.
                Err(TryLockError::WouldBlock) if began.elapsed() < WAIT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::InUse(store.display().to_string()));
                }
                Err(TryLockError::Error(e)) => return Err(cannot(&self.path, &e)),
            }
        }
    }

    /// Whether nobody holds it.
    pub(super) fn is_free(&self) -> bool {
        open(&self.path).is_ok_and(|other| other.try_lock().is_ok())
    }
}

/// Makes the file, or looks at the one that is there.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let file = open(path)?;
    let about = file.metadata().map_err(|e| cannot(path, &e))?;
    if !about.is_file() {
        return Err(StoreError::File(format!(
            "{} is not a plain file. Name the right one",
            path.display()
        )));
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        // Volumes of container platforms come with wider modes than the file was made with.
        file.set_permissions(fs::Permissions::from_mode(OWNER_ONLY))
            .map_err(|e| {
                StoreError::File(format!(
                    "{} has mode {mode:04o}, so that others than its owner may use it, and this cannot be changed: {e}. Run `chmod 600` on it as its owner",
                    path.display()
                ))
            })?;
        tracing::warn!(
            "the store's file {} had mode {mode:04o}; it is now 0600",
            path.display()
        );
    }
    Ok(())
}

/// The folder must be there, and not everybody may put files into it.
fn folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let about = fs::metadata(folder).map_err(|e| {
        StoreError::File(format!(
            "the folder {} cannot be used: {e}. Make it, or name another one",
            folder.display()
        ))
    })?;
    if about.mode() & 0o002 != 0 {
        return Err(StoreError::File(format!(
            "everybody may write into the folder {} (mode {:04o}). Give the store a folder of its own, with mode 0700",
            folder.display(),
            about.mode() & 0o7777
        )));
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)
        .map_err(|e| cannot(path, &e))
}

fn cannot(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::File(format!(
        "{} cannot be used: {error}. Check the path and the permissions",
        path.display()
    ))
}
