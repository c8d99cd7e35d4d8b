//! An answer of IDA, held against the request it answers.

use std::fmt;

use bytes::Bytes;

use super::AnswerText;
use crate::{
    envelope::{
        Forms,
        json::{self, Object, Value, Wiped},
    },
    ida::Operation,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// Bytes of an answer. The upstream's limit comes first and is usually lower.
const ANSWER_MAX: usize = 64 << 20;

const ERRORS_MAX: usize = 64;

const NOT_OF_THE_ROUTE: &str = "`response` is not that of the route";

/// An answer in the form of its operation, with the transaction of its request.
pub struct Answer {
    operation: Operation,
    text: AnswerText,
    error_codes: Vec<String>,
    /// `authStatus` or `kycStatus`, where the operation has one; beside errors it may be missing, which is no.
    status: Option<bool>,
    identity: Identity,
}

/// The identity block of an answer, by its form.
enum Identity {
    /// There is none.
    Absent,
    /// Not in the form of a sealed one.
    Plain,
    /// Text with a wrapped key beside it, and the certificate it is sealed to, as MOSIP writes it.
    Sealed(Option<Fingerprint>),
}

impl Answer {
    /// Reads the answer to a request of that transaction. MOSIP answers errors with HTTP 200: only the content says.
    ///
    /// # Errors
    /// `UP-006` when it is not a strict JSON object, names another transaction, or has neither errors nor the `response` of
    /// its operation.
    pub fn parse(operation: Operation, body: Bytes, transaction_id: &str) -> Result<Self, Refusal> {
        let read = json::read(&body, ANSWER_MAX)
            .map(Wiped)
            .map_err(|e| form(e.to_string()))?;
        let value = &read.0;
        if value.get("transactionID").and_then(Value::as_str) != Some(transaction_id) {
            return Err(form("`transactionID` is not that of the request"));
        }
        let error_codes = match value.get("errors") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(errors)) if errors.len() <= ERRORS_MAX => errors
                .iter()
                .map(|error| error.as_object()?.get("errorCode")?.as_str())
                .map(|code| code.map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| form("`errors` is not a list of errors"))?,
            Some(Value::Array(_)) => return Err(form("`errors` is not a list of errors")),
            Some(_) => return Err(form("`errors` is not an array")),
        };
        let response = match value.get("response") {
            None | Some(Value::Null) => None,
            Some(Value::Object(response)) => Some(response),
            Some(_) => return Err(form(NOT_OF_THE_ROUTE)),
        };
        let status = status(operation).map(|name| {
            let value = response.and_then(|response| response.get(name));
            match value {
                Some(Value::Bool(status)) => Some(*status),
                _ => None,
            }
        });
        let fits = response.is_some() && status != Some(None);
        if !fits && error_codes.is_empty() {
            return Err(form(NOT_OF_THE_ROUTE));
        }
        let identity = response.map_or(Identity::Absent, Identity::of);
        drop(read);
        Ok(Self {
            operation,
            text: AnswerText::read(body),
            error_codes,
            status: status.map(|status| status == Some(true)),
            identity,
        })
    }

    /// What was asked.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The body exactly as it came.
    pub const fn text(&self) -> &AnswerText {
        &self.text
    }

    /// The error codes, in order; empty when there are none.
    pub fn error_codes(&self) -> impl Iterator<Item = &str> {
        self.error_codes.iter().map(String::as_str)
    }

    /// Whether IDA did what was asked: no errors, and `authStatus` or `kycStatus` true where the route has one.
    pub fn succeeded(&self) -> bool {
        self.error_codes.is_empty() && self.status != Some(false)
    }

    /// Whether the answer holds an eKYC identity, sealed or plain.
    pub fn has_identity(&self) -> bool {
        !matches!(self.identity, Identity::Absent)
    }

    /// Whether the identity has the form of a sealed one: text, with a wrapped key beside it. A plain object with a
    /// thumbprint beside it is not sealed, whatever the thumbprint says.
    pub fn identity_is_sealed(&self) -> bool {
        matches!(self.identity, Identity::Sealed(_))
    }

    /// The certificate that the identity is sealed to, as MOSIP writes it: upper-case hex (IDA reference 3.2). `None` unless it is
    /// sealed.
    pub fn identity_thumbprint(&self) -> Option<Fingerprint> {
        match self.identity {
            Identity::Sealed(thumbprint) => thumbprint,
            Identity::Absent | Identity::Plain => None,
        }
    }
}

