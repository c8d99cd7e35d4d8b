//! Kept bodies: sealed under a key for each UTC day and partner, so that what was said can be erased while that it was said stays
//! proven. The keys are wrapped under the key of the store; erasing is destroying a wrapped key.

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
    pub(super) file: PathBuf,
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
    file: PathBuf,
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
            file: self.file_of(&batch.key.name),
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
        let path = self.folder.join("keys").join(format!("{key}.key"));
        let body_key = match self.read_key(key, &path) {
            Err(BodyError::Io(e)) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let bytes = match fs::read(self.file_of(key)) {
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

    /// Forgets keys whose file is gone, and those of other days.
    pub(super) fn look_after(&self, now: Moment) {
        let today = day(now);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|name, key| name.starts_with(&today) && key.file.exists());
    }

    fn file_of(&self, key: &str) -> PathBuf {
        let of = key.rsplit_once('-').map_or(key, |(of, _)| of);
        self.folder.join(format!("{of}.sealed"))
    }

    fn key(&self, day: &str, partner: &str) -> Result<Arc<BodyKey>, BodyError> {
        let of = format!("{day}/{partner}");
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = held.get(&of)
            && key.file.exists()
        {
            return Ok(Arc::clone(key));
        }
        let keys = self.folder.join("keys");
        for number in 1..=KEYS_MAX {
            let name = format!("{of}-{number}");
            let path = keys.join(format!("{name}.key"));
            if keys.join(format!("{name}.erased")).exists() {
                continue;
            }
            let key = if path.exists() {
                self.read_key(&name, &path)?
            } else {
                self.make_key(&name, &path)?
            };
            let key = Arc::new(key);
            held.insert(of, Arc::clone(&key));
            return Ok(key);
        }
        Err(BodyError::Name(of))
    }

    fn read_key(&self, name: &str, path: &Path) -> Result<BodyKey, BodyError> {
        let wrapped = fs::read(path)?;
        let key = (self.vault.open(place(name), &wrapped))
            .map_err(|_| BodyError::Key(name.to_owned()))?;
        ready(name, path, &key)
    }

    fn make_key(&self, name: &str, path: &Path) -> Result<BodyKey, BodyError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        rand::fill(key.as_mut()).map_err(|_| BodyError::Cryptography)?;
        let wrapped =
            (self.vault.seal(place(name), key.as_ref())).map_err(|_| BodyError::Cryptography)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        if let Some(parent) = self.file_of(name).parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(&wrapped.bytes)?;
        file.sync_all()?;
        sync_folder(path)?;
        ready(name, path, key.as_ref())
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

/// Erases what was kept of a partner on a day: destroys the keys. The records and their proofs stay what they are. Gives the names of
/// the keys that are gone. A running gateway goes on with a new key.
///
/// # Errors
/// [`BodyError`] when a name is no day or partner, or a key cannot be overwritten.
pub fn erase(folder: &Path, day: &str, partner: &str) -> Result<Vec<String>, BodyError> {
    let keys = folder.join("bodies").join("keys");
    let mut gone = Vec::new();
    for number in 1..=KEYS_MAX {
        let name = format!("{day}/{partner}-{number}");
        name_parts(&name)?;
        let (path, erased) = (
            keys.join(format!("{name}.key")),
            keys.join(format!("{name}.erased")),
        );
        let length = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound && erased.exists() => continue,
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            Err(e) => return Err(e.into()),
        };
        // First, so that nobody makes a key of that name again.
        fs::File::create(&erased)?.sync_all()?;
        let mut file = OpenOptions::new().write(true).open(&path)?;
        file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
        file.sync_all()?;
        fs::remove_file(&path)?;
        sync_folder(&path)?;
        gone.push(name);
    }
    Ok(gone)
}

/// The UTC day of a moment.
pub(super) fn day(now: Moment) -> String {
    let mut text = Vec::new();
    now.push_rfc3339(&mut text);
    text.truncate(10);
    String::from_utf8_lossy(&text).into_owned()
}

/// `<day>/<partner>-<n>`, of nothing but what days and partner ids are made of: it becomes a path.
fn name_parts(name: &str) -> Result<(), BodyError> {
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

fn ready(name: &str, path: &Path, key: &[u8]) -> Result<BodyKey, BodyError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| BodyError::Cryptography)?;
    Ok(BodyKey {
        name: name.to_owned(),
        key: LessSafeKey::new(key),
        file: path.to_path_buf(),
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

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;

    fn bodies(folder: &Path) -> Bodies {
        Bodies::new(folder, Vault::new(&[Secret::new(vec![7; 32])]).unwrap())
    }

    fn keep(bodies: &Bodies, partner: &str, body: &[u8]) -> (Batch, Sealed) {
        let batch = bodies.begin(Moment::from_s(0), partner).unwrap();
        let sealed = bodies.seal(&batch, Which::Request, body).unwrap();
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&sealed.file)
            .unwrap();
        file.write_all(&sealed.entry).unwrap();
        (batch, sealed)
    }

    #[test]
    fn a_kept_body_opens_with_its_digests_until_its_key_is_erased_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = bodies(folder.path());
        let (one, sealed) = keep(&kept, "crvs", b"who it was");
        let (other, _) = keep(&kept, "bank", b"somebody else");
        assert!(!sealed.entry.windows(6).any(|w| w == b"who it"));
        let opened = kept
            .open(&one.key.name, one.id, Which::Request)
            .unwrap()
            .unwrap();
        assert_eq!(
            (opened.body(), opened.plain_digest()),
            (&b"who it was"[..], sealed.plain)
        );
        assert!(
            kept.open(&one.key.name, one.id, Which::Answer)
                .unwrap()
                .is_none()
        );

        let gone = erase(folder.path(), "1970-01-01", "crvs").unwrap();
        assert_eq!(gone, ["1970-01-01/crvs-1"]);
        assert!(
            kept.open(&one.key.name, one.id, Which::Request)
                .unwrap()
                .is_none()
        );
        assert!(
            kept.open(&other.key.name, other.id, Which::Request)
                .unwrap()
                .is_some()
        );
        // The same process goes on with another key.
        let (next, _) = keep(&kept, "crvs", b"later");
        assert_eq!(next.key.name, "1970-01-01/crvs-2");
        assert_eq!(
            erase(folder.path(), "1970-01-01", "crvs").unwrap(),
            ["1970-01-01/crvs-2"]
        );
        assert!(
            erase(folder.path(), "1970-01-01", "nobody")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_body_under_another_store_key_or_name_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let (batch, _) = keep(&bodies(folder.path()), "crvs", b"x");
        let other = Bodies::new(
            folder.path(),
            Vault::new(&[Secret::new(vec![8; 32])]).unwrap(),
        );
        assert!(matches!(
            other.open(&batch.key.name, batch.id, Which::Request),
            Err(BodyError::Key(_))
        ));
        let keys = folder.path().join("bodies/keys/1970-01-01");
        fs::copy(keys.join("crvs-1.key"), keys.join("bank-1.key")).unwrap();
        let moved = bodies(folder.path()).open("1970-01-01/bank-1", batch.id, Which::Request);
        assert!(matches!(moved, Err(BodyError::Key(_))));
    }

    #[test]
    fn a_name_that_would_be_another_path_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (day, partner) in [
            ("..", "x"),
            ("1970-01-01", "../x"),
            ("1970-01-0a", "x"),
            ("1970-01-01", ""),
        ] {
            assert!(
                matches!(erase(folder.path(), day, partner), Err(BodyError::Name(_))),
                "{day} {partner}"
            );
        }
    }
}
