//! MOSIP's errors: code, message, what to do about it, and from which side of IDA's filter they come, which decides how
//! they are listed (reference, section 2.8).

use std::borrow::Cow;

use serde::Serialize;

/// The generic error that precedes every specific one of the filter.
pub(super) const GENERIC: (&str, &str) = (
    "IDA-MLC-007",
    "Request could not be processed. Please try again",
);

/// One entry of `errors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failure {
    pub(super) error_code: &'static str,
    pub(super) error_message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action_message: Option<String>,
}

impl Failure {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            error_code: code,
            error_message: message.into(),
            action_message: None,
        }
    }

    /// Adds what the individual or the partner can do.
    pub(super) fn acting(mut self, action: impl Into<String>) -> Self {
        self.action_message = Some(action.into());
        self
    }

    pub(super) fn generic() -> Self {
        Self::new(GENERIC.0, GENERIC.1)
    }

    pub(super) fn missing(what: &str) -> Self {
        Self::new("IDA-MLC-006", format!("Missing Input Parameter - {what}"))
    }

    pub(super) fn invalid(what: &str) -> Self {
        Self::new("IDA-MLC-009", format!("Invalid Input Parameter - {what}"))
    }

    pub(super) fn signature(of: &str) -> Self {
        Self::new(
            "IDA-MPA-001",
            format!("Digital signature verification failed for {of}"),
        )
    }

    /// The one answer to everything that does not decrypt.
    pub(super) fn undecryptable() -> Self {
        Self::new("IDA-MPA-003", "Unable to decrypt Request")
    }
}

/// Why an exchange ends without a verdict.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// From the filter: the generic error goes first.
    Filter(Failure),
    /// From behind the filter: as they are.
    Controller(Vec<Failure>),
    /// Java falls over (a null where none is expected): HTTP 500 and no signature.
    Crash,
}

impl Stop {
    pub(super) fn one(failure: Failure) -> Self {
        Self::Controller(vec![failure])
    }

    /// The entries of `errors`.
    pub(super) fn errors(self) -> Vec<Failure> {
        match self {
            Self::Filter(failure) if failure.error_code == GENERIC.0 => vec![failure],
            Self::Filter(failure) => vec![Failure::generic(), failure],
            Self::Controller(failures) => {
                let mut distinct: Vec<Failure> = Vec::new();
                for failure in failures {
                    if !distinct.contains(&failure) {
                        distinct.push(failure);
                    }
                }
                distinct
            }
            Self::Crash => vec![Failure::generic()],
        }
    }
}
