//! What to make: which parties, with which keys, for how long.

use std::{fmt, str::FromStr};

use super::{Algorithm, PkiError, Validity};
use crate::{clock::Moment, config::Role};

const HOUR_MS: i64 = 3_600_000;
const AUTHORITY_DAYS: u32 = 3653;
const LEAF_DAYS: u32 = 365;
const LIST_DAYS: u32 = 30;

/// A whole hierarchy to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The present moment: wrong twins are expired or revoked as of it.
    pub now: Moment,
    /// The organisation that the CAs name.
    pub organisation: String,
    /// The keys of the CAs.
    pub authority_algorithm: Algorithm,
    /// How long the CAs are valid.
    pub authorities: Validity,
    /// How long the parties' certificates are valid.
    pub leaves: Validity,
    /// From when the revocation lists count, and when the next ones are due.
    pub lists: Validity,
    /// Who gets certificates.
    pub parties: Vec<PartyPlan>,
    /// The party of which wrong twins are made, if any.
    pub twins_of: Option<String>,
}

/// A party to make three certificates for.
#[derive(Clone, Debug)]
pub struct PartyPlan {
    /// Its id: a folder name, and a host name in its TLS certificate where it can be one.
    pub id: String,
    /// Its organisation (subject O).
    pub organisation: String,
    /// Whether it is MOSIP or a partner of MOSIP.
    pub kind: PartyKind,
    /// Its keys.
    pub algorithms: Algorithms,
    /// Whether its encryption and signature certificates have MOSIP's form (negative serials, no EKU, for partners
    /// CA:TRUE), or a tidy one.
    pub resign: bool,
    /// More DNS names and IP addresses for its TLS certificate, beside its id and this machine's own.
    pub alternative_names: Vec<String>,
}

/// On which side of MOSIP a party stands; it decides which CA issues for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartyKind {
    /// MOSIP itself: its encryption and signature certificates come from the IDA CA.
    Mosip,
    /// A partner or MISP: its encryption and signature certificates come from the partner management CA.
    Partner,
}

/// The kind of key in each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// The connection.
    pub tls: Algorithm,
    /// The content. MOSIP's envelope needs RSA.
    pub encryption: Algorithm,
    /// The message. MOSIP's clients sign RS256, so RSA.
    pub signature: Algorithm,
}

impl Algorithms {
    /// The kind of key in a role.
    pub const fn of(self, role: Role) -> Algorithm {
        match role {
            Role::Tls => self.tls,
            Role::Encryption => self.encryption,
            Role::Signature => self.signature,
        }
    }
}

impl Default for Algorithms {
    fn default() -> Self {
        Self {
            tls: Algorithm::P256,
            encryption: Algorithm::Rsa2048,
            signature: Algorithm::Rsa2048,
        }
    }
}

impl Plan {
    /// MOSIP, a MISP, two partners and a service with keys of its own, and wrong twins of the partner `crvs`.
    pub fn standard(now: Moment) -> Self {
        let parties = vec![
            PartyPlan::mosip("mosip", "MOSIP"),
            PartyPlan::partner("misp", "MISP One"),
            PartyPlan::partner("crvs", "Civil Registry"),
            PartyPlan::partner("seeder", "Social Registry"),
            PartyPlan::partner("sdk", "Civil Registry"),
        ];
        Self {
            twins_of: Some("crvs".to_owned()),
            ..Self::of(parties, now)
        }
    }

    /// These parties and no twins; CAs valid for ten years, leaves for one, both since an hour ago, lists for 30 days.
    pub fn of(parties: Vec<PartyPlan>, now: Moment) -> Self {
        let since = now.plus_ms(-HOUR_MS);
        Self {
            now,
            organisation: "MOSIP".to_owned(),
            authority_algorithm: Algorithm::Rsa2048,
            authorities: Validity::days(since, AUTHORITY_DAYS),
            leaves: Validity::days(since, LEAF_DAYS),
            lists: Validity::days(since, LIST_DAYS),
            parties,
            twins_of: None,
        }
    }

