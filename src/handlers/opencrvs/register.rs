//! `POST /events/registration`: reads a registration and stores it. When it is answered it is on disk, and the rest is the
//! errand's.

use aws_lc_rs::{digest, rand};
use serde_json::{Map, Value};

use super::{
    fields::{invalid, missing, name, object, text, texts},
    packet,
    transaction::{CREDENTIAL_RECEIVED, Kind, RECEIVED, Transaction},
};
use crate::{
    clock::Moment,
    envelope::{bearer::Claims, json},
    exchange::{
        Gateway, Trail,
        registrations::{REGISTRATION, Registrations},
    },
    refusal::{Code, Refusal},
    store::{Errand, NewErrand, Placed, Revision, Standing},
};

/// How often another transaction id is made when one is taken: ten random digits are enough for one in practice.
const DRAWS: usize = 8;
/// Random digits of a transaction id.
const DIGITS: usize = 10;

/// A registration as a caller sends it, checked.
pub(super) struct Asked {
    kind: Kind,
    tracking_id: String,
    number: String,
    notification: [String; 3],
    fields: Map<String, Value>,
    meta_info: Map<String, Value>,
    audit: Map<String, Value>,
    schema: Option<String>,
    digest: String,
}

impl Asked {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let members = json::object(body, body.len())
            .map_err(|why| Refusal::new(Code::MessageForm, why.to_string()))?;
        let fields = object(&members, "requestFields")?;
        let certificate = |member| fields.get(member).is_some_and(|v| !v.is_null() && v != "");
        let (kind, number) = match (
            certificate("birthCertificateNumber"),
            certificate("deathCertificateNumber"),
        ) {
            (true, false) => (Kind::Birth, name(fields, "birthCertificateNumber")?),
            (false, true) => (Kind::Death, name(fields, "deathCertificateNumber")?),
            (false, false) => return Err(kind_refused("neither certificate number")),
            (true, true) => return Err(kind_refused("both certificate numbers")),
        };
        let notification = object(&members, "notification")?;
        let told = |member| -> Result<String, Refusal> {
            Ok(text(notification, member)?.unwrap_or_default().to_owned())
        };
        let notification = [
            told("recipientFullName")?,
            told("recipientPhone")?,
            told("recipientEmail")?,
        ];
        let audit = object(&members, "audit")?;
        if audit.is_empty() {
            return Err(missing("audit"));
        }
        Ok(Self {
            kind,
            number,
            notification,
            tracking_id: name(&members, "trackingId")?,
            fields: texts(fields, "requestFields")?,
            meta_info: texts(object(&members, "metaInfo")?, "metaInfo")?,
            audit: texts(audit, "audit")?,
            schema: schema(&members)?,
            digest: digest_of(&members),
        })
    }

    fn transaction(
        &self,
        registrations: &Registrations,
        record: &Record<'_>,
        transaction_id: String,
        confirmation_id: String,
    ) -> Transaction {
        let settings = registrations.settings();
        let [name, phone, email] = &self.notification;
        Transaction {
            kind: self.kind,
            tracking_id: self.tracking_id.clone(),
            registration_number: self.number.clone(),
            event_id: record.event_id.to_owned(),
            action_id: record.action_id.to_owned(),
            token: Some(record.token.to_owned()),
            token_expires_s: record.expires.s(),
            correlation_id: record.correlation_id.to_owned(),
            digest: self.digest.clone(),
            packet: Some(packet::create(
                settings,
                registrations.schema(),
                packet::Parts {
                    kind: self.kind,
                    transaction_id: &transaction_id,
                    fields: self.fields.clone(),
                    meta_info: self.meta_info.clone(),
                    audit: self.audit.clone(),
                    schema: self.schema.clone(),
                },
            )),
            workflow: Some(packet::workflow(
                settings,
                self.kind,
                &transaction_id,
                (name, phone, email),
            )),
            transaction_id,
            confirmation_id,
            credential: None,
        }
    }
}

