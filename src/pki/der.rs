//! A writer for just the DER that rcgen cannot write: certificates and revocation lists with negative serial numbers.
//!
//! Every function returns one complete element. Nothing here reads.

use time::OffsetDateTime;

use super::PkiError;
use crate::clock::Moment;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// An element: tag, length in its shortest form, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            // At most eight digits: the count fits in the low bits.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            out.extend(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of complete elements.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// SET with one complete element.
pub(super) fn set_of_one(part: &[u8]) -> Vec<u8> {
    element(SET, part)
}

/// An explicit context tag around complete elements.
pub(super) fn context(number: u8, content: &[u8]) -> Vec<u8> {
    element(0xa0 | number, content)
}

/// INTEGER from its content octets (two's complement), taken as they are.
pub(super) fn integer(octets: &[u8]) -> Vec<u8> {
    element(INTEGER, octets)
}

/// The shortest two's-complement content octets of a signed number.
pub(super) fn signed_octets(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let fill = if value < 0 { 0xff } else { 0x00 };
    let redundant = bytes
        .windows(2)
        .take_while(
            |pair| matches!(pair, [first, second] if *first == fill && (second ^ fill) & 0x80 == 0),
        )
        .count();
    bytes.into_iter().skip(redundant).collect()
}

/// The shortest content octets of an unsigned number.
pub(super) fn unsigned_octets(value: u64) -> Vec<u8> {
    let mut octets = vec![0];
    octets.extend(value.to_be_bytes());
    let redundant = octets
        .windows(2)
        .take_while(|pair| matches!(pair, [0, second] if second & 0x80 == 0))
        .count();
    octets.split_off(redundant)
}

/// ENUMERATED with a small value.
pub(super) fn enumerated(value: u8) -> Vec<u8> {
    element(ENUMERATED, &[value & 0x7f])
}

/// BIT STRING of whole octets.
pub(super) fn bit_string(octets: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(octets);
    element(BIT_STRING, &content)
}

/// BIT STRING of up to eight named bits, trailing zero bits left out (X.690 11.2.2).
pub(super) fn named_bits(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).unwrap_or(0);
    element(BIT_STRING, &[unused, bits])
}

/// OCTET STRING.
pub(super) fn octet_string(octets: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, octets)
}

/// OBJECT IDENTIFIER from its content octets.
pub(super) fn oid(octets: &[u8]) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, octets)
}

/// An X.509 extension; `value` is the complete inner element.
pub(super) fn extension(oid_octets: &[u8], critical: Critical, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = match critical {
        Critical::Yes => &[0x01, 0x01, 0xff],
        Critical::No => &[],
    };
    sequence(&[&oid(oid_octets), flag, &octet_string(value)])
}

/// Whether a reader that does not know the extension must refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Critical {
    Yes,
    No,
}

/// `UTCTime` up to 2049, `GeneralizedTime` from 2050 on (RFC 5280 4.1.2.5), whole seconds.
pub(super) fn time(moment: Moment) -> Result<Vec<u8>, PkiError> {
    let at = offset_date_time(moment)?;
    let (year, month) = (at.year(), u8::from(at.month()));
    let rest = format!(
        "{month:02}{:02}{:02}{:02}{:02}Z",
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    match year {
        1950..=2049 => Ok(element(
            0x17,
            format!("{:02}{rest}", year.rem_euclid(100)).as_bytes(),
        )),
        0..=9999 => Ok(element(0x18, format!("{year:04}{rest}").as_bytes())),
        _ => Err(PkiError::Validity("the year has more than four digits")),
    }
}

/// A moment as the `time` crate has it, in whole seconds.
pub(super) fn offset_date_time(moment: Moment) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(moment.s())
        .map_err(|_| PkiError::Validity("it is beyond the years a certificate can state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        assert_eq!(element(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(element(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn signed_numbers_take_their_shortest_form() {
        for (value, octets) in [
            (0, vec![0]),
            (127, vec![0x7f]),
            (128, vec![0, 0x80]),
            (-1, vec![0xff]),
            (-128, vec![0x80]),
            (-129, vec![0xff, 0x7f]),
            (i64::MIN, vec![0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(signed_octets(value), octets, "{value}");
        }
        assert_eq!(unsigned_octets(0), [0]);
        assert_eq!(unsigned_octets(0x80), [0, 0x80]);
        assert_eq!(
            unsigned_octets(u64::MAX),
            [0, 255, 255, 255, 255, 255, 255, 255, 255]
        );
    }

    #[test]
    fn times_change_form_in_2050() {
        let last = Moment::from_s(2_524_607_999);
        assert_eq!(time(last).unwrap(), element(0x17, b"491231235959Z"));
        assert_eq!(
            time(last.plus_ms(1000)).unwrap(),
            element(0x18, b"20500101000000Z")
        );
    }
}
