//! The odd encodings that a partner's contract lists, and nothing else.
//!
//! Published clients disagree on padding, alphabets and what stands in `x5c`. Each accepted form is written down here as
//! "decode, encode again, must be the same text", so that no two texts of one form stand for the same bytes: no stray bits,
//! no white space but the form's own. The form that keymanager and the Java clients use is always in.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::{
    Engine,
    engine::{
        Simd,
        general_purpose::{NO_PAD, PAD},
    },
};

use crate::{config::Client, trust::Fingerprint};

/// Many characters at a time where the processor can; as strict as the engines that take them one by one, which a test holds.
static STANDARD: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
static URL_SAFE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(PAD));
static URL_SAFE_NO_PAD: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

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

/// Writes strict unpadded base64url at the end of a text.
pub(crate) fn append_base64url(text: &mut Vec<u8>, bytes: &[u8]) {
    let start = text.len();
    let length = bytes.len().saturating_mul(4).div_ceil(3);
    text.resize(start.saturating_add(length), 0);
    if let Some(room) = text.get_mut(start..) {
        // The room is exactly what unpadded base64 takes (RFC 4648 section 3.2), so it never fails for want of it.
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, room);
        debug_assert_eq!(written, Ok(length));
    }
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn upper_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |n: u8| DIGITS.get(usize::from(n)).map_or('0', |d| char::from(*d));
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    text.extend(bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]));
    text
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

