//! A request to IDA as it came: exact bytes, checked members.
//!
//! The checks go in MOSIP's order, so that a partner is told of the same mistake first by both of us: `id`, `version`, the
//! encrypted members, consent, time, surroundings, transaction, individual. Members that MOSIP does not know are kept and
//! tolerated, as MOSIP does.

use std::fmt;

use bytes::Bytes;

use super::{
    cipher,
    members::{Members, invalid, is_sane, missing},
};
use crate::{
    clock::Moment,
    envelope::{
        Forms,
        forms::Member,
        json::{self, Value},
        time,
    },
    ida::Operation,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// Bytes of a body. The edge's limit comes first and is usually lower.
pub(super) const BODY_MAX: usize = 16 << 20;

const INDIVIDUAL_ID_MAX: usize = 256;
const WORD_MAX: usize = 64;
const URI_MAX: usize = 512;
const CHANNELS_MAX: usize = 8;
const CLAIMS_MAX: usize = 512;

/// RSA-2048 to RSA-8192.
const WRAPPED_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 256..=1024;

/// AES-GCM of 64 hex digits.
pub(super) const HMAC_LENGTH: usize = 64 + cipher::OVERHEAD;

/// A request in the form of its operation. Nothing is verified or decrypted yet.
pub struct Request {
    operation: Operation,
    body: Bytes,
    transaction_id: String,
    individual_id_type: Option<String>,
    claims: Option<Vec<String>>,
    request_time: Moment,
    sealed: Option<Sealed>,
}

/// The encrypted members.
pub(super) struct Sealed {
    pub(super) request: Vec<u8>,
    pub(super) hmac: Vec<u8>,
    pub(super) session_key: Vec<u8>,
    pub(super) thumbprint: Fingerprint,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// `MSG-001` when it is not a strict JSON object; `MSG-002` naming the member that is missing; `MSG-003` naming the member
    /// that is wrong; `FRS-001` when `requestTime` is not in MOSIP's form.
    pub fn parse(operation: Operation, body: Bytes, forms: &Forms) -> Result<Self, Refusal> {
        let value = json::read(&body, BODY_MAX)
            .map_err(|e| Refusal::new(Code::MessageForm, e.to_string()))?;
        let members = Members(&value);
        id(operation, members)?;
        version(members)?;
        let sealed = match operation.encrypted() {
            true => Some(sealed(members, forms)?),
            false => None,
        };
        consent(operation, members)?;
        let request_time = moment(members, "requestTime")?;
        surroundings(members)?;
        let transaction_id = transaction_id(members)?.to_owned();
        individual_id(members)?;
        let individual_id_type = individual_id_type(members)?.map(str::to_owned);
        if operation == Operation::Otp {
            otp_channel(members)?;
        }
        let claims = claims(operation, members);
        drop(value);
        Ok(Self {
            operation,
            transaction_id,
            individual_id_type,
            claims,
            request_time,
            sealed,
            body,
        })
    }

    /// What is asked.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The body exactly as it came.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// `transactionID`: ten letters and digits.
    pub fn transaction_id(&self) -> &str {
        &self.transaction_id
    }

    /// `requestTime`.
    pub const fn request_time(&self) -> Moment {
        self.request_time
    }

    /// `individualIdType`, when given.
    pub fn individual_id_type(&self) -> Option<&str> {
        self.individual_id_type.as_deref()
    }

    /// The attributes that an exchange of a kyc token or a verifiable credential asks for by name, where it names any.
    pub fn claims(&self) -> Option<&[String]> {
        self.claims.as_deref()
    }

    /// The certificate that the request says it is encrypted to.
    pub fn thumbprint(&self) -> Option<Fingerprint> {
        self.sealed.as_ref().map(|sealed| sealed.thumbprint)
    }

    pub(super) const fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_ref()
    }
}

/// The transaction that a body names, for the answer to a message that was refused before it was read as a whole. Nothing
/// may be decided by it.
pub fn stated_transaction(body: &[u8]) -> Option<String> {
    let value = json::read(body, BODY_MAX).ok()?;
    transaction_id(Members(&value)).ok().map(str::to_owned)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("transaction_id", &self.transaction_id)
            .finish_non_exhaustive()
    }
}

/// A member that holds a time in MOSIP's form.
pub(super) fn moment(members: Members<'_>, name: &'static str) -> Result<Moment, Refusal> {
    time::parse(members.text(name)?).ok_or_else(|| {
        Refusal::new(Code::TimeForm, format!("`{name}` is not in MOSIP's form")).naming(name)
    })
}

fn id(operation: Operation, members: Members<'_>) -> Result<(), Refusal> {
    let id = members.text("id")?;
    let fits = match operation.id() {
        Some(required) => id == required,
        None => is_sane(id, WORD_MAX),
    };
    if fits {
        Ok(())
    } else {
        Err(invalid("id", "not that of the route"))
    }
}

