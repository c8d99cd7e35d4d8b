//! What an event of MOSIP's partner management says, in our words.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};

use crate::{
    config::{Role, State},
    partners::{Directory, Fact, SecretKind, Term},
    trust::{self, Certificate},
};

/// The events that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    ApiKeyApproved,
    ApiKeyUpdated,
    ApiKeyExpired,
    Partner,
    Policy,
    Licence,
    CaCertificate,
}

impl Topic {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "APIKEY_APPROVED" => Self::ApiKeyApproved,
            "APIKEY_UPDATED" | "APIKEY_STATUS_UPDATED" => Self::ApiKeyUpdated,
            "APIKEY_EXPIRED" => Self::ApiKeyExpired,
            "PARTNER_UPDATED" | "PARTNER_REGISTRED" | "MISP_UPDATED" => Self::Partner,
            "POLICY_UPDATED" => Self::Policy,
            "MISP_LICENSE_GENERATED" | "MISP_LICENSE_UPDATED" => Self::Licence,
            "CA_CERTIFICATE_UPLOADED" => Self::CaCertificate,
            _ => return None,
        })
    }
}

/// What an event says. Nothing in it is a secret any more.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) at_ms: i64,
    pub(super) facts: Vec<Fact>,
}

impl Said {
    /// Reads an event. Members may be more than are known; those that are needed must be there.
    pub(super) fn read(
        topic: Topic,
        message: &Map<String, Value>,
        directory: &Directory,
    ) -> Result<Self, String> {
        let event = message.get("event").and_then(Value::as_object);
        let event = event.ok_or("the event has no object `event`")?;
        let at_ms = event
            .get("timestamp")
            .filter(|value| !value.is_null())
            .or_else(|| message.get("publishedOn"))
            .and_then(Value::as_str)
            .and_then(moment)
            .ok_or(
                "the event has no time that can be read, so it cannot be told from an older one",
            )?;
        let data = event.get("data").and_then(Value::as_object);
        let data = Data(data.ok_or("the event has no object `event.data`")?);
        let facts = match topic {
            Topic::ApiKeyApproved | Topic::ApiKeyUpdated | Topic::ApiKeyExpired => {
                vec![api_key(topic, &data, at_ms, directory)?]
            }
            Topic::Partner => partner(&data, directory)?,
            Topic::Policy => vec![policy(&data)?],
            Topic::Licence => vec![licence(&data, directory)?],
            Topic::CaCertificate => {
                return Err(
                    "MOSIP has a new CA certificate; an event makes no anchor. Fetch the chain yourself, and add it as [[anchor]] when it is to be trusted"
                        .to_owned(),
                );
            }
        };
        Ok(Self { at_ms, facts })
    }
}

fn api_key(
    topic: Topic,
    data: &Data<'_>,
    at_ms: i64,
    directory: &Directory,
) -> Result<Fact, String> {
    let key = data.part("apiKeyData")?;
    let hash = directory
        .hashed(SecretKind::ApiKey, key.word("apiKeyId")?)
        .ok_or("there is no pepper, or the key is none")?;
    let mut term = key.term("apiKeyStatus", "apiKeyCommenceOn", "apiKeyExpiresOn")?;
    if topic == Topic::ApiKeyExpired {
        let end = term.until_ms.map_or(at_ms, |until| until.min(at_ms));
        term.until_ms = Some(end);
    }
    let approved = topic == Topic::ApiKeyApproved;
    let partner = data.optional("partnerData", "partnerId")?;
    let policy = data.optional("policyData", "policyId")?;
    if approved && (partner.is_none() || policy.is_none()) {
        return Err("a key is approved without saying for whom and for which policy".to_owned());
    }
    Ok(Fact::ApiKey {
        partner,
        hash,
        policy,
        term,
    })
}

fn partner(data: &Data<'_>, directory: &Directory) -> Result<Vec<Fact>, String> {
    let said = data.part("partnerData")?;
    let partner = said.word("partnerId")?.to_owned();
    let state = state(said.word("partnerStatus")?)?;
    let mut facts = vec![Fact::Partner {
        partner: partner.clone(),
        term: Term {
            state,
            ..Term::default()
        },
    }];
    let pem = said.text("certificateData")?;
    if let Some(pem) = pem.filter(|_| state == State::Active) {
        let chain = chain(pem)?;
        let known = (chain.first()).is_some_and(|leaf| {
            directory
                .by_leaf(&leaf.fingerprint())
                .is_some_and(|(of, _)| of.id().as_str() == partner)
        });
        if !known {
            let text = |one: &Certificate| URL_SAFE_NO_PAD.encode(one.der());
            facts.push(Fact::Certificate {
                partner,
                role: Role::Signature,
                chain: chain.iter().map(text).collect(),
                since_ms: None,
            });
        }
    }
    Ok(facts)
}

