//! What a rule may look at besides who calls what: the facts of one exchange.
//!
//! They are made once, on the road, and used three times: the rules decide over them (`policy::rules`), the evidence holds
//! them, and `triseal policy replay` asks other rules about them later. So nothing in here is personal: no identifier, no
//! value of an attribute, no free text of the caller's. Words that a caller chooses are kept only when they look like names.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{clock::Moment, ida::Factor};

/// The most names of one list that are kept; a caller who asks for more has asked for [`OTHER`] too.
pub const NAMES_MAX: usize = 64;
/// The longest name that is kept.
const NAME_MAX: usize = 96;
/// Stands for every word that is not kept as it is.
pub const OTHER: &str = "other";
/// The kinds of identifiers that MOSIP knows.
const IDENTIFIER_TYPES: [&str; 4] = ["UIN", "VID", "HANDLE", "NIN"];

/// The facts of one exchange. `docs/policy.md` says what each means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// When the request arrived, in seconds since 1970.
    pub time: i64,
    /// The address that it came from.
    pub source: IpAddr,
    /// The face that it came by.
    pub face: String,
    /// How the caller was known: `certificate`, `network` or `token`.
    pub known_by: String,
    /// `1.3` or `1.2`; none where the face has no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// How the request was sealed: `mosip-ida`, `jose` or `insecure_plain`.
    pub envelope: String,
    /// How the exchange is recorded: `off`, `best_effort` or `required`.
    pub evidence: String,
    /// The MOSIP policy behind the API key of the path, where the route has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Whether the content was reached: everything below is known only then, and then only where it was there to be seen.
    pub content: bool,
    /// The algorithm of the message's signature, such as `RS256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The factors to authenticate with, in the words of MOSIP's policies: `otp`, `demo`, `bio-FINGER` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<Vec<String>>,
    /// The attributes that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Vec<String>>,
    /// `UIN`, `VID`, `HANDLE`, `NIN`, or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier_type: Option<String>,
    /// The topics of a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

impl Facts {
    /// What is known before anything is opened. The rest is filled in as the road finds it.
    pub fn begin(at: Moment, source: IpAddr, face: &str, known_by: &str) -> Self {
        Self {
            time: at.s(),
            source,
            face: face.to_owned(),
            known_by: known_by.to_owned(),
            tls: None,
            envelope: String::new(),
            evidence: String::new(),
            policy: None,
            content: false,
            algorithm: None,
            factors: None,
            attributes: None,
            identifier_type: None,
            topics: None,
        }
    }

    /// The factors of a request whose content was opened.
    pub fn saw_factors(&mut self, factors: &[Factor]) {
        self.factors = Some(names(factors.iter().map(|factor| factor.as_str())));
    }

    /// The attributes that a request asks for.
    pub fn saw_attributes<'a>(&mut self, asked: impl IntoIterator<Item = &'a str>) {
        self.attributes = Some(names(asked));
    }

    /// The topics of a subscription.
    pub fn saw_topics<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>) {
        self.topics = Some(names(topics));
    }

    /// The kind of identifier that a request says it has.
    pub fn saw_identifier_type(&mut self, said: &str) {
        let known = IDENTIFIER_TYPES
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(said));
        self.identifier_type = Some(known.unwrap_or(OTHER).to_owned());
    }
}

/// Names in order, once each; whatever is none, or too many, is [`OTHER`].
fn names<'a>(given: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut other = false;
    for name in given {
        if !is_name(name) || kept.len() >= NAMES_MAX {
            other = true;
        } else if !kept.iter().any(|known| known == name) {
            kept.push(name.to_owned());
        }
    }
    if other && !kept.iter().any(|known| known == OTHER) {
        kept.push(OTHER.to_owned());
    }
    kept.sort_unstable();
    kept
}

/// Letters, digits and the punctuation of names and topics; it begins with a letter, as no identifier of a person does.
fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b);
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ida::Bio;

    fn facts() -> Facts {
        let source = IpAddr::from([127, 0, 0, 1]);
        Facts::begin(
            Moment::from_s(1_700_000_000),
            source,
            "partner",
            "certificate",
        )
    }

    #[test]
    fn what_a_caller_writes_is_kept_only_when_it_looks_like_a_name() {
        let mut facts = facts();
        facts.saw_attributes(["fullName", "dateOfBirth", "fullName"]);
        assert_eq!(
            facts.attributes.as_deref(),
            Some(&["dateOfBirth".to_owned(), "fullName".to_owned()][..])
        );
        let long = "a".repeat(NAME_MAX + 1);
        for odd in [
            "2345678901",
            "Ana Ruiz",
            "a@b",
            "",
            "é",
            "a\nb",
            long.as_str(),
        ] {
            facts.saw_attributes([odd, "name"]);
            let kept = facts.attributes.clone().unwrap();
            assert_eq!(kept, ["name", OTHER], "{odd:?}");
        }
    }

    #[test]
    fn a_list_has_a_bound_and_says_that_there_was_more() {
        let many: Vec<String> = (0..=NAMES_MAX).map(|i| format!("n{i}")).collect();
        let mut facts = facts();
        facts.saw_topics(many.iter().map(String::as_str));
        let kept = facts.topics.unwrap();
        assert_eq!(kept.len(), NAMES_MAX + 1);
        assert!(kept.iter().any(|name| name == OTHER));
    }

    #[test]
    fn identifier_types_are_mosips_or_other() {
        let mut facts = facts();
        for (said, kept) in [("vid", "VID"), ("UIN", "UIN"), ("1234567890", OTHER)] {
            facts.saw_identifier_type(said);
            assert_eq!(facts.identifier_type.as_deref(), Some(kept));
        }
    }

    #[test]
    fn facts_are_written_and_read_back() {
        let mut facts = facts();
        facts.saw_factors(&[Factor::Otp, Factor::Bio(Bio::Face)]);
        let text = serde_json::to_string(&facts).unwrap();
        assert!(text.contains(r#""factors":["bio-FACE","otp"]"#), "{text}");
        assert!(!text.contains("topics"), "{text}");
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }
}
