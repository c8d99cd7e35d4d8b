//! MOSIP's auth policy document: strict reading, and what it permits (IDA reference 2.3 and 5.5).
//!
//! Read as MOSIP's own schema has it: nothing may be there that it does not name. Comparisons are without regard to case,
//! as in MOSIP.

use serde::Deserialize;
use serde_json::Value;

use crate::ida::{Bio, Factor, Operation};
use crate::{
    config::Report,
    refusal::{Code, Refusal},
};

/// How the token in an answer (`authToken`) is derived.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Another one each time.
    Random,
    /// The same for one person and partner.
    Partner,
    /// The same for one person and policy.
    Policy,
}

/// One entry of `allowedAuthTypes`: a factor, or the permission for an operation.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AllowedAuth {
    /// `demo`, `otp`, `bio` and so on, or a permission such as `kyc`.
    pub auth_type: String,
    /// `FINGER`, `IRIS` or `FACE` for `bio`.
    #[serde(default)]
    pub auth_sub_type: Option<String>,
    /// Whether each request must have it.
    pub mandatory: bool,
}

/// An auth policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthPolicy {
    id: String,
    token_type: TokenType,
    allowed: Vec<AllowedAuth>,
    kyc_attributes: Vec<String>,
    /// The same under every name that MOSIP gives them.
    disclosed: Vec<String>,
    kyc_languages: Vec<String>,
}

/// The document as MOSIP's schema has it. Serde refuses what the walk below cannot see: members that stand twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Raw {
    auth_token_type: TokenType,
    allowed_auth_types: Vec<AllowedAuth>,
    allowed_kyc_attributes: Vec<RawAttribute>,
    #[serde(default)]
    kyc_languages: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawAttribute {
    attribute_name: String,
}

impl AuthPolicy {
    /// Reads a document. All mistakes are reported at `field` of the policy that names the document.
    pub fn parse(text: &str, field: &str, report: &mut Report<'_>) -> Option<Self> {
        let before = report.errors();
        let mut add = |what: String, remedy: &str| report.error(field, what, remedy);
        match serde_json::from_str::<Value>(text) {
            Err(e) => {
                add(
                    format!("the document is not JSON: {e}"),
                    "Correct the JSON.",
                );
                return None;
            }
            Ok(Value::Object(members)) => walk(&members, &mut add),
            Ok(_) => add(
                "the document is not a JSON object".to_owned(),
                "Use a MOSIP auth policy.",
            ),
        }
        if report.errors() > before {
            return None;
        }
        let raw: Raw = match serde_json::from_str(text) {
            Ok(raw) => raw,
            Err(e) => {
                report.error(
                    field,
                    format!("the document is not an auth policy: {e}"),
                    "Correct the document.",
                );
                return None;
            }
        };
        for (i, entry) in raw.allowed_auth_types.iter().enumerate() {
            judge_entry(i, entry, field, report);
        }
        let kyc_attributes = raw.allowed_kyc_attributes.into_iter();
        let kyc_attributes: Vec<String> = kyc_attributes.map(|a| a.attribute_name).collect();
        (report.errors() == before).then(|| Self {
            id: String::new(),
            token_type: raw.auth_token_type,
            allowed: raw.allowed_auth_types,
            disclosed: every_name(&kyc_attributes),
            kyc_attributes,
            kyc_languages: raw.kyc_languages,
        })
    }

