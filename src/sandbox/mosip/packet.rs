//! MOSIP's packet manager, `PUT /commons/v1/packetmanager/createPacket` (WebSub reference, 3.1): what the writer facade
//! stumbles over is answered with 200, `response:null` and `errors:[]`, as MOSIP does.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use openssl::{hash::MessageDigest, sha::sha256, sign::Signer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Mosip, base64_url, envelope, misbehave::Fault};
use crate::{
    clock::Moment,
    sandbox::{ida::IdaAnswer, wire},
};

/// `mosip.role.commons-packet.putcreatepacket`.
const ROLES: [&str; 2] = ["REGISTRATION_PROCESSOR", "ONLINE_REGISTRATION_CLIENT"];
/// The writer providers that are configured: source and process.
const PROVIDERS: [(&str, &[&str]); 2] = [
    ("OPENCRVS", &["CRVS_NEW", "CRVS_DEATH"]),
    ("CRVS1", &["CRVS_NEW", "CRVS_DEATH", "CRVS_UPDATE"]),
];
/// The most packets that are kept.
const MOST: usize = 20_000;

/// A packet as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) process: String,
    pub(super) source: String,
    pub(super) reference: String,
    /// Of the fields, those that the schema names.
    pub(super) fields: BTreeMap<String, String>,
    /// How often a packet of this id was written.
    pub(super) written: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    id: String,
    ref_id: String,
    process: String,
    source: String,
    schema_version: String,
    schema_json: String,
    fields: BTreeMap<String, Option<String>>,
    #[serde(default)]
    meta_info: BTreeMap<String, Option<String>>,
    #[serde(default)]
    audits: Vec<BTreeMap<String, Option<String>>>,
}

