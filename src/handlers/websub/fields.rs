//! The parameters of WebSub, in a form or a query: each at most once, bounded, decoded once.

use std::collections::BTreeMap;

/// Parameters of one message.
const FIELDS_MAX: usize = 16;

/// Bytes of one decoded value.
const VALUE_MAX: usize = 2 << 10;

/// Decoded parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads `a=b&c=d`; `None` when a name stands twice, something is not encoded properly, or it is too much.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if value.len() > VALUE_MAX
                || fields.len() >= FIELDS_MAX
                || fields.insert(name, value).is_some()
            {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// A parameter that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// One parameter as it stands in a form or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Writes parameters.
pub(super) fn written(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.join("&")
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = written(&[("hub.mode", "subscribe"), ("hub.topic", "p/A B&é")]);
        assert_eq!(text, "hub.mode=subscribe&hub.topic=p%2FA%20B%26%C3%A9");
        let fields = Fields::parse(&text).unwrap();
        assert_eq!(fields.get("hub.topic"), Some("p/A B&é"));
        assert_eq!(fields.get("hub.reason"), None);
    }

    #[test]
    fn a_name_twice_a_broken_escape_and_too_much_are_refused() {
        for bad in ["a=1&a=2", "a=1&%61=2", "a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(Fields::parse(bad), None, "{bad}");
        }
        assert!(Fields::parse(&format!("a={}", "x".repeat(VALUE_MAX))).is_some());
        assert!(Fields::parse(&format!("a={}", "x".repeat(VALUE_MAX + 1))).is_none());
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("a{n}=1")).collect();
        assert!(Fields::parse(&many.join("&")).is_none());
    }
}
