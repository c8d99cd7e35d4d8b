//! The headers `signature` and `response-signature`: a detached JWS whose payload is not encoded (RFC 7515 appendix F,
//! RFC 7797), with exactly the members that bind it to a moment and to its exchange.

use std::fmt;

use josekit::jws::JwsVerifier as _;

use super::{SignatureProblem, compact, signing::Verifier};
use crate::{
    clock::Moment,
    config::Algorithm,
    envelope::{
        forms,
        json::{self, Object, Value},
        jws,
    },
    keys::VerifyingKey,
    trust::Fingerprint,
};

/// Bytes of a header value.
const VALUE_MAX: usize = 8 << 10;

/// Bytes of a signature: RSA-8192.
const SIGNATURE_MAX: usize = 1024;

/// Bytes of `htm`, and of `htu`.
const METHOD_MAX: usize = 32;
const URI_MAX: usize = 4 << 10;

/// Bytes of `jti`.
pub(super) const JTI: usize = 16;

/// The signature of a request.
pub type RequestSignature = Signature<RequestBinding>;

/// The signature of an answer.
pub type AnswerSignature = Signature<AnswerBinding>;

/// A signature of the exact form, bound to its exchange by `B`. Nothing is verified yet.
#[derive(Clone, Debug)]
pub struct Signature<B> {
    protected: String,
    algorithm: Algorithm,
    signer: Fingerprint,
    issued_at: Moment,
    signature: Vec<u8>,
    leaf: Option<[u8; 32]>,
    binding: B,
}

/// What a request's signature binds.
#[derive(Clone, Debug)]
pub struct RequestBinding {
    method: String,
    uri: String,
}

/// What an answer's signature binds.
#[derive(Clone, Debug)]
pub struct AnswerBinding {
    status: u16,
    request: [u8; 32],
}

