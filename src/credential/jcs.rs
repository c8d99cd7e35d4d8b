//! Canonical JSON (RFC 8785) of what [`Form`](super::form::Form) lets through: whole numbers, no control characters.
//!
//! Only the OpenCRVS mock signs it; no MOSIP does.

use serde_json::{Map, Value};

/// The canonical text of an object.
pub(super) fn canonical(object: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    members(object, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(object) => members(object, out),
        // serde_json writes strings with the shortest escapes and whole numbers plainly, as RFC 8785 does.
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}

fn members(object: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut sorted: Vec<_> = object.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push(b'{');
    for (n, (name, value)) in sorted.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_utf_16() {
        // U+10000 is before U+FB33 in UTF-16 and behind it in UTF-8.
        let object = serde_json::json!({"\u{fb33}": 1, "\u{10000}": [true, null], "a": {"c": 2, "b": "x\n\"é"}});
        let text = canonical(object.as_object().unwrap());
        let wanted =
            "{\"a\":{\"b\":\"x\\n\\\"é\",\"c\":2},\"\u{10000}\":[true,null],\"\u{fb33}\":1}";
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
    }
}
