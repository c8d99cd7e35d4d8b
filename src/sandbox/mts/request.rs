//! A request as it comes: what it asks for, checked in the order of the reference (6.1 and 6.2).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    jq,
    mapping::Mapping,
    properties::Callback,
    wire::{self, Refused},
};

/// The most records in one request.
const RECORDS: usize = 10_000;

/// The envelope of a request.
#[derive(Debug, Deserialize)]
struct Envelope {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "version")]
    _version: String,
    #[serde(default, rename = "metadata")]
    _metadata: Option<String>,
    requesttime: String,
    request: Raw,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    output: Option<String>,
    deliverytype: Option<String>,
    mapping: Option<Mapping>,
    lang: Option<String>,
    csv_delimiter: Option<String>,
    output_format: Option<String>,
    callback_properties: Option<Value>,
    authdata: Option<Vec<Map<String, Value>>>,
    odkconfig: Option<Odk>,
}

#[derive(Debug, Default, Deserialize)]
struct Odk {
    baseurl: Option<String>,
    email: Option<String>,
    password: Option<String>,
    projectid: Option<String>,
    formid: Option<String>,
}

/// In which form the result is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Json,
    Csv,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) output: Output,
    pub(super) mapping: Mapping,
    pub(super) language: String,
    pub(super) delimiter: char,
    pub(super) format: String,
    /// Where the result is delivered; it is there to be fetched if nowhere.
    pub(super) callback: Option<Callback>,
    pub(super) records: Vec<Map<String, Value>>,
}

/// The request in a JSON body.
pub(super) fn read(body: &[u8]) -> Result<Asked, Refused> {
    let mut raw = raw(body)?;
    let records = raw
        .authdata
        .take()
        .ok_or_else(|| Refused::malformed("authdata: field required"))?;
    asked(raw, records)
}

/// The request beside a CSV file, whose records are read with its delimiter.
pub(super) fn read_beside(
    text: &[u8],
    records: impl FnOnce(char) -> Result<Vec<Map<String, Value>>, Refused>,
) -> Result<Asked, Refused> {
    let raw = raw(text)?;
    let records = records(delimiter(&raw)?)?;
    asked(raw, records)
}

/// Every request for ODK ends here, at the latest because there is none.
pub(super) fn refuse_odk(body: &[u8]) -> Refused {
    let odk = match raw(body) {
        Ok(raw) => raw.odkconfig.unwrap_or_default(),
        Err(refused) => return refused,
    };
    let missing = [
        (&odk.baseurl, "ATS-REQ-18", "odk baseurl"),
        (&odk.email, "ATS-REQ-19", "odk email"),
        (&odk.password, "ATS-REQ-20", "odk password"),
        (&odk.projectid, "ATS-REQ-21", "odk project id"),
        (&odk.formid, "ATS-REQ-22", "odk form id"),
    ]
    .into_iter()
    .find(|(value, ..)| value.as_deref().unwrap_or_default().is_empty());
    match missing {
        Some((_, code, what)) => Refused::new(400, code, format!("{what} not provided")),
        None => Refused::new(500, "ATS-REQ-100", "the sandbox has no ODK Central"),
    }
}

fn raw(text: &[u8]) -> Result<Raw, Refused> {
    let envelope: Envelope =
        serde_json::from_slice(text).map_err(|error| Refused::malformed(error.to_string()))?;
    if !wire::is_timestamp(&envelope.requesttime) {
        return Err(Refused::malformed(
            "requesttime is not of the form %Y-%m-%dT%H:%M:%S.%fZ",
        ));
    }
    Ok(envelope.request)
}

fn asked(raw: Raw, records: Vec<Map<String, Value>>) -> Result<Asked, Refused> {
    let output = match raw.output.as_deref() {
        Some("json") => Output::Json,
        Some("csv") => Output::Csv,
        _ => return Err(Refused::malformed("output must be json or csv")),
    };
    let callback = match raw.deliverytype.as_deref() {
        Some("download") => None,
        Some("callback") => Some(Callback::read(raw.callback_properties.as_ref(), output)?),
        _ => {
            return Err(Refused::malformed(
                "deliverytype must be download or callback",
            ));
        }
    };
    if records.len() > RECORDS {
        return Err(Refused::malformed("too many records"));
    }
    let delimiter = delimiter(&raw)?;
    let mapping = raw.mapping.unwrap_or_default();
    let format = raw
        .output_format
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| ".output".to_owned());
    let wrong = mapping.programs().find(|program| !jq::is_program(program));
    if wrong.is_some() || !jq::is_program(&format) {
        return Err(Refused::new(
            400,
            "ATS-REQ-103",
            "not a valid jq expression",
        ));
    }
    Ok(Asked {
        output,
        mapping,
        language: raw.lang.unwrap_or_else(|| "eng".to_owned()),
        delimiter,
        format,
        callback,
        records,
    })
}

fn delimiter(raw: &Raw) -> Result<char, Refused> {
    let mut letters = raw.csv_delimiter.as_deref().unwrap_or(",").chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter != '"' && letter != '\n' => Ok(letter),
        _ => Err(Refused::malformed("csvDelimiter must be one character")),
    }
}
