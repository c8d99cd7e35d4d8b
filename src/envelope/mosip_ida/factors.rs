//! Which factors a decrypted request uses, read as IDA reads them: a factor is there when it has a value that is neither
//! null nor empty. `requestedAuth` says nothing; IDA ignores it.

use zeroize::Zeroizing;

use super::members::{Members, invalid};
use crate::{
    envelope::{
        forms,
        json::{self, Object, Value, Wiped},
    },
    ida::{Bio, Factor},
    refusal::Refusal,
};

/// Elements of `biometrics`.
const SEGMENTS_MAX: usize = 32;

/// Bytes of one biometric payload.
const PAYLOAD_MAX: usize = 8 << 20;

/// The factors of the inner object, in order and once each.
///
/// The kind of a biometric is read from its payload without verifying the device's signature: device trust is IDA's to
/// check, and it refuses what does not verify. A segment whose kind cannot be read is refused, so that no factor passes
/// unseen.
///
/// # Errors
/// `MSG-003` naming the member that is not of its form.
pub(super) fn of(inner: &Object<'_>) -> Result<Vec<Factor>, Refusal> {
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
fn has_content(value: &Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_content),
        Value::Object(members) => members.iter().any(|(_, value)| has_content(value)),
    }
}

fn biometric(segment: &Value<'_>) -> Option<Bio> {
    let jws = segment.as_object()?.get("data")?.as_str()?;
    let mut parts = jws.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = Zeroizing::new(forms::base64url(payload)?);
    let payload = json::read(&payload, PAYLOAD_MAX).map(Wiped).ok()?;
    let kind = payload.0.get("bioType")?.as_str()?;
    kind.parse().ok()
}