/// The record that a token is for.
struct Record<'r> {
    event_id: &'r str,
    action_id: &'r str,
    token: &'r str,
    expires: Moment,
    correlation_id: &'r str,
}

/// Stores a registration, or finds the one that is there.
pub(super) async fn put(
    gateway: &Gateway,
    registrations: &Registrations,
    claims: &Claims,
    token: &str,
    asked: Asked,
    trail: &Trail,
) -> Result<(), Refusal> {
    let id = |name| {
        let id = claims.text(name).filter(|t| t.len() <= 128 && t.is_ascii());
        id.ok_or_else(|| Refusal::new(Code::BearerRecord, format!("the token has no {name}")))
    };
    let record = Record {
        event_id: id("eventId")?,
        action_id: id("actionId")?,
        token,
        expires: claims.expires(),
        correlation_id: trail.correlation_id(),
    };
    let store = (gateway.store()).ok_or_else(|| Refusal::new(Code::StoreDown, "no store"))?;
    let now = gateway.clock().now();
    let key = format!("{}:{}", asked.kind.as_str(), asked.number);
    for _ in 0..DRAWS {
        let transaction_id = transaction_id(&registrations.settings().transaction_prefix)?;
        let news = asked.transaction(
            registrations,
            &record,
            transaction_id.clone(),
            confirmation_id()?,
        );
        let new = NewErrand {
            kind: REGISTRATION,
            key: key.clone(),
            step: RECEIVED,
            body: news.write(),
            due: now,
        };
        let placed = store
            .place(new, transaction_id, now, move |errand| meet(errand, news))
            .await?;
        match placed {
            Placed::Stored => return Ok(()),
            Placed::Known(met) => return met,
            Placed::AliasTaken => {}
        }
    }
    Err(Refusal::new(Code::Fault, "no transaction id is free"))
}

/// A registration of a number that is known: the same again changes nothing; the same record with another token goes on with
/// that; another record is refused.
fn meet(errand: &Errand, news: Transaction) -> (Revision, Result<(), Refusal>) {
    let Some(mut known) = Transaction::read(errand.body()) else {
        let fault = Refusal::new(Code::Fault, "a stored registration cannot be read");
        return (Revision::Keep, Err(fault));
    };
    if known.event_id != news.event_id {
        let other = Refusal::new(
            Code::RegistrationOther,
            "the number belongs to another event",
        );
        return (Revision::Keep, Err(other));
    }
    let same_action = known.action_id == news.action_id;
    let done = errand.standing() == Standing::Done;
    if same_action && done {
        return (Revision::Keep, Ok(()));
    }
    let same_token = known.token == news.token;
    if same_action
        && same_token
        && known.digest == news.digest
        && errand.standing() == Standing::Open
    {
        return (Revision::Keep, Ok(()));
    }
    known.token = news.token;
    known.token_expires_s = news.token_expires_s;
    known.action_id = news.action_id;
    if !same_action {
        // Another decision of core's is another confirmation.
        known.confirmation_id = news.confirmation_id;
    }
    if errand.step() == RECEIVED && known.digest != news.digest {
        // Nothing has gone out for certain: a packet of the same id overwrites one that has.
        let (packet, workflow) = (news.packet, news.workflow);
        known.packet = packet.map(|p| with_id(p, "id", &known.transaction_id));
        known.workflow = workflow.map(|w| with_id(w, "registrationId", &known.transaction_id));
        known.digest = news.digest;
    }
    let step = if known.credential.is_some() {
        CREDENTIAL_RECEIVED
    } else {
        errand.step()
    };
    let reopen = Revision::Reopen {
        step: step.to_owned(),
        body: known.write(),
    };
    (reopen, Ok(()))
}

fn with_id(mut request: Value, member: &str, id: &str) -> Value {
    if let Some(members) = request.as_object_mut() {
        members.insert(member.to_owned(), Value::from(id));
    }
    request
}

fn kind_refused(why: &str) -> Refusal {
    Refusal::new(Code::RegistrationKind, why).naming("requestFields")
}

