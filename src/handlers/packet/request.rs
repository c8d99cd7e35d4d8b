//! What a caller sends, checked as far as MOSIP's packet manager and workflow manager leave it to luck (packet reference 3.1,
//! 3.2): a packet that lacks something is otherwise answered with `response: null` and no reason.

use serde_json::{Map, Value};

use crate::{
    envelope::json,
    policy::AskedPacket,
    refusal::{Code, Refusal},
};

/// The longest registration id, process, source or reference.
const NAME_MAX: usize = 128;

/// A request that has what it needs.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) process: String,
    pub(super) source: String,
    pub(super) ref_id: Option<String>,
}

impl Asked {
    pub(super) fn for_policy(&self) -> AskedPacket<'_> {
        AskedPacket {
            id: &self.id,
            process: &self.process,
            source: &self.source,
            ref_id: self.ref_id.as_deref(),
        }
    }
}

/// Reads a request of createPacket.
pub(super) fn packet(body: &[u8]) -> Result<Asked, Refusal> {
    let outer = outer(body)?;
    let request = request(&outer)?;
    let asked = Asked {
        id: name(request, "id")?,
        process: name(request, "process")?,
        source: name(request, "source")?,
        ref_id: Some(ref_id(request)?),
    };
    let version = text(request, "schemaVersion")?;
    if !(version.parse::<f64>().is_ok_and(f64::is_finite)) {
        return Err(invalid("schemaVersion", "is no number"));
    }
    schema(text(request, "schemaJson")?)?;
    texts(request, "fields", true)?;
    texts(request, "metaInfo", true)?;
    audits(request)?;
    if request
        .get("offlineMode")
        .is_some_and(|v| !v.is_boolean() && !v.is_null())
    {
        return Err(invalid("offlineMode", "is no boolean"));
    }
    optional_text(request, "additionalInfoReqId")?;
    for member in ["documents", "biometrics"] {
        if request
            .get(member)
            .is_some_and(|v| !v.is_object() && !v.is_null())
        {
            return Err(invalid(member, "is no object"));
        }
    }
    Ok(asked)
}

/// Reads a request of workflowinstance.
pub(super) fn workflow(body: &[u8]) -> Result<Asked, Refusal> {
    let outer = outer(body)?;
    for member in ["id", "version", "requesttime"] {
        text(&outer, member)?;
    }
    let request = request(&outer)?;
    optional_text(request, "additionalInfoReqId")?;
    texts(request, "notificationInfo", false)?;
    Ok(Asked {
        id: name(request, "registrationId")?,
        process: name(request, "process")?,
        source: name(request, "source")?,
        ref_id: None,
    })
}

fn outer(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    json::object(body, body.len()).map_err(|why| Refusal::new(Code::MessageForm, why.to_string()))
}

fn request(outer: &Map<String, Value>) -> Result<&Map<String, Value>, Refusal> {
    match outer.get("request") {
        None | Some(Value::Null) => Err(missing("request")),
        Some(Value::Object(request)) => Ok(request),
        Some(_) => Err(invalid("request", "is no object")),
    }
}

fn text<'r>(of: &'r Map<String, Value>, member: &'static str) -> Result<&'r str, Refusal> {
    match of.get(member) {
        None | Some(Value::Null) => Err(missing(member)),
        Some(Value::String(text)) if text.is_empty() => Err(missing(member)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(member, "is no string")),
    }
}

fn optional_text(of: &Map<String, Value>, member: &'static str) -> Result<(), Refusal> {
    match of.get(member) {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => Err(invalid(member, "is no string")),
    }
}

/// An id or a word of MOSIP's configuration: short, and of letters that stand in paths and keys.
fn name(of: &Map<String, Value>, member: &'static str) -> Result<String, Refusal> {
    let text = text(of, member)?;
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if text.len() > NAME_MAX || !text.bytes().all(letters) {
        return Err(invalid(member, "is not of letters, digits, `-` and `_`"));
    }
    Ok(text.to_owned())
}

/// `{center}_{machine}`.
fn ref_id(of: &Map<String, Value>) -> Result<String, Refusal> {
    let text = name(of, "refId")?;
    let (center, machine) = (text.split_once('_')).unwrap_or((text.as_str(), ""));
    if center.is_empty() || machine.is_empty() {
        return Err(invalid("refId", "is not {center}_{machine}"));
    }
    Ok(text)
}

/// The schema in a string: the writer reads `properties.identity.properties` from it.
fn schema(text: &str) -> Result<(), Refusal> {
    let schema = json::object(text.as_bytes(), text.len())
        .map_err(|_| invalid("schemaJson", "is not the text of a JSON object"))?;
    let fields = (schema.get("properties"))
        .and_then(|p| p.get("identity"))
        .and_then(|i| i.get("properties"));
    match fields {
        Some(Value::Object(_)) => Ok(()),
        _ => Err(invalid(
            "schemaJson",
            "has no properties.identity.properties",
        )),
    }
}

/// A map of strings.
fn texts(of: &Map<String, Value>, member: &'static str, needed: bool) -> Result<(), Refusal> {
    match of.get(member) {
        None | Some(Value::Null) if needed => Err(missing(member)),
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(map)) => {
            let plain = |v: &Value| v.is_string() || v.is_null();
            if map.values().all(plain) {
                Ok(())
            } else {
                Err(invalid(member, "holds something other than strings"))
            }
        }
        Some(_) => Err(invalid(member, "is no object")),
    }
}

