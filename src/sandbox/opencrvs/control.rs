//! The paths that exist in the sandbox only. They answer callers on the same machine and nobody else.
//!
//! | path | what |
//! |---|---|
//! | `GET /sandbox/health` | 200 |
//! | `POST /sandbox/token` | a token, right or wrong in the ways it is told ([`super::token::TokenOrder`]) |
//! | `POST /sandbox/actions` | `{"kind": "birth"}`: an action that waits for its confirmation, with its token |
//! | `GET /sandbox/actions`, `GET /sandbox/actions/{id}` | what became of actions, and how often that was said |
//! | `POST /sandbox/register` | the same, and country configuration's call of the middleware ([`Registration`]) |
//! | `POST /sandbox/fault` | `{"kind": "error500", "times": 3}`, `slow` (with `ms`), `cut`: for confirmations |

use std::time::Duration;

use http::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Action, Core, MOST, Status, token::TokenOrder};
use crate::sandbox::{
    ida::IdaAnswer,
    server::Caller,
    wire::{self, uuid},
};

/// The most orders that wait.
const MOST_FAULTS: usize = 64;
const LONGEST: Duration = Duration::from_secs(600);

/// How a confirmation is answered wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FaultKind {
    /// HTTP 500 and nothing done.
    Error500,
    /// Late.
    Slow,
    /// Done, but the answer breaks off.
    Cut,
}

/// An order to misbehave.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoreFault {
    kind: FaultKind,
    #[serde(default = "once")]
    times: u32,
    #[serde(default = "a_second")]
    ms: u64,
}

/// An action to make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default = "birth")]
    kind: String,
}

/// A registration as somebody at a registrar's desk would make it; the rest of the packet is filled in here, as country
/// configuration does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    /// `birth` or `death`.
    #[serde(default = "birth")]
    kind: String,
    /// Members of `requestFields` that are added or put in place of the usual ones.
    #[serde(default)]
    fields: Map<String, Value>,
    /// Who is told.
    #[serde(default = "somebody")]
    recipient: String,
}

impl Core {
    pub(super) async fn only_here(
        &self,
        caller: &Caller,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> IdaAnswer {
        if !caller.address.ip().is_loopback() {
            return wire::text(StatusCode::FORBIDDEN, "from this machine only");
        }
        let done = match (method, path) {
            (&Method::GET, "health") => Ok(json!({"status": "UP"})),
            (&Method::GET, "actions") => {
                Ok(json!(self.state().actions.values().collect::<Vec<_>>()))
            }
            (&Method::POST, "token") => self.make_token(body),
            (&Method::POST, "actions") => self.make_action(body),
            (&Method::POST, "register") => self.register(body).await,
            (&Method::POST, "fault") => self.order(body),
            (&Method::GET, path) => match path.strip_prefix("actions/") {
                Some(id) => match self.state().actions.get(id) {
                    Some(action) => Ok(json!(action)),
                    None => return wire::text(StatusCode::NOT_FOUND, "no such action"),
                },
                None => return wire::text(StatusCode::NOT_FOUND, "Not Found"),
            },
            _ => return wire::text(StatusCode::NOT_FOUND, "Not Found"),
        };
        match done {
            Ok(body) => wire::json(StatusCode::OK, &body),
            Err(why) => wire::text(StatusCode::BAD_REQUEST, &why),
        }
    }

    /// The fault that strikes now.
    pub(super) fn next_fault(&self) -> Option<(FaultKind, Duration)> {
        let mut state = self.state();
        let order = state.faults.front_mut()?;
        let next = (order.kind, Duration::from_millis(order.ms).min(LONGEST));
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            state.faults.pop_front();
        }
        Some(next)
    }

    fn order(&self, body: &[u8]) -> Result<Value, String> {
        let order: CoreFault = read(body)?;
        let mut state = self.state();
        if order.times == 0 {
            state.faults.clear();
        } else if state.faults.len() >= MOST_FAULTS {
            return Err("too many orders wait".to_owned());
        } else {
            state.faults.push_back(order);
        }
        Ok(json!({"waiting": state.faults.len()}))
    }

    fn make_token(&self, body: &[u8]) -> Result<Value, String> {
        let order: TokenOrder = read(body)?;
        let token = self.token(&order, self.now());
        Ok(json!({"token": token.map_err(|e| e.to_string())?}))
    }

    fn make_action(&self, body: &[u8]) -> Result<Value, String> {
        let wanted: Wanted = read(body)?;
        let (action, token) = self.action(&wanted.kind)?;
        Ok(json!({
            "eventId": action.event_id, "actionId": action.action_id,
            "trackingId": action.tracking_id, "token": token,
        }))
    }

