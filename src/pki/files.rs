//! Writing what was made: everything or nothing, never over anything unless told, secrets for their owner alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use zeroize::Zeroizing;

use super::PkiError;

/// What to do about files that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Write nothing at all if one of the files exists.
    Refuse,
    /// Put the new files in their place, one by one, each whole.
    Replace,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner (0600).
    Owner,
    /// Everybody (0644).
    Everybody,
}

/// A file to be written.
pub struct NewFile {
    path: PathBuf,
    readers: Readers,
    bytes: Zeroizing<Vec<u8>>,
}

impl NewFile {
    /// A certificate, a request or a list.
    pub fn public(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            readers: Readers::Everybody,
            bytes: Zeroizing::new(bytes.into()),
        }
    }

    /// A key, a key store or a password.
    pub fn secret(path: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        Self {
            path: path.into(),
            readers: Readers::Owner,
            bytes: Zeroizing::new(bytes.to_vec()),
        }
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Refuses when one of the paths exists, whatever it is (a dangling link too).
///
/// # Errors
/// [`PkiError::Exists`] with all of them.
pub fn refuse_existing<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), PkiError> {
    let taken: Vec<PathBuf> = paths
        .into_iter()
        .filter(|path| fs::symlink_metadata(path).is_ok())
        .map(Path::to_path_buf)
        .collect();
    if taken.is_empty() {
        Ok(())
    } else {
        Err(PkiError::Exists(taken))
    }
}

/// Makes a folder and those above it; a new one gets the mode, an existing one must not be open to others when the mode
/// is not.
///
/// # Errors
/// When it cannot be made.
pub fn folder(path: &Path, readers: Readers) -> Result<(), PkiError> {
    let mode = match readers {
        Readers::Owner => 0o700,
        Readers::Everybody => 0o755,
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
    {
        folder(parent, Readers::Everybody)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            match readers {
                Readers::Owner => fs::set_permissions(path, fs::Permissions::from_mode(mode))
                    .map_err(|error| PkiError::io(path, error)),
                Readers::Everybody => Ok(()),
            }
        }
        Err(error) => Err(PkiError::io(path, error)),
    }
}

/// Writes all files: first beside their places under temporary names, then each into its place in one step. Folders must
/// be there. On an error under [`Overwrite::Refuse`] nothing is left behind.
///
/// # Errors
/// [`PkiError::Exists`] before anything is written; [`PkiError::Io`] when the system refuses.
pub fn write_all(files: &[NewFile], overwrite: Overwrite) -> Result<(), PkiError> {
    if overwrite == Overwrite::Refuse {
        refuse_existing(files.iter().map(NewFile::path))?;
    }
    let mut staged = Vec::with_capacity(files.len());
    for file in files {
        staged.push(Staged::write(file)?);
    }
    let mut placed: Vec<&Path> = Vec::new();
    for staged in &mut staged {
        if let Err(error) = staged.place(overwrite) {
            if overwrite == Overwrite::Refuse {
                for path in placed {
                    // The first error is the one to report.
                    let _ = fs::remove_file(path);
                }
            }
            return Err(error);
        }
        placed.push(&staged.target);
    }
    Ok(())
}

/// A written file that is not yet in its place; removed when dropped before it is.
struct Staged {
    temporary: PathBuf,
    target: PathBuf,
    waiting: bool,
}

impl Staged {
    fn write(file: &NewFile) -> Result<Self, PkiError> {
        let temporary = temporary_beside(&file.path)?;
        let mode = match file.readers {
            Readers::Owner => 0o600,
            Readers::Everybody => 0o644,
        };
        let mut handle = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)
            .map_err(|error| PkiError::io(&file.path, error))?;
        let staged = Self {
            temporary,
            target: file.path.clone(),
            waiting: true,
        };
        handle
            .write_all(&file.bytes)
            .and_then(|()| File::sync_all(&handle))
            .map_err(|error| PkiError::io(&file.path, error))?;
        Ok(staged)
    }

    fn place(&mut self, overwrite: Overwrite) -> Result<(), PkiError> {
        match overwrite {
            Overwrite::Replace => {
                fs::rename(&self.temporary, &self.target)
                    .map_err(|error| PkiError::io(&self.target, error))?;
                self.waiting = false;
                Ok(())
            }
            // A link refuses an existing name, where a rename would overwrite a file that came in between.
            Overwrite::Refuse => match fs::hard_link(&self.temporary, &self.target) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Err(PkiError::Exists(vec![self.target.clone()]))
                }
                // A file system without links: look once more, then rename.
                Err(_) => {
                    refuse_existing([self.target.as_path()])?;
                    fs::rename(&self.temporary, &self.target)
                        .map_err(|error| PkiError::io(&self.target, error))?;
                    self.waiting = false;
                    Ok(())
                }
            },
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.waiting {
            // Nothing better can be done with a failure here.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn temporary_beside(path: &Path) -> Result<PathBuf, PkiError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| PkiError::Name {
        what: "file",
        value: path.display().to_string(),
        why: "it has no file name",
    })?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{count}.new", std::process::id()));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn one_file_in_the_way_keeps_all_from_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let last = dir.path().join("c.pem");
        fs::write(&last, "mine").unwrap();
        let files = ["a.pem", "b.pem", "c.pem"]
            .map(|name| NewFile::public(dir.path().join(name), name.as_bytes().to_vec()));
        let error = write_all(&files, Overwrite::Refuse).unwrap_err();
        assert!(
            matches!(&error, PkiError::Exists(paths) if paths == std::slice::from_ref(&last)),
            "{error}"
        );
        assert_eq!(names(dir.path()), ["c.pem"]);
        assert_eq!(fs::read(&last).unwrap(), b"mine");

        write_all(&files, Overwrite::Replace).unwrap();
        assert_eq!(names(dir.path()), ["a.pem", "b.pem", "c.pem"]);
        assert_eq!(fs::read(&last).unwrap(), b"c.pem");
    }

    #[test]
    fn a_dangling_link_is_in_the_way_too() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("a.pem");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        let file = [NewFile::public(&link, *b"x")];
        assert!(matches!(
            write_all(&file, Overwrite::Refuse),
            Err(PkiError::Exists(_))
        ));
    }

    #[test]
    fn secrets_are_for_their_owner_alone_also_when_they_replace_an_open_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.key.pem");
        fs::write(&path, "open").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_all(&[NewFile::secret(&path, b"secret")], Overwrite::Replace).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_failure_half_way_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            NewFile::public(dir.path().join("a.pem"), *b"a"),
            NewFile::public(dir.path().join("missing/b.pem"), *b"b"),
        ];
        assert!(matches!(
            write_all(&files, Overwrite::Refuse),
            Err(PkiError::Io { .. })
        ));
        assert_eq!(names(dir.path()), [""; 0]);
    }
}
