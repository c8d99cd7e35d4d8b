//! MOSIP's workflow manager, `POST /registrationprocessor/v1/workflowmanager/workflowinstance` (WebSub reference, 3.2).
//! What it starts is done in [`super::process`].

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Mosip, envelope, misbehave::Fault, packet::has_provider, process::Stage};
use crate::{
    clock::Moment,
    sandbox::{ida::IdaAnswer, wire},
};

/// Who may start one.
const ROLES: [&str; 1] = ["REGISTRATION_PROCESSOR"];
/// `mosip.regproc.workflow-manager.instance.id` and `.version`.
const ID: &str = "mosip.registration.processor.workflow.instance";
const VERSION: &str = "v1";
/// The most workflows that are kept.
const MOST: usize = 20_000;

/// A workflow that was started.
#[derive(Clone, Debug)]
pub(super) struct Workflow {
    pub(super) instance: String,
    pub(super) stage: Stage,
}

type Stop = (&'static str, String);

impl Mosip {
    /// Answers workflowinstance.
    pub(super) fn start_workflow(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Moment,
    ) -> IdaAnswer {
        if self.strikes(Fault::WorkflowError).is_some() {
            return wire::text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        }
        if let Err(barred) = self.admit(headers, &ROLES, now) {
            self.say(format_args!("workflow outcome={barred:?}"));
            return barred.answer(now);
        }
        if self.strikes(Fault::WorkflowText).is_some() {
            return wire::json(StatusCode::OK, &json!("Unknown Exception Found"));
        }
        let Ok(outer) = serde_json::from_slice::<Value>(body) else {
            return wire::json(StatusCode::OK, &json!("Unknown Exception Found"));
        };
        let head = json!({"id": ID, "version": VERSION});
        let id = outer
            .pointer("/request/registrationId")
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned();
        let mut answer = match self.enter_workflow(&outer) {
            Ok(instance) => {
                self.say(format_args!("workflow id={id:?} outcome=started"));
                self.process_later(id);
                envelope::done(&head, &json!({"workflowInstanceId": instance}), now)
            }
            Err((code, message)) => {
                self.say(format_args!(
                    "workflow id={id:?} outcome=refused codes={code}"
                ));
                envelope::failed(&head, code, &message, now)
            }
        };
        if self.strikes(Fault::WorkflowCut).is_some() {
            answer.cut_at = Some(answer.body.len() / 2);
        }
        answer
    }

    fn enter_workflow(&self, outer: &Value) -> Result<String, Stop> {
        let asked = validated(outer)?;
        let unknown = |why: &str| ("RPR-WIS-000", format!("Unknown exception occurred: {why}"));
        if self.strikes(Fault::WorkflowUnknown).is_some() {
            return Err(unknown("as ordered"));
        }
        let instance = wire::uuid().map_err(|_| unknown("no random bytes"))?;
        let mut state = self.state();
        if state.workflows.contains_key(&asked.id) {
            return Err(("RPR-WIS-001", "WorkflowInstance already present".to_owned()));
        }
        let packet = state
            .packets
            .get(&asked.id)
            .ok_or_else(|| unknown("no packet of that id"))?;
        if packet.process != asked.process || packet.source != asked.source {
            return Err(unknown("the packet is of another process or source"));
        }
        if state.workflows.len() >= MOST {
            return Err(unknown("the workflow store is full"));
        }
        let workflow = Workflow {
            instance: instance.clone(),
            stage: Stage::Processing,
        };
        state.workflows.insert(asked.id, workflow);
        Ok(instance)
    }
}

struct Asked {
    id: String,
    process: String,
    source: String,
}

fn validated(outer: &Value) -> Result<Asked, Stop> {
    let member = |pointer: &str, name: &str| {
        outer
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| ("RPR-WIN-000", format!("Missing Input Parameter - {name}")))
    };
    let invalid = |name: &str| ("RPR-WIN-001", format!("Invalid Input Parameter - {name}"));
    if member("/id", "id")? != ID {
        return Err(invalid("id"));
    }
    if !member("/version", "version")?.eq_ignore_ascii_case(VERSION) {
        return Err(invalid("version"));
    }
    if !is_time(&member("/requesttime", "requesttime")?) {
        return Err(invalid("requesttime"));
    }
    let asked = Asked {
        id: member("/request/registrationId", "registrationId")?,
        process: member("/request/process", "process")?,
        source: member("/request/source", "source")?,
    };
    if !has_provider(&asked.source, &asked.process) {
        return Err(invalid("process"));
    }
    Ok(asked)
}

/// Whether it is `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`.
fn is_time(text: &str) -> bool {
    let form = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    time::PrimitiveDateTime::parse(text, &form).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Value {
        json!({
            "id": ID, "version": "V1", "requesttime": "2026-01-01T00:00:00.000Z",
            "request": {"registrationId": "1", "process": "CRVS_NEW", "source": "OPENCRVS"},
        })
    }

    #[test]
    fn a_whole_request_passes() {
        assert!(validated(&whole()).is_ok());
    }

    #[test]
    fn each_missing_member_is_named() {
        for (pointer, name) in [
            ("", "id"),
            ("", "version"),
            ("", "requesttime"),
            ("/request", "registrationId"),
            ("/request", "process"),
            ("/request", "source"),
        ] {
            let mut outer = whole();
            let place = outer.pointer_mut(pointer).unwrap();
            place.as_object_mut().unwrap().remove(name);
            let (code, message) = validated(&outer).err().unwrap();
            assert_eq!(code, "RPR-WIN-000");
            assert!(message.ends_with(name), "{message}");
        }
    }

    #[test]
    fn each_wrong_member_is_refused() {
        for (pointer, value) in [
            ("/id", "string"),
            ("/version", "v2"),
            ("/requesttime", "2026-01-01T00:00:00Z"),
            ("/request/process", "NEW"),
            ("/request/source", "opencrvs"),
        ] {
            let mut outer = whole();
            *outer.pointer_mut(pointer).unwrap() = json!(value);
            assert_eq!(
                validated(&outer).err().unwrap().0,
                "RPR-WIN-001",
                "{pointer}"
            );
        }
    }
}
