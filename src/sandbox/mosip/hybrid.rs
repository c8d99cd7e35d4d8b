//! MOSIP's hybrid layout `VER_R2` (WebSub reference, 1.10), over OpenSSL.

use openssl::{
    encrypt::Encrypter,
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{HasPublic, PKeyRef},
    rand::rand_bytes,
    rsa::Padding,
    sha::sha256,
    symm::{Cipher, encrypt_aead},
    x509::X509,
};
use zeroize::Zeroizing;

const VERSION: &[u8] = b"VER_R2";
const SPLITTER: &[u8] = b"#KEY_SPLITTER#";

/// Encrypts to a certificate (DER), under its real thumbprint.
pub(super) fn seal_to(certificate: &[u8], plain: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = X509::from_der(certificate)?.public_key()?;
    seal(&key, sha256(certificate), plain)
}

/// Encrypts to a key.
pub(super) fn seal<T: HasPublic>(
    key: &PKeyRef<T>,
    thumbprint: [u8; 32],
    plain: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut session = Zeroizing::new([0_u8; 32]);
    rand_bytes(session.as_mut())?;
    let mut aad = [0_u8; 32];
    rand_bytes(&mut aad)?;
    let mut encrypter = Encrypter::new(key)?;
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    encrypter.set_rsa_oaep_md(MessageDigest::sha256())?;
    encrypter.set_rsa_mgf1_md(MessageDigest::sha256())?;
    let mut wrapped = vec![0; encrypter.encrypt_len(session.as_ref())?];
    let length = encrypter.encrypt(session.as_ref(), &mut wrapped)?;
    wrapped.truncate(length);
    let (nonce, _) = aad.split_first_chunk::<12>().unwrap_or((&[0; 12], &[]));
    let mut tag = [0; 16];
    let cipher = Cipher::aes_256_gcm();
    let text = encrypt_aead(cipher, session.as_ref(), Some(nonce), &aad, plain, &mut tag)?;
    Ok([VERSION, &thumbprint, &wrapped, SPLITTER, &aad, &text, &tag].concat())
}