    /// The same under the id that the configuration gives it.
    #[must_use]
    pub fn named(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// What both allow, under this one's id: a factor or attribute that both list, mandatory when one of them says so.
    #[must_use]
    pub fn narrowed_by(&self, other: &Self) -> Self {
        let mut allowed: Vec<AllowedAuth> = (self.allowed.iter())
            .filter_map(|ours| {
                let theirs = other.allowed.iter().find(|theirs| theirs.names(ours))?;
                let mandatory = ours.mandatory || theirs.mandatory;
                let ours = ours.clone();
                Some(AllowedAuth { mandatory, ..ours })
            })
            .collect();
        // What one demands and the other forbids leaves nothing that would do.
        let demands_more = |one: &Self, two: &Self| {
            (one.allowed.iter())
                .filter(|entry| entry.mandatory)
                .any(|entry| !two.allowed.iter().any(|known| known.names(entry)))
        };
        if demands_more(self, other) || demands_more(other, self) {
            allowed.clear();
        }
        let kyc_attributes: Vec<String> = (self.kyc_attributes.iter())
            .filter(|ours| other.disclosed.contains(ours))
            .cloned()
            .collect();
        let kyc_languages = match (&*self.kyc_languages, &*other.kyc_languages) {
            ([], languages) | (languages, []) => languages.to_vec(),
            (ours, theirs) => {
                let both: Vec<String> = (ours.iter())
                    .filter(|language| theirs.contains(language))
                    .cloned()
                    .collect();
                // An empty list would be every language; no member ends with the empty one.
                if both.is_empty() {
                    vec![String::new()]
                } else {
                    both
                }
            }
        };
        Self {
            id: self.id.clone(),
            token_type: self.token_type,
            allowed,
            disclosed: every_name(&kyc_attributes),
            kyc_attributes,
            kyc_languages,
        }
    }

    /// The id by which API keys point to it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How the token in an answer is derived.
    pub const fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// What is allowed, in the order of the document.
    pub fn allowed(&self) -> &[AllowedAuth] {
        &self.allowed
    }

    /// The attributes an eKYC answer may have.
    pub fn kyc_attributes(&self) -> &[String] {
        &self.kyc_attributes
    }

    /// The languages an eKYC answer may have; empty means every language of the system.
    pub fn kyc_languages(&self) -> &[String] {
        &self.kyc_languages
    }

    /// Whether an eKYC answer may have this member. MOSIP writes attributes under names of its own and, where they are of a
    /// language, with the language behind it: `fullName` may come as `name_eng`.
    pub fn discloses(&self, member: &str) -> bool {
        let listed = |name: &str| (self.disclosed.iter()).any(|attribute| attribute == name);
        let spoken = |language: &str| {
            self.kyc_languages.is_empty() || self.kyc_languages.iter().any(|one| one == language)
        };
        listed(member)
            || (member.rsplit_once('_')).is_some_and(|(name, language)| {
                language.len() == 3 && listed(name) && spoken(language)
            })
    }

    /// Whether a request of this kind may be made at all.
    ///
    /// # Errors
    /// `POL-003`, naming the permission that is missing.
    pub fn permits_operation(&self, operation: Operation) -> Result<(), Refusal> {
        let Some(permission) = operation.permission() else {
            return Ok(());
        };
        if self.lists(permission) {
            return Ok(());
        }
        let cause = format!("the policy does not list `{permission}`");
        Err(Refusal::new(Code::PolicyRoute, cause).naming(permission))
    }

    /// Whether a request may use these factors, and has those that must be there. `operation` says whether mandatory
    /// factors are asked for.
    ///
    /// # Errors
    /// `POL-004` a factor is not allowed, `POL-005` a mandatory one is missing. Both name the factor as MOSIP's message does.
    pub fn permits_factors(&self, operation: Operation, factors: &[Factor]) -> Result<(), Refusal> {
        for factor in factors {
            if !self.allowed.iter().any(|entry| entry.is(*factor)) {
                let cause = format!("the policy does not allow {}", factor.as_str());
                return Err(Refusal::new(Code::PolicyFactor, cause).naming(factor.as_upper()));
            }
        }
        if !operation.demands_mandatory() {
            return Ok(());
        }
        let missing = (self.allowed.iter())
            .filter(|entry| entry.mandatory)
            .find_map(|entry| entry.missing(operation, factors));
        match missing {
            None => Ok(()),
            Some(name) => {
                let cause = format!("the policy demands {name}");
                Err(Refusal::new(Code::PolicyMandatory, cause).naming(name))
            }
        }
    }

    fn lists(&self, permission: &str) -> bool {
        self.allowed
            .iter()
            .any(|entry| entry.auth_type.eq_ignore_ascii_case(permission))
    }
}

impl AllowedAuth {
    /// Whether both are about the same, as MOSIP compares.
    fn names(&self, other: &Self) -> bool {
        let sub = |entry: &Self| entry.auth_sub_type.as_deref().map(str::to_ascii_lowercase);
        self.auth_type.eq_ignore_ascii_case(&other.auth_type) && sub(self) == sub(other)
    }

    /// Whether the entry allows this factor. `bio` without a sub-type allows no biometrics, as in MOSIP.
    fn is(&self, factor: Factor) -> bool {
        let same = |theirs: &str, ours: &str| theirs.eq_ignore_ascii_case(ours);
        same(&self.auth_type, factor.auth_type())
            && factor
                .auth_sub_type()
                .is_none_or(|sub| self.auth_sub_type.as_deref().is_some_and(|s| same(s, sub)))
    }

    /// What the request lacks of a mandatory entry. `kyc` as a mandatory entry wants the operation itself; the other
    /// permissions are not asked for, as in MOSIP.
    fn missing(&self, operation: Operation, factors: &[Factor]) -> Option<&'static str> {
        if self.auth_type.eq_ignore_ascii_case("kyc") {
            return (operation != Operation::Kyc).then_some("kyc");
        }
        let wanted = Factor::ALL.into_iter().find(|factor| self.is(*factor))?;
        (!factors.contains(&wanted)).then_some(wanted.as_str())
    }
}

/// Attributes under the names they have in MOSIP's identity schema and under those they have in MOSIP's answers.
fn every_name(attributes: &[String]) -> Vec<String> {
    const NAMES: [[&str; 2]; 7] = [
        ["fullName", "name"],
        ["dateOfBirth", "dob"],
        ["phone", "phoneNumber"],
        ["email", "emailId"],
        ["city", "location1"],
        ["region", "location2"],
        ["province", "location3"],
    ];
    let mut every = attributes.to_vec();
    for attribute in attributes {
        let both = NAMES.iter().find(|names| names.contains(&&**attribute));
        every.extend(both.into_iter().flatten().map(|name| (*name).to_owned()));
    }
    every
}

