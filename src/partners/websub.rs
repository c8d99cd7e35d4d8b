//! What a partner may subscribe to here, and where its deliveries go: declared by us, never by the partner.

use std::collections::BTreeSet;

use crate::config::{self, Envelope, Report};

/// Topics, or callbacks, in one partner file.
const LIST_MAX: usize = 64;

/// A partner's part in WebSub.
#[derive(Clone, Debug)]
pub struct Subscribing {
    topics: BTreeSet<String>,
    upstream: String,
    envelope: Envelope,
    callbacks: Vec<(String, String)>,
}

impl Subscribing {
    pub(super) fn build(raw: &config::Partner, report: &mut Report<'_>) -> Option<Self> {
        let websub = raw.websub.as_ref()?;
        let report = &mut report.within("websub");
        if websub.topics.len() > LIST_MAX || websub.callbacks.len() > LIST_MAX {
            report.error(
                "",
                format!("more than {LIST_MAX} topics or callbacks"),
                "Remove those that are not used.",
            );
        }
        if !matches!(websub.envelope, Envelope::Jose | Envelope::InsecurePlain) {
            report.error(
                "envelope",
                "deliveries are not sealed this way",
                "Use jose, or insecure_plain inside one's own network.",
            );
        }
        for (i, topic) in websub.topics.iter().enumerate() {
            let at = format!("topics[{i}]");
            match topic.split_once('/') {
                Some((partner, _)) if partner != raw.id => report.error(
                    &at,
                    format!("`{topic}` is the topic of another partner"),
                    "A partner's own topics begin with its id and a slash.",
                ),
                _ if !is_topic(topic) => report.error(
                    &at,
                    "this is no topic",
                    "Write it as the hub knows it, such as `partner-id/CREDENTIAL_ISSUED`.",
                ),
                _ => {}
            }
        }
        let mut callbacks = Vec::new();
        for (i, url) in websub.callbacks.iter().enumerate() {
            match callback_path(url) {
                Some(path) => callbacks.push((url.clone(), path.to_owned())),
                None => report.error(
                    &format!("callbacks[{i}]"),
                    "this is no callback",
                    "Write an absolute http or https address without query, such as `https://partner.example/websub/callback`.",
                ),
            }
        }
        Some(Self {
            topics: websub.topics.iter().cloned().collect(),
            upstream: websub.upstream.clone(),
            envelope: websub.envelope,
            callbacks,
        })
    }

    /// Whether it may subscribe to a topic.
    pub fn may(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// Its topics.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(String::as_str)
    }

    /// The upstream that is its gateway.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// How deliveries to it are sealed.
    pub const fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The path to call for a callback that it may name.
    pub fn callback(&self, url: &str) -> Option<&str> {
        self.callbacks
            .iter()
            .find(|(known, _)| known == url)
            .map(|(_, path)| path.as_str())
    }
}

/// Whether a text can be a topic here.
pub fn is_topic(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
    (1..=200).contains(&text.len()) && text.bytes().all(letters)
}

/// The path of an absolute http or https address without query.
pub fn callback_path(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let slash = rest.find('/')?;
    let (authority, path) = rest.split_at_checked(slash)?;
    let host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@=/".contains(&b);
    let segments = path.get(1..)?.split('/');
    (!authority.is_empty()
        && url.len() <= 500
        && authority.bytes().all(host)
        && path.bytes().all(letters)
        && segments.into_iter().all(|s| s.bytes().any(|b| b != b'.')))
    .then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_callback_is_canonical_or_there_is_none() {
        assert_eq!(callback_path("https://a.example/x/y"), Some("/x/y"));
        assert_eq!(callback_path("http://a.example:8080/x"), Some("/x"));
        for bad in [
            "https://a.example",
            "https://a.example/",
            "https:///x",
            "https://u@a.example/x",
            "https://a.example/x?y=1",
            "https://a.example/x#y",
            "https://a.example/x/../y",
            "https://a.example//x",
            "https://a.example/%2e",
            "ftp://a.example/x",
            "/x",
        ] {
            assert_eq!(callback_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn topics_are_short_and_plain() {
        assert!(is_topic("partner/CREDENTIAL_ISSUED"));
        for bad in ["", "a b", "a\nb", "a?b", "a&b"] {
            assert!(!is_topic(bad), "{bad}");
        }
        assert!(!is_topic(&"a".repeat(201)));
    }
}