/// Why no packet came of a request.
enum Stop {
    /// Something within the facade: nobody is told what.
    Hidden(&'static str),
    /// A checked failure.
    Told(&'static str, String),
}

/// Whether a source and process have a writer.
pub(super) fn has_provider(source: &str, process: &str) -> bool {
    PROVIDERS
        .iter()
        .any(|(known, processes)| *known == source && processes.contains(&process))
}

impl Mosip {
    /// Answers createPacket.
    pub(super) async fn create_packet(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Moment,
    ) -> IdaAnswer {
        if let Some(delay) = self.strikes(Fault::PacketSlow) {
            tokio::time::sleep(delay).await;
        }
        if self.strikes(Fault::PacketError).is_some() {
            return wire::text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        }
        if let Err(barred) = self.admit(headers, &ROLES, now) {
            self.say(format_args!("packet outcome={barred:?}"));
            return barred.answer(now);
        }
        let outer = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
        let head = json!({"id": "mosip.registration.packet.writer", "version": "v1"});
        let made = self.write_packet(&outer, now);
        let id = outer
            .pointer("/request/id")
            .and_then(Value::as_str)
            .unwrap_or("-");
        let mut answer = match made {
            Ok(response) => {
                self.say(format_args!("packet id={id:?} outcome=written"));
                envelope::around(&head, &response, &json!([]), now)
            }
            Err(Stop::Hidden(why)) => {
                self.say(format_args!(
                    "packet id={id:?} outcome=hidden-failure why={why:?}"
                ));
                envelope::around(&head, &Value::Null, &json!([]), now)
            }
            Err(Stop::Told(code, message)) => {
                self.say(format_args!(
                    "packet id={id:?} outcome=refused codes={code}"
                ));
                envelope::failed(&head, code, &message, now)
            }
        };
        if self.strikes(Fault::PacketCut).is_some() {
            answer.cut_at = Some(answer.body.len() / 2);
        }
        answer
    }

    fn write_packet(&self, outer: &Value, now: Moment) -> Result<Value, Stop> {
        if self.strikes(Fault::PacketHidden).is_some() {
            return Err(Stop::Hidden("as ordered"));
        }
        let asked = outer.get("request").cloned().unwrap_or(Value::Null);
        let asked: Asked = serde_json::from_value(asked).map_err(|error| {
            Stop::Told("KER-KPM-007", format!("Invalid input provided : {error}"))
        })?;
        if !has_provider(&asked.source, &asked.process) {
            let message = "No available provider for given source and process".to_owned();
            return Err(Stop::Told("KER-PUT-006", message));
        }
        let schema = checked(&asked, &self.config().machines)?;
        let kept: BTreeMap<String, String> = asked
            .fields
            .iter()
            .filter(|(name, _)| schema.contains_key(*name))
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect();
        let entries = ["id", "evidence", "optional"]
            .iter()
            .filter(|part| **part == "id" || schema.values().any(|category| goes(category, part)))
            .map(|part| self.entry(&asked, part, &kept, &schema, now))
            .collect::<Option<Vec<_>>>()
            .ok_or(Stop::Hidden("the packet cannot be signed"))?;
        let mut state = self.state();
        if state.packets.len() >= MOST && !state.packets.contains_key(&asked.id) {
            return Err(Stop::Hidden("the packet store is full"));
        }
        let written = state
            .packets
            .get(&asked.id)
            .map_or(1, |old| old.written.saturating_add(1));
        state.packets.insert(
            asked.id,
            Packet {
                process: asked.process,
                source: asked.source,
                reference: asked.ref_id,
                fields: kept,
                written,
            },
        );
        Ok(Value::Array(entries))
    }

    /// One sub-packet of the answer, signed and hashed over what would be in it.
    fn entry(
        &self,
        asked: &Asked,
        part: &str,
        kept: &BTreeMap<String, String>,
        schema: &BTreeMap<String, String>,
        now: Moment,
    ) -> Option<Value> {
        let fields: Map<String, Value> = kept
            .iter()
            .filter(|(name, _)| {
                schema
                    .get(*name)
                    .is_some_and(|category| goes(category, part))
            })
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let content = json!({"identity": fields, "meta": asked.meta_info}).to_string();
        let mut signer =
            Signer::new(MessageDigest::sha256(), &self.config().credential_key).ok()?;
        signer.update(content.as_bytes()).ok()?;
        Some(json!({
            "id": asked.id, "packetName": format!("{}_{part}", asked.id), "source": asked.source,
            "process": asked.process, "refId": asked.ref_id, "schemaVersion": asked.schema_version,
            "signature": base64_url(&signer.sign_to_vec().ok()?),
            "encryptedHash": base64_url(&sha256(content.as_bytes())),
            "providerName": "PacketWriterImpl", "providerVersion": "v1.0", "creationDate": wire::iso(now),
        }))
    }
}

/// What the writer stumbles over, and the field categories of the schema.
fn checked(asked: &Asked, machines: &[String]) -> Result<BTreeMap<String, String>, Stop> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if asked.id.is_empty() || asked.id.len() > 64 || !asked.id.bytes().all(fits) {
        return Err(Stop::Hidden("the id is no registration id"));
    }
    if !machines.contains(&asked.ref_id) {
        return Err(Stop::Hidden("no encryption key for that refId"));
    }
    // A floating number: "0.100" and "0.1" are one version.
    if asked.schema_version.parse::<f64>().is_err() {
        return Err(Stop::Hidden("schemaVersion is no number"));
    }
    if asked.audits.is_empty() {
        return Err(Stop::Hidden("KER-KPM-008 audits are empty"));
    }
    let schema: Value = serde_json::from_str(&asked.schema_json)
        .map_err(|_| Stop::Hidden("schemaJson is not JSON"))?;
    let properties = schema
        .pointer("/properties/identity/properties")
        .and_then(Value::as_object)
        .ok_or(Stop::Hidden(
            "schemaJson has no properties.identity.properties",
        ))?;
    Ok(properties
        .iter()
        .map(|(name, field)| {
            let category = field.get("fieldCategory").and_then(Value::as_str);
            (name.clone(), category.unwrap_or("none").to_owned())
        })
        .collect())
}

/// Whether a field category belongs into a sub-packet.
fn goes(category: &str, part: &str) -> bool {
    match category {
        "pvt" | "kyc" => part == "id",
        "none" => true,
        other => other == part,
    }
}
