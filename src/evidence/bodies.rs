//! Kept bodies: sealed under a key for each UTC day and partner, so that what was said can be erased while that it was said stays
//! proven. The keys are wrapped under the key of the store, and each has a file of its own for what it sealed; erasing is destroying a
//! wrapped key, and gives the room back.

mod erase;
mod place;

pub use erase::erase;
pub(super) use erase::finish;
use place::{Files, day, name_parts, sync_folder};

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{Context, SHA256},
    rand,
};
use zeroize::Zeroizing;

use super::tree::Hash;
use crate::{
    clock::Moment,
    store::{Place, Vault},
};

/// Which body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The request.
    Request = 1,
    /// The answer.
    Answer = 2,
}

/// Why a body was not kept, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The system said no.
    #[error("kept bodies: {0}")]
    Io(#[from] io::Error),
    /// The key does not open.
    #[error("kept bodies: the key {0} is not under a key of the store")]
    Key(String),
    /// The cryptography failed.
    #[error("kept bodies: the cryptography failed")]
    Cryptography,
    /// A name that is no day, partner or key.
    #[error("kept bodies: `{0}` names no day and partner")]
    Name(String),
}

const ID: usize = 16;
const SALT: usize = 16;
/// Bytes before the sealed body in an entry.
const HEAD: usize = ID + 1 + 4;
/// Keys of one day and partner: one more after each erasing.
const KEYS_MAX: u32 = 1000;

/// A body that is sealed, and not yet on disk.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Under which key.
    pub(super) key: Arc<BodyKey>,
    /// The entry as it is appended.
    pub(super) entry: Vec<u8>,
    /// The digest of the sealed body.
    pub(super) sealed: Hash,
    /// The digest of salt and body.
    pub(super) plain: Hash,
}

/// What stands in a record for one exchange's bodies.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: [u8; ID],
    pub(super) key: Arc<BodyKey>,
}

/// The key of a day and partner.
pub(super) struct BodyKey {
    /// `<day>/<partner>-<n>`.
    pub(super) name: String,
    key: LessSafeKey,
    /// What it sealed.
    pub(super) sealed: PathBuf,
    /// There from the moment at which it is erased.
    erased: PathBuf,
}

impl BodyKey {
    /// Whether somebody erases it, or has. What it seals from then on can never be read.
    pub(super) fn is_erased(&self) -> bool {
        self.erased.exists()
    }
}

impl std::fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BodyKey").field(&self.name).finish()
    }
}

/// The kept bodies of a log.
#[derive(Debug)]
pub struct Bodies {
    folder: PathBuf,
    vault: Vault,
    held: Mutex<HashMap<String, Arc<BodyKey>>>,
}

impl Bodies {
    /// The kept bodies beside the log in `folder`.
    pub fn new(folder: &Path, vault: Vault) -> Self {
        Self {
            folder: folder.join("bodies"),
            vault,
            held: Mutex::default(),
        }
    }

    /// Begins the bodies of one exchange.
    pub(super) fn begin(&self, now: Moment, partner: &str) -> Result<Batch, BodyError> {
        let mut id = [0; ID];
        rand::fill(&mut id).map_err(|_| BodyError::Cryptography)?;
        let key = self.key(&day(now), partner)?;
        Ok(Batch { id, key })
    }

