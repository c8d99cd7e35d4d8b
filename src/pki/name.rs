//! Who a certificate is for: the six parts of a subject that MOSIP keeps, in MOSIP's order (reference IDA 5.3).

use rcgen::{DistinguishedName, DnType, DnValue};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::{PkiError, der};

/// The longest part of a subject (RFC 5280 appendix A.1, ub-common-name and its like).
const PART_CHARS_MAX: usize = 64;

/// A subject. Only the common name is always there; the gateway wants the organisation too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// CN.
    pub common_name: String,
    /// O: what binds a partner's certificate to the partner.
    pub organisation: Option<String>,
    /// OU.
    pub unit: Option<String>,
    /// L.
    pub locality: Option<String>,
    /// ST.
    pub state: Option<String>,
    /// C: two letters.
    pub country: Option<String>,
}

impl Name {
    /// A subject with common name and organisation.
    pub fn new(common_name: impl Into<String>, organisation: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            organisation: Some(organisation.into()),
            ..Self::default()
        }
    }

    /// What a certificate or request says; of a part that stands twice the first counts, as in MOSIP.
    pub(super) fn from_x509(name: &X509Name<'_>) -> Self {
        let first = |value: Option<&AttributeTypeAndValue<'_>>| {
            value
                .and_then(|value| value.as_str().ok())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            common_name: first(name.iter_common_name().next()).unwrap_or_default(),
            organisation: first(name.iter_organization().next()),
            unit: first(name.iter_organizational_unit().next()),
            locality: first(name.iter_locality().next()),
            state: first(name.iter_state_or_province().next()),
            country: first(name.iter_country().next()),
        }
    }

    /// Checks the parts and hands them to rcgen.
    pub(super) fn to_rcgen(&self) -> Result<DistinguishedName, PkiError> {
        let mut name = DistinguishedName::new();
        for (part, value) in self.parts()? {
            match part {
                Part::Country => {
                    name.push(part.rcgen(), DnValue::PrintableString(value.try_into()?))
                }
                Part::State
                | Part::Locality
                | Part::Organisation
                | Part::Unit
                | Part::CommonName => {
                    name.push(part.rcgen(), value);
                }
            }
        }
        Ok(name)
    }

    /// Checks the parts and writes them as DER.
    pub(super) fn to_der(&self) -> Result<Vec<u8>, PkiError> {
        let mut sets = Vec::new();
        for (part, value) in self.parts()? {
            let tag = if part == Part::Country {
                PRINTABLE_STRING
            } else {
                UTF8_STRING
            };
            let pair = der::sequence(&[
                &der::oid(&[0x55, 0x04, part.arc()]),
                &der::element(tag, value.as_bytes()),
            ]);
            sets.extend(der::set_of_one(&pair));
        }
        Ok(der::sequence(&[&sets]))
    }

    fn parts(&self) -> Result<Vec<(Part, &str)>, PkiError> {
        let mut parts = Vec::with_capacity(6);
        for (part, value) in [
            (Part::Country, self.country.as_deref()),
            (Part::State, self.state.as_deref()),
            (Part::Locality, self.locality.as_deref()),
            (Part::Organisation, self.organisation.as_deref()),
            (Part::Unit, self.unit.as_deref()),
            (Part::CommonName, Some(self.common_name.as_str())),
        ] {
            if let Some(value) = value {
                part.check(value)?;
                parts.push((part, value));
            }
        }
        Ok(parts)
    }
}

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Country,
    State,
    Locality,
    Organisation,
    Unit,
    CommonName,
}

impl Part {
    const fn arc(self) -> u8 {
        match self {
            Self::CommonName => 3,
            Self::Country => 6,
            Self::Locality => 7,
            Self::State => 8,
            Self::Organisation => 10,
            Self::Unit => 11,
        }
    }

    const fn rcgen(self) -> DnType {
        match self {
            Self::CommonName => DnType::CommonName,
            Self::Country => DnType::CountryName,
            Self::Locality => DnType::LocalityName,
            Self::State => DnType::StateOrProvinceName,
            Self::Organisation => DnType::OrganizationName,
            Self::Unit => DnType::OrganizationalUnitName,
        }
    }

    fn check(self, value: &str) -> Result<(), PkiError> {
        let what = match self {
            Self::CommonName => "common name",
            Self::Country => "country",
            Self::Locality => "locality",
            Self::State => "state",
            Self::Organisation => "organisation",
            Self::Unit => "organisational unit",
        };
        let refuse = |why| {
            Err(PkiError::Name {
                what,
                value: value.to_owned(),
                why,
            })
        };
        if value.trim().is_empty() || value.trim() != value {
            return refuse("it is empty or has spaces around it");
        }
        if value.chars().count() > PART_CHARS_MAX {
            return refuse("it has more than 64 characters");
        }
        if value.chars().any(char::is_control) {
            return refuse("it has control characters");
        }
        if self == Self::Country
            && !(value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            return refuse("it is not two capital letters");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::FromDer;

    #[test]
    fn what_is_written_is_read_back_in_mosips_order() {
        let name = Name {
            common_name: "PARTNER-crvs".into(),
            organisation: Some("Zivilstandsämter".into()),
            unit: Some("ID".into()),
            locality: Some("Bern".into()),
            state: Some("BE".into()),
            country: Some("CH".into()),
        };
        let der = name.to_der().unwrap();
        let (rest, read) = X509Name::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(Name::from_x509(&read), name);
        assert!(read.to_string().starts_with("C=CH, ST=BE, L=Bern, O="));
    }

    #[test]
    fn parts_that_would_mislead_are_refused() {
        for value in ["", " Registry", "Registry\n", &"x".repeat(65)] {
            assert!(Name::new("x", value).to_der().is_err(), "{value:?}");
            assert!(Name::new("x", value).to_rcgen().is_err(), "{value:?}");
        }
        assert!(Name::new("x", "x".repeat(64)).to_der().is_ok());
        let country = Name {
            country: Some("ch".into()),
            ..Name::new("x", "y")
        };
        assert!(country.to_der().is_err());
    }
}
