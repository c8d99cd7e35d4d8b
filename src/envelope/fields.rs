//! Parameters in a form or a query (`application/x-www-form-urlencoded`): each at most once, bounded, decoded once, and
//! nothing that two readers could take for two things.

use std::collections::BTreeMap;

/// Parameters of one message.
const FIELDS_MAX: usize = 16;

/// Bytes of one decoded value.
const VALUE_MAX: usize = 2 << 10;

/// Decoded parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads `a=b&c=d`; `None` when a name stands twice, something is not encoded properly, or it is too much.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name.as_bytes())?, decoded(value.as_bytes())?);
            if value.len() > VALUE_MAX
                || fields.len() >= FIELDS_MAX
                || fields.insert(name, value).is_some()
            {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// Every name with its value, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// A parameter that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// A value as it stands in a form or a query.
pub(crate) fn encoded(text: &str) -> String {
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
pub(crate) fn written(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.join("&")
}

/// A name or value, decoded; `None` where something else should have been encoded, is encoded wrongly, is not UTF-8, or is a
/// zero byte.
pub(crate) fn decoded(raw: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<&u8>| {
                    let value = char::from(*b?).to_digit(16)?;
                    u8::try_from(value).ok()
                };
                (digit(rest.next())? << 4) | digit(rest.next())?
            }
            // Anything else must have been encoded.
            b if b.is_ascii_graphic() => *b,
            _ => return None,
        });
    }
    String::from_utf8(out)
        .ok()
        .filter(|text| !text.contains('\0'))
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
        for bad in [
            "a=1&a=2",
            "a=1&%61=2",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%ff",
            "a=%00",
            "a=b c",
            "a=\u{fc}",
        ] {
            assert_eq!(Fields::parse(bad), None, "{bad}");
        }
        assert!(Fields::parse(&format!("a={}", "x".repeat(VALUE_MAX))).is_some());
        assert!(Fields::parse(&format!("a={}", "x".repeat(VALUE_MAX + 1))).is_none());
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("a{n}=1")).collect();
        assert!(Fields::parse(&many.join("&")).is_none());
    }
}
