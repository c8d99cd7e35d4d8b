//! Strict JSON: one object, no name twice at any depth, bounded depth and number of values, nothing behind it.
//!
//! Two readings of one text: [`read`] gives the values, [`members`] gives the exact text of each value so that a
//! message can be built anew without changing what is not ours to change. What a member means is left to the caller.

mod value;

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, value::RawValue};

pub use value::{Object, Value};

/// Objects and arrays inside each other, the outermost included.
pub const DEPTH_MAX: usize = 32;

/// Values in one text: each costs more memory than it has bytes.
pub const VALUES_MAX: usize = 20_000;

/// Members of a message, more or less: room for them is taken at once.
const MEMBERS: usize = 16;

/// Why a text is not the JSON we take.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Larger than the caller allows.
    #[error("{0} bytes where at most {1} are taken")]
    Size(usize, usize),
    /// Not UTF-8, not one JSON value, a name twice, too deep, too many values, or a number out of range. Where a name stands
    /// twice, the position is the end of its object. Holds the position only: the content may be personal.
    #[error("not strict JSON, line {0} column {1}: {2}")]
    Form(usize, usize, &'static str),
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Reads one JSON object of at most `max` bytes.
///
/// # Errors
/// When the text is too large, not UTF-8, not JSON, not an object, has a name twice in one object (at any depth), is nested
/// deeper than [`DEPTH_MAX`], holds more than [`VALUES_MAX`] values, or is followed by anything but white space.
pub fn read(text: &[u8], max: usize) -> Result<Object<'_>, JsonError> {
    if text.len() > max {
        return Err(JsonError::Size(text.len(), max));
    }
    let state = State {
        values: Cell::new(VALUES_MAX),
        why: Cell::new("syntax"),
    };
    let mut reader = serde_json::Deserializer::from_str(utf8(text)?);
    let seed = Strict {
        state: &state,
        depth: DEPTH_MAX,
    };
    let value = seed
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|e| JsonError::Form(e.line(), e.column(), state.why.get()))?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// As [`read`], with everything copied out of the text.
///
/// # Errors
/// As [`read`].
pub fn object(text: &[u8], max: usize) -> Result<Map<String, serde_json::Value>, JsonError> {
    read(text, max).map(Object::into_map)
}

/// What was read of personal content: the few copies of values in it are wiped when it is dropped. What the reader itself copied on
/// its way is not (SECURITY.md).
pub(super) struct Wiped<'t>(pub(super) Object<'t>);

impl Drop for Wiped<'_> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

/// Names the first byte that is not of a character, as the reader does for what is not JSON.
fn utf8(text: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let lines = before.split(|byte| *byte == b'\n');
        let column = lines
            .clone()
            .next_back()
            .map_or(0, <[u8]>::len)
            .saturating_add(1);
        JsonError::Form(lines.count(), column, "not UTF-8")
    })
}

/// The members of an object, each with the exact text of its value.
pub type RawMembers<'t> = Vec<(Cow<'t, str>, &'t RawValue)>;

/// The members of an object in their order, each with its exact text. Only for text that [`read`] has accepted (or a
/// value inside such text): names are not checked again.
///
/// # Errors
/// When the text is not a JSON object.
pub fn members(text: &[u8]) -> Result<RawMembers<'_>, JsonError> {
    struct Each;
    impl<'de> Visitor<'de> for Each {
        type Value = RawMembers<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = Vec::with_capacity(MEMBERS);
            while let Some(name) = map.next_key_seed(Name)? {
                out.push((name, map.next_value()?));
            }
            Ok(out)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(utf8(text)?);
    reader
        .deserialize_map(Each)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|_| JsonError::NotAnObject)
}