/// The id part of a packet is not written without audits.
fn audits(of: &Map<String, Value>) -> Result<(), Refusal> {
    match of.get("audits") {
        None | Some(Value::Null) => Err(missing("audits")),
        Some(Value::Array(audits)) if audits.is_empty() => Err(missing("audits")),
        Some(Value::Array(audits)) if audits.iter().all(Value::is_object) => Ok(()),
        Some(_) => Err(invalid("audits", "is no list of objects")),
    }
}

fn missing(member: &'static str) -> Refusal {
    let cause = format!("`{member}` is missing or empty");
    Refusal::new(Code::MemberMissing, cause).naming(member)
}

fn invalid(member: &'static str, why: &str) -> Refusal {
    Refusal::new(Code::MemberInvalid, format!("`{member}` {why}")).naming(member)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good_packet() -> Value {
        json!({"id": "string", "version": "string", "requesttime": "2026-01-01T00:00:00.000Z", "request": {
            "id": "BRN0001", "refId": "10001_10002", "offlineMode": false, "process": "CRVS_NEW", "source": "OPENCRVS",
            "schemaVersion": "0.100", "schemaJson": "{\"properties\":{\"identity\":{\"properties\":{}}}}",
            "fields": {"fullName": "[]", "email": null}, "metaInfo": {"registrationId": "\"BRN0001\""},
            "audits": [{"uuid": "1"}],
        }})
    }

    fn good_workflow() -> Value {
        json!({"id": "mosip.registration.processor.workflow.instance", "version": "v1",
            "requesttime": "2026-01-01T00:00:00.000Z", "request": {"registrationId": "BRN0001", "process": "CRVS_NEW",
            "source": "OPENCRVS", "additionalInfoReqId": "", "notificationInfo": {"name": "A", "phone": "", "email": ""}}})
    }

    fn read(body: &Value, what: fn(&[u8]) -> Result<Asked, Refusal>) -> Result<Asked, Refusal> {
        what(body.to_string().as_bytes())
    }

    #[test]
    fn what_opencrvs_sends_is_taken() {
        let asked = read(&good_packet(), packet).unwrap();
        assert_eq!(
            (asked.id.as_str(), asked.ref_id.as_deref()),
            ("BRN0001", Some("10001_10002"))
        );
        let asked = read(&good_workflow(), workflow).unwrap();
        assert_eq!(
            (asked.id.as_str(), asked.process.as_str()),
            ("BRN0001", "CRVS_NEW")
        );
    }

    #[test]
    fn each_member_that_a_packet_needs_is_missed_by_name() {
        for member in [
            "id",
            "refId",
            "process",
            "source",
            "schemaVersion",
            "schemaJson",
            "fields",
            "metaInfo",
            "audits",
        ] {
            for value in [None, Some(Value::Null)] {
                let mut body = good_packet();
                let request = body["request"].as_object_mut().unwrap();
                request.remove(member);
                if let Some(value) = value {
                    request.insert(member.to_owned(), value);
                }
                let refusal = read(&body, packet).unwrap_err();
                assert_eq!(
                    (refusal.code(), refusal.member()),
                    (Code::MemberMissing, Some(member))
                );
            }
        }
    }

    #[test]
    fn each_member_of_a_wrong_form_is_refused_by_name() {
        for (member, value) in [
            ("id", json!(1)),
            ("id", json!("../1")),
            ("id", json!("1".repeat(129))),
            ("refId", json!("10001")),
            ("refId", json!("_10001")),
            ("process", json!("CRVS NEW")),
            ("source", json!(["OPENCRVS"])),
            ("schemaVersion", json!(0.1)),
            ("schemaVersion", json!("one")),
            ("schemaVersion", json!("inf")),
            ("schemaJson", json!({"properties": {}})),
            ("schemaJson", json!("{}")),
            (
                "schemaJson",
                json!("{\"properties\":{\"identity\":{\"properties\":1}}}"),
            ),
            ("fields", json!({"fullName": [{"language": "eng"}]})),
            ("fields", json!([])),
            ("metaInfo", json!({"a": 1})),
            ("audits", json!(["x"])),
            ("audits", json!({})),
            ("offlineMode", json!("false")),
            ("documents", json!([])),
            ("additionalInfoReqId", json!(1)),
        ] {
            let mut body = good_packet();
            body["request"][member] = value.clone();
            let refusal = read(&body, packet).unwrap_err();
            let got = (refusal.code(), refusal.member());
            assert_eq!(got, (Code::MemberInvalid, Some(member)), "{value}");
        }
    }

    #[test]
    fn a_workflow_needs_its_members_too() {
        for member in ["registrationId", "process", "source"] {
            let mut body = good_workflow();
            body["request"].as_object_mut().unwrap().remove(member);
            let refusal = read(&body, workflow).unwrap_err();
            assert_eq!(
                (refusal.code(), refusal.member()),
                (Code::MemberMissing, Some(member))
            );
        }
        for member in ["id", "version", "requesttime", "request"] {
            let mut body = good_workflow();
            body.as_object_mut().unwrap().remove(member);
            assert_eq!(read(&body, workflow).unwrap_err().member(), Some(member));
        }
        let mut body = good_workflow();
        body["request"]["notificationInfo"] = json!({"name": {}});
        assert_eq!(
            read(&body, workflow).unwrap_err().code(),
            Code::MemberInvalid
        );
    }

    #[test]
    fn what_is_no_strict_json_object_is_refused() {
        for body in ["", "[]", "\"x\"", "{\"request\":1,\"request\":{}}", "{} {}"] {
            assert_eq!(
                packet(body.as_bytes()).unwrap_err().code(),
                Code::MessageForm,
                "{body}"
            );
        }
    }
}
