//! Clients of E-Signet, and where E-Signet may send people back to.

use std::fs;

use crate::{
    config::{self, Algorithm, Report},
    keys::{PublicKey, VerifyingKey, default_algorithm},
};

/// Clients of one partner.
pub const OIDC_CLIENTS_MAX: usize = 64;
/// Bytes of a file with a public key.
const KEY_FILE_MAX: u64 = 64 << 10;

/// A client that a partner stands for: with the key that its assertions must be signed with.
#[derive(Clone, Debug)]
pub struct OidcClient {
    id: String,
    key: VerifyingKey,
    redirects: Redirects,
}

impl OidcClient {
    /// Checks one; mistakes go to the report, which stands at it.
    pub(super) fn build(raw: &config::OidcClient, report: &mut Report<'_>) -> Option<Self> {
        client_id(&raw.id, report);
        let redirects = Redirects::build(&raw.redirect_uris, report);
        let path = report.resolve(&raw.key);
        let small = fs::metadata(&path).is_ok_and(|m| m.len() <= KEY_FILE_MAX);
        let key = (small.then(|| fs::read(&path).ok()).flatten())
            .and_then(|bytes| PublicKey::from_file_bytes(&bytes).ok());
        let Some(key) = key else {
            let what = format!("{} holds no public key that can be read", path.display());
            let remedy = "Name a file with a JWK in JSON, or PEM with one certificate or public key (RSA from 2048 bits, P-256).";
            report.error("key", what, remedy);
            return None;
        };
        let algorithm = assertion_algorithm(raw.algorithm, key.kind(), report)?;
        match VerifyingKey::new(&key, algorithm) {
            Ok(key) => Some(Self {
                id: raw.id.clone(),
                key,
                redirects,
            }),
            Err(why) => {
                report.error("key", why.to_string(), "Use another key or algorithm.");
                None
            }
        }
    }

    /// The client id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key of its assertions.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Where E-Signet may send people back to.
    pub const fn redirects(&self) -> &Redirects {
        &self.redirects
    }
}

/// A client id stands in tokens, logs of E-Signet and our configuration.
pub fn client_id(id: &str, report: &mut Report<'_>) {
    if id.is_empty() || id.len() > 256 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        let remedy = "Use the client id that E-Signet gave.";
        report.error("id", "a client id is 1 to 256 visible characters", remedy);
    }
}

/// The algorithm of a client's assertions: one of those that E-Signet takes, and fit for the key.
pub fn assertion_algorithm(
    given: Option<Algorithm>,
    kind: crate::keys::KeyKind,
    report: &mut Report<'_>,
) -> Option<Algorithm> {
    let algorithm = given.or_else(|| default_algorithm(kind));
    match algorithm {
        Some(one @ (Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256)) => Some(one),
        _ => {
            let remedy = "Use RS256 or PS256 with an RSA key, or ES256 with a P-256 key.";
            report.error("algorithm", "E-Signet takes no such assertions", remedy);
            None
        }
    }
}

/// Redirect URIs: exact ones, and prefixes that end with `/`.
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    exact: Vec<String>,
    below: Vec<String>,
}

impl Redirects {
    /// Checks a list; mistakes go to the report, which stands at its owner.
    pub fn build(raw: &[String], report: &mut Report<'_>) -> Self {
        let mut this = Self::default();
        if raw.is_empty() {
            let remedy = "List them as they are registered at E-Signet.";
            report.error("redirect_uris", "the list is empty", remedy);
        }
        for (i, text) in raw.iter().enumerate() {
            let (base, below) = match text.strip_suffix('*') {
                Some(base) => (base, true),
                None => (text.as_str(), false),
            };
            let host = base.split_once("://").map(|(_, rest)| rest);
            let whole = host.is_some_and(|h| !h.is_empty() && !h.starts_with('/'));
            // A prefix must end behind the host, or another host could begin with it.
            let closed = !below || (base.ends_with('/') && host.is_some_and(|h| h.contains('/')));
            let plain = base.bytes().all(|b| b.is_ascii_graphic()) && !base.contains(['*', '#']);
            if !whole || !closed || !plain || (below && base.contains('?')) {
                report.error(
                    &format!("redirect_uris[{i}]"),
                    format!("`{text}` is no redirect URI"),
                    "Write a whole URI without fragment; a `*` may stand at the end, behind a `/` of the path.",
                );
            } else if below {
                this.below.push(base.to_owned());
            } else {
                this.exact.push(text.clone());
            }
        }
        this
    }

    /// Whether this very text is one of them, or a plain path below one.
    pub fn allow(&self, uri: &str) -> bool {
        let below = |base: &String| {
            uri.strip_prefix(base.as_str()).is_some_and(|rest| {
                let letters = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
                !rest.is_empty() && rest.bytes().all(letters) && !rest.contains("..")
            })
        };
        self.exact.iter().any(|one| one == uri) || self.below.iter().any(below)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Document, Mistakes};

    fn read(list: &[&str]) -> (Redirects, Mistakes) {
        let document = Document::from_text(Path::new("t.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let raw: Vec<String> = list.iter().map(|s| (*s).to_owned()).collect();
        let redirects = Redirects::build(&raw, &mut Report::new(&document, &mut mistakes));
        (redirects, mistakes)
    }

    #[test]
    fn a_redirect_uri_is_that_very_text_or_a_plain_path_below_a_listed_one() {
        let (list, mistakes) = read(&["https://a.example/back?x=1", "https://b.example/drafts/*"]);
        assert!(!mistakes.refuse(), "{mistakes}");
        assert!(list.allow("https://a.example/back?x=1"));
        assert!(list.allow("https://b.example/drafts/2b-3/events/birth"));
        for other in [
            "https://a.example/back",
            "https://a.example/back?x=1&y=2",
            "https://a.example/back?x=1#",
            "HTTPS://a.example/back?x=1",
            "https://b.example/drafts/",
            "https://b.example/drafts",
            "https://b.example/drafts/../admin",
            "https://b.example/drafts/%2e%2e/admin",
            "https://b.example/drafts/a?next=https://evil",
            "https://b.example/drafts/a#x",
            "https://b.example.evil/drafts/a",
        ] {
            assert!(!list.allow(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_redirect_uri_is_a_mistake() {
        for bad in [
            "",
            "*",
            "https://*",
            "https://a.example*",
            "https://a.example/a*",
            "https://*.example/",
            "/back",
            "https:///back",
            "https://a.example/#x",
            "https://a.example/ b",
            "https://a.example/?x=/*",
        ] {
            assert!(read(&[bad]).1.refuse(), "{bad}");
        }
        assert!(read(&[]).1.refuse());
    }
}