/// The schema as text, as an object, or none.
fn schema(members: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let schema = match members.get("schemaJson") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let read = json::object(schema.as_bytes(), schema.len()).ok();
    let fits = read.as_ref().and_then(|schema| {
        let properties = schema
            .get("properties")?
            .get("identity")?
            .get("properties")?;
        properties.as_object()
    });
    if fits.is_none() {
        return Err(invalid(
            "schemaJson",
            "has no properties.identity.properties",
        ));
    }
    Ok(Some(schema))
}

/// Of what was asked, whatever the order of members; audits differ from try to try.
fn digest_of(members: &Map<String, Value>) -> String {
    let asked: Map<String, Value> = (members.iter())
        .filter(|(name, _)| name.as_str() != "audit")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut asked = Value::Object(asked);
    asked.sort_all_objects();
    let bytes = asked.to_string();
    let digest = digest::digest(&digest::SHA256, bytes.as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn no_randomness<E>(_: E) -> Refusal {
    Refusal::new(Code::Fault, "the system has no randomness")
}

/// The prefix and ten random digits.
fn transaction_id(prefix: &str) -> Result<String, Refusal> {
    let mut id = prefix.to_owned();
    let mut digits = 0_usize;
    while digits < DIGITS {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(no_randomness)?;
        // 250 is the last multiple of ten: each digit is as likely as any other.
        for byte in random
            .into_iter()
            .filter(|b| *b < 250)
            .take(DIGITS.saturating_sub(digits))
        {
            id.push(char::from(b'0'.saturating_add(byte % 10)));
            digits = digits.saturating_add(1);
        }
    }
    Ok(id)
}

/// `mosip-interop-` and a random UUID (RFC 9562, version 4), as the middleware makes it.
fn confirmation_id() -> Result<String, Refusal> {
    let mut random = [0_u8; 16];
    rand::fill(&mut random).map_err(no_randomness)?;
    let bits =
        (u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok(format!(
        "mosip-interop-{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_members_does_not_make_another_registration() {
        let digest = |text: &str| digest_of(&json::object(text.as_bytes(), text.len()).unwrap());
        let one = digest(r#"{"a":{"b":1,"c":2},"d":3,"audit":{"x":1}}"#);
        assert_eq!(one, digest(r#"{"d":3,"audit":{},"a":{"c":2,"b":1}}"#));
        assert_ne!(one, digest(r#"{"d":3,"audit":{},"a":{"c":2,"b":2}}"#));
    }

    #[test]
    fn ids_have_their_form() {
        let id = transaction_id("10001").unwrap();
        assert!(id.starts_with("10001") && id.len() == 15);
        assert!(id.bytes().all(|b| b.is_ascii_digit()));
        let id = confirmation_id().unwrap();
        let uuid = id.strip_prefix("mosip-interop-").unwrap();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }

    #[test]
    fn a_body_with_neither_number_or_both_is_refused() {
        let body = |fields: &str| {
            format!(
                r#"{{"trackingId":"T1","notification":{{"recipientFullName":"A"}},"requestFields":{fields},"metaInfo":{{}},"audit":{{"uuid":"1"}}}}"#
            )
        };
        let code = |fields: &str| Asked::read(body(fields).as_bytes()).err().map(|r| r.code());
        assert_eq!(code(r#"{"birthCertificateNumber":"B1"}"#), None);
        assert_eq!(
            code(r#"{"deathCertificateNumber":"D1","birthCertificateNumber":""}"#),
            None
        );
        for fields in [
            "{}",
            r#"{"birthCertificateNumber":""}"#,
            r#"{"birthCertificateNumber":"B1","deathCertificateNumber":"D1"}"#,
        ] {
            assert_eq!(code(fields), Some(Code::RegistrationKind), "{fields}");
        }
        assert_eq!(
            code(r#"{"birthCertificateNumber":7}"#),
            Some(Code::MemberInvalid)
        );
        assert_eq!(
            code(r#"{"birthCertificateNumber":"B 1"}"#),
            Some(Code::MemberInvalid)
        );
    }
}
