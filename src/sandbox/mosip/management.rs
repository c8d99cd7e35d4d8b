//! MOSIP's partner management, as far as others hear of it: a state is changed, IDA learns of it, and the event goes to the hub
//! (WebSub reference, 1.9).

use openssl::x509::X509;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Mosip;
use crate::{
    clock::Moment,
    sandbox::{
        ida::{Status, Subject, Told, Validity},
        wire::{self, uuid},
    },
};

/// The namespace of every event of partner management.
const NAMESPACE: &str = "io.mosip.pmp.partner.service.impl";

/// The topics that are published to.
pub(in crate::sandbox) const TOPICS: [&str; 4] = [
    "PARTNER_UPDATED",
    "APIKEY_STATUS_UPDATED",
    "MISP_LICENSE_UPDATED",
    "POLICY_UPDATED",
];

/// One change: exactly one of the four names, and the state in the words that MOSIP uses for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Order {
    /// A partner's id; `ACTIVE` or `DEACTIVE`.
    partner: Option<String>,
    /// An API key; `ACTIVE` or `DEACTIVE`.
    api_key: Option<String>,
    /// The id of a MISP, whose licence it is; `ACTIVE` or `NOT_ACTIVE`.
    licence: Option<String>,
    /// A policy's id; `ACTIVE` or `INACTIVE`.
    policy: Option<String>,
    status: String,
}

/// Why nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unordered {
    /// The order makes no sense.
    Wrong(String),
    /// There is nothing of that name.
    Unknown(String),
    /// The hub does not take the event; IDA knows of the change all the same.
    Unpublished(String),
}

impl Mosip {
    /// Does what an order says, and gives what was published.
    pub(super) fn manage(&self, order: &Order, now: Moment) -> Result<Value, Unordered> {
        let (about, status) = order.read()?;
        let told = self.0.ida.told(about, status);
        let told = told.ok_or_else(|| Unordered::Unknown(unknown(about)))?;
        let (topic, publisher, data) = told_as(&told, &order.status);
        let id = uuid().map_err(|error| Unordered::Unpublished(error.to_string()))?;
        let time = wire::iso(now);
        let event = json!({
            "publisher": publisher,
            "topic": topic,
            "publishedOn": time,
            "event": {
                "id": id,
                "type": {"namespace": format!("{NAMESPACE}.{publisher}"), "name": publisher},
                "timestamp": time,
                "data": data,
            },
        });
        self.hub()
            .publish(topic, &event)
            .map_err(Unordered::Unpublished)?;
        self.say(format_args!(
            "partner-management topic={topic:?} status={:?} outcome=published",
            order.status
        ));
        Ok(json!({"topic": topic, "event": id, "timestamp": time}))
    }
}

impl Order {
    fn read(&self) -> Result<(Subject<'_>, Status), Unordered> {
        let (about, off) = match (&self.partner, &self.api_key, &self.licence, &self.policy) {
            (Some(id), None, None, None) => (Subject::Partner(id), "DEACTIVE"),
            (None, Some(key), None, None) => (Subject::ApiKey(key), "DEACTIVE"),
            (None, None, Some(id), None) => (Subject::Licence(id), "NOT_ACTIVE"),
            (None, None, None, Some(id)) => (Subject::Policy(id), "INACTIVE"),
            _ => {
                let why = "name exactly one of partner, apiKey, licence and policy";
                return Err(Unordered::Wrong(why.to_owned()));
            }
        };
        match self.status.as_str() {
            "ACTIVE" => Ok((about, Status::Active)),
            status if status == off => Ok((about, Status::Inactive)),
            _ => Err(Unordered::Wrong(format!(
                "its status is ACTIVE or {off} at MOSIP"
            ))),
        }
    }
}

/// An API key is a secret and is not said again.
fn unknown(about: Subject<'_>) -> String {
    match about {
        Subject::Partner(id) => format!("IDA knows no partner {id:?}"),
        Subject::ApiKey(_) => "IDA knows no such API key".to_owned(),
        Subject::Licence(id) => format!("IDA knows no MISP {id:?}"),
        Subject::Policy(id) => format!("IDA knows no policy {id:?}"),
    }
}

/// Topic, publishing class and `event.data`.
fn told_as(told: &Told, status: &str) -> (&'static str, &'static str, Value) {
    match told {
        Told::Partner(partner) => {
            let certificate = X509::from_der(&partner.certificate).ok();
            let name = certificate.as_ref().and_then(organisation);
            let pem = certificate.and_then(|one| String::from_utf8(one.to_pem().ok()?).ok());
            let data = json!({"partnerData": {
                "partnerId": partner.id, "partnerName": name, "certificateData": pem, "partnerStatus": status,
            }});
            ("PARTNER_UPDATED", "PartnerManagementServiceImpl", data)
        }
        Told::ApiKey(key) => {
            let (from, until) = dates(key.validity);
            let data = json!({"apiKeyData": {
                "apiKeyId": key.key, "apiKeyCommenceOn": from, "apiKeyExpiresOn": until, "apiKeyStatus": status,
            }});
            (
                "APIKEY_STATUS_UPDATED",
                "PartnerManagementServiceImpl",
                data,
            )
        }
        Told::Licence(misp) => {
            let (from, until) = dates(misp.validity);
            let data = json!({"mispLicenseData": {
                "mispId": misp.id, "licenseKey": misp.licence_key, "mispCommenceOn": from, "mispExpiresOn": until,
                "mispStatus": status,
            }});
            ("MISP_LICENSE_UPDATED", "InfraProviderServiceImpl", data)
        }
        Told::Policy(policy) => {
            let (from, until) = dates(policy.validity);
            let data = json!({"policyData": {
                "policyId": policy.id, "policy": policy.document, "policyName": policy.id, "policyStatus": status,
                "policyDescription": policy.id, "policyCommenceOn": from, "policyExpiresOn": until,
            }});
            ("POLICY_UPDATED", "PolicyManagementService", data)
        }
    }
}

fn dates(validity: Validity) -> (Option<String>, Option<String>) {
    (validity.from.map(wire::iso), validity.until.map(wire::iso))
}

/// MOSIP's partner name is the organisation of the certificate that was uploaded.
fn organisation(certificate: &X509) -> Option<String> {
    let subject = certificate.subject_name();
    let entry = subject
        .entries_by_nid(openssl::nid::Nid::ORGANIZATIONNAME)
        .next()?;
    entry.data().to_string().ok()
}
