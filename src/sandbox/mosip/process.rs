//! What registration-processor does with a packet: a birth makes an identity, a death deactivates one, a credential is
//! issued to the partner and published. A packet that fails is marked and nobody is told, as in MOSIP.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Mosip, base64_url,
    credential::{Credential, Subject},
    hybrid,
    misbehave::Fault,
};
use crate::{
    clock::Moment,
    sandbox::{
        people::{Person, Standing, Text},
        register::Newcomer,
        wire,
    },
};

/// How far a packet has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits or is being processed.
    Processing,
    /// Done; the credential's request id.
    Processed { request: String, uin: String },
    /// A stage ended it; no event reaches the partner.
    Failed(String),
}

impl Stage {
    pub(super) fn shown(&self) -> Value {
        match self {
            Self::Processing => json!({"stage": "processing"}),
            Self::Processed { request, uin } => {
                json!({"stage": "processed", "requestId": request, "uin": uin})
            }
            Self::Failed(why) => json!({"stage": "failed", "why": why}),
        }
    }
}

/// What came of a packet.
struct Outcome<'a> {
    person: Person,
    subject: Subject<'a>,
}

impl Mosip {
    /// Processes a packet after the while that MOSIP takes.
    pub(super) fn process_later(&self, id: String) {
        let mosip = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(mosip.config().pace.processing).await;
            mosip.process(&id, mosip.now());
        });
    }

    fn process(&self, id: &str, now: Moment) {
        let stage = match self.carry_out(id, now) {
            Ok(stage) => stage,
            Err(why) => Stage::Failed(why),
        };
        match &stage {
            Stage::Processed { request, uin } => self.say(format_args!(
                "process id={id:?} outcome=processed uin={uin} request={request}"
            )),
            Stage::Failed(why) => {
                self.say(format_args!("process id={id:?} outcome=failed why={why:?}"));
            }
            Stage::Processing => {}
        }
        if let Some(workflow) = self.state().workflows.get_mut(id) {
            workflow.stage = stage;
        }
    }

    fn carry_out(&self, id: &str, now: Moment) -> Result<Stage, String> {
        if self.strikes(Fault::Reject).is_some() {
            return Err("rejected, as ordered".to_owned());
        }
        let packet = self.state().packets.get(id).cloned();
        let packet = packet.ok_or("the packet is gone")?;
        let outcome = match packet.process.as_str() {
            "CRVS_NEW" => self.birth(&packet.fields)?,
            "CRVS_DEATH" => self.death(&packet.fields)?,
            other => return Err(format!("no route for {other}")),
        };
        let request = self.issue(id, &outcome, now)?;
        Ok(Stage::Processed {
            request,
            uin: outcome.person.uin,
        })
    }

    fn birth<'a>(&self, fields: &'a BTreeMap<String, String>) -> Result<Outcome<'a>, String> {
        let plain = |name: &str| fields.get(name).filter(|text| !text.is_empty()).cloned();
        let newcomer = Newcomer {
            name: spoken(fields, "fullName")?,
            gender: spoken(fields, "gender")?,
            date_of_birth: born(fields)?,
            postal_code: plain("postalCode").unwrap_or_default(),
            phone: plain("phone"),
            email: plain("email"),
        };
        let certificate = fields
            .get("birthCertificateNumber")
            .filter(|number| !number.is_empty())
            .ok_or("CMD validator: birthCertificateNumber is missing")?;
        let person = self
            .config()
            .register
            .enter(newcomer)
            .ok_or("the register is full")?;
        let subject = Subject::Birth {
            certificate,
            number: person.uin.clone(),
        };
        Ok(Outcome { person, subject })
    }

    fn death<'a>(&self, fields: &'a BTreeMap<String, String>) -> Result<Outcome<'a>, String> {
        if fields.get("declaredAsDeceased").map(String::as_str) != Some("Y") {
            return Err("CMD validator: declaredAsDeceased is not Y".to_owned());
        }
        let uin = fields.get("UIN").ok_or("UIN is missing")?;
        let register = &self.config().register;
        let person = register.by_either(uin).ok_or("nobody has that UIN")?;
        if person.standing == Standing::Deactivated {
            return Err("the UIN is deactivated already".to_owned());
        }
        register.deactivate(&person.uin);
        Ok(Outcome {
            person,
            subject: Subject::Death,
        })
    }

    /// Makes the credential, seals it to the partner, publishes the event. The request's id comes back.
    fn issue(&self, id: &str, outcome: &Outcome<'_>, now: Moment) -> Result<String, String> {
        let config = self.config();
        let unable = |what: &str| format!("credential issuance: {what}");
        let uuid = || wire::uuid().map_err(|_| unable("no random bytes"));
        let (credential, request, event) = (uuid()?, uuid()?, uuid()?);
        let about = if self.strikes(Fault::CredentialOtherSubject).is_some() {
            "10001000000000"
        } else {
            id
        };
        let credential = Credential {
            host: &config.host,
            id: &credential,
            registration: about,
            issued: wire::iso(now),
            subject: &outcome.subject,
        };
        let stranger = || super::fresh_key().map_err(|_| unable("no key"));
        let key = if self.strikes(Fault::CredentialForged).is_some() {
            &stranger()?
        } else {
            &config.credential_key
        };
        let mut signed = if self.strikes(Fault::CredentialMockForm).is_some() {
            credential.signed_as_the_mock_does(key, &wire::iso_s(now))
        } else {
            credential.signed(key, &wire::iso_s(now))
        }
        .map_err(|_| unable("the proof cannot be made"))?;
        if self.strikes(Fault::CredentialAltered).is_some()
            && let Some(number) = signed.pointer_mut("/credentialSubject/VID")
        {
            *number = json!("9999999999");
        }
        let plain = signed.to_string();
        let sealed = if self.strikes(Fault::CredentialOtherRecipient).is_some() {
            hybrid::seal(stranger()?.as_ref(), [7; 32], plain.as_bytes())
        } else {
            hybrid::seal_to(&config.partner.certificate, plain.as_bytes())
        }
        .map_err(|_| unable("it cannot be encrypted"))?;
        let topic = format!("{}/CREDENTIAL_ISSUED", config.partner.id);
        let event = self
            .event(&topic, &event, &request, id, &base64_url(&sealed), now)
            .map_err(|_| unable("the event cannot be signed"))?;
        self.hub()
            .publish(&topic, &event)
            .map_err(|why| unable(&why))?;
        self.state().issued.push_back(event);
        let mut state = self.state();
        while state.issued.len() > 1_000 {
            state.issued.pop_front();
        }
        Ok(request)
    }

    /// The envelope of section 1.8 around a credential.
    fn event(
        &self,
        topic: &str,
        event: &str,
        request: &str,
        id: &str,
        sealed: &str,
        now: Moment,
    ) -> Result<Value, josekit::JoseError> {
        let whole =
            super::login::sign(&self.config().credential_key, json!({"credential": sealed}))?;
        let mut parts = whole.split('.');
        let signature = format!(
            "{}..{}",
            parts.next().unwrap_or_default(),
            parts.next_back().unwrap_or_default()
        );
        Ok(json!({
            "publisher": "CREDENTIAL_SERVICE", "topic": topic, "publishedOn": wire::iso(now),
            "event": {
                "id": event, "transactionId": request,
                "type": {"namespace": "mosip", "name": "mosip"},
                "timestamp": wire::iso(now), "dataShareUri": null,
                "data": {
                    "templateTypeCode": "RPR_UIN_CARD_TEMPLATE", "registrationId": id,
                    "ExpiryTimestamp": "9999-12-31T23:59:59.999Z", "TransactionLimit": null,
                    "credentialType": "vercred", "protectionKey": "214549",
                    "credential": sealed, "proof": {"signature": signature},
                },
            },
        }))
    }
}

