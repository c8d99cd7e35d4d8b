//! The text around the bytes: base64 of one alphabet, padded or not, with nothing beside it.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};

/// The bytes of an encrypted value of at most `max` bytes. MOSIP's services write base64url without padding, the OpenCRVS
/// mock standard base64; every text stands for one value, and a text that mixes the alphabets for none.
pub fn decode(text: &str, max: usize) -> Option<Vec<u8>> {
    if text.len() > max.div_ceil(3).saturating_mul(4) {
        return None;
    }
    [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD]
        .into_iter()
        .find_map(|engine| {
            let bytes = engine.decode(text).ok()?;
            (bytes.len() <= max && engine.encode(&bytes) == text).then_some(bytes)
        })
}

/// The form in which MOSIP's services write it.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = &[0xfb, 0xff, 0xfe, 0x01];

    #[test]
    fn both_alphabets_are_read() {
        for text in ["-__-AQ", "-__-AQ==", "+//+AQ=="] {
            assert_eq!(decode(text, 4).as_deref(), Some(BYTES), "{text}");
        }
        assert_eq!(encode(BYTES), "-__-AQ");
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "+//+AQ",
            "-//-AQ==",
            "-__-AR",
            "-__-AQ=",
            "-__-AQ\n",
            " -__-AQ",
            "-__-\nAQ",
            "-__-AQ===",
        ] {
            assert_eq!(decode(text, 4), None, "{text:?}");
        }
    }

    #[test]
    fn one_byte_over_the_limit_is_refused() {
        assert!(decode("-__-AQ", 4).is_some());
        assert!(decode("-__-AQ", 3).is_none());
    }
}
