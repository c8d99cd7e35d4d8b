//! Which factors a decrypted request uses, read as IDA reads them: a factor is there when it has a value that is neither
//! null nor empty. `requestedAuth` says nothing; IDA ignores it.

use std::fmt;

use serde_json::{Map, Value};

use super::members::{Members, invalid};
use crate::{
    envelope::{forms, json},
    refusal::Refusal,
};

/// Elements of `biometrics`.
const SEGMENTS_MAX: usize = 32;

/// Bytes of one biometric payload.
const PAYLOAD_MAX: usize = 8 << 20;

/// The kind of a biometric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Biometric {
    /// Fingerprints.
    Finger,
    /// Irises.
    Iris,
    /// The face.
    Face,
}

impl Biometric {
    /// MOSIP's word, as in a policy's `authSubType`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finger => "FINGER",
            Self::Iris => "IRIS",
            Self::Face => "FACE",
        }
    }
}

/// What a request authenticates with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Factor {
    /// Demographic data.
    Demo,
    /// A one-time password.
    Otp,
    /// A static PIN.
    Pin,
    /// A biometric.
    Bio(Biometric),
    /// A token bound to a key.
    Kbt,
    /// A password.
    Pwd,
}

impl Factor {
    /// MOSIP's word, as in a policy's `authType`.
    pub const fn auth_type(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Otp => "otp",
            Self::Pin => "pin",
            Self::Bio(_) => "bio",
            Self::Kbt => "kbt",
            Self::Pwd => "pwd",
        }
    }

    /// MOSIP's word for the kind of a biometric, as in a policy's `authSubType`.
    pub const fn auth_sub_type(self) -> Option<&'static str> {
        match self {
            Self::Bio(kind) => Some(kind.as_str()),
            Self::Demo | Self::Otp | Self::Pin | Self::Kbt | Self::Pwd => None,
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.auth_type())?;
        match self.auth_sub_type() {
            Some(kind) => write!(f, "-{kind}"),
            None => Ok(()),
        }
    }
}

/// The factors of the inner object, in order and once each.
///
/// The kind of a biometric is read from its payload without verifying the device's signature: device trust is IDA's to
/// check, and it refuses what does not verify. A segment whose kind cannot be read is refused, so that no factor passes
/// unseen.
///
/// # Errors
/// `MSG-003` naming the member that is not of its form.
pub(super) fn of(inner: &Map<String, Value>) -> Result<Vec<Factor>, Refusal> {
    let members = Members(inner);
    let mut found = Vec::new();
    match members.get("demographics") {
        None => {}
        Some(demographics @ Value::Object(_)) if has_content(demographics) => {
            found.push(Factor::Demo)
        }
        Some(Value::Object(_)) => {}
        Some(_) => return Err(invalid("demographics", "not an object")),
    }
    for (name, factor) in [
        ("otp", Factor::Otp),
        ("staticPin", Factor::Pin),
        ("password", Factor::Pwd),
    ] {
        if members.optional_text(name)?.is_some() {
            found.push(factor);
        }
    }
    match members.get("keyBindedTokens") {
        None => {}
        Some(tokens @ Value::Array(_)) if has_content(tokens) => found.push(Factor::Kbt),
        Some(Value::Array(_)) => {}
        Some(_) => return Err(invalid("keyBindedTokens", "not an array")),
    }
    match members.get("biometrics") {
        None => {}
        Some(Value::Array(segments)) if segments.len() <= SEGMENTS_MAX => {
            for segment in segments {
                let kind = biometric(segment)
                    .ok_or_else(|| invalid("biometrics", "a segment's kind cannot be read"))?;
                found.push(Factor::Bio(kind));
            }
        }
        Some(_) => return Err(invalid("biometrics", "not an array, or too long")),
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether there is a value that is neither null nor empty, at any depth.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_content),
        Value::Object(members) => members.values().any(has_content),
    }
}

fn biometric(segment: &Value) -> Option<Biometric> {
    let jws = segment.get("data")?.as_str()?;
    let mut parts = jws.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = json::object(&forms::base64url(payload)?, PAYLOAD_MAX).ok()?;
    let kind = payload.get("bioType")?.as_str()?;
    [Biometric::Finger, Biometric::Iris, Biometric::Face]
        .into_iter()
        .find(|known| kind.eq_ignore_ascii_case(known.as_str()))
}
