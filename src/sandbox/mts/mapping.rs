//! From a record to what IDA is asked: `mapping` says by jq where each member is (reference 6.1), and what is not there or
//! empty has a code (6.2).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::jq;

/// Where the members are: each text is put behind a dot and run as jq.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Mapping {
    vid: Option<String>,
    name: Option<Vec<String>>,
    gender: Option<String>,
    dob: Option<String>,
    phone_number: Option<String>,
    email_id: Option<String>,
    full_address: Option<Vec<String>>,
}

impl Default for Mapping {
    fn default() -> Self {
        let one = |name: &str| Some(name.to_owned());
        Self {
            vid: one("vid"),
            name: Some(vec!["name".to_owned()]),
            gender: one("gender"),
            dob: one("dob"),
            phone_number: one("phoneNumber"),
            email_id: one("emailId"),
            full_address: Some(vec!["fullAddress".to_owned()]),
        }
    }
}

/// What IDA is asked about a record.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) vid: String,
    pub(super) demographics: Map<String, Value>,
}

/// What is mandatory beside the VID, as the configuration of the real one has it.
pub(super) const MANDATORY: [&str; 4] = ["name", "gender", "dob", "fullAddress"];
/// What may be there.
pub(super) const OPTIONAL: [&str; 2] = ["phoneNumber", "emailId"];

impl Mapping {
    /// The jq programs.
    pub(super) fn programs(&self) -> impl Iterator<Item = String> {
        let single = [
            &self.vid,
            &self.gender,
            &self.dob,
            &self.phone_number,
            &self.email_id,
        ];
        let several = [&self.name, &self.full_address];
        single
            .into_iter()
            .flatten()
            .chain(several.into_iter().flatten().flatten())
            .map(|path| format!(".{path}"))
    }

    /// The question about a record, or the code and text of what is missing. The VID is told apart, since an answer names it.
    pub(super) async fn question(
        &self,
        record: &Map<String, Value>,
        language: &str,
    ) -> (String, Result<Question, (&'static str, String)>) {
        let record = Value::Object(record.clone());
        let vid = found(self.vid.as_slice(), &record).await;
        let name = vid.clone().unwrap_or_default();
        (name, self.asked(vid, &record, language).await)
    }

    async fn asked(
        &self,
        vid: Option<String>,
        record: &Value,
        language: &str,
    ) -> Result<Question, (&'static str, String)> {
        let vid = there(vid, "vid", "ATS-REQ-009", "ATS-REQ-001")?;
        let name = several(self.name.as_ref(), record).await;
        let name = there(name, "name", "ATS-REQ-010", "ATS-REQ-003")?;
        let gender = found(self.gender.as_slice(), record).await;
        let gender = there(gender, "gender", "ATS-REQ-011", "ATS-REQ-004")?;
        let dob = found(self.dob.as_slice(), record).await;
        let dob = there(dob, "dob", "ATS-REQ-012", "ATS-REQ-006")?;
        let address = several(self.full_address.as_ref(), record).await;
        let address = there(address, "address", "ATS-REQ-015", "ATS-REQ-008")?;
        let spoken = |value: String| json!([{"language": language, "value": value}]);
        let mut demographics = Map::from_iter([
            ("name".to_owned(), spoken(name)),
            ("gender".to_owned(), spoken(gender)),
            ("dob".to_owned(), json!(dob.replace('-', "/"))),
            ("fullAddress".to_owned(), spoken(address)),
        ]);
        for (member, path) in [
            ("phoneNumber", &self.phone_number),
            ("emailId", &self.email_id),
        ] {
            let value = found(path.as_slice(), record).await;
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                demographics.insert(member.to_owned(), json!(value));
            }
        }
        Ok(Question { vid, demographics })
    }
}

fn there(
    value: Option<String>,
    what: &str,
    absent: &'static str,
    empty: &'static str,
) -> Result<String, (&'static str, String)> {
    match value {
        None => Err((absent, format!("{what} or its mapping is not present"))),
        Some(text) if text.is_empty() => Err((empty, format!("{what} is empty"))),
        Some(text) => Ok(text),
    }
}

async fn several(paths: Option<&Vec<String>>, record: &Value) -> Option<String> {
    found(paths.map_or(&[], Vec::as_slice), record).await
}

/// What is at the paths, joined by blanks; nothing when nothing is at any of them.
async fn found(paths: &[String], record: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for path in paths {
        match jq::first(&format!(".{path}"), record).await {
            Value::String(text) => parts.push(text),
            Value::Number(number) => parts.push(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join(" ").trim().to_owned())
}
