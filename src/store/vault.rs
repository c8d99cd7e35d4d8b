//! What encrypts the contents of the store, whatever the engine: AES-256-GCM, each content under a key of its own.
//!
//! A content's key is derived from one of the given keys and 24 random bytes that stand before the ciphertext, so that no
//! number of contents wears a given key out. Where a content belongs (kind, key, column) is authenticated with it: a
//! ciphertext that is moved to another row does not open.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest, hkdf, rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::StoreError;
use crate::keys::Secret;

/// Bytes of a given key.
const KEY_BYTES: usize = 32;
/// The form of what [`Vault::seal`] writes.
const FORM: u8 = 1;
const SALT_BYTES: usize = 24;
const NONCE_BYTES: usize = 12;
/// The form, the key's id, the salt.
const HEAD_BYTES: usize = 1 + 8 + SALT_BYTES;

/// Which given key a content is under: eight bytes of a digest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl KeyId {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Where a content belongs.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The kind of thing.
    pub kind: &'a str,
    /// Which one.
    pub key: &'a str,
    /// Which part of it.
    pub column: &'static str,
}

/// An encrypted content, and the key it is under.
#[derive(Clone)]
pub struct Sealed {
    /// The key it is under.
    pub under: KeyId,
    /// The ciphertext with its head.
    pub bytes: Vec<u8>,
}

/// The given keys, the newest first.
pub struct Vault {
    newest: Given,
    older: Vec<Given>,
}

struct Given {
    id: KeyId,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(..)")
    }
}

/// Reads a key as it stands in a file: 32 bytes in base64.
pub fn parse_key(text: &Secret) -> Option<Secret> {
    let bytes = Secret::new(STANDARD.decode(text.expose().trim_ascii()).ok()?);
    (bytes.expose().len() == KEY_BYTES).then_some(bytes)
}

/// A new key as it stands in a file; `None` when the system has no randomness.
pub fn make_key() -> Option<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(key.as_mut()).ok()?;
    Some(Zeroizing::new(STANDARD.encode(key.as_ref())))
}

impl Vault {
    /// A vault with these keys, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Key`] when there is none, or one is not 32 bytes long.
    pub fn new(keys: &[Secret]) -> Result<Self, StoreError> {
        let mut given = Vec::new();
        for secret in keys {
            let bytes: &[u8; KEY_BYTES] = secret.expose().try_into().map_err(|_| {
                StoreError::Key("a key of the store is not 32 bytes long".to_owned())
            })?;
            let digest = digest::digest(
                &digest::SHA256,
                &[b"triseal store key id", bytes.as_slice()].concat(),
            );
            let id = digest.as_ref().get(..8).and_then(KeyId::of);
            given.push(Given {
                id: id.ok_or_else(unusable)?,
                key: Zeroizing::new(*bytes),
            });
        }
        let mut given = given.into_iter();
        let newest = given
            .next()
            .ok_or_else(|| StoreError::Key("the store has no key".to_owned()))?;
        Ok(Self {
            newest,
            older: given.collect(),
        })
    }

    /// The key that new contents are under.
    pub(super) const fn newest(&self) -> KeyId {
        self.newest.id
    }

    /// Whether a key was given.
    fn has(&self, id: KeyId) -> bool {
        self.given(id).is_some()
    }

