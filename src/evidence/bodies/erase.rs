//! Erasing kept bodies. First a marker says that the key is given up, then the key is destroyed, then what it sealed is removed: whatever
//! is cut off in between, the rest is done by asking again, or by the next start.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::{BodyError, Files, KEYS_MAX, name_parts, sync_folder};

/// Erases what was kept of a partner on a day: destroys the keys, and removes what they sealed. The records and their proofs stay what
/// they are. Gives the names of the keys that are gone. A running gateway goes on with a new key.
///
/// # Errors
/// [`BodyError`] when a name is no day or partner, or a key cannot be overwritten.
pub fn erase(folder: &Path, day: &str, partner: &str) -> Result<Vec<String>, BodyError> {
    let folder = folder.join("bodies");
    let mut gone = Vec::new();
    for number in 1..=KEYS_MAX {
        let name = format!("{day}/{partner}-{number}");
        name_parts(&name)?;
        let files = Files::of(&folder, &name);
        let (is_there, erased) = (files.key.try_exists()?, files.erased.try_exists()?);
        if !is_there && !erased {
            break;
        }
        if !erased {
            // First, so that nobody makes a key of that name again, or writes more under this one.
            fs::File::create(&files.erased)?.sync_all()?;
            sync_folder(&files.erased)?;
        }
        destroy(&files)?;
        if is_there {
            gone.push(name);
        }
    }
    Ok(gone)
}

/// Ends what an erasing that was cut off has begun.
pub(in crate::evidence) fn finish(folder: &Path) -> io::Result<()> {
    let folder = folder.join("bodies");
    let days = match fs::read_dir(folder.join("keys")) {
        Ok(days) => days,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for day in days {
        let day = day?;
        for entry in fs::read_dir(day.path())? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "erased") {
                continue;
            }
            let (Some(key), Ok(day)) = (
                path.file_stem().and_then(|s| s.to_str()),
                day.file_name().into_string(),
            ) else {
                continue;
            };
            let name = format!("{day}/{key}");
            if name_parts(&name).is_ok() {
                destroy(&Files::of(&folder, &name))?;
            }
        }
    }
    Ok(())
}

/// The key is overwritten before its name goes: a removed file's content may be read from the disk for a while.
fn destroy(files: &Files) -> io::Result<()> {
    match OpenOptions::new().write(true).open(&files.key) {
        Ok(mut file) => {
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
            file.write_all(&vec![0; length])?;
            file.sync_all()?;
            fs::remove_file(&files.key)?;
            sync_folder(&files.key)?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    reclaim(&files.sealed)
}

/// Gives back the room of what nobody can open any more.
pub(super) fn reclaim(sealed: &Path) -> io::Result<()> {
    match fs::remove_file(sealed) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
