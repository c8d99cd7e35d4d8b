//! Just enough DER to take a signed object (certificate or revocation list) apart into the bytes that were signed.

/// One element: its whole bytes and its content.
pub(super) struct Element<'a> {
    pub(super) whole: &'a [u8],
    pub(super) content: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// `SEQUENCE { signed, algorithm SEQUENCE, signature BIT STRING }`: the three parts, where `algorithm` is the content of
/// the AlgorithmIdentifier, as `rustls-pki-types` has it. `None` where anything is left over or not DER.
pub(super) fn split_signed(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (outer, rest) = read(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (signed, rest) = read(outer.content, SEQUENCE)?;
    let (algorithm, rest) = read(rest, SEQUENCE)?;
    let (signature, rest) = read(rest, BIT_STRING)?;
    let (unused, signature) = signature.content.split_first()?;
    (rest.is_empty() && *unused == 0).then_some((signed.whole, algorithm.content, signature))
}

/// Reads one element with that tag. Lengths must be definite and as short as they can be.
fn read(input: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (first, rest) = input.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let count = usize::from(*length & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        let value = bytes
            .iter()
            .fold(0_usize, |n, b| n.wrapping_shl(8) | usize::from(*b));
        if value < 0x80 || bytes.first() == Some(&0) {
            return None;
        }
        (value, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let whole = input.get(..input.len().checked_sub(rest.len())?)?;
    Some((Element { whole, content }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_signed_object_is_taken_apart() {
        let good = [0x30, 9, 0x30, 1, 5, 0x30, 0, 0x03, 2, 0, 7];
        let (signed, algorithm, signature) = split_signed(&good).unwrap();
        assert_eq!(
            (signed, algorithm, signature),
            (&[0x30, 1, 5][..], &[][..], &[7][..])
        );
        assert!(split_signed(&[&good[..], &[0]].concat()).is_none());
        assert!(split_signed(&good[..10]).is_none());
        let long = [0x30, 0x81, 9, 0x30, 1, 5, 0x30, 0, 0x03, 2, 0, 7];
        assert!(
            split_signed(&long).is_none(),
            "length not in its shortest form"
        );
    }
}
