//! The whole check, in its order: form, pinned issuer, contexts, proof; then what the proof covers.

use std::fmt;

use serde_json::{Map, Value};

use super::{
    Contexts, Issuer, RdfError, Recipe,
    coverage::{self, Parted},
    form::Form,
    proof,
};
use crate::{clock::Moment, envelope::json::JsonError};

/// Why a credential is not believed. The texts hold nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Not strict JSON, or too large.
    #[error("the credential is not strict JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON, but not a credential in the form that is taken.
    #[error("the credential's form: {0}")]
    Form(&'static str),
    /// `@context` is not exactly what is pinned for the issuer.
    #[error("`@context` is not what is pinned for the issuer")]
    Context,
    /// No key is pinned for issuer and verification method.
    #[error("no key is pinned for this issuer and verification method")]
    Issuer,
    /// The proof's form.
    #[error("the credential's proof: {0}")]
    Proof(&'static str),
    /// Another algorithm than PS256.
    #[error("the proof's algorithm is not PS256")]
    Algorithm,
    /// No canonical form.
    #[error(transparent)]
    Rdf(#[from] RdfError),
    /// The signature does not fit.
    #[error("the proof does not fit the credential")]
    Signature,
    /// Dated in the future, or expired.
    #[error("the credential's time: {0}")]
    Time(&'static str),
}

impl CredentialError {
    /// A stable word for logs, metrics and the reason of a parked delivery.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) => "credential-json",
            Self::Form(_) => "credential-form",
            Self::Context => "credential-context",
            Self::Issuer => "credential-issuer",
            Self::Proof(_) => "credential-proof-form",
            Self::Algorithm => "credential-algorithm",
            Self::Rdf(_) => "credential-rdf",
            Self::Signature => "credential-signature",
            Self::Time(_) => "credential-time",
        }
    }
}

/// A credential whose proof holds.
#[derive(Clone)]
pub struct Verified {
    proven: Map<String, Value>,
    unproven: Map<String, Value>,
    issuer: String,
    verification_method: String,
    recipe: Recipe,
}

impl Verified {
    /// The members under the proof.
    pub const fn proven(&self) -> &Map<String, Value> {
        &self.proven
    }

    /// The members that travelled beside them: no context defines them, anybody could have written them.
    pub const fn unproven(&self) -> &Map<String, Value> {
        &self.unproven
    }

    /// Takes members out, proven and unproven alike: what is left is handed on. Says how many went.
    pub fn narrow(&mut self, take: impl Fn(&mut Map<String, Value>) -> usize) -> usize {
        take(&mut self.proven).saturating_add(take(&mut self.unproven))
    }

    /// A proven text of the subject.
    pub fn subject(&self, name: &str) -> Option<&str> {
        text(&self.proven, name)
    }

    /// A text of the subject that is not proven.
    pub fn unproven_subject(&self, name: &str) -> Option<&str> {
        text(&self.unproven, name)
    }

    /// The last segment of the subject's proven id: MOSIP's registration id, which OpenCRVS calls the transaction.
    pub fn subject_segment(&self) -> Option<&str> {
        let id = self.subject("id")?;
        let last = id.rsplit('/').next()?;
        (!last.is_empty() && !last.contains(['?', '#'])).then_some(last)
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The URL of the key, as pinned.
    pub fn verification_method(&self) -> &str {
        &self.verification_method
    }

    /// What was signed.
    pub const fn recipe(&self) -> Recipe {
        self.recipe
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("issuer", &self.issuer)
            .field("recipe", &self.recipe)
            .finish_non_exhaustive()
    }
}

fn text<'v>(of: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    of.get("credentialSubject")?.get(name)?.as_str()
}

/// Pinned issuers and contexts.
#[derive(Clone, Debug)]
pub struct Verifier {
    issuers: Vec<Issuer>,
    contexts: Contexts,
}

impl Verifier {
    /// From what is pinned.
    pub const fn new(issuers: Vec<Issuer>, contexts: Contexts) -> Self {
        Self { issuers, contexts }
    }

    /// Verifies one credential. Costs a few milliseconds; large ones more, after the signature was found to fit.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn verify(&self, text: &[u8], now: Moment) -> Result<Verified, CredentialError> {
        let form = Form::parse(text, now)?;
        let pinned = self.issuers.iter().filter(|pin| {
            pin.issuer == form.issuer && pin.verification_method == form.verification_method
        });
        // An issuer that changes its key has two pins for a while.
        let mut why = CredentialError::Issuer;
        for issuer in pinned {
            let checked = form
                .check_contexts(issuer)
                .and_then(|()| proof::verify(&form, issuer, &self.contexts));
            match checked {
                Ok(()) => return self.believe(form, issuer.recipe),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn believe(&self, form: Form, recipe: Recipe) -> Result<Verified, CredentialError> {
        let parted = match recipe {
            Recipe::Mosip => coverage::part(&form.document, &self.contexts)?,
            Recipe::InsecureJcs => {
                let mut proven = form.document;
                proven.remove("@context");
                Parted {
                    proven,
                    unproven: Map::new(),
                }
            }
        };
        Ok(Verified {
            proven: parted.proven,
            unproven: parted.unproven,
            issuer: form.issuer,
            verification_method: form.verification_method,
            recipe,
        })
    }
}
