//! The decrypted block of a request and the factors it uses (reference, section 1.4).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::route::Route;

/// The factors of a request, by MOSIP's names; inferred from what is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Factors(Vec<&'static str>);

/// Names of factors with the member each is found in.
const FACTORS: [(&str, &str); 6] = [
    ("demo", "demographics"),
    ("otp", "otp"),
    ("bio", "biometrics"),
    ("pin", "staticPin"),
    ("kbt", "keyBindedTokens"),
    ("pwd", "password"),
];

impl Factors {
    /// Those of a block. Key-bound tokens and passwords exist on kyc-auth only.
    pub(super) fn of(route: Route, inner: &Map<String, Value>) -> Self {
        Self(
            FACTORS
                .iter()
                .filter(|(name, member)| {
                    (route == Route::KycAuth || !matches!(*name, "kbt" | "pwd"))
                        && inner.get(*member).is_some_and(says_something)
                })
                .map(|(name, _)| *name)
                .collect(),
        )
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|factor| factor.eq_ignore_ascii_case(name))
    }

    pub(super) const fn none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_factor(name: &str) -> bool {
        FACTORS
            .iter()
            .any(|(factor, _)| factor.eq_ignore_ascii_case(name))
    }
}

/// The demographic members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Demographics {
    pub(super) age: Option<String>,
    pub(super) dob: Option<String>,
    pub(super) phone_number: Option<String>,
    pub(super) email_id: Option<String>,
    pub(super) postal_code: Option<String>,
    pub(super) name: Option<Vec<Spoken>>,
    pub(super) dob_type: Option<Vec<Spoken>>,
    pub(super) gender: Option<Vec<Spoken>>,
    pub(super) address_line1: Option<Vec<Spoken>>,
    pub(super) address_line2: Option<Vec<Spoken>>,
    pub(super) address_line3: Option<Vec<Spoken>>,
    pub(super) location1: Option<Vec<Spoken>>,
    pub(super) location2: Option<Vec<Spoken>>,
    pub(super) location3: Option<Vec<Spoken>>,
    pub(super) full_address: Option<Vec<Spoken>>,
    /// Whatever else a country may have; this sandbox's has nothing else.
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, Value>,
}

/// A value said in a language.
#[derive(Debug, Deserialize)]
pub(super) struct Spoken {
    pub(super) language: Option<String>,
    pub(super) value: Option<String>,
}

impl Demographics {
    /// The members that are lists of values in languages.
    pub(super) fn spoken(&self) -> impl Iterator<Item = (&'static str, &[Spoken])> {
        [
            ("name", &self.name),
            ("dobType", &self.dob_type),
            ("gender", &self.gender),
            ("addressLine1", &self.address_line1),
            ("addressLine2", &self.address_line2),
            ("addressLine3", &self.address_line3),
            ("location1", &self.location1),
            ("location2", &self.location2),
            ("location3", &self.location3),
            ("fullAddress", &self.full_address),
        ]
        .into_iter()
        .filter_map(|(member, list)| Some((member, list.as_deref()?)))
    }
}

/// Not null, not empty, and for objects: with a member that says something.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => members.values().any(says_something),
    }
}
