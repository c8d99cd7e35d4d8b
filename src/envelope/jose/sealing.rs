//! Writing a body: JWE compact to one certificate (RFC 7516 section 5.1). What is read from others goes through josekit; what we
//! write has one form, and one buffer.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    content::{self, IV},
    header::{CONTENT_ENCRYPTION, is_media_type},
};
use crate::{
    envelope::forms,
    keys::{ContentWrapKey, KeyError},
    trust::Fingerprint,
};

/// Bytes of a content key.
const KEY: usize = 32;

/// Room for the header, the wrapped key of a large RSA key and the dots, so that the text is not moved while it grows.
const AROUND: usize = 2048;

/// The protected header as we write it.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    enc: &'static str,
    kid: String,
    cty: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epk: Option<Point>,
}

/// The sender's point as a JWK: nothing but the four members.
#[derive(Serialize)]
struct Point {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
}

/// Seals a body to a certificate. An empty one stays empty.
///
/// # Errors
/// [`KeyError::Wrapping`] when the key cannot wrap or the media type is none.
pub fn seal(
    content: &[u8],
    media_type: &str,
    recipient: Fingerprint,
    key: &ContentWrapKey,
) -> Result<Bytes, KeyError> {
    if content.is_empty() {
        return Ok(Bytes::new());
    }
    if !is_media_type(media_type) {
        return Err(KeyError::Wrapping);
    }
    let mut fresh = Zeroizing::new([0; KEY + IV]);
    SystemRandom::new()
        .fill(fresh.as_mut())
        .map_err(|_| KeyError::Wrapping)?;
    let (content_key, iv) = fresh.split_first_chunk::<KEY>().ok_or(KeyError::Wrapping)?;
    let (alg, wrapped, epk) = match key {
        ContentWrapKey::Rsa(key) => ("RSA-OAEP-256", key.wrap(content_key)?, None),
        ContentWrapKey::Curve(key) => {
            let (point, wrapped) = key.wrap(content_key)?;
            ("ECDH-ES+A256KW", wrapped.to_vec(), Some(Point::of(&point)))
        }
    };
    let header = Header {
        alg,
        enc: CONTENT_ENCRYPTION,
        kid: forms::to_base64url(recipient.as_bytes()),
        cty: media_type,
        epk,
    };
    let header = serde_json::to_vec(&header).map_err(|_| KeyError::Wrapping)?;
    let mut text = Vec::with_capacity(
        content
            .len()
            .saturating_mul(3)
            .div_ceil(2)
            .saturating_add(AROUND),
    );
    forms::append_base64url(&mut text, &header);
    let mut sealed = content.to_vec();
    let tag = content::seal(content_key, iv, &text, &mut sealed)?;
    for part in [wrapped.as_slice(), iv, &sealed, &tag] {
        text.push(b'.');
        forms::append_base64url(&mut text, part);
    }
    Ok(Bytes::from(text))
}

impl Point {
    /// From an uncompressed one.
    fn of(point: &[u8]) -> Self {
        let (_, xy) = point.split_at_checked(1).unwrap_or_default();
        let (x, y) = xy.split_at_checked(xy.len() / 2).unwrap_or_default();
        Self {
            kty: "EC",
            crv: if x.len() == 32 { "P-256" } else { "P-384" },
            x: forms::to_base64url(x),
            y: forms::to_base64url(y),
        }
    }
}
