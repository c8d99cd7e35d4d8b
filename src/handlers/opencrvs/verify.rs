//! `POST /verify`: whether a national id belongs to somebody of that name, date of birth and gender, as IDA says.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    fields::{invalid, missing, object, text},
    ida,
};
use crate::{
    config::OpenCrvsVerify,
    envelope::{json as strict, time},
    exchange::{Gateway, Snapshot, Trail, registrations::Registrations},
    refusal::{Code, Refusal},
};

const VERIFIED: &str = "verified";
const FAILED: &str = "failed";

/// IDA's codes that mean no: nobody has that id, it is not in use, or what was said of the person is not so.
const NO: [&str; 7] = [
    "IDA-DEA-001",
    "IDA-DEA-003",
    "IDA-MLC-003",
    "IDA-MLC-005",
    "IDA-MLC-010",
    "IDA-MLC-018",
    "IDA-MLC-019",
];
/// IDA's codes that mean that the question was wrong: the id's length or checksum, a language, a date.
const INPUT: [&str; 9] = [
    "IDA-DEA-002",
    "IDA-MLC-002",
    "IDA-MLC-004",
    "IDA-MLC-009",
    "IDA-MLC-015",
    "IDA-MLC-026",
    "IDA-MLC-027",
    "IDA-MLC-028",
    "IDA-MLC-029",
];

/// The question, checked.
struct Question {
    nid: String,
    demographics: Map<String, Value>,
    transaction_id: Option<String>,
}

/// Asks IDA; the answer is `verified` or `failed`.
pub(super) async fn ask(
    gateway: &Gateway,
    snapshot: &Snapshot,
    registrations: &Registrations,
    body: &[u8],
    trail: &mut Trail,
) -> Result<&'static str, Refusal> {
    let settings = (registrations.settings().verify.as_ref())
        .ok_or_else(|| Refusal::new(Code::Fault, "no [opencrvs.verify]"))?;
    let question = Question::read(body, settings)?;
    let at = time::format(gateway.clock().now());
    let mut outer = json!({
        "id": "mosip.identity.auth",
        "version": "1.0",
        "specVersion": "1.0",
        "individualId": question.nid,
        "individualIdType": settings.individual_id_type,
        "requestTime": at,
        "consentObtained": true,
    });
    if let Some(outer) = outer.as_object_mut() {
        for (name, value) in [("domainUri", &settings.domain_uri), ("env", &settings.env)] {
            if let Some(value) = value {
                outer.insert(name.to_owned(), json!(value));
            }
        }
    }
    let plain = json!({"timestamp": at, "demographics": question.demographics});
    let plain = Zeroizing::new(plain.to_string());
    let asked = ida::Asked {
        outer,
        plain: plain.as_bytes(),
        transaction_id: question.transaction_id,
    };
    let answer =
        ida::authenticate(gateway, snapshot, registrations, settings, asked, trail).await?;
    let codes: Vec<&str> = answer.error_codes().collect();
    verdict(answer.succeeded(), &codes)
}

/// What IDA's answer means for the caller.
fn verdict(succeeded: bool, codes: &[&str]) -> Result<&'static str, Refusal> {
    if succeeded {
        return Ok(VERIFIED);
    }
    let fault = codes
        .iter()
        .find(|code| !NO.contains(code) && !INPUT.contains(code));
    if let Some(code) = fault {
        return Err(Refusal::new(Code::IdaRefused, "IDA answered with an error").stating(code));
    }
    if let Some(code) = codes.iter().find(|code| INPUT.contains(code)) {
        return Err(Refusal::new(Code::IdaInput, "IDA does not take the question").stating(code));
    }
    Ok(FAILED)
}

impl Question {
    fn read(body: &[u8], settings: &OpenCrvsVerify) -> Result<Self, Refusal> {
        let members = strict::object(body, body.len())
            .map_err(|why| Refusal::new(Code::MessageForm, why.to_string()))?;
        let nid = text(&members, "nid")?.ok_or_else(|| missing("nid"))?;
        if nid.len() > 32 || !nid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(invalid("nid", "is not of at most 32 letters and digits"));
        }
        let spoken = |value: &str| json!([{"language": settings.language, "value": value}]);
        let mut demographics = Map::new();
        let dob = text(&members, "dob")?.ok_or_else(|| missing("dob"))?;
        demographics.insert("dob".to_owned(), json!(date(dob)?));
        let name = object(&members, "name")?;
        let given = text(name, "firstname")?.ok_or_else(|| missing("name.firstname"))?;
        let family = text(name, "surname")?.ok_or_else(|| missing("name.surname"))?;
        let whole: Vec<&str> = [Some(given), text(name, "middlename")?, Some(family)]
            .into_iter()
            .flatten()
            .collect();
        demographics.insert("name".to_owned(), spoken(&whole.join(" ")));
        if let Some(gender) = text(&members, "gender")? {
            demographics.insert("gender".to_owned(), spoken(gender));
        }
        let transaction_id = text(&members, "transactionId")?;
        let fits = |id: &str| id.len() == 10 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if transaction_id.is_some_and(|id| !fits(id)) {
            return Err(invalid("transactionId", "is not ten letters and digits"));
        }
        Ok(Self {
            nid: nid.to_owned(),
            demographics,
            transaction_id: transaction_id.map(str::to_owned),
        })
    }
}

/// `YYYY-MM-DD` as MOSIP writes it.
fn date(text: &str) -> Result<String, Refusal> {
    let day = format!("{text}T00:00:00.000Z");
    if text.len() != 10 || time::parse(&day).is_none() {
        return Err(invalid("dob", "is no date as in 1990-12-31"));
    }
    Ok(text.replace('-', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ida_says_is_told_honestly() {
        assert_eq!(verdict(true, &[]).unwrap(), VERIFIED);
        assert_eq!(verdict(false, &[]).unwrap(), FAILED);
        assert_eq!(verdict(false, &["IDA-DEA-001"]).unwrap(), FAILED);
        assert_eq!(verdict(false, &["IDA-MLC-018"]).unwrap(), FAILED);
        let code = |codes: &[&str]| verdict(false, codes).unwrap_err().code();
        assert_eq!(code(&["IDA-MLC-002"]), Code::IdaInput);
        assert_eq!(code(&["IDA-DEA-001", "IDA-DEA-002"]), Code::IdaInput);
        for fault in [
            &["IDA-MLC-007", "IDA-MPA-009"][..],
            &["IDA-MPA-017"],
            &["IDA-DEA-001", "IDA-MLC-007"],
            &["something new"],
        ] {
            assert_eq!(code(fault), Code::IdaRefused, "{fault:?}");
        }
    }

    #[test]
    fn dates_are_written_as_mosip_does() {
        assert_eq!(date("1990-12-31").unwrap(), "1990/12/31");
        for wrong in [
            "1990/12/31",
            "1990-13-01",
            "90-1-1",
            "1990-12-31 ",
            "yyyy-mm-dd",
        ] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }
}