/// A field that is JSON text of `[{"language", "value"}]`.
fn spoken(fields: &BTreeMap<String, String>, name: &str) -> Result<Vec<Text>, String> {
    let wrong = || format!("CMD validator: {name} is not a list of language and value");
    let text = fields
        .get(name)
        .ok_or_else(|| format!("CMD validator: {name} is missing"))?;
    let list: Vec<BTreeMap<String, String>> = serde_json::from_str(text).map_err(|_| wrong())?;
    let mut values = Vec::new();
    for entry in list.iter().take(16) {
        let member = |name: &str| entry.get(name).cloned().filter(|text| !text.is_empty());
        values.push(Text {
            language: member("language").ok_or_else(wrong)?,
            value: member("value").ok_or_else(wrong)?,
        });
    }
    if values.is_empty() {
        return Err(wrong());
    }
    Ok(values)
}

/// `dateOfBirth`, which must be a real `yyyy/MM/dd`.
fn born(fields: &BTreeMap<String, String>) -> Result<String, String> {
    let form = time::macros::format_description!("[year]/[month]/[day]");
    fields
        .get("dateOfBirth")
        .filter(|text| time::Date::parse(text, &form).is_ok())
        .cloned()
        .ok_or_else(|| "CMD validator: dateOfBirth is not yyyy/MM/dd".to_owned())
}