/// The engines refuse white space, missing or extra padding and stray bits by themselves: encoding again always gives the same
/// text, which a test holds against any change of theirs.
fn exact(text: &str, engine: &Simd) -> Option<Vec<u8>> {
    engine.decode(text).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::testing::{PARTNER, XorShift, opencrvs_x5c, pem, sdk_x5c};

    const SDK: Forms = Forms {
        mosip_auth_sdk: true,
        opencrvs: false,
    };
    const OPENCRVS: Forms = Forms {
        mosip_auth_sdk: false,
        opencrvs: true,
    };

    #[test]
    fn contracts_are_what_the_list_says() {
        assert_eq!(Forms::of(&[]), Forms::STRICT);
        assert_eq!(Forms::of(&[Client::Keymanager]), Forms::STRICT);
        assert_eq!(Forms::of(&[Client::MosipAuthSdk]), SDK);
        assert_eq!(Forms::of(&[Client::OpenCrvs]), OPENCRVS);
    }

    #[test]
    fn what_decodes_encodes_to_itself() {
        let alphabet = "AQZaz09-_+/=. \n\0?é";
        let mut texts = vec![String::new()];
        for length in 0..9 {
            for text in &texts {
                for engine in [&STANDARD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                    if let Some(bytes) = exact(text, engine) {
                        assert_eq!(&engine.encode(bytes), text);
                    }
                }
            }
            // All texts of up to four characters, then a part of them behind everything that decodes.
            let step = if length < 4 { 1 } else { 997 };
            texts = texts
                .iter()
                .step_by(step)
                .flat_map(|text| alphabet.chars().map(move |c| format!("{text}{c}")))
                .collect();
            let whole = ["", "QUFB", "-_-_", "+/+/"].map(String::from);
            texts.extend(whole.iter().flat_map(|text| {
                [
                    "A", "AA", "AAA", "AA==", "AA=", "AB", "AB==", "AAB", "AAE=", "=", "A===",
                ]
                .map(|end| format!("{text}{end}"))
            }));
        }
    }

    /// The bulk of a long text goes another way through the library than a short one.
    #[test]
    fn a_long_text_is_read_and_written_as_character_by_character() {
        use base64::engine::general_purpose;
        let pairs: [(&Simd, &general_purpose::GeneralPurpose); 3] = [
            (&STANDARD, &general_purpose::STANDARD),
            (&URL_SAFE, &general_purpose::URL_SAFE),
            (&URL_SAFE_NO_PAD, &general_purpose::URL_SAFE_NO_PAD),
        ];
        let mut random = XorShift(5);
        for length in (0..150).chain(1_000..1_008) {
            let bytes: Vec<u8> = (0..length)
                .map(|_| u8::try_from(random.below(256)).unwrap())
                .collect();
            for (fast, plain) in pairs {
                let text = plain.encode(&bytes);
                assert_eq!(fast.encode(&bytes), text);
                assert_eq!(exact(&text, fast).as_ref(), Some(&bytes), "{length}");
            }
        }
        let bytes: Vec<u8> = (0..=255).collect();
        for (fast, plain) in pairs {
            for end in 254..=256 {
                let good = plain.encode(&bytes[..end]).into_bytes();
                for at in 0..good.len() {
                    for foreign in 0..=255 {
                        let mut text = good.clone();
                        text[at] = foreign;
                        let expected = plain.decode(&text).ok();
                        assert_eq!(fast.decode(&text).ok(), expected, "{foreign} at {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_client_s_x5c_is_taken_from_its_partners_only() {
        let der = &PARTNER.der;
        let (strict, sdk, opencrvs) = (to_base64(der), sdk_x5c(der), opencrvs_x5c(der));
        for forms in [Forms::STRICT, SDK, OPENCRVS] {
            assert_eq!(forms.certificate(&strict).as_ref(), Some(der));
            assert_eq!(forms.certificate(&sdk).is_some(), forms == SDK);
            assert_eq!(forms.certificate(&opencrvs).is_some(), forms == OPENCRVS);
        }
        assert_eq!(SDK.certificate(&sdk).as_ref(), Some(der));
        assert_eq!(OPENCRVS.certificate(&opencrvs).as_ref(), Some(der));
    }

    #[test]
    fn near_misses_of_x5c_are_refused() {
        let der = &PARTNER.der;
        let all = Forms {
            mosip_auth_sdk: true,
            opencrvs: true,
        };
        let (strict, sdk, opencrvs) = (to_base64(der), sdk_x5c(der), opencrvs_x5c(der));
        let misses = [
            String::new(),
            strict.trim_end_matches('=').to_owned() + if strict.ends_with('=') { "" } else { "=" },
            format!("{strict}\n"),
            format!(" {strict}"),
            format!("{}\n{}", &strict[..64], &strict[64..]),
            URL_SAFE.encode(der) + "-",
            // mosip-auth-sdk: line ends
            sdk.trim_end().to_owned(),
            format!("{sdk}\n"),
            sdk.replace('\n', "\r\n"),
            sdk.replace('\n', ""),
            format!("\n{sdk}"),
            sdk.replacen('\n', "", 1),
            sdk_like(&pem(der, "\r\n")),
            sdk_like(pem(der, "\n").trim_end()),
            sdk_like(&format!("{}\n", pem(der, "\n"))),
            sdk_like(&pem(der, "\n").replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            sdk_like(&(pem(der, "\n") + &pem(der, "\n"))),
            sdk_like(&format!("x\n{}", pem(der, "\n"))),
            sdk_like(&pem_of_width(der, 76, "\n")),
            sdk_like(&pem_of_width(der, 1 << 20, "\n")),
            opencrvs_like(&pem_of_width(der, 76, "\r\n")),
            opencrvs_like(&pem(der, "\r\n").replacen("\r\n", "\r\n\r\n", 1)),
            // OpenCRVS: padding, LF, line breaks
            URL_SAFE_NO_PAD.encode(pem(der, "\n")),
            format!("{opencrvs}="),
            format!("{opencrvs}\n"),
            URL_SAFE_NO_PAD.encode(pem(der, "\r\n").trim_end()),
            // DER that is not one element
            to_base64(&der[1..]),
            to_base64(&der[..der.len() - 1]),
            to_base64(&[der.as_slice(), &[0]].concat()),
            opencrvs_x5c(&[der.as_slice(), &[0]].concat()),
            to_base64(b"-----BEGIN"),
        ];
        for (n, miss) in misses.iter().enumerate() {
            assert_eq!(all.certificate(miss), None, "{n}: {miss:?}");
        }
    }

    fn pem_of_width(der: &[u8], width: usize, line_end: &str) -> String {
        let body = in_lines(&to_base64(der), width, line_end);
        format!("-----BEGIN CERTIFICATE-----{line_end}{body}-----END CERTIFICATE-----{line_end}")
    }

    fn opencrvs_like(pem: &str) -> String {
        URL_SAFE_NO_PAD.encode(pem)
    }

    fn sdk_like(pem: &str) -> String {
        in_lines(&STANDARD.encode(pem), 76, "\n")
    }

    #[test]
    fn stray_bits_are_refused() {
        assert_eq!(base64url("QQ"), Some(b"A".to_vec()));
        for text in [
            "QR", "QQ=", "QQ==", "Q", "QQ\n", " QQ", "Q Q", "+_", "/_", "QQ\0",
        ] {
            assert_eq!(base64url(text), None, "{text:?}");
        }
    }

    #[test]
    fn padding_is_taken_where_a_client_of_the_contract_pads() {
        for (member, sdk, opencrvs) in [
            (Member::Request, true, true),
            (Member::SessionKey, true, false),
            (Member::Hmac, false, false),
        ] {
            assert_eq!(Forms::STRICT.member(member, "QQ=="), None);
            assert_eq!(SDK.member(member, "QQ==").is_some(), sdk, "{member:?}");
            assert_eq!(
                OPENCRVS.member(member, "QQ==").is_some(),
                opencrvs,
                "{member:?}"
            );
            for forms in [Forms::STRICT, SDK, OPENCRVS] {
                assert!(forms.member(member, "QQ").is_some());
                for miss in [
                    "QQ=", "QQ===", "QR==", "Q=Q=", "QUI==", "QQ==\n", "+w", "/w==",
                ] {
                    assert_eq!(forms.member(member, miss), None, "{miss:?}");
                }
            }
        }
    }

    #[test]
    fn thumbprints_have_three_forms() {
        let bytes = [0xfb; 32];
        let expected = Some(Fingerprint::from_bytes(bytes));
        let hex = upper_hex(&bytes);
        let (short, long) = (to_base64url(&bytes), URL_SAFE.encode(bytes));
        for forms in [Forms::STRICT, SDK, OPENCRVS] {
            assert_eq!(forms.thumbprint(&hex), expected);
            assert_eq!(forms.thumbprint(&hex.to_lowercase()), expected);
            assert_eq!(forms.thumbprint(&short), expected);
            assert_eq!(forms.thumbprint(&long).is_some(), forms != Forms::STRICT);
            for miss in [
                "",
                &hex[..62],
                &format!("{}fb", &hex[2..]),
                &hex.replace('F', "G"),
                &format!("{hex}FB"),
                &format!("+{}", &hex[1..]),
                &short[..42],
                &format!("{short}-"),
                &STANDARD.encode(bytes),
                &format!("{short} "),
            ] {
                assert_eq!(forms.thumbprint(miss), None, "{miss:?}");
            }
        }
    }

    #[test]
    fn one_der_element_has_the_shortest_length() {
        assert!(is_one_der_element(&[0x30, 1, 0]));
        for miss in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x31, 1, 0],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 1, 0],
            &[0x30, 0x82, 0, 1, 0],
            &[0x30, 0x84, 0, 0, 0, 1, 0],
            &[0x30, 0xff],
        ] {
            assert!(!is_one_der_element(miss), "{miss:?}");
        }
    }
}
