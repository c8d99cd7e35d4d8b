//! The text of an answer, and where the identity stands in it.

use std::{fmt, ops::Range, sync::OnceLock};

use bytes::Bytes;

use super::answer::form;
use crate::{envelope::json, refusal::Refusal};

/// The text of an answer, which has been read strictly: one JSON object, no name twice at any depth. Only reading makes one, and
/// writing anew from one.
#[derive(Clone)]
pub struct AnswerText {
    bytes: Bytes,
    place: OnceLock<Option<Place>>,
}

/// Where the values are that sealing and opening change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The object `response`.
    pub(super) response: Range<usize>,
    /// Its members; `identity` is there and not null.
    pub(super) identity: Range<usize>,
    pub(super) session_key: Option<Range<usize>>,
    pub(super) thumbprint: Option<Range<usize>>,
}

impl AnswerText {
    /// Of bytes that [`json::read`] has accepted.
    pub(super) const fn read(bytes: Bytes) -> Self {
        Self {
            bytes,
            place: OnceLock::new(),
        }
    }

    /// The bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes, to keep.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Where the identity is, when there is one. It is looked for once.
    pub(super) fn place(&self) -> Result<Option<&Place>, Refusal> {
        if self.place.get().is_none() {
            let found = Place::find(&self.bytes)?;
            return Ok(self.place.get_or_init(|| found).as_ref());
        }
        Ok(self.place.get().and_then(Option::as_ref))
    }

    /// The text in a place of it.
    pub(super) fn at(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    /// The text with something else in these places, which do not overlap. Where two are the same and empty, both follow in their order.
    pub(super) fn with<const N: usize>(&self, mut put: [(Range<usize>, &[u8]); N]) -> Vec<u8> {
        put.sort_by_key(|(place, _)| place.start);
        let more: usize = put.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(self.bytes.len().saturating_add(more));
        let mut from = 0;
        for (place, text) in put {
            out.extend_from_slice(self.at(&(from..place.start)));
            out.extend_from_slice(text);
            from = place.end;
        }
        out.extend_from_slice(self.at(&(from..self.bytes.len())));
        out
    }
}

impl Place {
    fn find(text: &[u8]) -> Result<Option<Self>, Refusal> {
        let outer = json::members(text).map_err(|e| form(e.to_string()))?;
        let value = |members: &json::RawMembers<'_>, name: &str| {
            let mut members = members.iter();
            let (_, raw) = members.find(|(member, _)| member == name)?;
            within(text, raw.get().as_bytes())
        };
        let there = |place: &Range<usize>| text.get(place.clone()) != Some(b"null");
        let Some(response) = value(&outer, "response").filter(there) else {
            return Ok(None);
        };
        let Ok(members) = json::members(text.get(response.clone()).unwrap_or_default()) else {
            return Ok(None);
        };
        Ok(value(&members, "identity")
            .filter(there)
            .map(|identity| Self {
                identity,
                session_key: value(&members, "sessionKey"),
                thumbprint: value(&members, "thumbprint"),
                response,
            }))
    }

    /// Where one more member goes: behind the last one of `response`.
    pub(super) fn end(&self) -> Range<usize> {
        let at = self.response.end.saturating_sub(1);
        at..at
    }
}

/// Where a part of a text is in it.
fn within(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= text.len()).then_some(start..end)
}

impl PartialEq for AnswerText {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for AnswerText {}

/// Personal: says only how long it is.
impl fmt::Debug for AnswerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerText({} bytes)", self.bytes.len())
    }
}
