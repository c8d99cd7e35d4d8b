//! Compact serialisation (RFC 7515 and 7516, section 7.1), split strictly: so many parts, each unpadded canonical base64url.

use crate::envelope::forms;

/// The parts of a compact text, as they stand. `None` when there are more or fewer.
pub(super) fn split<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut parts = text.split('.');
    let mut out = [""; N];
    for place in &mut out {
        *place = parts.next()?;
    }
    parts.next().is_none().then_some(out)
}

/// The bytes of a part that must have exactly so many.
pub(super) fn exactly<const N: usize>(part: &str) -> Option<[u8; N]> {
    let expected = N.saturating_mul(4).div_ceil(3);
    (part.len() == expected)
        .then(|| forms::base64url(part))?
        .and_then(|bytes| bytes.try_into().ok())
}

/// Whether a part is canonical: the alphabet alone, a possible length, no stray bits. As good as decoding and encoding again,
/// without the copies.
pub(super) fn is_canonical(part: &str) -> bool {
    let bytes = part.as_bytes();
    let Some(last) = bytes.last() else {
        return true;
    };
    let stray = match bytes.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b11,
        _ => return false,
    };
    // Without a way out of the loop, so that it goes over many characters at a time.
    let foreign = bytes
        .iter()
        .fold(false, |foreign, b| foreign | !is_in_alphabet(*b));
    !foreign && value(*last).is_some_and(|v| v & stray == 0)
}

/// As [`value`], without saying which.
const fn is_in_alphabet(character: u8) -> bool {
    (character.wrapping_sub(b'A') < 26)
        | (character.wrapping_sub(b'a') < 26)
        | (character.wrapping_sub(b'0') < 10)
        | (character == b'-')
        | (character == b'_')
}

/// What a character of the alphabet stands for.
const fn value(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(character.wrapping_sub(b'a').wrapping_add(26)),
        b'0'..=b'9' => Some(character.wrapping_sub(b'0').wrapping_add(52)),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_exactly_its_parts() {
        assert_eq!(split::<3>("a..c"), Some(["a", "", "c"]));
        assert_eq!(split::<3>(".."), Some(["", "", ""]));
        for miss in ["a.b", "a.b.c.", "a.b.c.d", ""] {
            assert_eq!(split::<3>(miss), None, "{miss:?}");
        }
    }

    #[test]
    fn canonical_is_what_decodes_and_encodes_to_itself() {
        let alphabet: Vec<char> = "AQZaz09-_+/=. \n\0?é".chars().collect();
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer: Vec<String> = texts
                .iter()
                .flat_map(|t| alphabet.iter().map(move |c| format!("{t}{c}")))
                .collect();
            for text in &longer {
                assert_eq!(
                    is_canonical(text),
                    forms::base64url(text).is_some(),
                    "{text:?}"
                );
            }
            // Every shorter text once is enough for the next length.
            texts = longer.into_iter().step_by(7).collect();
        }
        for length in 0..70 {
            let text = forms::to_base64url(&vec![0xff; length]);
            assert!(is_canonical(&text), "{length}");
        }
    }

    #[test]
    fn a_part_has_exactly_its_bytes() {
        let text = forms::to_base64url(&[7; 16]);
        assert_eq!(exactly::<16>(&text), Some([7; 16]));
        assert_eq!(exactly::<15>(&text), None);
        assert_eq!(exactly::<17>(&text), None);
        assert_eq!(exactly::<16>(&format!("{text}==")), None);
        assert_eq!(exactly::<12>(""), None);
    }
}