impl Identity {
    fn of(response: &Object<'_>) -> Self {
        let text = |name| response.get(name).and_then(Value::as_str);
        match (response.get("identity"), text("sessionKey")) {
            (None | Some(Value::Null), _) => Self::Absent,
            (Some(Value::String(_)), Some(_)) => {
                let thumbprint = text("thumbprint");
                Self::Sealed(thumbprint.and_then(|text| Forms::STRICT.thumbprint(text)))
            }
            _ => Self::Plain,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: &str = "1234567890";

    fn read(operation: Operation, rest: &str) -> Result<Answer, Refusal> {
        let body = format!(r#"{{"transactionID":"{TRANSACTION}",{rest}}}"#);
        Answer::parse(operation, body.into(), TRANSACTION)
    }

    #[test]
    fn success_is_judged_by_content() {
        for (operation, rest, succeeded) in [
            (
                Operation::Auth,
                r#""errors":null,"response":{"authStatus":true}"#,
                true,
            ),
            (
                Operation::Auth,
                r#""errors":[],"response":{"authStatus":true}"#,
                true,
            ),
            (Operation::Auth, r#""response":{"authStatus":false}"#, false),
            (
                Operation::Auth,
                r#""errors":[{"errorCode":"IDA-DEA-001"}],"response":{"authStatus":true}"#,
                false,
            ),
            (
                Operation::Kyc,
                r#""response":{"kycStatus":true,"identity":"x"}"#,
                true,
            ),
            (Operation::Otp, r#""response":{"maskedMobile":"X"}"#, true),
            (
                Operation::Otp,
                r#""errors":[{"errorCode":"IDA-OTA-001"}]"#,
                false,
            ),
            (
                Operation::VciExchange,
                r#""errors":[{"errorCode":"IDA-VCI-001"}],"response":null"#,
                false,
            ),
        ] {
            let answer = read(operation, rest).unwrap();
            assert_eq!(answer.succeeded(), succeeded, "{rest}");
        }
        let answer = read(
            Operation::Kyc,
            r#""response":{"kycStatus":true,"identity":"x"}"#,
        )
        .unwrap();
        assert!(answer.has_identity());
    }

    #[test]
    fn the_errors_are_a_list_of_few_codes_in_their_order() {
        let errors = |count: usize| {
            let each = (0..count).map(|n| format!(r#"{{"errorCode":"E{n}","errorMessage":null}}"#));
            format!(r#""errors":[{}]"#, each.collect::<Vec<_>>().join(","))
        };
        let answer = read(Operation::Otp, &errors(ERRORS_MAX)).unwrap();
        let codes: Vec<&str> = answer.error_codes().collect();
        assert_eq!(codes.len(), ERRORS_MAX);
        assert_eq!(codes[..2], ["E0", "E1"]);
        let refusal = read(Operation::Otp, &errors(ERRORS_MAX + 1)).unwrap_err();
        assert_eq!(refusal.code(), Code::UpstreamForm);
        let both = r#""errors":[{"errorCode":"x"}],"response":{"identity":{"a":1}}"#;
        let answer = read(Operation::Kyc, both).unwrap();
        assert!(!answer.succeeded() && answer.has_identity());
    }

    #[test]
    fn an_identity_is_sealed_when_it_is_text_beside_a_wrapped_key() {
        let thumbprint = "AB".repeat(32);
        for (block, there, sealed, named) in [
            (r#""identity":null,"sessionKey":"k""#, false, false, false),
            (r#""sessionKey":"k""#, false, false, false),
            (r#""identity":"""#, true, false, false),
            (r#""identity":"x""#, true, false, false),
            (r#""identity":"x","sessionKey":null"#, true, false, false),
            (r#""identity":"x","sessionKey":"k""#, true, true, false),
            (
                r#""identity":{},"sessionKey":"k","thumbprint":"T""#,
                true,
                false,
                false,
            ),
            (
                r#""identity":"x","sessionKey":"k","thumbprint":"T""#,
                true,
                true,
                true,
            ),
            (
                r#""identity":"x","sessionKey":"k","thumbprint":"T0""#,
                true,
                true,
                false,
            ),
        ] {
            let block = block.replace('T', &thumbprint);
            let rest = format!(r#""response":{{"kycStatus":true,{block}}}"#);
            let answer = read(Operation::Kyc, &rest).unwrap();
            assert_eq!(answer.has_identity(), there, "{rest}");
            assert_eq!(answer.identity_is_sealed(), sealed, "{rest}");
            assert_eq!(answer.identity_thumbprint().is_some(), named, "{rest}");
        }
    }

    #[test]
    fn the_answer_must_be_that_of_the_request() {
        for text in [
            r#"{"response":{"authStatus":true}}"#,
            r#"{"transactionID":null,"response":{"authStatus":true}}"#,
            r#"{"transactionID":"1234567891","response":{"authStatus":true}}"#,
            r#"{"transactionID":1234567890,"response":{"authStatus":true}}"#,
            r#"{"transactionID":"1234567891","transactionID":"1234567890","response":{"authStatus":true}}"#,
            "",
            "<html>",
        ] {
            let verdict = Answer::parse(Operation::Auth, text.into(), TRANSACTION);
            assert_eq!(verdict.unwrap_err().code(), Code::UpstreamForm, "{text}");
        }
    }

    #[test]
    fn shapes_that_are_not_the_route_s_are_refused() {
        for (operation, rest) in [
            (Operation::Auth, r#""errors":null"#),
            (Operation::Auth, r#""errors":[],"response":null"#),
            (Operation::Auth, r#""response":{}"#),
            (Operation::Auth, r#""response":{"authStatus":"true"}"#),
            (Operation::Auth, r#""response":{"kycStatus":true}"#),
            (Operation::Auth, r#""response":[]"#),
            (Operation::Kyc, r#""response":{"authStatus":true}"#),
            (Operation::Otp, r#""response":null"#),
            (Operation::Otp, r#""errors":{}"#),
            (Operation::Otp, r#""errors":["x"]"#),
            (Operation::Otp, r#""errors":[{}]"#),
            (Operation::Otp, r#""errors":[{"errorCode":1}]"#),
            (
                Operation::Otp,
                r#""errors":[{"errorCode":"x"}],"response":"x""#,
            ),
        ] {
            let verdict = read(operation, rest);
            assert_eq!(verdict.unwrap_err().code(), Code::UpstreamForm, "{rest}");
        }
    }
}
