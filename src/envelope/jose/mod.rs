//! The envelope `jose`: JWE compact for the body, a detached JWS over the octets of the body in a header (`docs/jose.md`).
//!
//! josekit is lenient where an attacker chooses (short tags, short IVs, unbounded inflate, padded base64url), so a strict
//! splitter of our own stands in front and lets only the exact forms through. josekit's decrypter, signer and verifier traits
//! are its seam for keys that live elsewhere: behind them are our keys on aws-lc-rs. Bodies are written without it
//! (`sealing.rs`): its way copies them five times and asks a second random generator.
//!
//! Nothing here knows whose key it is. A request and an answer are told apart by type: what one binds, the other has not.

mod body;
mod compact;
mod content;
mod header;
mod management;
mod sealing;
mod signature;
mod signing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;

pub use body::{Plain, SealedBody};
pub use header::{MEDIA_TYPE, is_media_type};
pub use sealing::seal;
pub use signature::{AnswerSignature, RequestSignature, signature_digest};
pub use signing::{AnswerTo, sign_answer, sign_request};

use crate::refusal::{Code, Refusal};

/// Why a body does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    /// It is not of the exact form. Everybody can see that, so that what is wrong may be said.
    #[error("the body: {0}")]
    Form(&'static str),
    /// It does not unwrap or decrypt. One word for every cause: the difference would help an attacker.
    #[error("the body cannot be decrypted")]
    Undecryptable,
}

impl BodyProblem {
    /// What a caller is refused with.
    pub fn of_request(self) -> Refusal {
        match self {
            Self::Form(_) => Refusal::new(Code::SealedForm, self.to_string()),
            Self::Undecryptable => Refusal::new(Code::Undecryptable, self.to_string()),
        }
    }

    /// What is made of an upstream's answer.
    pub fn of_answer(self) -> Refusal {
        match self {
            Self::Form(_) => Refusal::new(Code::UpstreamForm, self.to_string()),
            Self::Undecryptable => Refusal::new(Code::UpstreamUndecryptable, self.to_string()),
        }
    }
}

/// Why a signature header is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// It is not of the exact form.
    #[error("the signature header: {0}")]
    Form(&'static str),
    /// The algorithm is none of ours, or not the one bound to the key.
    #[error("the signature's algorithm is not the one bound to the key")]
    Algorithm,
    /// It does not fit the bytes.
    #[error("the signature does not verify")]
    Wrong,
}

impl SignatureProblem {
    /// What a caller is refused with.
    pub fn of_request(self) -> Refusal {
        let code = match self {
            Self::Form(_) => Code::SignatureForm,
            Self::Algorithm => Code::SignatureAlgorithm,
            Self::Wrong => Code::SignatureWrong,
        };
        Refusal::new(code, self.to_string()).naming("signature")
    }

    /// What is made of an upstream's answer.
    pub fn of_answer(self) -> Refusal {
        Refusal::new(Code::UpstreamSignature, self.to_string())
    }
}