/// Writes an object from names and the text of their values.
pub fn write_object<'a>(members: impl IntoIterator<Item = (&'a str, &'a [u8])> + Clone) -> Vec<u8> {
    // Enough but for names with escapes: what is written may be personal, and growing would leave pieces of it behind.
    let around = "\"\":,".len();
    let length = (members.clone().into_iter())
        .map(|(name, text)| name.len().saturating_add(text.len()).saturating_add(around))
        .fold("{}".len(), usize::saturating_add);
    let mut out = Vec::with_capacity(length);
    out.push(b'{');
    for (name, text) in members {
        if out.len() > 1 {
            out.push(b',');
        }
        write_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(text);
    }
    out.push(b'}');
    out
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// The string behind the JSON text of a string.
pub(crate) fn unquoted(raw: &RawValue) -> Option<String> {
    String::deserialize(raw).ok()
}

struct State {
    values: Cell<usize>,
    why: Cell<&'static str>,
}

impl State {
    fn refuse<E: de::Error>(&self, why: &'static str) -> E {
        self.why.set(why);
        E::custom(why)
    }
}

#[derive(Clone, Copy)]
struct Strict<'s> {
    state: &'s State,
    depth: usize,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.state.refuse("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value<'de>, D::Error> {
        match self.state.values.get().checked_sub(1) {
            Some(left) => self.state.values.set(left),
            None => return Err(self.state.refuse("too many values")),
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value<'de>, E> {
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(self.state.refuse("number out of range")),
        }
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut out = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            out.push(value);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let inner = self.deeper()?;
        // The outermost object is nearly always a message with a handful of members; those inside may be many and small.
        let outermost = self.depth == DEPTH_MAX;
        let mut out = Vec::with_capacity(if outermost { MEMBERS } else { 0 });
        while let Some(name) = map.next_key_seed(Name)? {
            out.push((name, map.next_value_seed(inner)?));
        }
        Object::new(out)
            .map(Value::Object)
            .ok_or_else(|| self.state.refuse("a name stands twice"))
    }
}

