//! The strict form of a credential, before anything is believed: JSON with one reading, contexts in the pinned order, an
//! issuer and a proof of MOSIP's kind.
//!
//! Two canonical forms of RDF exist that differ in control characters, and JSON-LD rounds numbers; what they could
//! disagree about is refused.

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{CREDENTIAL_MAX, CREDENTIALS_V1, CredentialError, Issuer};
use crate::{clock::Moment, envelope::json};

/// Objects and arrays inside each other.
const DEPTH_MAX: usize = 12;

/// Values of one credential. What the proof covers is found by leaving one out at a time.
const VALUES_MAX: usize = 1000;

/// The largest whole number that every JSON reader keeps.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// How far the issuer's clock may be ahead of ours.
const AHEAD_MS: i64 = 300_000;

/// The members of a proof.
const PROOF: [&str; 5] = [
    "type",
    "created",
    "proofPurpose",
    "verificationMethod",
    "jws",
];

/// A credential in its form, with its proof taken off.
pub(super) struct Form {
    /// Without `proof`.
    pub(super) document: Map<String, Value>,
    pub(super) issuer: String,
    pub(super) created: String,
    pub(super) verification_method: String,
    pub(super) jws: String,
}

impl Form {
    pub(super) fn parse(text: &[u8], now: Moment) -> Result<Self, CredentialError> {
        let mut document = json::object(text, CREDENTIAL_MAX)?;
        let Some(Value::Object(proof)) = document.remove("proof") else {
            return Err(CredentialError::Proof("there is no single `proof`"));
        };
        let mut values = 0_usize;
        for (name, value) in &document {
            if name != "@context" {
                plain_name(name)?;
                plain(value, 1, &mut values)?;
            }
        }
        let text = |map: &Map<String, Value>, name: &str| {
            map.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        if proof.len() != PROOF.len() {
            return Err(CredentialError::Proof(
                "`proof` has other members than MOSIP's",
            ));
        }
        let [kind, created, purpose, verification_method, jws] =
            PROOF.map(|name| text(&proof, name));
        if kind.as_deref() != Some("RsaSignature2018") {
            return Err(CredentialError::Proof(
                "`proof.type` is not RsaSignature2018",
            ));
        }
        if purpose.as_deref() != Some("assertionMethod") {
            return Err(CredentialError::Proof(
                "`proof.proofPurpose` is not assertionMethod",
            ));
        }
        let (Some(created), Some(verification_method), Some(jws)) =
            (created, verification_method, jws)
        else {
            return Err(CredentialError::Proof(
                "a member of `proof` is missing or not a string",
            ));
        };
        let issuer =
            text(&document, "issuer").ok_or(CredentialError::Form("`issuer` is not a string"))?;
        credential(&document)?;
        let issued = text(&document, "issuanceDate")
            .ok_or(CredentialError::Form("`issuanceDate` is missing"))?;
        if at(&created)?.since_ms(now) > AHEAD_MS || at(&issued)?.since_ms(now) > AHEAD_MS {
            return Err(CredentialError::Time("it is dated in the future"));
        }
        if let Some(expires) = document.get("expirationDate") {
            let expires = expires
                .as_str()
                .ok_or(CredentialError::Form("`expirationDate` is not a string"))?;
            if at(expires)? <= now {
                return Err(CredentialError::Time("it has expired"));
            }
        }
        Ok(Self {
            document,
            issuer,
            created,
            verification_method,
            jws,
        })
    }

    /// Whether `@context` is what the issuer's pin says: `credentials/v1`, the pinned ones, and at most MOSIP's `sec`. An
    /// inline context, or another order, could give a signed value another name.
    pub(super) fn check_contexts(&self, issuer: &Issuer) -> Result<(), CredentialError> {
        let named = self.document.get("@context").and_then(Value::as_array);
        let mut named = named.ok_or(CredentialError::Context)?.iter();
        let wanted = [CREDENTIALS_V1]
            .into_iter()
            .chain(issuer.contexts.iter().map(String::as_str));
        for url in wanted {
            if named.next().and_then(Value::as_str) != Some(url) {
                return Err(CredentialError::Context);
            }
        }
        let rest: Vec<&Value> = named.collect();
        match rest.as_slice() {
            [] => Ok(()),
            [Value::Object(inline)]
                if inline.len() == 1
                    && inline.get("sec").and_then(Value::as_str)
                        == Some("https://w3id.org/security#") =>
            {
                Ok(())
            }
            _ => Err(CredentialError::Context),
        }
    }
}

/// Type, id and subject as a W3C credential has them.
fn credential(document: &Map<String, Value>) -> Result<(), CredentialError> {
    let types = document.get("type").and_then(Value::as_array);
    if !types.is_some_and(|types| types.iter().any(|one| one == "VerifiableCredential")) {
        return Err(CredentialError::Form(
            "`type` does not list VerifiableCredential",
        ));
    }
    let subject = document.get("credentialSubject").and_then(Value::as_object);
    let subject = subject.ok_or(CredentialError::Form(
        "`credentialSubject` is not one object",
    ))?;
    for (id, what) in [
        (document.get("id"), "`id` is not an http or https URL"),
        (
            document.get("issuer"),
            "`issuer` is not an http or https URL",
        ),
        (
            subject.get("id"),
            "`credentialSubject.id` is not an http or https URL",
        ),
    ] {
        let id = id.and_then(Value::as_str).unwrap_or_default();
        if !id.starts_with("http://") && !id.starts_with("https://") {
            return Err(CredentialError::Form(what));
        }
    }
    Ok(())
}

fn plain_name(name: &str) -> Result<(), CredentialError> {
    if name.starts_with('@') {
        return Err(CredentialError::Form(
            "a JSON-LD keyword stands as a member",
        ));
    }
    clean(name)
}

fn plain(value: &Value, depth: usize, values: &mut usize) -> Result<(), CredentialError> {
    *values = values.saturating_add(1);
    if depth > DEPTH_MAX || *values > VALUES_MAX {
        return Err(CredentialError::Form(
            "it is nested too deep or has too many values",
        ));
    }
    let inside = depth.saturating_add(1);
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(number) => {
            let size = number
                .as_u64()
                .or_else(|| number.as_i64().map(i64::unsigned_abs));
            match size {
                Some(size) if size <= NUMBER_MAX => Ok(()),
                _ => Err(CredentialError::Form(
                    "a number is not whole, or larger than 2^53",
                )),
            }
        }
        Value::String(text) => clean(text),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| plain(item, inside, values)),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            plain_name(name)?;
            plain(value, inside, values)
        }),
    }
}

fn clean(text: &str) -> Result<(), CredentialError> {
    let odd = |c: char| {
        (c.is_control() && c != '\n' && c != '\r') || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(odd) {
        return Err(CredentialError::Form("a text has control characters"));
    }
    Ok(())
}

fn at(text: &str) -> Result<Moment, CredentialError> {
    let bad = CredentialError::Form("a date is not in the form of RFC 3339");
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad)?;
    Ok(Moment::from_s(at.unix_timestamp()))
}