    /// Checks what can be checked before keys are made.
    ///
    /// # Errors
    /// [`PkiError::Name`] for ids that are unsafe or stand twice and for twins of nobody.
    pub fn check(&self) -> Result<(), PkiError> {
        let mut seen = std::collections::HashSet::new();
        for party in &self.parties {
            party.check()?;
            // Without regard to case: the ids are folders, and some file systems take no regard either.
            if !seen.insert(party.id.to_ascii_lowercase()) {
                return Err(PkiError::Name {
                    what: "party id",
                    value: party.id.clone(),
                    why: "it stands twice",
                });
            }
        }
        if let Some(of) = &self.twins_of
            && !self.parties.iter().any(|party| party.id == *of)
        {
            return Err(PkiError::Name {
                what: "party id",
                value: of.clone(),
                why: "twins are wanted of it, but it is not among the parties",
            });
        }
        Ok(())
    }
}

impl PartyPlan {
    /// MOSIP itself.
    pub fn mosip(id: impl Into<String>, organisation: impl Into<String>) -> Self {
        Self {
            kind: PartyKind::Mosip,
            ..Self::partner(id, organisation)
        }
    }

    /// A partner or MISP.
    pub fn partner(id: impl Into<String>, organisation: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            organisation: organisation.into(),
            kind: PartyKind::Partner,
            algorithms: Algorithms::default(),
            resign: true,
            alternative_names: Vec::new(),
        }
    }

    /// Checks the id.
    ///
    /// # Errors
    /// [`PkiError::Name`].
    pub fn check(&self) -> Result<(), PkiError> {
        let refuse = |why| {
            Err(PkiError::Name {
                what: "party id",
                value: self.id.clone(),
                why,
            })
        };
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if self.id.is_empty() || self.id.len() > 50 {
            return refuse("it is empty or longer than 50 characters");
        }
        if !self.id.bytes().all(safe)
            || !self
                .id
                .starts_with(|first: char| first.is_ascii_alphanumeric())
        {
            return refuse(
                "it may have letters, digits, '-', '_' and '.', and begins with a letter or digit",
            );
        }
        Ok(())
    }
}

/// `misp:MISP One`; the id `mosip` stands for MOSIP itself.
impl FromStr for PartyPlan {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let Some((id, organisation)) = text.split_once(':') else {
            return Err(PkiError::Name {
                what: "party",
                value: text.to_owned(),
                why: "it is written id:Organisation, such as misp:\"MISP One\"",
            });
        };
        let party = if id == "mosip" {
            Self::mosip(id, organisation)
        } else {
            Self::partner(id, organisation)
        };
        party.check()?;
        Ok(party)
    }
}

/// In which one way a twin is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TwinKind {
    /// The right names under another root with the same names.
    OtherRoot,
    /// Expired a second ago.
    Expired,
    /// Valid only after the right ones end.
    NotYetValid,
    /// In its issuer's revocation list.
    Revoked,
    /// Each certificate has the usage of another role.
    RoleSwapped,
    /// From the right CA, but for another organisation.
    OtherOrganisation,
    /// One key in the roles encryption and signature.
    SharedKey,
    /// Issued by the party itself, below its signature certificate that MOSIP made CA:TRUE.
    BelowPartner,
}

impl TwinKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::OtherRoot,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::RoleSwapped,
        Self::OtherOrganisation,
        Self::SharedKey,
        Self::BelowPartner,
    ];

    /// The name of its folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherRoot => "other-root",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::RoleSwapped => "role-swapped",
            Self::OtherOrganisation => "other-organisation",
            Self::SharedKey => "shared-key",
            Self::BelowPartner => "below-partner",
        }
    }

    /// Whether such a twin of a party can be made: only a party with a CA:TRUE certificate can issue below it.
    pub fn applies_to(self, party: &PartyPlan) -> bool {
        self != Self::BelowPartner || (party.resign && party.kind == PartyKind::Partner)
    }
}

impl fmt::Display for TwinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_leave_the_folder_are_refused() {
        for id in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            ".hidden",
            "-rf",
            "a b",
            "é",
            &"x".repeat(51),
        ] {
            assert!(PartyPlan::partner(id, "X").check().is_err(), "{id:?}");
        }
        assert!(PartyPlan::partner("a..b_C-9", "X").check().is_ok());
    }

    #[test]
    fn an_id_that_stands_twice_but_for_case_is_refused() {
        let parties = vec![
            PartyPlan::partner("crvs", "A"),
            PartyPlan::partner("CRVS", "B"),
        ];
        assert!(Plan::of(parties, Moment::from_s(0)).check().is_err());
    }

    #[test]
    fn twins_of_nobody_are_refused() {
        let mut plan = Plan::standard(Moment::from_s(0));
        assert!(plan.check().is_ok());
        plan.twins_of = Some("nobody".to_owned());
        assert!(plan.check().is_err());
    }
}