fn policy(data: &Data<'_>) -> Result<Fact, String> {
    let said = data.part("policyData")?;
    let document = match said.0.get("policy") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(value @ Value::Object(_)) => Some(value.to_string()),
        Some(_) => return Err("`policyData.policy` is no policy".to_owned()),
    };
    Ok(Fact::Policy {
        policy: said.word("policyId")?.to_owned(),
        document,
        term: said.term("policyStatus", "policyCommenceOn", "policyExpiresOn")?,
    })
}

fn licence(data: &Data<'_>, directory: &Directory) -> Result<Fact, String> {
    let said = data.part("mispLicenseData")?;
    let hash = directory
        .hashed(SecretKind::LicenceKey, said.word("licenseKey")?)
        .ok_or("there is no pepper, or the licence key is none")?;
    Ok(Fact::Licence {
        partner: said.word("mispId")?.to_owned(),
        hash,
        policy: data.optional("policyData", "policyId")?,
        term: said.term("mispStatus", "mispCommenceOn", "mispExpiresOn")?,
    })
}

/// The certificate as MOSIP has signed it again, PEM in JSON.
fn chain(pem: &str) -> Result<Vec<Certificate>, String> {
    let pem = pem.replace("\\n", "\n");
    trust::certificates_from_bytes(pem.as_bytes())
        .map_err(|error| format!("`partnerData.certificateData`: {error}"))
}

/// An object of an event.
struct Data<'a>(&'a Map<String, Value>);

impl<'a> Data<'a> {
    fn part(&self, name: &str) -> Result<Self, String> {
        (self.0.get(name).and_then(Value::as_object))
            .map(Self)
            .ok_or_else(|| format!("the event has no object `{name}`"))
    }

    /// A member of a part that need not be there.
    fn optional(&self, part: &str, name: &str) -> Result<Option<String>, String> {
        match self.0.get(part) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self
                .part(part)?
                .word(name)
                .map(|word| Some(word.to_owned())),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` is no text")),
        }
    }

    /// An id or key: never repeated in an error, as it may be a secret.
    fn word(&self, name: &str) -> Result<&'a str, String> {
        let text = self
            .text(name)?
            .ok_or_else(|| format!("`{name}` is missing"))?;
        if text.len() > 256 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("`{name}` is no id"));
        }
        Ok(text)
    }

    fn term(&self, status: &str, from: &str, until: &str) -> Result<Term, String> {
        let date = |name: &str| match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => date(value)
                .map(Some)
                .ok_or_else(|| format!("`{name}` is no date")),
        };
        let term = Term {
            state: state(self.word(status)?)?,
            from_ms: date(from)?,
            until_ms: date(until)?,
        };
        Ok(term)
    }
}

/// MOSIP's states. What is none of the words for "in use" is not in use.
fn state(word: &str) -> Result<State, String> {
    let is = |one: &&str| word.eq_ignore_ascii_case(one);
    if ["ACTIVE", "APPROVED"].iter().any(is) {
        return Ok(State::Active);
    }
    let off = [
        "DEACTIVE",
        "DE-ACTIVE",
        "DEACTIVATED",
        "INACTIVE",
        "NOT_ACTIVE",
        "BLOCKED",
        "REJECTED",
        "SUSPENDED",
    ];
    if off.iter().any(is) {
        return Ok(State::Inactive);
    }
    Err(format!(
        "`{}` is no state that is known",
        super::super::printable(word)
    ))
}

/// Dates as MOSIP's services write them: with a zone, without one (UTC), or as Jackson's list of numbers.
fn date(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => moment(text),
        Value::Array(parts) => {
            let part = |i: usize| parts.get(i).map_or(Some(0), Value::as_i64);
            let two = |i: usize| part(i).and_then(|n| u8::try_from(n).ok());
            let month = time::Month::try_from(two(1)?).ok()?;
            let year = i32::try_from(part(0)?).ok()?;
            let day = time::Date::from_calendar_date(year, month, two(2)?).ok()?;
            let at = day.with_hms(two(3)?, two(4)?, two(5)?).ok()?.assume_utc();
            let ms = part(6)?.checked_div(1_000_000)?;
            in_ms(at)?.checked_add(ms)
        }
        _ => None,
    }
}

fn moment(text: &str) -> Option<i64> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return in_ms(at);
    }
    let plain = format_description!(
        version = 2,
        "[year]-[month]-[day]T[hour]:[minute][optional [:[second][optional [.[subsecond]]]]]"
    );
    let at = PrimitiveDateTime::parse(text, &plain).ok()?;
    in_ms(at.assume_utc())
}

fn in_ms(at: OffsetDateTime) -> Option<i64> {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}