/// `\d\.\d(\.\d)?`
fn version(members: Members<'_>) -> Result<(), Refusal> {
    match members.text("version")?.as_bytes() {
        [a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit() => Ok(()),
        [a, b'.', b, b'.', c] if [a, b, c].iter().all(|d| d.is_ascii_digit()) => Ok(()),
        _ => Err(invalid("version", "not digits and dots as in 1.0")),
    }
}

fn sealed(members: Members<'_>, forms: &Forms) -> Result<Sealed, Refusal> {
    let decoded = |name, member| {
        let text = members.text(name)?;
        forms
            .member(member, text)
            .ok_or_else(|| invalid(name, "not base64url in a form of the partner's contract"))
    };
    let request = decoded("request", Member::Request)?;
    // At least `{}` inside.
    if request.len() < cipher::OVERHEAD.saturating_add(2) {
        return Err(invalid("request", "too short"));
    }
    let hmac = decoded("requestHMAC", Member::Hmac)?;
    if hmac.len() != HMAC_LENGTH {
        return Err(invalid("requestHMAC", "not 96 bytes"));
    }
    let session_key = decoded("requestSessionKey", Member::SessionKey)?;
    if !WRAPPED_KEY_LENGTHS.contains(&session_key.len()) {
        return Err(invalid("requestSessionKey", "not of an RSA key's length"));
    }
    let thumbprint = forms
        .thumbprint(members.text("thumbprint")?)
        .ok_or_else(|| invalid("thumbprint", "not in a form of the partner's contract"))?;
    Ok(Sealed {
        request,
        hmac,
        session_key,
        thumbprint,
    })
}

fn consent(operation: Operation, members: Members<'_>) -> Result<(), Refusal> {
    const NAME: &str = "consentObtained";
    match (operation, members.get(NAME)) {
        (Operation::Auth | Operation::Kyc | Operation::KycAuth, Some(Value::Bool(true))) => Ok(()),
        (Operation::Auth | Operation::Kyc | Operation::KycAuth, None) => Err(missing(NAME)),
        (Operation::Auth | Operation::Kyc | Operation::KycAuth, Some(Value::Bool(false))) => {
            Err(Refusal::new(Code::ConsentMissing, "consent is stated as false").naming(NAME))
        }
        (Operation::Auth | Operation::Kyc | Operation::KycAuth, Some(_)) => {
            Err(invalid(NAME, "not true"))
        }
        (Operation::KycExchange, Some(Value::Array(claims)))
            if claims.len() <= CLAIMS_MAX && claims.iter().all(Value::is_string) =>
        {
            Ok(())
        }
        (Operation::KycExchange, None) => Err(missing(NAME)),
        (Operation::KycExchange, Some(_)) => Err(invalid(NAME, "not an array of claim names")),
        (Operation::Otp | Operation::KeyBinding | Operation::VciExchange, _) => Ok(()),
    }
}

/// `domainUri` and `env`: IDA holds them against its own lists; here they only have to be what they say they are.
fn surroundings(members: Members<'_>) -> Result<(), Refusal> {
    for (name, max) in [("domainUri", URI_MAX), ("env", WORD_MAX)] {
        if let Some(text) = members.optional_text(name)?
            && !is_sane(text, max)
        {
            return Err(invalid(name, "too long or with control characters"));
        }
    }
    Ok(())
}

fn transaction_id(members: Members<'_>) -> Result<&str, Refusal> {
    let text = members.text("transactionID")?;
    if text.len() == 10 && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Ok(text)
    } else {
        Err(invalid("transactionID", "not ten letters and digits"))
    }
}

/// Personal: looked at and not kept.
fn individual_id(members: Members<'_>) -> Result<(), Refusal> {
    const NAME: &str = "individualId";
    if is_sane(members.text(NAME)?, INDIVIDUAL_ID_MAX) {
        Ok(())
    } else {
        Err(invalid(NAME, "too long or with control characters"))
    }
}

fn individual_id_type(members: Members<'_>) -> Result<Option<&str>, Refusal> {
    const NAME: &str = "individualIdType";
    match members.optional_text(NAME)? {
        Some(kind) if kind.len() > WORD_MAX || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Err(invalid(NAME, "not a word"))
        }
        kind => Ok(kind),
    }
}

fn claims(operation: Operation, members: Members<'_>) -> Option<Vec<String>> {
    match operation {
        Operation::KycExchange => {
            let named = members.get("consentObtained")?.as_array()?;
            let texts = named.iter().filter_map(Value::as_str);
            Some(texts.map(str::to_owned).collect())
        }
        Operation::VciExchange => {
            let definition = members.get("credentialsDefinition")?.as_object()?;
            let subject = definition.get("credentialSubject")?.as_object()?;
            Some(subject.iter().map(|(name, _)| name.to_owned()).collect())
        }
        Operation::Auth
        | Operation::Otp
        | Operation::Kyc
        | Operation::KycAuth
        | Operation::KeyBinding => None,
    }
}

fn otp_channel(members: Members<'_>) -> Result<(), Refusal> {
    const NAME: &str = "otpChannel";
    let channels = members
        .need(NAME)?
        .as_array()
        .ok_or_else(|| invalid(NAME, "not an array"))?;
    if channels.is_empty() {
        return Err(missing(NAME));
    }
    let known = |channel: &Value<'_>| {
        channel.as_str().is_some_and(|word| {
            ["email", "phone", "none"]
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known))
        })
    };
    if channels.len() <= CHANNELS_MAX && channels.iter().all(known) {
        Ok(())
    } else {
        Err(invalid(NAME, "not a list of email and phone"))
    }
}

#[cfg(test)]
mod tests;
