//! Typed reading of members: what is missing and what is wrong are told apart and named, as MOSIP does.

use crate::{
    envelope::json::{Object, Value},
    refusal::{Code, Refusal},
};

/// The members of one object.
#[derive(Clone, Copy)]
pub(super) struct Members<'a>(pub(super) &'a Object<'a>);

impl<'a> Members<'a> {
    /// A member that is there and not null.
    pub(super) fn get(self, name: &'static str) -> Option<&'a Value<'a>> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A member that must be there.
    pub(super) fn need(self, name: &'static str) -> Result<&'a Value<'a>, Refusal> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A string that must be there and not be empty.
    pub(super) fn text(self, name: &'static str) -> Result<&'a str, Refusal> {
        match self.need(name)?.as_str() {
            Some("") => Err(missing(name)),
            Some(text) => Ok(text),
            None => Err(invalid(name, "not a string")),
        }
    }

    /// A string that may be missing, null or empty.
    pub(super) fn optional_text(self, name: &'static str) -> Result<Option<&'a str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_ref()).filter(|text| !text.is_empty())),
            Some(_) => Err(invalid(name, "not a string")),
        }
    }
}

/// Short, and without control characters.
pub(super) fn is_sane(text: &str, max: usize) -> bool {
    text.len() <= max && !text.chars().any(char::is_control)
}

pub(super) fn missing(name: &'static str) -> Refusal {
    Refusal::new(Code::MemberMissing, format!("`{name}` is missing")).naming(name)
}

pub(super) fn invalid(name: &'static str, why: &str) -> Refusal {
    Refusal::new(Code::MemberInvalid, format!("`{name}`: {why}")).naming(name)
}
