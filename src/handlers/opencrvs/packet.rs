//! The packet of a registration, exactly as MOSIP takes it from OpenCRVS (reference 3.4). JSON texts are written by the
//! serialiser, never glued together.

use serde_json::{Map, Value, json};

use super::transaction::Kind;
use crate::config::OpenCrvs as Settings;

/// Fields that belong to the identity part of a packet and to eKYC.
const KYC: [&str; 12] = [
    "fullName",
    "dateOfBirth",
    "gender",
    "email",
    "phone",
    "postalCode",
    "zone",
    "region",
    "province",
    "UIN",
    "VID",
    "preferredLang",
];

/// What a packet is made of.
pub(super) struct Parts<'p> {
    pub(super) kind: Kind,
    pub(super) transaction_id: &'p str,
    pub(super) fields: Map<String, Value>,
    pub(super) meta_info: Map<String, Value>,
    pub(super) audit: Map<String, Value>,
    /// The identity schema that came along (2.x).
    pub(super) schema: Option<String>,
}

/// MOSIP's process for an event.
pub(super) fn process(settings: &Settings, kind: Kind) -> &str {
    match kind {
        Kind::Birth => &settings.birth_process,
        Kind::Death => &settings.death_process,
    }
}

/// What stands in `request` of createPacket.
pub(super) fn create(settings: &Settings, schema: Option<&str>, parts: Parts<'_>) -> Value {
    let mut fields = parts.fields;
    if parts.kind == Kind::Death {
        fields.remove("deathCertificateNumber");
    }
    let schema = (parts.schema)
        .or_else(|| schema.map(str::to_owned))
        .unwrap_or_else(|| schema_of(&fields));
    json!({
        "id": parts.transaction_id,
        "refId": format!("{}_{}", settings.center_id, settings.machine_id),
        "offlineMode": false,
        "process": process(settings, parts.kind),
        "source": settings.source,
        "schemaVersion": settings.schema_version,
        "schemaJson": schema,
        "fields": fields,
        "metaInfo": parts.meta_info,
        "audits": [parts.audit],
    })
}

/// What stands in `request` of workflowinstance.
pub(super) fn workflow(
    settings: &Settings,
    kind: Kind,
    transaction_id: &str,
    notification: (&str, &str, &str),
) -> Value {
    let (name, phone, email) = notification;
    json!({
        "registrationId": transaction_id,
        "process": process(settings, kind),
        "source": settings.source,
        "additionalInfoReqId": "",
        "notificationInfo": {"name": name, "phone": phone, "email": email},
    })
}

/// An identity schema with every field of the registration: MOSIP drops a field that its schema lacks, and says nothing.
fn schema_of(fields: &Map<String, Value>) -> String {
    let property = |name: &String, value: &Value| {
        let many = value
            .as_str()
            .is_some_and(|text| text.trim_start().starts_with("[{"));
        let category = if KYC.contains(&name.as_str()) {
            "kyc"
        } else {
            "pvt"
        };
        let mut property = if many {
            json!({"$ref": "#/definitions/simpleType"})
        } else {
            json!({"type": "string"})
        };
        if let Some(members) = property.as_object_mut() {
            members.insert("fieldCategory".to_owned(), json!(category));
            members.insert("fieldType".to_owned(), json!("default"));
            members.insert("bioAttributes".to_owned(), json!([]));
        }
        property
    };
    let properties: Map<String, Value> = (fields.iter())
        .map(|(name, value)| (name.clone(), property(name, value)))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "CRVS identity",
        "type": "object",
        "additionalProperties": false,
        "definitions": {
            "simpleType": {
                "uniqueItems": true,
                "additionalItems": false,
                "type": "array",
                "items": {
                    "additionalProperties": false,
                    "type": "object",
                    "required": ["language", "value"],
                    "properties": {"language": {"type": "string"}, "value": {"type": "string"}},
                },
            },
        },
        "properties": {
            "identity": {"type": "object", "additionalProperties": false, "required": [], "properties": properties},
        },
    })
    .to_string()
}
