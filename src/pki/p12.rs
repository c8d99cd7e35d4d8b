//! PKCS#12 key stores, written so that OpenSSL 3, Java 8u301 and later, Node and Python read them without options, and
//! read back: PBES2 with AES-256, MAC with HMAC-SHA-256.

use p12_keystore::{
    Certificate, KeyStore, KeyStoreEntry, Pkcs12Archive, PrivateKey, PrivateKeyChain,
};
use zeroize::Zeroizing;

use super::{Key, PkiError};

/// What a key store holds.
pub struct KeyStoreContents {
    /// The private keys (PKCS#8 DER) with their friendly names.
    pub keys: Vec<(Option<String>, Zeroizing<Vec<u8>>)>,
    /// The certificates (DER) with their friendly names, in the order of the file.
    pub certificates: Vec<(Option<String>, Vec<u8>)>,
}

/// Writes a key with its certificate chain (leaf first) under an alias.
///
/// # Errors
/// When the chain is empty, the key is not the leaf's, or the writer refuses.
pub fn write_p12(
    alias: &str,
    key: &Key,
    chain: &[Vec<u8>],
    password: &str,
) -> Result<Vec<u8>, PkiError> {
    let leaf = chain
        .first()
        .ok_or_else(|| PkiError::Pkcs12("there is no certificate to put in".to_owned()))?;
    let leaf = super::authority::read_certificate(leaf)?;
    if leaf.public_key().raw != key.spki_der() {
        return Err(PkiError::KeyMismatch(leaf.subject().to_string()));
    }
    let certificates = chain
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>();
    let private = PrivateKey::from_der(key.expose_pkcs8_der()).map_err(refused)?;
    // Ties the key to its certificate within the file; the first octets of the digest of the public key will do.
    let identifier = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.spki_der());
    let local_key_id: Vec<u8> = identifier.as_ref().iter().take(20).copied().collect();
    let entry = PrivateKeyChain::new(local_key_id, private, certificates.map_err(refused)?);
    let mut store = KeyStore::new();
    store.add_entry(alias, KeyStoreEntry::PrivateKeyChain(entry));
    store.writer(password).write().map_err(refused)
}

/// Reads a key store.
///
/// # Errors
/// When the password is wrong or the file is not a PKCS#12 file of a kind that is understood.
pub fn read_p12(bytes: &[u8], password: &str) -> Result<KeyStoreContents, PkiError> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(refused)?;
    Ok(KeyStoreContents {
        keys: archive
            .keys
            .iter()
            .map(|bag| {
                (
                    bag.friendly_name.clone(),
                    Zeroizing::new(bag.key.as_der().to_vec()),
                )
            })
            .collect(),
        certificates: archive
            .certs
            .iter()
            .map(|bag| (bag.friendly_name.clone(), bag.cert.as_der().to_vec()))
            .collect(),
    })
}

fn refused(error: p12_keystore::error::Error) -> PkiError {
    use p12_keystore::error::Error;
    PkiError::Pkcs12(match error {
        Error::MacError(_) => "the password is wrong, or the file was changed".to_owned(),
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            format!("{error}; write it anew with openssl pkcs12 -export")
        }
        other => other.to_string(),
    })
}