    /// The ids of all given keys, the newest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(&self.newest)
            .chain(&self.older)
            .map(|given| given.id)
    }

    /// Every key under which contents may be has to be given.
    pub(super) fn demand(&self, wanted: &[KeyId]) -> Result<(), StoreError> {
        let missing: Vec<String> = (wanted.iter())
            .filter(|id| !self.has(**id))
            .map(ToString::to_string)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(StoreError::Key(format!(
            "the store has contents under the key {}, which is not among those in store.key. Put that key back, behind the newest; `triseal store rotate` makes it dispensable",
            missing.join(", ")
        )))
    }

    fn given(&self, id: KeyId) -> Option<&Given> {
        std::iter::once(&self.newest)
            .chain(&self.older)
            .find(|given| given.id == id)
    }

    /// Encrypts under the newest key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Sealed, StoreError> {
        let under = self.newest.id;
        let mut salt = [0; SALT_BYTES];
        rand::fill(&mut salt).map_err(|_| unusable())?;
        let (key, nonce) = derive(&self.newest.key, &salt)?;
        let room = plain.len().saturating_add(HEAD_BYTES.saturating_add(16));
        let mut bytes = Vec::with_capacity(room);
        bytes.push(FORM);
        bytes.extend_from_slice(under.bytes());
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(plain);
        let content = bytes.get_mut(HEAD_BYTES..).ok_or_else(unusable)?;
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(belonging(under, place)), content)
            .map_err(|_| unusable())?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(Sealed { under, bytes })
    }

    /// Decrypts; one error for every cause.
    ///
    /// # Errors
    /// [`StoreError::Content`] when it is not a content of this place under a key of this vault.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let shut = || StoreError::Content;
        let (head, content) = sealed.split_at_checked(HEAD_BYTES).ok_or_else(shut)?;
        let (form, head) = head.split_first().ok_or_else(shut)?;
        let (id, salt) = head.split_at_checked(8).ok_or_else(shut)?;
        if *form != FORM {
            return Err(shut());
        }
        let id = KeyId::of(id).ok_or_else(shut)?;
        let given = self.given(id).ok_or_else(shut)?;
        let (key, nonce) = derive(&given.key, salt)?;
        let mut content = Zeroizing::new(content.to_vec());
        let plain = key
            .open_in_place(nonce, Aad::from(belonging(id, place)), &mut content)
            .map_err(|_| shut())?
            .len();
        content.truncate(plain);
        Ok(content)
    }
}

fn unusable() -> StoreError {
    StoreError::Engine("the cryptography failed".to_owned())
}

/// The key and the nonce of one content.
fn derive(given: &[u8; KEY_BYTES], salt: &[u8]) -> Result<(LessSafeKey, Nonce), StoreError> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut both = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(given)
        .expand(&[b"triseal store content"], Length(both.len()))
        .and_then(|made| made.fill(both.as_mut()))
        .map_err(|_| unusable())?;
    let (key, nonce) = both.split_at_checked(KEY_BYTES).ok_or_else(unusable)?;
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| unusable())?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unusable())?;
    Ok((LessSafeKey::new(key), nonce))
}

/// What is authenticated beside a content; each part with its length, so that no two places read alike.
fn belonging(under: KeyId, place: Place<'_>) -> Vec<u8> {
    let mut bytes = vec![FORM];
    bytes.extend_from_slice(under.bytes());
    for part in [place.kind, place.key, place.column] {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place {
        kind: "test",
        key: "a",
        column: "body",
    };

    fn vault(keys: &[u8]) -> Vault {
        let keys: Vec<Secret> = keys.iter().map(|b| Secret::new(vec![*b; 32])).collect();
        Vault::new(&keys).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_and_nowhere_else() {
        let vault = vault(&[7]);
        let sealed = vault.seal(HERE, b"content").unwrap();
        assert_eq!(*vault.open(HERE, &sealed.bytes).unwrap(), b"content");
        assert!(!sealed.bytes.windows(7).any(|w| w == b"content"));
        for elsewhere in [
            Place {
                kind: "tes",
                key: "ta",
                ..HERE
            },
            Place { key: "b", ..HERE },
            Place {
                column: "reason",
                ..HERE
            },
        ] {
            assert!(vault.open(elsewhere, &sealed.bytes).is_err());
        }
    }

    #[test]
    fn a_changed_byte_anywhere_does_not_open() {
        let vault = vault(&[7]);
        let sealed = vault.seal(HERE, b"content").unwrap().bytes;
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(vault.open(HERE, &changed).is_err(), "byte {i}");
        }
        for length in 0..sealed.len() {
            assert!(vault.open(HERE, &sealed[..length]).is_err());
        }
    }

    #[test]
    fn an_older_key_still_opens_and_another_one_does_not() {
        let sealed = vault(&[7]).seal(HERE, b"content").unwrap().bytes;
        assert!(vault(&[8, 7]).open(HERE, &sealed).is_ok());
        assert!(vault(&[8, 9]).open(HERE, &sealed).is_err());
    }

    #[test]
    fn the_same_content_never_looks_the_same() {
        let vault = vault(&[7]);
        let one = vault.seal(HERE, b"content").unwrap().bytes;
        let two = vault.seal(HERE, b"content").unwrap().bytes;
        assert_ne!(one[HEAD_BYTES..], two[HEAD_BYTES..]);
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let text = make_key().unwrap();
        assert!(parse_key(&Secret::new(text.as_bytes().to_vec())).is_some());
        for wrong in ["", "short", &"x".repeat(32), &STANDARD.encode([7; 31])] {
            let wrong = Secret::new(wrong.as_bytes().to_vec());
            assert!(parse_key(&wrong).is_none());
        }
    }
}