    /// Seals one body.
    pub(super) fn seal(
        &self,
        batch: &Batch,
        which: Which,
        body: &[u8],
    ) -> Result<Sealed, BodyError> {
        let failed = |_| BodyError::Cryptography;
        let mut salt = [0; SALT];
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut salt).map_err(failed)?;
        rand::fill(&mut nonce).map_err(failed)?;
        let room = HEAD
            .saturating_add(NONCE_LEN)
            .saturating_add(SALT)
            .saturating_add(16);
        let mut entry = Vec::with_capacity(room.saturating_add(body.len()));
        entry.extend_from_slice(&batch.id);
        entry.push(which as u8);
        entry.extend_from_slice(&[0; 4]);
        entry.extend_from_slice(&nonce);
        entry.extend_from_slice(&salt);
        entry.extend_from_slice(body);
        let begin = HEAD.saturating_add(NONCE_LEN);
        let content = entry.get_mut(begin..).ok_or(BodyError::Cryptography)?;
        let plain = digest(&[content]);
        let belongs = belonging(&batch.id, which, &batch.key.name);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = (batch.key.key)
            .seal_in_place_separate_tag(nonce, Aad::from(belongs), content)
            .map_err(failed)?;
        entry.extend_from_slice(tag.as_ref());
        let length =
            u32::try_from(entry.len().saturating_sub(HEAD)).map_err(|_| BodyError::Cryptography)?;
        let (head, sealed) = entry
            .split_at_mut_checked(HEAD)
            .ok_or(BodyError::Cryptography)?;
        for (to, from) in head.iter_mut().skip(ID + 1).zip(length.to_be_bytes()) {
            *to = from;
        }
        let sealed = digest(&[sealed]);
        Ok(Sealed {
            key: Arc::clone(&batch.key),
            sealed,
            plain,
            entry,
        })
    }

    /// A kept body as it travelled, with its salt; `None` when it is not there or its key was erased.
    ///
    /// # Errors
    /// [`BodyError`] when the file cannot be read, or what is there does not open.
    pub fn open(&self, key: &str, id: [u8; 16], which: Which) -> Result<Option<Opened>, BodyError> {
        name_parts(key)?;
        let body_key = match self.read_key(key) {
            Err(BodyError::Io(e)) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let bytes = match fs::read(&body_key.sealed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut rest = bytes.as_slice();
        while let Some((head, behind)) = rest.split_at_checked(HEAD) {
            let length =
                (head.get(ID + 1..).and_then(|b| b.try_into().ok())).map_or(0, u32::from_be_bytes);
            let Some((sealed, next)) =
                behind.split_at_checked(usize::try_from(length).unwrap_or(usize::MAX))
            else {
                break;
            };
            rest = next;
            if head.get(..ID) != Some(&id[..]) || head.get(ID) != Some(&(which as u8)) {
                continue;
            }
            let (nonce, content) = sealed
                .split_at_checked(NONCE_LEN)
                .ok_or(BodyError::Cryptography)?;
            let nonce =
                Nonce::try_assume_unique_for_key(nonce).map_err(|_| BodyError::Cryptography)?;
            let mut content = Zeroizing::new(content.to_vec());
            let plain = body_key
                .key
                .open_in_place(nonce, Aad::from(belonging(&id, which, key)), &mut content)
                .map_err(|_| BodyError::Cryptography)?
                .len();
            content.truncate(plain);
            return Ok(Some(Opened { salted: content }));
        }
        Ok(None)
    }

    /// Forgets keys that are erased, and those of other days. Called by who writes: what was written under a key in the moment in which it
    /// was erased goes as well.
    pub(super) fn look_after(&self, now: Moment) {
        let today = day(now);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|name, key| {
            let erased = key.is_erased();
            if erased && let Err(error) = erase::reclaim(&key.sealed) {
                tracing::warn!(%error, "evidence: the room of erased bodies is not given back; it is tried again at the next start");
            }
            name.starts_with(&today) && !erased
        });
    }

    fn key(&self, day: &str, partner: &str) -> Result<Arc<BodyKey>, BodyError> {
        let of = format!("{day}/{partner}");
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = held.get(&of)
            && !key.is_erased()
        {
            return Ok(Arc::clone(key));
        }
        for number in 1..=KEYS_MAX {
            let name = format!("{of}-{number}");
            let files = Files::of(&self.folder, &name);
            if files.erased.exists() {
                continue;
            }
            let key = if files.key.exists() {
                self.read_key(&name)?
            } else {
                self.make_key(&name, files)?
            };
            let key = Arc::new(key);
            held.insert(of, Arc::clone(&key));
            return Ok(key);
        }
        Err(BodyError::Name(of))
    }

    fn read_key(&self, name: &str) -> Result<BodyKey, BodyError> {
        let files = Files::of(&self.folder, name);
        let wrapped = fs::read(&files.key)?;
        let key = (self.vault.open(place(name), &wrapped))
            .map_err(|_| BodyError::Key(name.to_owned()))?;
        ready(name, files, &key)
    }

    fn make_key(&self, name: &str, files: Files) -> Result<BodyKey, BodyError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        rand::fill(key.as_mut()).map_err(|_| BodyError::Cryptography)?;
        let wrapped =
            (self.vault.seal(place(name), key.as_ref())).map_err(|_| BodyError::Cryptography)?;
        for file in [&files.key, &files.sealed] {
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&files.key)?;
        file.write_all(&wrapped.bytes)?;
        file.sync_all()?;
        sync_folder(&files.key)?;
        ready(name, files, key.as_ref())
    }
}

/// A kept body, opened.
pub struct Opened {
    salted: Zeroizing<Vec<u8>>,
}

impl Opened {
    /// The body as it travelled.
    pub fn body(&self) -> &[u8] {
        self.salted.get(SALT..).unwrap_or_default()
    }

    /// Salt and body, as a bundle has them.
    pub fn salted(&self) -> &[u8] {
        &self.salted
    }

    /// `plainDigest`: of salt and body.
    pub fn plain_digest(&self) -> Hash {
        digest(&[&self.salted])
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened(..)")
    }
}

fn ready(name: &str, files: Files, key: &[u8]) -> Result<BodyKey, BodyError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| BodyError::Cryptography)?;
    Ok(BodyKey {
        name: name.to_owned(),
        key: LessSafeKey::new(key),
        sealed: files.sealed,
        erased: files.erased,
    })
}

const fn place(name: &str) -> Place<'_> {
    Place {
        kind: "evidence",
        key: name,
        column: "body key",
    }
}

fn belonging(id: &[u8; ID], which: Which, key: &str) -> Vec<u8> {
    [id.as_slice(), &[which as u8], key.as_bytes()].concat()
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;