    /// A new action that waits, and the token that can confirm it.
    fn action(&self, kind: &str) -> Result<(Action, String), String> {
        if !matches!(kind, "birth" | "death") {
            return Err("kind is birth or death".to_owned());
        }
        let random = || uuid().map_err(|e| e.to_string());
        let (event_id, action_id) = (random()?, random()?);
        let tracking_id = random()?
            .replace('-', "")
            .to_ascii_uppercase()
            .chars()
            .take(6)
            .collect();
        let order = TokenOrder {
            event_id: Some(event_id.clone()),
            action_id: Some(action_id.clone()),
            ..TokenOrder::default()
        };
        let token = self.token(&order, self.now()).map_err(|e| e.to_string())?;
        let action = Action {
            event_id,
            action_id,
            kind: kind.to_owned(),
            status: Status::Requested,
            applied: 0,
            calls: 0,
            transaction_id: None,
            registration_number: None,
            declaration: Value::Null,
            tracking_id,
        };
        let mut state = self.state();
        if state.actions.len() >= MOST {
            return Err("too many actions".to_owned());
        }
        state
            .actions
            .insert(action.action_id.clone(), action.clone());
        Ok((action, token))
    }

    /// What country configuration does when core triggers it.
    async fn register(&self, body: &[u8]) -> Result<Value, String> {
        let wanted: Registration = read(body)?;
        let (action, token) = self.action(&wanted.kind)?;
        let mut fields = usual_fields(&action);
        fields.extend(wanted.fields);
        let request = json!({
            "trackingId": action.tracking_id,
            "notification": {"recipientFullName": wanted.recipient, "recipientEmail": "", "recipientPhone": ""},
            "requestFields": fields,
            "metaInfo": meta_info(),
            "audit": audit(&action, &wire::iso(self.now()))?,
        });
        let address = format!("{}/events/registration", self.config().middleware);
        let headers = [
            (CONTENT_TYPE, "application/json".to_owned()),
            (AUTHORIZATION, format!("Bearer {token}")),
        ];
        let sent = wire::call(
            Method::POST,
            &address,
            &headers,
            request.to_string().into_bytes(),
            Self::patience(),
        )
        .await;
        let (status, answer) = sent.map_err(|e| format!("{address}: {e}"))?;
        self.say(format_args!(
            "register kind={} action={} status={}",
            action.kind,
            action.action_id,
            status.as_u16()
        ));
        Ok(json!({
            "eventId": action.event_id, "actionId": action.action_id, "trackingId": action.tracking_id,
            "registrationNumber": fields.get(number_member(&action.kind)),
            "status": status.as_u16(), "answer": String::from_utf8_lossy(&answer), "token": token,
        }))
    }
}

fn number_member(kind: &str) -> &'static str {
    if kind == "death" {
        "deathCertificateNumber"
    } else {
        "birthCertificateNumber"
    }
}

/// What the sample country configuration sends.
fn usual_fields(action: &Action) -> Map<String, Value> {
    let number = format!(
        "{}{}",
        if action.kind == "death" { "D" } else { "B" },
        action.tracking_id
    );
    let fields = if action.kind == "death" {
        json!({
            "deathCertificateNumber": number, "declaredAsDeceased": "Y",
            "deceasedDeclarationDate": "2026/11/20", "typeOfDeath": "NATURAL", "deceasedInformer": "",
        })
    } else {
        let spoken = |value: &str| json!([{"language": "eng", "value": value}]).to_string();
        json!({
            "birthCertificateNumber": number, "fullName": spoken("Nova Example"),
            "gender": spoken("Female"), "dateOfBirth": "2026/11/01", "postalCode": "10001",
            "email": "", "phone": "", "zone": spoken("Exampleville"), "region": spoken("Test Region"),
            "province": spoken("Specimen Province"), "preferredLang": "English",
        })
    };
    match fields {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Values are JSON texts.
fn meta_info() -> Value {
    let labels = json!([
        {"label": "registrationType", "value": "CRVS_NEW"},
        {"label": "centerId", "value": "10001"},
        {"label": "machineId", "value": "10004"},
    ]);
    json!({
        "metaData": labels.to_string(), "registrationId": "\"\"", "operationsData": "[]",
        "capturedRegisteredDevices": "[]", "creationDate": "\"\"",
    })
}

fn audit(action: &Action, now: &str) -> Result<Value, String> {
    let id = uuid().map_err(|e| e.to_string())?;
    Ok(json!({
        "uuid": id, "createdAt": now, "eventId": "REG-EVT-001", "eventName": "REGISTRATION", "eventType": "USER",
        "hostName": "countryconfig", "hostIp": "127.0.0.1", "applicationId": "OPENCRVS", "applicationName": "OPENCRVS",
        "sessionUserId": "registrar", "sessionUserName": "registrar", "id": action.tracking_id, "idType": "TRACKING_ID",
        "createdBy": "registrar", "moduleName": "registration", "moduleId": "REG-MOD-100",
        "description": "registered", "actionTimeStamp": now,
    }))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

const fn once() -> u32 {
    1
}

const fn a_second() -> u64 {
    1_000
}

fn birth() -> String {
    "birth".to_owned()
}

fn somebody() -> String {
    "Ada Example".to_owned()
}
