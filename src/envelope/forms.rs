//! The odd encodings that a partner's contract lists, and nothing else.
//!
//! Published clients disagree on padding, alphabets and what stands in `x5c`. Each accepted form is written down here as
//! "decode, encode again, must be the same text", so that no two texts of one form stand for the same bytes: no stray bits,
//! no white space but the form's own. The form that keymanager and the Java clients use is always in.

use aws_lc_rs::digest;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};

use super::seams::Fingerprint;
use crate::config::Client;

/// Which forms a partner's messages may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms {
    mosip_auth_sdk: bool,
    opencrvs: bool,
}

/// A base64url member of a request; clients pad them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    Request,
    SessionKey,
    /// Always a multiple of three bytes, so that padding is no question.
    Hmac,
}

impl Forms {
    /// The form of keymanager alone.
    pub const STRICT: Self = Self {
        mosip_auth_sdk: false,
        opencrvs: false,
    };

    /// The forms of the listed clients, and keymanager's.
    pub fn of(clients: &[Client]) -> Self {
        Self {
            mosip_auth_sdk: clients.contains(&Client::MosipAuthSdk),
            opencrvs: clients.contains(&Client::OpenCrvs),
        }
    }

    /// The DER of a certificate as it stands in `x5c`; `None` when it is in no listed form. What is returned is one whole
    /// DER element; that it is a certificate is for the reader of certificates to say.
    pub fn certificate(&self, text: &str) -> Option<Vec<u8>> {
        let der = exact(text, &STANDARD)
            .filter(|der| is_one_der_element(der))
            .or_else(|| self.mosip_auth_sdk.then(|| sdk_certificate(text)).flatten())
            .or_else(|| self.opencrvs.then(|| opencrvs_certificate(text)).flatten())?;
        is_one_der_element(&der).then_some(der)
    }

    /// The certificate that a `thumbprint` names: 64 hex digits of one case, or base64url; `None` when it is in no
    /// listed form.
    pub fn thumbprint(&self, text: &str) -> Option<Fingerprint> {
        let bytes = match text.len() {
            64 => unhex(text)?,
            43 => exact(text, &URL_SAFE_NO_PAD)?,
            44 if self.mosip_auth_sdk || self.opencrvs => exact(text, &URL_SAFE)?,
            _ => return None,
        };
        <[u8; 32]>::try_from(bytes)
            .ok()
            .map(Fingerprint::from_bytes)
    }

    /// The bytes of a base64url member; `None` when it is in no listed form.
    pub(crate) fn member(&self, member: Member, text: &str) -> Option<Vec<u8>> {
        let padded = match member {
            Member::Request => self.mosip_auth_sdk || self.opencrvs,
            Member::SessionKey => self.mosip_auth_sdk,
            Member::Hmac => false,
        };
        if padded && text.ends_with('=') {
            exact(text, &URL_SAFE)
        } else {
            exact(text, &URL_SAFE_NO_PAD)
        }
    }
}

/// Strict unpadded base64url, the only form of JWS parts and of everything we write.
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    exact(text, &URL_SAFE_NO_PAD)
}

pub(crate) fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn upper_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |n: u8| DIGITS.get(usize::from(n)).map_or('0', |d| char::from(*d));
    bytes
        .iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Hex of one case.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let lower = text.bytes().any(|b| b.is_ascii_lowercase());
    let upper = text.bytes().any(|b| b.is_ascii_uppercase());
    if lower && upper {
        return None;
    }
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some((digit(high)? << 4) | digit(low)?),
            _ => None,
        })
        .collect()
}

fn exact(text: &str, engine: &impl Engine) -> Option<Vec<u8>> {
    // The engines refuse other white space, missing or extra padding and stray bits by themselves; encoding again holds it
    // against any change of theirs.
    let bytes = engine.decode(text).ok()?;
    (engine.encode(&bytes) == text).then_some(bytes)
}

/// mosip-auth-sdk: base64 of PEM with LF, a line break after every 76 characters and at the end.
fn sdk_certificate(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.split('\n').collect();
    let pem = exact(&joined, &STANDARD)?;
    (in_lines(&joined, 76, "\n") == text)
        .then(|| pem_certificate(&pem, "\n"))
        .flatten()
}

/// OpenCRVS: base64url of PEM with CRLF, without padding and line breaks.
fn opencrvs_certificate(text: &str) -> Option<Vec<u8>> {
    pem_certificate(&exact(text, &URL_SAFE_NO_PAD)?, "\r\n")
}

/// One certificate in PEM (RFC 7468) of exactly the form that both clients write: lines of 64, a line end at the end.
fn pem_certificate(pem: &[u8], line_end: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text
        .strip_prefix("-----BEGIN CERTIFICATE-----")?
        .strip_prefix(line_end)?
        .strip_suffix(line_end)?
        .strip_suffix("-----END CERTIFICATE-----")?;
    let joined: String = body.split(line_end).collect();
    let der = exact(&joined, &STANDARD)?;
    (in_lines(&joined, 64, line_end) == body).then_some(der)
}

fn in_lines(ascii: &str, width: usize, line_end: &str) -> String {
    let mut out = String::with_capacity(ascii.len().saturating_mul(2));
    let mut rest = ascii;
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(width).unwrap_or((rest, ""));
        out.push_str(line);
        out.push_str(line_end);
        rest = tail;
    }
    out
}

/// Whether the bytes are one DER SEQUENCE and nothing behind it, with the shortest form of its length.
fn is_one_der_element(der: &[u8]) -> bool {
    let Some((&[0x30, first], rest)) = der.split_first_chunk::<2>() else {
        return false;
    };
    if first < 0x80 {
        return rest.len() == usize::from(first);
    }
    let Some((length, content)) = rest.split_at_checked(usize::from(first & 0x7f)) else {
        return false;
    };
    if length.is_empty() || length.len() > 3 || length.first() == Some(&0) {
        return false;
    }
    let length = length
        .iter()
        .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    length >= 0x80 && content.len() == length
}
