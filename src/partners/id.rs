//! The partner id: a name that is safe in paths, logs and metric labels.

use std::{fmt, str::FromStr};

/// The longest partner id, in characters.
pub const PARTNER_ID_MAX: usize = 64;

/// A partner id: 1 to 64 of `A-Z a-z 0-9 _ . -`, and neither `.` nor `..`, which a path would swallow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartnerId(String);

/// Text that is not a partner id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a partner id is 1 to 64 characters of A-Z, a-z, 0-9, `_`, `.` and `-`")]
pub struct PartnerIdError;

impl PartnerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PartnerId {
    type Err = PartnerIdError;

    fn from_str(text: &str) -> Result<Self, PartnerIdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let fits = !text.is_empty() && text.len() <= PARTNER_ID_MAX && text.bytes().all(allowed);
        if fits && text != "." && text != ".." {
            Ok(Self(text.to_owned()))
        } else {
            Err(PartnerIdError)
        }
    }
}

/// So that a map keyed by ids can be asked with the text of a path.
impl std::borrow::Borrow<str> for PartnerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_four_characters_are_an_id_and_sixty_five_are_not() {
        assert!("p".repeat(64).parse::<PartnerId>().is_ok());
        assert!("p".repeat(65).parse::<PartnerId>().is_err());
    }

    #[test]
    fn ids_that_a_path_or_a_log_could_misread_are_refused() {
        for bad in [
            "", ".", "..", "a b", "a/b", "a%2e", "a\n", "ä", "a,b", "a:b",
        ] {
            assert!(bad.parse::<PartnerId>().is_err(), "{bad:?}");
        }
        for good in ["opencrvs-partner", "MPARTNER_1.2", "...", "9"] {
            assert!(good.parse::<PartnerId>().is_ok(), "{good:?}");
        }
    }
}
