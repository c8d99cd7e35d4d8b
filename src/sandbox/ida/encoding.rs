//! The base64 dialects of MOSIP's Java, each as lenient and as strict as its decoder (reference, section 1.7).

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD,
    },
};

const JAVA: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const JAVA_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, JAVA);
const JAVA_STANDARD: GeneralPurpose = GeneralPurpose::new(&STANDARD, JAVA);

/// Base64url without padding, as MOSIP writes it.
pub(super) fn url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Java's URL decoder: URL alphabet only, right padding or none.
pub(super) fn from_url(text: &str) -> Option<Vec<u8>> {
    JAVA_URL.decode(text).ok()
}

/// Java's basic decoder: standard alphabet only, right padding or none, no line breaks.
pub(super) fn from_standard(text: &str) -> Option<Vec<u8>> {
    JAVA_STANDARD.decode(text).ok()
}

/// commons-codec: both alphabets, skips what belongs to neither, ends at the first padding character.
pub(super) fn from_lenient(text: &str) -> Option<Vec<u8>> {
    let mut kept: Vec<u8> = text
        .bytes()
        .take_while(|byte| *byte != b'=')
        .filter_map(|byte| match byte {
            b'-' => Some(b'+'),
            b'_' => Some(b'/'),
            b'+' | b'/' => Some(byte),
            _ if byte.is_ascii_alphanumeric() => Some(byte),
            _ => None,
        })
        .collect();
    if kept.len() % 4 == 1 {
        kept.pop();
    }
    JAVA_STANDARD.decode(kept).ok()
}

/// Hexadecimal digits of either case.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 == 1 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Upper-case hexadecimal digits, as MOSIP writes digests.
pub(super) fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Lower-case hexadecimal digits, for fingerprints in logs.
pub(super) fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base58 (Bitcoin's alphabet), for `kycToken`.
pub(super) fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry = carry.wrapping_add(digit.wrapping_mul(256));
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| 0);
    zeros
        .chain(digits.into_iter().rev())
        .filter_map(|digit| ALPHABET.get(usize::try_from(digit).ok()?))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_decoder_takes_right_padding_or_none_and_nothing_else() {
        assert_eq!(from_url("QUI"), Some(b"AB".to_vec()));
        assert_eq!(from_url("QUI="), Some(b"AB".to_vec()));
        for wrong in ["QUI==", "AAAA=", "Q+I", "Q/I", "QU I", "QUI\n"] {
            assert_eq!(from_url(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_lenient_decoder_skips_line_breaks_and_takes_both_alphabets() {
        assert_eq!(from_lenient("-_\n+/ A\r\n=="), from_lenient("+/+/A"));
        assert_eq!(from_standard("QUI\n"), None);
        assert_eq!(from_standard("QUI"), Some(b"AB".to_vec()));
    }

    #[test]
    fn base58_agrees_with_its_published_example() {
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(base58(&[0, 0, 0x28, 0x7f, 0xb4, 0xcd]), "11233QC4");
    }
}
