//! The same layouts, written down a second time with OpenSSL: what one side seals the other opens.

use openssl::{
    cipher::Cipher,
    cipher_ctx::CipherCtx,
    encrypt::{Decrypter, Encrypter},
    hash::MessageDigest,
    pkey::PKey,
    rsa::{Padding, Rsa},
    symm::Mode,
};

use super::{Binding, Contract, Layout, RecipientKey, Thumbprint, open, seal};
use crate::{
    envelope::mosip_ida::Recipient,
    keys::{DecryptionKey, PublicKey, WrappingKey},
    trust::Fingerprint,
};

const PLAIN: &[u8] = b"text behind the seal";
const SPLITTER: &[u8] = b"#KEY_SPLITTER#";
const PRINT: [u8; 32] = [0x5a; 32];

/// AES-256-GCM with a nonce of any length.
fn crypt(
    mode: Mode,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &[u8],
    tag: &mut [u8; 16],
) -> Vec<u8> {
    let mut context = CipherCtx::new().unwrap();
    let gcm = Cipher::aes_256_gcm();
    let mut out = Vec::new();
    match mode {
        Mode::Encrypt => {
            context.encrypt_init(Some(gcm), None, None).unwrap();
            context.set_iv_length(nonce.len()).unwrap();
            context.encrypt_init(None, Some(key), Some(nonce)).unwrap();
        }
        Mode::Decrypt => {
            context.decrypt_init(Some(gcm), None, None).unwrap();
            context.set_iv_length(nonce.len()).unwrap();
            context.decrypt_init(None, Some(key), Some(nonce)).unwrap();
            context.set_tag(tag).unwrap();
        }
    }
    context.cipher_update(aad, None).unwrap();
    context.cipher_update_vec(text, &mut out).unwrap();
    context.cipher_final_vec(&mut out).unwrap();
    if matches!(mode, Mode::Encrypt) {
        context.tag(tag).unwrap();
    }
    out
}

struct Side {
    theirs: PKey<openssl::pkey::Private>,
    ours: DecryptionKey,
    wrapping: WrappingKey,
}

fn side(bits: u32) -> Side {
    let theirs = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let public = PublicKey::from_spki(&theirs.public_key_to_der().unwrap()).unwrap();
    Side {
        ours: DecryptionKey::from_pkcs8_der(&theirs.private_key_to_pkcs8().unwrap()).unwrap(),
        wrapping: WrappingKey::new(&public).unwrap(),
        theirs,
    }
}

fn wrap(side: &Side, key: &[u8]) -> Vec<u8> {
    let mut oaep = Encrypter::new(&side.theirs).unwrap();
    oaep.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    oaep.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
    oaep.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
    let mut out = vec![0; oaep.encrypt_len(key).unwrap()];
    let n = oaep.encrypt(key, &mut out).unwrap();
    out.truncate(n);
    out
}

fn unwrap(side: &Side, wrapped: &[u8]) -> Vec<u8> {
    let mut oaep = Decrypter::new(&side.theirs).unwrap();
    oaep.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    oaep.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
    oaep.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
    let mut out = vec![0; oaep.decrypt_len(wrapped).unwrap()];
    let n = oaep.decrypt(wrapped, &mut out).unwrap();
    out.truncate(n);
    out
}

fn ours(side: &Side, sealed: &[u8], layout: Layout, binding: Binding<'_>) -> Vec<u8> {
    let key = RecipientKey {
        fingerprint: Fingerprint::from_bytes(PRINT),
        key: &side.ours,
    };
    let contract = Contract {
        layouts: &[layout],
        thumbprint: Thumbprint::Ours,
    };
    open(sealed, &[key], contract, binding).unwrap().to_vec()
}

#[test]
fn what_openssl_sealed_in_each_layout_opens() {
    for bits in [2048, 4096] {
        let side = side(bits);
        let (key, seed, nonce) = ([3; 32], [4; 32], [5; 16]);
        let wrapped = wrap(&side, &key);
        let mut tag = [0; 16];

        let text = crypt(Mode::Encrypt, &key, &seed[..12], &seed, PLAIN, &mut tag);
        let r2 = [
            b"VER_R2",
            &PRINT[..],
            &wrapped,
            SPLITTER,
            &seed,
            &text,
            &tag,
        ]
        .concat();
        assert_eq!(ours(&side, &r2, Layout::R2, Binding::default()), PLAIN);
        let r2 = [b"VER_R2", &wrapped[..], SPLITTER, &seed, &text, &tag].concat();
        assert_eq!(
            ours(&side, &r2, Layout::R2NoKeyId, Binding::default()),
            PLAIN
        );

        for aad in [&b""[..], b"additional"] {
            let binding = Binding {
                salt: None,
                additional: aad,
            };
            let text = crypt(Mode::Encrypt, &key, &nonce, aad, PLAIN, &mut tag);
            let l1 = [&PRINT[..], &wrapped, SPLITTER, &text, &tag, &nonce].concat();
            assert_eq!(ours(&side, &l1, Layout::Legacy, binding), PLAIN);
            let l0 = [&wrapped[..], SPLITTER, &text, &tag, &nonce].concat();
            assert_eq!(ours(&side, &l0, Layout::LegacyNoKeyId, binding), PLAIN);
        }
        let binding = Binding {
            salt: Some(&[6; 12]),
            additional: b"aad",
        };
        let text = crypt(Mode::Encrypt, &key, &[6; 12], b"aad", PLAIN, &mut tag);
        let salted = [&PRINT[..], &wrapped, SPLITTER, &text, &tag].concat();
        assert_eq!(ours(&side, &salted, Layout::Legacy, binding), PLAIN);
    }
}

#[test]
fn what_is_sealed_here_openssl_opens() {
    let side = side(2048);
    let recipient = Recipient {
        fingerprint: Fingerprint::from_bytes(PRINT),
        wrapping: &side.wrapping,
    };
    let r2 = seal(PLAIN, &recipient, Layout::R2, Binding::default()).unwrap();
    let key = unwrap(&side, &r2[38..294]);
    let (seed, rest) = r2[308..].split_at(32);
    let (text, tag) = rest.split_at(rest.len() - 16);
    let mut tag: [u8; 16] = tag.try_into().unwrap();
    assert_eq!(
        crypt(Mode::Decrypt, &key, &seed[..12], seed, text, &mut tag),
        PLAIN
    );

    let binding = Binding {
        salt: None,
        additional: b"aad",
    };
    let l1 = seal(PLAIN, &recipient, Layout::Legacy, binding).unwrap();
    let key = unwrap(&side, &l1[32..288]);
    let (rest, nonce) = l1[302..].split_at(l1.len() - 302 - 16);
    let (text, tag) = rest.split_at(rest.len() - 16);
    let mut tag: [u8; 16] = tag.try_into().unwrap();
    assert_eq!(
        crypt(Mode::Decrypt, &key, nonce, b"aad", text, &mut tag),
        PLAIN
    );
}