/// Every mistake of shape that MOSIP's schema would find.
fn walk(members: &serde_json::Map<String, Value>, add: &mut impl FnMut(String, &str)) {
    for name in members.keys() {
        if !matches!(
            name.as_str(),
            "authTokenType" | "allowedAuthTypes" | "allowedKycAttributes" | "kycLanguages"
        ) {
            let remedy = "Remove it: MOSIP's schema knows authTokenType, allowedAuthTypes, allowedKycAttributes and kycLanguages.";
            add(
                format!("the document has an unknown member `{name}`"),
                remedy,
            );
        }
    }
    match members.get("authTokenType") {
        None => add(
            "`authTokenType` is missing".to_owned(),
            "Add it: random, partner or policy.",
        ),
        Some(Value::String(word)) if matches!(word.as_str(), "random" | "partner" | "policy") => {}
        Some(_) => add(
            "`authTokenType` has an unknown value".to_owned(),
            "Use random, partner or policy.",
        ),
    }
    const ENTRY: &[(&str, Kind, bool)] = &[
        ("authType", Kind::Text, true),
        ("authSubType", Kind::Text, false),
        ("mandatory", Kind::Bool, true),
    ];
    const ATTRIBUTE: &[(&str, Kind, bool)] = &[("attributeName", Kind::Text, true)];
    list(members, "allowedAuthTypes", ENTRY, add);
    list(members, "allowedKycAttributes", ATTRIBUTE, add);
    match members.get("kycLanguages") {
        None => {}
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {}
        Some(_) => add(
            "`kycLanguages` is not a list of texts".to_owned(),
            "Write it as [\"eng\"].",
        ),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
}

/// A required list of objects with these members: name, kind, required.
fn list(
    members: &serde_json::Map<String, Value>,
    name: &str,
    wanted: &[(&str, Kind, bool)],
    add: &mut impl FnMut(String, &str),
) {
    let items = match members.get(name) {
        None => {
            return add(
                format!("`{name}` is missing"),
                "Add it; it may be an empty list.",
            );
        }
        Some(Value::Array(items)) => items,
        Some(_) => {
            return add(
                format!("`{name}` is not a list"),
                "Write it as a list of objects.",
            );
        }
    };
    for (i, item) in items.iter().enumerate() {
        let Value::Object(item) = item else {
            add(
                format!("`{name}[{i}]` is not an object"),
                "Write it as an object.",
            );
            continue;
        };
        for key in item
            .keys()
            .filter(|key| !wanted.iter().any(|(w, _, _)| w == key))
        {
            add(
                format!("`{name}[{i}]` has an unknown member `{key}`"),
                "Remove it: MOSIP's schema does not know it.",
            );
        }
        for (key, kind, required) in wanted {
            let at = format!("`{name}[{i}].{key}`");
            match (item.get(*key), kind) {
                (None, _) if *required => add(format!("{at} is missing"), "Add it."),
                (None, _)
                | (Some(Value::String(_)), Kind::Text)
                | (Some(Value::Bool(_)), Kind::Bool) => {}
                (Some(_), Kind::Text) => add(
                    format!("{at} is not a text"),
                    "Write it in quotation marks.",
                ),
                (Some(_), Kind::Bool) => add(
                    format!("{at} is not true or false"),
                    "Write true or false, without quotation marks.",
                ),
            }
        }
    }
}

/// What MOSIP's schema lets through and still cannot be meant.
fn judge_entry(i: usize, entry: &AllowedAuth, field: &str, report: &mut Report<'_>) {
    let at = format!("`allowedAuthTypes[{i}]`");
    let kind = entry.auth_type.as_str();
    let permission = (Operation::ALL.iter())
        .filter_map(|operation| operation.permission())
        .any(|permission| permission.eq_ignore_ascii_case(kind));
    if kind.eq_ignore_ascii_case("bio") {
        if entry
            .auth_sub_type
            .as_deref()
            .is_none_or(|sub| sub.parse::<Bio>().is_err())
        {
            let what =
                format!("{at}: `bio` without the sub-type FINGER, IRIS or FACE allows nothing");
            let remedy = "Write one entry for each modality that is allowed.";
            if entry.mandatory {
                report.error(field, what, remedy);
            } else {
                report.warning(field, what, remedy);
            }
        }
    } else if permission {
        if entry.mandatory && !kind.eq_ignore_ascii_case("kyc") {
            let what =
                format!("{at}: `{kind}` is a permission; that it is mandatory has no effect");
            report.warning(field, what, "Set mandatory to false.");
        }
    } else if !Factor::ALL
        .iter()
        .any(|factor| factor.auth_type().eq_ignore_ascii_case(kind))
    {
        let what = format!("{at}: `{kind}` is neither a factor nor a permission");
        let remedy = "Known: demo, otp, pin, bio, kbt, pwd; kyc, otp-request, kycauth, kycexchange, keybinding, vciexchange.";
        if entry.mandatory {
            report.error(field, what, remedy);
        } else {
            report.warning(field, what, remedy);
        }
    }
}

#[cfg(test)]
mod tests;
