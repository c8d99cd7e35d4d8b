//! A JSON value that borrows its strings from its text, wherever they stand there as they are.

use std::borrow::Cow;

use serde_json::{Map, Number};
use zeroize::Zeroize;

/// A JSON value. Its strings point into the text it was read from; only those with escapes are copies.
#[derive(PartialEq)]
pub enum Value<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in the range of its kind.
    Number(Number),
    /// A string.
    String(Cow<'t, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Object<'t>),
}

/// The members of an object in their order, no name twice. Two are the same when their members come in the same order. There is no
/// copy of it: what is to be wiped stands in one place.
#[derive(PartialEq)]
pub struct Object<'t> {
    members: Vec<(Cow<'t, str>, Value<'t>)>,
}

/// Members up to which each name is held against each.
const FEW: usize = 16;

impl<'t> Object<'t> {
    /// `None` when a name stands twice.
    pub(super) fn new(members: Vec<(Cow<'t, str>, Value<'t>)>) -> Option<Self> {
        let twice = if members.len() <= FEW {
            let mut rest = members.as_slice();
            let mut twice = false;
            while let Some(((name, _), behind)) = rest.split_first() {
                twice |= behind.iter().any(|(other, _)| name == other);
                rest = behind;
            }
            twice
        } else {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
            names.sort_unstable();
            names.windows(2).any(|pair| pair.first() == pair.last())
        };
        (!twice).then_some(Self { members })
    }

    /// The value of a member, `null` included.
    pub fn get(&self, name: &str) -> Option<&Value<'t>> {
        self.iter()
            .find_map(|(member, value)| (member == name).then_some(value))
    }

    /// The members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'t>)> {
        self.members
            .iter()
            .map(|(name, value)| (name.as_ref(), value))
    }

    /// How many members there are.
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The same, of its own text.
    pub fn into_map(self) -> Map<String, serde_json::Value> {
        self.members
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    /// Overwrites the copies of strings with escapes. What is borrowed is its text's to wipe.
    pub(super) fn wipe(&mut self) {
        self.members.iter_mut().for_each(|(_, value)| value.wipe());
    }
}

impl<'t> Value<'t> {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members of an object.
    pub const fn as_object(&self) -> Option<&Object<'t>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// A whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is a string.
    pub const fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }

    /// The same, of its own text.
    fn into_owned(self) -> serde_json::Value {
        use serde_json::Value as Owned;
        match self {
            Self::Null => Owned::Null,
            Self::Bool(value) => Owned::Bool(value),
            Self::Number(number) => Owned::Number(number),
            Self::String(text) => Owned::String(text.into_owned()),
            Self::Array(elements) => elements.into_iter().map(Self::into_owned).collect(),
            Self::Object(members) => Owned::Object(members.into_map()),
        }
    }

    fn wipe(&mut self) {
        match self {
            Self::String(Cow::Owned(text)) => text.zeroize(),
            Self::Array(elements) => elements.iter_mut().for_each(Self::wipe),
            Self::Object(members) => members.wipe(),
            Self::String(Cow::Borrowed(_)) | Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }
}
