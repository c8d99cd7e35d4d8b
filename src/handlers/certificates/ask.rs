//! What a partner asks: exactly the members that are known, each once.

use http::Method;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    clock::Moment,
    config::{Algorithm, Role},
    envelope::{json, possession},
    refusal::{Code, Refusal},
    trust::{Certificate, certificates_from_bytes},
};

/// Bytes of a question, certificates included.
const BODY_MAX: usize = 64 << 10;

/// One of the three questions.
#[derive(Debug)]
pub(super) enum Ask {
    Current,
    Challenge(ChallengeAsk),
    Replacement(ReplacementAsk),
}

#[derive(Debug)]
pub(super) struct ChallengeAsk {
    pub(super) role: Role,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) certificates: Vec<Certificate>,
}

pub(super) struct ReplacementAsk {
    pub(super) challenge: String,
    pub(super) proof: String,
    pub(super) certificates: Vec<Certificate>,
    pub(super) valid_from: Option<Moment>,
}

impl std::fmt::Debug for ReplacementAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplacementAsk")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

/// Reads a question from method, path and body.
pub(super) fn read(method: &Method, path: &str, body: &[u8]) -> Result<Ask, Refusal> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let known = ["current", "challenge", "replacement"].contains(&last);
    match (method, last) {
        (&Method::GET, "current") if body.is_empty() => Ok(Ask::Current),
        (&Method::GET, "current") => Err(form("a body that nobody reads")),
        (&Method::POST, "challenge") => {
            let mut members = members(body)?;
            let role = text(&mut members, "role")?;
            let role = role.as_deref().and_then(possession::role);
            let algorithm = text(&mut members, "algorithm")?
                .map(|name| possession::algorithm(&name).ok_or_else(|| form("algorithm")))
                .transpose()?;
            let certificates = certificates(&mut members)?;
            done(&members)?;
            let role = role.ok_or_else(|| form("role is none of tls, encryption, signature"))?;
            if algorithm.is_some() && role != Role::Signature {
                return Err(form("only signature certificates have an algorithm"));
            }
            Ok(Ask::Challenge(ChallengeAsk {
                role,
                algorithm,
                certificates,
            }))
        }
        (&Method::POST, "replacement") => {
            let mut members = members(body)?;
            let challenge = text(&mut members, "challenge")?.ok_or_else(|| form("challenge"))?;
            let proof = text(&mut members, "proof")?.ok_or_else(|| form("proof"))?;
            let valid_from = text(&mut members, "validFrom")?
                .map(|text| moment(&text).ok_or_else(|| form("validFrom is no moment")))
                .transpose()?;
            let certificates = certificates(&mut members)?;
            done(&members)?;
            Ok(Ask::Replacement(ReplacementAsk {
                challenge,
                proof,
                certificates,
                valid_from,
            }))
        }
        _ if known => Err(Refusal::new(
            Code::MethodNotAllowed,
            "another method than this path takes",
        )),
        _ => Err(Refusal::new(
            Code::RouteUnknown,
            "no such thing below the route for certificates",
        )),
    }
}

fn members(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    json::object(body, BODY_MAX).map_err(|e| form(&e.to_string()))
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(form("a member that is no string")),
    }
}

fn certificates(members: &mut Map<String, Value>) -> Result<Vec<Certificate>, Refusal> {
    let pem = text(members, "certificate")?.ok_or_else(|| form("certificate"))?;
    certificates_from_bytes(pem.as_bytes())
        .map_err(|e| Refusal::new(Code::ReplacementUnreadable, e.to_string()))
}

fn done(members: &Map<String, Value>) -> Result<(), Refusal> {
    if members.is_empty() {
        Ok(())
    } else {
        Err(form("a member that is not known"))
    }
}

fn moment(text: &str) -> Option<Moment> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(Moment::from_s(at.unix_timestamp()))
}

fn form(cause: &str) -> Refusal {
    Refusal::new(Code::ReplacementForm, cause.to_owned())
}
