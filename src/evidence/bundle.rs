//! One file that proves one exchange: the record, its place in the log, the signed tree head, and the certificates behind it.

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::merkle::{Hash, PROOF_MAX};

/// What a bundle says it is.
pub const FORMAT: &str = "triseal-evidence-bundle/1";
/// The largest bundle that is read, in bytes: revocation lists are most of it.
pub const BUNDLE_MAX: u64 = 64 << 20;
/// Certificates, or lists, in one bundle.
const MANY: usize = 64;

/// The file. Texts are as they stand in it; [`Bundle::read`] looks at their form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`FORMAT`].
    pub format: String,
    /// The leaf: the record's line without its line break.
    pub record: String,
    /// The leaf's place in the log.
    pub index: u64,
    /// The inclusion proof, base64url.
    pub inclusion: Vec<String>,
    /// The signed tree head, a compact JWS.
    pub head: String,
    /// Certificates that the signatures in here name, base64 DER: the head's signer first.
    pub certificates: Vec<String>,
    /// Revocation lists, base64 DER.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crls: Vec<String>,
    /// An RFC 3161 time stamp on the head's octets, base64 DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The answer's signature, as whoever asked received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptPart>,
    /// Bodies that were kept and not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyPart>,
}

/// The receipt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptPart {
    /// The header `response-signature`: a detached JWS.
    pub signature: String,
    /// The answer's octets as they travelled, base64; without them the signature cannot be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// Kept bodies: 16 octets of salt, then the octets as they travelled; base64. The key of the day is not in here: it opens more.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyPart {
    /// The request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The answer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl std::fmt::Debug for BodyPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyPart(..)")
    }
}

/// What is wrong with the form of a bundle: which part, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {what}")]
pub struct BundleProblem {
    /// The part, such as `certificates[1]`.
    pub part: String,
    /// What is wrong.
    pub what: String,
}

/// A bundle of the right form, decoded; nothing of it is believed.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) inclusion: Vec<Hash>,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) crls: Vec<Vec<u8>>,
    pub(super) timestamp: Option<Vec<u8>>,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// When it is no JSON of this form.
    pub fn read(text: &[u8]) -> Result<Self, BundleProblem> {
        let problem = |what: String| BundleProblem {
            part: "bundle".to_owned(),
            what,
        };
        let bundle: Self = serde_json::from_slice(text).map_err(|e| problem(e.to_string()))?;
        if bundle.format != FORMAT {
            return Err(problem(format!("`format` is not `{FORMAT}`")));
        }
        Ok(bundle)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        // Strings, numbers and lists: nothing that could fail to be written.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Decodes all parts.
    pub(super) fn decode(&self) -> Result<Decoded, BundleProblem> {
        if self.inclusion.len() > PROOF_MAX {
            return Err(wrong("inclusion", None, "longer than any proof"));
        }
        let inclusion = self.inclusion.iter().enumerate().map(|(i, text)| {
            hash(text).ok_or_else(|| wrong("inclusion", Some(i), "no hash in base64url"))
        });
        Ok(Decoded {
            inclusion: inclusion.collect::<Result<_, _>>()?,
            certificates: list("certificates", &self.certificates)?,
            crls: list("crls", &self.crls)?,
            timestamp: match &self.timestamp {
                None => None,
                Some(text) => Some(
                    (STANDARD.decode(text)).map_err(|_| wrong("timestamp", None, "no base64"))?,
                ),
            },
        })
    }
}

/// A hash in base64url.
pub fn hash(text: &str) -> Option<Hash> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// A hash as base64url.
pub fn shown(hash: &Hash) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

fn list(part: &str, texts: &[String]) -> Result<Vec<Vec<u8>>, BundleProblem> {
    if texts.len() > MANY {
        return Err(wrong(part, None, "too many"));
    }
    let decoded = texts.iter().enumerate().map(|(i, text)| {
        STANDARD
            .decode(text)
            .map_err(|_| wrong(part, Some(i), "no base64"))
    });
    decoded.collect()
}

fn wrong(part: &str, at: Option<usize>, what: &str) -> BundleProblem {
    BundleProblem {
        part: at.map_or_else(|| part.to_owned(), |i| format!("{part}[{i}]")),
        what: what.to_owned(),
    }
}
