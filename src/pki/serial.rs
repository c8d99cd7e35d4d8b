//! Serial numbers as they stand in certificates: signed integers, of which MOSIP makes negative ones.

use std::{fmt, str::FromStr};

use super::{PkiError, authority::read_certificate};

/// The longest serial number that is taken, in octets (RFC 5280 4.1.2.2).
const OCTETS_MAX: usize = 20;

/// A serial number: the content octets of its INTEGER, two's complement.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The serial number of a certificate.
    ///
    /// # Errors
    /// When `der` is not a certificate.
    pub fn of(der: &[u8]) -> Result<Self, PkiError> {
        Ok(Self(read_certificate(der)?.raw_serial().to_vec()))
    }

    /// From the content octets of an INTEGER.
    pub fn from_octets(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }

    /// The content octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// MOSIP's serial numbers are 64 random bits, so every other one is negative.
    pub fn is_negative(&self) -> bool {
        self.0.first().is_some_and(|first| first & 0x80 != 0)
    }
}

/// Lower-case hex of the magnitude, with a minus sign when negative, as OpenSSL prints it (there in capitals).
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = if self.is_negative() {
            f.write_str("-")?;
            negate(&self.0)
        } else {
            self.0.clone()
        };
        let mut digits = magnitude.iter().skip_while(|byte| **byte == 0).peekable();
        if digits.peek().is_none() {
            return f.write_str("00");
        }
        digits.try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = PkiError;

    /// Hex, with or without colons, `0x` and a minus sign.
    fn from_str(text: &str) -> Result<Self, PkiError> {
        let refuse = || PkiError::Name {
            what: "serial number",
            value: text.to_owned(),
            why: "it is not up to 20 octets in hexadecimal, such as -6a:3f:01",
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits: String = digits.strip_prefix("0x").unwrap_or(digits).replace(':', "");
        let even = if digits.len().is_multiple_of(2) {
            digits
        } else {
            format!("0{digits}")
        };
        if even.is_empty()
            || even.len() > OCTETS_MAX * 2
            || !even.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(refuse());
        }
        let mut octets = vec![0];
        for pair in even.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).map_err(|_| refuse())?;
            octets.push(u8::from_str_radix(pair, 16).map_err(|_| refuse())?);
        }
        if negative {
            octets = negate(&octets);
        }
        Ok(Self(shorten(octets)))
    }
}

/// Two's complement of the same length.
fn negate(octets: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let mut out: Vec<u8> = octets
        .iter()
        .rev()
        .map(|byte| {
            let (sum, overflow) = (!byte).overflowing_add(u8::from(carry));
            carry = overflow;
            sum
        })
        .collect();
    out.reverse();
    out
}

/// Drops leading octets that say nothing (X.690 8.3.2).
fn shorten(mut octets: Vec<u8>) -> Vec<u8> {
    let redundant = octets
        .windows(2)
        .take_while(|pair| match pair {
            [0, second] => second & 0x80 == 0,
            [0xff, second] => second & 0x80 != 0,
            _ => false,
        })
        .count();
    octets.split_off(redundant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_octets_agree_with_openssl() {
        for (octets, text) in [
            (vec![0x00], "00"),
            (vec![0x01], "01"),
            (vec![0x00, 0x80], "80"),
            (vec![0xff], "-01"),
            (vec![0x80], "-80"),
            (vec![0xff, 0x7f], "-81"),
            (vec![0x95, 0xc0, 0xfe], "-6a3f02"),
        ] {
            assert_eq!(Serial(octets.clone()).to_string(), text);
            assert_eq!(text.parse::<Serial>().unwrap().0, octets, "{text}");
        }
        assert_eq!(
            "0x6A:3F:02".parse::<Serial>().unwrap().0,
            [0x6a, 0x3f, 0x02]
        );
    }

    #[test]
    fn a_negative_serial_is_not_its_magnitude() {
        assert_ne!(
            "-6a".parse::<Serial>().unwrap(),
            "6a".parse::<Serial>().unwrap()
        );
    }

    #[test]
    fn what_is_not_hex_is_refused() {
        for text in ["", "-", "0x", "xyz", "--1", &"f".repeat(41)] {
            assert!(text.parse::<Serial>().is_err(), "{text:?}");
        }
    }
}
