//! What the sandbox's services with sessions have in common, beside [`super::wire`]: strict forms, cookies, headers of
//! answers, and memory with a bound.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, PRAGMA},
};
use openssl::rand::rand_bytes;

pub(super) use super::wire::{answer, json};
use super::{ida::IdaAnswer, wire::decoded};
use crate::clock::Moment;

/// How many entries a [`Shelf`] holds; the one that ends first makes room.
const SHELF: usize = 4_096;

/// The fields of a form or query, decoded. No name stands twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(HashMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`; nothing when it is malformed or names a field twice.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut fields = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if fields.insert(decoded(name)?, decoded(value)?).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// The value of a field; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The names of the fields that begin with a prefix, without it.
    pub(super) fn names_after<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .keys()
            .filter_map(move |name| name.strip_prefix(prefix))
    }
}

/// Percent-encodes everything but the unreserved letters.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The media type, in lower case and without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    header(headers, CONTENT_TYPE.as_str())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// The same, never to be stored.
pub(super) fn no_store(mut answer: IdaAnswer) -> IdaAnswer {
    answer
        .headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
        .headers
        .insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

/// Sets a header whose value was made here; a value that is no header is left out.
pub(super) fn with_header(mut answer: IdaAnswer, name: HeaderName, value: &str) -> IdaAnswer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers.insert(name, value);
    }
    answer
}

/// Random bytes as base64url; nothing when the system has none.
pub(super) fn random_text(bytes: usize) -> Option<String> {
    let mut raw = vec![0; bytes];
    rand_bytes(&mut raw).ok()?;
    Some(URL_SAFE_NO_PAD.encode(raw))
}

/// Things under a name, each until its time. Bounded.
#[derive(Debug)]
pub(super) struct Shelf<V>(HashMap<String, (Moment, V)>);

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V> Shelf<V> {
    /// Puts a thing there; `false` when the name is taken by one that still holds.
    pub(super) fn put(&mut self, name: String, value: V, until: Moment, now: Moment) -> bool {
        if self.get(&name, now).is_some() {
            return false;
        }
        if self.0.len() >= SHELF {
            self.0.retain(|_, (until, _)| now < *until);
        }
        if self.0.len() >= SHELF {
            let first = self
                .0
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(name, _)| name.clone());
            first.map(|name| self.0.remove(&name));
        }
        self.0.insert(name, (until, value));
        true
    }

    /// What is there and still holds.
    pub(super) fn get(&self, name: &str, now: Moment) -> Option<&V> {
        self.0
            .get(name)
            .filter(|(until, _)| now < *until)
            .map(|(_, value)| value)
    }

    /// The same, to change.
    pub(super) fn get_mut(&mut self, name: &str, now: Moment) -> Option<&mut V> {
        self.0
            .get_mut(name)
            .filter(|(until, _)| now < *until)
            .map(|(_, value)| value)
    }

    /// Takes it away.
    pub(super) fn take(&mut self, name: &str, now: Moment) -> Option<V> {
        self.0
            .remove(name)
            .filter(|(until, _)| now < *until)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_with_a_field_twice_or_a_broken_escape_is_none() {
        assert_eq!(
            Form::parse(b"a=1+2&b=%C3%A9&c=").unwrap().get("a"),
            Some("1 2")
        );
        assert_eq!(Form::parse(b"b=%C3%A9").unwrap().get("b"), Some("é"));
        assert_eq!(Form::parse(b"c=").unwrap().get("c"), None);
        for bad in [&b"a=1&a=1"[..], b"a=%2", b"a=%zz", b"a=%FF"] {
            assert!(Form::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_encoded_decodes_to_itself() {
        let text = "a b+c&d=é/\u{1F600}";
        assert_eq!(decoded(&encode(text)).as_deref(), Some(text));
    }

    #[test]
    fn a_thing_on_the_shelf_holds_until_its_time_and_not_a_moment_longer() {
        let mut shelf = Shelf::default();
        let at = Moment::from_s;
        assert!(shelf.put("a".to_owned(), 1, at(10), at(0)));
        assert!(!shelf.put("a".to_owned(), 2, at(10), at(9)));
        assert_eq!(shelf.get("a", at(9)), Some(&1));
        assert_eq!(shelf.get("a", at(10)), None);
        assert!(shelf.put("a".to_owned(), 3, at(20), at(10)));
        assert_eq!(shelf.take("a", at(11)), Some(3));
        assert_eq!(shelf.take("a", at(11)), None);
    }

    #[test]
    fn a_full_shelf_gives_up_what_ends_first() {
        let mut shelf = Shelf::default();
        for n in 0..=SHELF {
            let until = Moment::from_s(i64::try_from(n).unwrap().saturating_add(1));
            assert!(shelf.put(n.to_string(), n, until, Moment::from_s(0)));
        }
        assert_eq!(shelf.0.len(), SHELF);
        assert_eq!(shelf.get("0", Moment::from_s(0)), None);
    }
}
