//! Where kept bodies and their keys are: names that become paths.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::BodyError;
use crate::clock::Moment;

/// The UTC day of a moment.
pub(in crate::evidence) fn day(now: Moment) -> String {
    let mut text = Vec::new();
    now.push_rfc3339(&mut text);
    text.truncate(10);
    String::from_utf8_lossy(&text).into_owned()
}

/// `<day>/<partner>-<n>`, of nothing but what days and partner ids are made of: it becomes a path.
pub(super) fn name_parts(name: &str) -> Result<(), BodyError> {
    let fits = name.split_once('/').is_some_and(|(day, key)| {
        let day_form = day.len() == 10
            && day.bytes().enumerate().all(|(at, b)| {
                if at == 4 || at == 7 {
                    b == b'-'
                } else {
                    b.is_ascii_digit()
                }
            });
        let id = key.rsplit_once('-').map_or("", |(id, _)| id);
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        day_form && !id.is_empty() && key.len() <= 200 && key.bytes().all(letters)
    });
    if fits {
        Ok(())
    } else {
        Err(BodyError::Name(name.to_owned()))
    }
}

/// Where the parts of a key are.
pub(super) struct Files {
    pub(super) key: PathBuf,
    pub(super) erased: PathBuf,
    pub(super) sealed: PathBuf,
}

impl Files {
    /// In the folder `bodies`.
    pub(super) fn of(folder: &Path, name: &str) -> Self {
        let keys = folder.join("keys");
        Self {
            key: keys.join(format!("{name}.key")),
            erased: keys.join(format!("{name}.erased")),
            sealed: folder.join(format!("{name}.sealed")),
        }
    }
}

/// Has a folder's names on disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
