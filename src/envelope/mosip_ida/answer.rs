//! An answer of IDA, held against the request it answers.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Operation;
use crate::{
    envelope::{Forms, json},
    trust::Fingerprint,
    refusal::{Code, Refusal},
};

/// Bytes of an answer. The upstream's limit comes first and is usually lower.
const ANSWER_MAX: usize = 64 << 20;

const ERRORS_MAX: usize = 64;

/// An answer in the form of its operation, with the transaction of its request.
pub struct Answer {
    operation: Operation,
    body: Bytes,
    value: Map<String, Value>,
}

impl Answer {
    /// Reads the answer to a request of that transaction. MOSIP answers errors with HTTP 200: only the content says.
    ///
    /// # Errors
    /// `UP-006` when it is not a strict JSON object, names another transaction, or has neither errors nor the `response` of
    /// its operation.
    pub fn parse(operation: Operation, body: Bytes, transaction_id: &str) -> Result<Self, Refusal> {
        let value = json::object(&body, ANSWER_MAX).map_err(|e| form(e.to_string()))?;
        if value.get("transactionID").and_then(Value::as_str) != Some(transaction_id) {
            return Err(form("`transactionID` is not that of the request"));
        }
        let failed = match value.get("errors") {
            None | Some(Value::Null) => false,
            Some(Value::Array(errors)) => {
                if errors.len() > ERRORS_MAX || !errors.iter().all(is_error) {
                    return Err(form("`errors` is not a list of errors"));
                }
                !errors.is_empty()
            }
            Some(_) => return Err(form("`errors` is not an array")),
        };
        let fits = match value.get("response") {
            None | Some(Value::Null) => failed,
            Some(Value::Object(response)) => failed || fits(operation, response),
            Some(_) => false,
        };
        if !fits {
            return Err(form("`response` is not that of the route"));
        }
        Ok(Self {
            operation,
            body,
            value,
        })
    }

    /// What was asked.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The body exactly as it came.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// All members.
    pub const fn members(&self) -> &Map<String, Value> {
        &self.value
    }

    /// The error codes, in order; empty when there are none.
    pub fn error_codes(&self) -> impl Iterator<Item = &str> {
        self.value
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|error| error.get("errorCode").and_then(Value::as_str))
    }

    /// Whether IDA did what was asked: no errors, and `authStatus` or `kycStatus` true where the route has one.
    pub fn succeeded(&self) -> bool {
        let status = status(self.operation).is_none_or(|name| {
            self.response().and_then(|response| response.get(name)) == Some(&Value::Bool(true))
        });
        self.error_codes().next().is_none() && status
    }

    /// Whether the answer holds an eKYC identity, sealed or plain.
    pub fn has_identity(&self) -> bool {
        self.response()
            .and_then(|response| response.get("identity"))
            .is_some_and(|identity| !identity.is_null())
    }

    /// The certificate that the identity is sealed to, as MOSIP writes it: upper-case hex (IDA reference 3.2).
    pub fn identity_thumbprint(&self) -> Option<Fingerprint> {
        let text = self.response()?.get("thumbprint")?.as_str()?;
        Forms::of(&[]).thumbprint(text)
    }

    fn response(&self) -> Option<&Map<String, Value>> {
        self.value.get("response").and_then(Value::as_object)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("operation", &self.operation)
            .field("succeeded", &self.succeeded())
            .finish_non_exhaustive()
    }
}

pub(super) fn form(cause: impl Into<String>) -> Refusal {
    Refusal::new(Code::UpstreamForm, cause)
}

fn is_error(error: &Value) -> bool {
    error.get("errorCode").is_some_and(Value::is_string)
}

/// The member that says yes or no.
const fn status(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Auth => Some("authStatus"),
        Operation::Kyc | Operation::KycAuth => Some("kycStatus"),
        Operation::Otp
        | Operation::KycExchange
        | Operation::KeyBinding
        | Operation::VciExchange => None,
    }
}

fn fits(operation: Operation, response: &Map<String, Value>) -> bool {
    status(operation).is_none_or(|name| response.get(name).is_some_and(Value::is_boolean))
}