/// The name of a member: borrowed, unless it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Cow<'de, str>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> bool {
        object(text.as_bytes(), 1 << 20).is_err()
    }

    #[test]
    fn a_plain_object_is_read() {
        let read = object(
            br#" {"a":[1,-2,3.5,null,true,"x"],"b":{"c":"\u00e9"}} "#,
            100,
        )
        .unwrap();
        assert_eq!(read["a"][2], 3.5);
        assert_eq!(read["b"]["c"], "é");
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_every_depth() {
        assert!(refused(r#"{"a":1,"a":1}"#));
        assert!(refused(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#));
        assert!(refused(r#"{"a":1,"\u0061":1}"#));
        assert!(!refused(r#"{"a":{"a":{"a":1}}}"#));
    }

    #[test]
    fn a_name_that_stands_twice_is_found_among_many() {
        for count in [2, 15, 16, 17, 40, 1000] {
            let text = |last: usize| {
                let names = (0..count - 1).chain([last]);
                let members: Vec<String> = names.map(|n| format!("\"n{n}\":{n}")).collect();
                format!("{{{}}}", members.join(","))
            };
            assert!(!refused(&text(count - 1)), "{count}");
            assert!(refused(&text(0)), "{count}: the first and the last");
            assert!(refused(&text(count - 2)), "{count}: two neighbours");
        }
    }

    #[test]
    fn strings_are_borrowed_unless_they_have_escapes() {
        let text = r#"{"a":"pl\u0061in","b":["plain"],"\u0063":{"d":"plain"}}"#;
        let read = read(text.as_bytes(), 100).unwrap();
        let borrowed = |value: Option<&Value<'_>>| {
            let text = value.and_then(Value::as_str).unwrap();
            assert_eq!(text, "plain");
            matches!(value, Some(Value::String(Cow::Borrowed(_))))
        };
        assert!(!borrowed(read.get("a")));
        assert!(borrowed(read.get("b").unwrap().as_array().unwrap().first()));
        let inner = read.get("c").and_then(Value::as_object).unwrap();
        assert!(borrowed(inner.get("d")));
        assert!(read.get("\\u0063").is_none());
    }

    #[test]
    fn copies_are_wiped() {
        let text = br#"{"a":"\u0061","b":["\u0061",{"c":"\u0061"}],"d":"a"}"#;
        let mut read = read(text, 100).unwrap();
        read.wipe();
        assert!(read.get("a").and_then(Value::as_str) == Some(""));
        let Some(Value::Array(elements)) = read.get("b") else {
            panic!("not an array");
        };
        let wiped = Value::String(Cow::Owned(String::new()));
        let inner = elements.last().and_then(Value::as_object);
        assert!(elements.first() == Some(&wiped));
        assert!(inner.and_then(|inner| inner.get("c")) == Some(&wiped));
        assert_eq!(read.get("d").and_then(Value::as_str), Some("a"));
    }

    #[test]
    fn what_is_not_utf_8_is_refused_where_it_stands() {
        for (text, line, column) in [
            (b"{\"a\":\"\xff\"}".as_slice(), 1, 7),
            (b"{\n\"\xc3\x28\":1}", 2, 2),
            (b"{}\n\n\xed\xa0\x80", 3, 1),
        ] {
            let refused = read(text, 100).err().unwrap();
            let expected = format!("not strict JSON, line {line} column {column}: not UTF-8");
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn copied_out_it_is_what_everybody_reads() {
        let text = br#"{"z":null,"a":[1,-2,3.5,1e300,true,"x\n",{}],"b":{"y":{"c":"\u00e9"}}}"#;
        let expected: Map<String, serde_json::Value> = serde_json::from_slice(text).unwrap();
        let read = object(text, 100).unwrap();
        assert_eq!(read, expected);
        assert_eq!(read.keys().collect::<Vec<_>>(), ["z", "a", "b"]);
    }

    #[test]
    fn anything_behind_the_object_is_refused() {
        for tail in ["x", "{}", "\0", ",", "]", "\u{feff}"] {
            assert!(refused(&format!("{{}}{tail}")), "{tail:?}");
        }
        assert!(!refused("{} \r\n\t"));
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for text in [
            "",
            "[]",
            "1",
            "null",
            "\"{}\"",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":\"\0\"}",
            "{\"a\":NaN}",
        ] {
            assert!(refused(text), "{text:?}");
        }
        assert!(object(b"{\"a\":\"\xff\"}", 100).is_err());
        assert!(refused(r#"{"a":"\ud800"}"#));
        assert!(refused(r#"{"a":1e999}"#));
    }

    #[test]
    fn the_depth_is_bounded() {
        let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(!refused(&nested(DEPTH_MAX)));
        assert!(refused(&nested(DEPTH_MAX + 1)));
        assert!(refused(&format!("{{\"a\":{}", "[".repeat(100_000))));
    }

    #[test]
    fn the_size_and_the_number_of_values_are_bounded() {
        assert!(object(b"{}", 2).is_ok());
        assert!(object(b"{} ", 2).is_err());
        let many = |n: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(n - 1));
        assert!(!refused(&many(VALUES_MAX - 2)));
        assert!(refused(&many(VALUES_MAX - 1)));
    }

    #[test]
    fn a_name_is_written_so_that_it_reads_as_itself() {
        for name in [
            "", "a", "é", "\u{7f}", "\u{1}", "\n", "\"", "\\", "a\"b\\c", "\u{2028}",
        ] {
            let text = write_object([(name, b"1".as_slice())]);
            let read = object(&text, 100).unwrap();
            assert_eq!(read.keys().collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn members_keep_the_exact_text_of_their_values() {
        let text = br#"{ "n" : 123456789012345678901234567890.50, "s":"\u00e9" ,"o":{ "a" : 1 } }"#;
        let read = members(text).unwrap();
        assert_eq!(read[0].1.get(), "123456789012345678901234567890.50");
        assert_eq!(read[1].1.get(), r#""\u00e9""#);
        assert_eq!(read[2].1.get(), r#"{ "a" : 1 }"#);
        let again = write_object(read.iter().map(|(n, v)| (n.as_ref(), v.get().as_bytes())));
        assert_eq!(
            again,
            br#"{"n":123456789012345678901234567890.50,"s":"\u00e9","o":{ "a" : 1 }}"#
        );
    }
}
