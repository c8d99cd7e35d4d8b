//! The ciphers of IDA's messages, over OpenSSL: OAEP with SHA-256 on both levels, AES-GCM with a 16-byte nonce at the end
//! (reference, section 1.5). Errors are not told apart.

use openssl::{
    encrypt::{Decrypter, Encrypter},
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKeyRef, Private, Public},
    rand::rand_bytes,
    rsa::Padding,
    symm::{Cipher, decrypt_aead, encrypt_aead},
};
use zeroize::Zeroizing;

/// Length of the GCM tag and, here, of the nonce.
const SIXTEEN: usize = 16;

/// Unwraps a session key.
pub(super) fn unwrap_key(key: &PKeyRef<Private>, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut decrypter = Decrypter::new(key).ok()?;
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
    decrypter.set_rsa_oaep_md(MessageDigest::sha256()).ok()?;
    decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).ok()?;
    let mut out = Zeroizing::new(vec![0; decrypter.decrypt_len(wrapped).ok()?]);
    let length = decrypter.decrypt(wrapped, &mut out).ok()?;
    out.truncate(length);
    Some(out)
}

/// Wraps a session key.
pub(super) fn wrap_key(key: &PKeyRef<Public>, session: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut encrypter = Encrypter::new(key)?;
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    encrypter.set_rsa_oaep_md(MessageDigest::sha256())?;
    encrypter.set_rsa_mgf1_md(MessageDigest::sha256())?;
    let mut out = vec![0; encrypter.encrypt_len(session)?];
    let length = encrypter.encrypt(session, &mut out)?;
    out.truncate(length);
    Ok(out)
}

/// Opens `ciphertext ‖ tag ‖ nonce`. Java takes AES keys of every length, so the key's length chooses the cipher.
pub(super) fn open(key: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = match key.len() {
        16 => Cipher::aes_128_gcm(),
        24 => Cipher::aes_192_gcm(),
        32 => Cipher::aes_256_gcm(),
        _ => return None,
    };
    let (rest, nonce) = sealed.split_last_chunk::<SIXTEEN>()?;
    let (text, tag) = rest.split_last_chunk::<SIXTEEN>()?;
    decrypt_aead(cipher, key, Some(nonce), &[], text, tag)
        .ok()
        .map(Zeroizing::new)
}

/// Makes `ciphertext ‖ tag ‖ nonce` under a fresh nonce.
pub(super) fn seal(key: &[u8], plain: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let nonce: [u8; SIXTEEN] = random()?;
    let mut tag = [0; SIXTEEN];
    let mut out = encrypt_aead(
        Cipher::aes_256_gcm(),
        key,
        Some(&nonce),
        &[],
        plain,
        &mut tag,
    )?;
    out.extend(tag);
    out.extend(nonce);
    Ok(out)
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ErrorStack> {
    let mut bytes = [0; N];
    rand_bytes(&mut bytes)?;
    Ok(bytes)
}
