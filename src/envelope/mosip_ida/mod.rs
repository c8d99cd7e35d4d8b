//! MOSIP's IDA format: the members `request`, `requestSessionKey`, `requestHMAC` and `thumbprint` of a request, and the
//! members `identity`, `sessionKey` and `thumbprint` of an eKYC answer.
//!
//! The road is [`Request::parse`] → [`Request::decrypt`] → [`seal_request`] or [`plain_form`] outward, and [`Answer::parse`] →
//! [`seal_identity`], [`open_identity`] or [`narrow_identity`] back. Signatures are [`DetachedJws`](super::DetachedJws)'s; which
//! factors and attributes a partner may use is for `policy` to say.

mod answer;
pub(in crate::envelope) mod cipher;
mod factors;
mod identity;
mod members;
mod opened;
mod request;
mod seal;
mod text;

pub use answer::Answer;
pub use cipher::Recipient;
pub use identity::{narrow_identity, open_identity, seal_identity};
pub use opened::Opened;
pub use request::{Request, stated_transaction};
pub use seal::{new_request, plain_form, seal_request};
pub use text::AnswerText;
