//! The contexts that a credential may name, by URL. What is not here does not exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use super::mosip;
use crate::envelope::json;

/// `https://www.w3.org/2018/credentials/v1`
pub const CREDENTIALS_V1: &str = "https://www.w3.org/2018/credentials/v1";
/// `https://w3id.org/security/v2`, under which the options of a proof are read.
pub const SECURITY_V2: &str = "https://w3id.org/security/v2";
const SECURITY_V1: &str = "https://w3id.org/security/v1";
const ODRL: &str = "https://www.w3.org/ns/odrl.jsonld";

/// Bytes of one pinned context.
const CONTEXT_MAX: usize = 256 << 10;

/// Why a context was not pinned.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Not strict JSON.
    #[error("the context is not strict JSON: {0}")]
    Json(#[from] json::JsonError),
    /// Not a context document.
    #[error("the document has no member `@context`")]
    NotAContext,
    /// Refers to a context that is not pinned.
    #[error("the context refers to `{0}`, which is not pinned; pin that one first")]
    Unpinned(String),
    /// The URL is one of those that the program brings.
    #[error("`{0}` is pinned in the program and cannot be replaced")]
    BuiltIn(String),
    /// The URL is not absolute http(s).
    #[error("`{0}` is not an absolute http or https URL")]
    Url(String),
    /// No default is known for that URL.
    #[error(
        "there is no built-in context for `{0}`: it has to end with /.well-known/mosip-context.json; pin a file instead"
    )]
    NoDefault(String),
}

/// Pinned contexts. Cloning is cheap.
#[derive(Clone)]
pub struct Contexts(Arc<BTreeMap<String, Arc<[u8]>>>);

impl Contexts {
    /// The W3C documents that MOSIP's credentials lean on.
    pub fn built_in() -> Self {
        let documents: [(&str, &[u8]); 4] = [
            (
                CREDENTIALS_V1,
                include_bytes!("contexts/credentials-v1.jsonld"),
            ),
            (SECURITY_V1, include_bytes!("contexts/security-v1.jsonld")),
            (SECURITY_V2, include_bytes!("contexts/security-v2.jsonld")),
            (ODRL, include_bytes!("contexts/odrl.jsonld")),
        ];
        let pinned = documents
            .into_iter()
            .map(|(url, document)| (url.to_owned(), Arc::from(document)))
            .collect();
        Self(Arc::new(pinned))
    }

    /// Pins an operator's document under its URL.
    ///
    /// # Errors
    /// See [`ContextError`].
    pub fn pin(&mut self, url: &str, document: &[u8]) -> Result<(), ContextError> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(ContextError::Url(url.to_owned()));
        }
        if [CREDENTIALS_V1, SECURITY_V1, SECURITY_V2, ODRL].contains(&url) {
            return Err(ContextError::BuiltIn(url.to_owned()));
        }
        let read = json::object(document, CONTEXT_MAX)?;
        let context = read.get("@context").ok_or(ContextError::NotAContext)?;
        let mut named = BTreeSet::new();
        references(context, &mut named);
        if let Some(unpinned) = named.into_iter().find(|url| !self.0.contains_key(*url)) {
            return Err(ContextError::Unpinned(unpinned.to_owned()));
        }
        Arc::make_mut(&mut self.0).insert(url.to_owned(), Arc::from(document));
        Ok(())
    }

    /// Pins what MOSIP ships under `https://{host}/.well-known/mosip-context.json`.
    ///
    /// # Errors
    /// [`ContextError::NoDefault`] when the URL is another.
    pub fn pin_mosip(&mut self, url: &str) -> Result<(), ContextError> {
        let document =
            mosip::context_document(url).ok_or_else(|| ContextError::NoDefault(url.to_owned()))?;
        self.pin(url, &document)
    }

    /// Whether a URL is pinned.
    pub fn contains(&self, url: &str) -> bool {
        self.0.contains_key(url)
    }

    /// The document behind a URL.
    pub fn document(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url).map(AsRef::as_ref)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The URLs that a context value names: itself, inside arrays, and in the contexts of its terms.
fn references<'v>(context: &'v Value, out: &mut BTreeSet<&'v str>) {
    match context {
        Value::String(url) => {
            out.insert(url);
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        Value::Object(terms) => {
            if let Some(Value::String(url)) = terms.get("@import") {
                out.insert(url);
            }
            for term in terms.values() {
                if let Some(scoped) = term.as_object().and_then(|term| term.get("@context")) {
                    references(scoped, out);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mosip.example/.well-known/mosip-context.json";

    #[test]
    fn a_context_that_leans_on_an_unpinned_one_is_refused() {
        let mut contexts = Contexts::built_in();
        for document in [
            r#"{"@context":"https://elsewhere.example/c"}"#,
            r#"{"@context":[{"a":"https://a.example/"},"https://elsewhere.example/c"]}"#,
            r#"{"@context":{"@import":"https://elsewhere.example/c"}}"#,
            r#"{"@context":{"a":{"@id":"https://a.example/","@context":"https://elsewhere.example/c"}}}"#,
        ] {
            let refused = contexts.pin(URL, document.as_bytes());
            assert!(
                matches!(refused, Err(ContextError::Unpinned(_))),
                "{document}"
            );
        }
        let odrl =
            br#"{"@context":["https://www.w3.org/ns/odrl.jsonld",{"a":"https://a.example/"}]}"#;
        contexts.pin(URL, odrl).unwrap();
        assert!(contexts.contains(URL));
    }

    #[test]
    fn the_programs_own_contexts_cannot_be_replaced() {
        let mut contexts = Contexts::built_in();
        let refused = contexts.pin(CREDENTIALS_V1, br#"{"@context":{}}"#);
        assert!(matches!(refused, Err(ContextError::BuiltIn(_))));
    }

    #[test]
    fn a_name_that_stands_twice_and_a_document_without_context_are_refused() {
        let mut contexts = Contexts::built_in();
        assert!(
            contexts
                .pin(URL, br#"{"@context":{"a":"x:1","a":"x:2"}}"#)
                .is_err()
        );
        assert!(contexts.pin(URL, br#"{"context":{}}"#).is_err());
        assert!(
            contexts
                .pin("mosip-context.json", br#"{"@context":{}}"#)
                .is_err()
        );
    }

    #[test]
    fn the_default_is_for_mosips_own_url_only() {
        let mut contexts = Contexts::built_in();
        contexts.pin_mosip(URL).unwrap();
        for other in [
            "https://mosip.example/mosip-context.json",
            "https://a/b/.well-known/mosip-context.json",
            "https:///.well-known/mosip-context.json",
        ] {
            assert!(contexts.pin_mosip(other).is_err(), "{other}");
        }
    }
}