/// The members that only one kind of signature has.
pub(super) trait Binding: Sized {
    /// Their names.
    const NAMES: [&'static str; 2];
    /// Whether it may name a leaf of its sender's evidence log.
    const LEAF: bool;
    /// Their values.
    fn read(members: &Object<'_>) -> Option<Self>;
}

/// The members that both kinds have and `crit` must name.
pub(super) const COMMON: [&str; 3] = ["b64", "iat", "jti"];

impl Binding for RequestBinding {
    const NAMES: [&'static str; 2] = ["htm", "htu"];
    const LEAF: bool = false;

    fn read(members: &Object<'_>) -> Option<Self> {
        let text = |name, max| {
            let text = members.get(name)?.as_str()?;
            (!text.is_empty() && text.len() <= max).then(|| text.to_owned())
        };
        Some(Self {
            method: text("htm", METHOD_MAX)?,
            uri: text("htu", URI_MAX)?,
        })
    }
}

impl Binding for AnswerBinding {
    const NAMES: [&'static str; 2] = ["status", "req"];
    const LEAF: bool = true;

    fn read(members: &Object<'_>) -> Option<Self> {
        let status = u16::try_from(members.get("status")?.as_u64()?).ok()?;
        Some(Self {
            status: (200..=599).contains(&status).then_some(status)?,
            request: compact::exactly(members.get("req")?.as_str()?)?,
        })
    }
}

#[expect(
    private_bounds,
    reason = "the two bindings are all there are; nobody else makes one"
)]
impl<B: Binding> Signature<B> {
    /// Reads the value of a signature header.
    ///
    /// # Errors
    /// [`SignatureProblem::Form`] when it is not exactly `header..signature` in canonical base64url with a protected header of
    /// the eight members (an answer may have `leaf` as well), `crit` naming each private one once; [`SignatureProblem::Algorithm`] when `alg` is none of ours.
    pub fn parse(value: &str) -> Result<Self, SignatureProblem> {
        if value.len() > VALUE_MAX {
            return Err(SignatureProblem::Form("it is too large"));
        }
        let Some([protected, "", signature]) = compact::split::<3>(value) else {
            return Err(SignatureProblem::Form("it is not `header..signature`"));
        };
        let signature = forms::base64url(signature)
            .filter(|bytes| !bytes.is_empty() && bytes.len() <= SIGNATURE_MAX)
            .ok_or(SignatureProblem::Form(
                "the signature is not canonical unpadded base64url",
            ))?;
        let header = forms::base64url(protected).ok_or(SignatureProblem::Form(
            "the protected header is not canonical unpadded base64url",
        ))?;
        let members = json::read(&header, VALUE_MAX).map_err(|_| {
            SignatureProblem::Form("the protected header is not a JSON object with each name once")
        })?;
        let algorithm = algorithm(&members)?;
        let signer = members
            .get("x5t#S256")
            .and_then(Value::as_str)
            .and_then(compact::exactly::<32>)
            .ok_or(SignatureProblem::Form(
                "`x5t#S256` is not the base64url SHA-256 of a certificate",
            ))?;
        if members.get("b64") != Some(&Value::Bool(false)) {
            return Err(SignatureProblem::Form("`b64` is not false"));
        }
        let issued_at = members
            .get("iat")
            .and_then(Value::as_i64)
            .filter(|s| *s >= 0)
            .ok_or(SignatureProblem::Form("`iat` is not a number of seconds"))?;
        members
            .get("jti")
            .and_then(Value::as_str)
            .and_then(compact::exactly::<JTI>)
            .ok_or(SignatureProblem::Form("`jti` is not 128 bits in base64url"))?;
        let binding = B::read(&members).ok_or(SignatureProblem::Form(
            "`htm` and `htu` of a request, or `status` and `req` of an answer, are missing or malformed",
        ))?;
        if !names_each_once(&members, &[COMMON.as_slice(), &B::NAMES].concat()) {
            return Err(SignatureProblem::Form(
                "`crit` does not name each of the private members once, and nothing else",
            ));
        }
        let leaf = match members.get("leaf") {
            Some(leaf) if B::LEAF => Some((leaf.as_str().and_then(compact::exactly::<32>)).ok_or(
                SignatureProblem::Form("`leaf` is not 32 bytes in base64url"),
            )?),
            _ => None,
        };
        // Each of the eight, and the leaf, has been read, so that their number says that there is no other.
        if members.len() != if leaf.is_some() { 9 } else { 8 } {
            return Err(SignatureProblem::Form(
                "the protected header has a member that is not taken",
            ));
        }
        Ok(Self {
            protected: protected.to_owned(),
            algorithm,
            signer: Fingerprint::from_bytes(signer),
            issued_at: Moment::from_s(issued_at),
            signature,
            leaf,
            binding,
        })
    }

    /// The certificate that the header names: selects the binding, is never believed.
    pub const fn signer(&self) -> Fingerprint {
        self.signer
    }

    /// `iat`.
    pub const fn issued_at(&self) -> Moment {
        self.issued_at
    }

    /// The protected header as it travelled.
    pub fn protected(&self) -> &str {
        &self.protected
    }

    /// What a message is remembered by: SHA-256 of the protected header as it travelled, which has the time, the signer and
    /// 128 random bits in it. Not of the signature: whoever holds an ECDSA signature can write another that verifies as well.
    pub fn identity(&self) -> [u8; 32] {
        forms::sha256(self.protected.as_bytes())
    }

    /// Verifies over the octets of the body as they travelled, with the key of the binding that [`Signature::signer`] selected.
    ///
    /// # Errors
    /// [`SignatureProblem::Algorithm`] when the header's algorithm is not the one bound to the key, before any cryptography;
    /// [`SignatureProblem::Wrong`] when the signature does not fit.
    pub fn verify(&self, key: &VerifyingKey, body: &[u8]) -> Result<(), SignatureProblem> {
        if key.algorithm() != self.algorithm {
            return Err(SignatureProblem::Algorithm);
        }
        Verifier::new(key)
            .verify(&signing_input(&self.protected, body), &self.signature)
            .map_err(|_| SignatureProblem::Wrong)
    }
}

impl RequestSignature {
    /// Whether it was made for this method and target URI.
    pub fn is_for(&self, method: &str, uri: &str) -> bool {
        self.binding.method == method && self.binding.uri == uri
    }
}

impl AnswerSignature {
    /// The status that was signed.
    pub const fn status(&self) -> u16 {
        self.binding.status
    }

    /// The leaf of its sender's evidence log that it names.
    pub const fn leaf(&self) -> Option<&[u8; 32]> {
        self.leaf.as_ref()
    }

    /// Whether it answers the request with that digest of its signature value.
    pub fn answers(&self, request: &[u8; 32]) -> bool {
        self.binding.request == *request
    }
}

/// What an answer names its request by: SHA-256 of the value of the request's header `signature`, of nothing where the request
/// had none.
pub fn signature_digest(value: Option<&[u8]>) -> [u8; 32] {
    forms::sha256(value.unwrap_or_default())
}

/// `protected.body`, the body as it is (RFC 7797 section 5.1).
pub(super) fn signing_input(protected: &str, body: &[u8]) -> Vec<u8> {
    [protected.as_bytes(), b".", body].concat()
}

/// `alg`, when it is one of ours.
pub(super) fn algorithm(members: &Object<'_>) -> Result<Algorithm, SignatureProblem> {
    let named = members
        .get("alg")
        .and_then(Value::as_str)
        .ok_or(SignatureProblem::Form("`alg` is missing"))?;
    [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ]
    .into_iter()
    .find(|algorithm| jws::name(*algorithm) == named)
    .ok_or(SignatureProblem::Algorithm)
}

/// Whether `crit` is a list of exactly these names; the order of a list of names says nothing.
fn names_each_once(members: &Object<'_>, expected: &[&str]) -> bool {
    let Some(Value::Array(named)) = members.get("crit") else {
        return false;
    };
    named.len() == expected.len()
        && expected
            .iter()
            .all(|name| named.iter().any(|n| n.as_str() == Some(name)))
}

impl fmt::Display for RequestBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri)
    }
}
