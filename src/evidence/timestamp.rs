//! Time stamps on tree heads (RFC 3161): the request, and whether an authority's answer stamps what was asked.
//!
//! A stamp is taken apart strictly as DER. What it must be: granted; of our digest; with our nonce, where it answers a request; over
//! signed attributes that name the content's type, its digest and the authority's certificate; signed by that certificate, which is for
//! time stamping alone. Whom the authority's certificate chains to is asked at the moment that the stamp itself names.
//!
//! Nothing here opens a connection, and no exchange waits for a stamp: heads are stamped after they were made.

mod token;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::merkle::Hash;
use crate::{
    clock::Moment,
    trust::{
        Certificate, Unusable,
        der::{self, INTEGER, OCTET_STRING, OID, SEQUENCE},
    },
};
use token::{ID_SHA256, Info, Parts, is_for_time_stamping, small};

/// The media type of a request.
pub const REQUEST_TYPE: &str = "application/timestamp-query";
/// The media type of an answer.
pub const REPLY_TYPE: &str = "application/timestamp-reply";
/// The largest answer that is read, in bytes.
pub const REPLY_MAX: usize = 256 << 10;
/// Why a stamp is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampProblem {
    /// The authority did not grant it.
    #[error("the authority did not grant the stamp (status {0})")]
    Status(u64),
    /// It is not of the form.
    #[error("the stamp is not of the form of RFC 3161: {0}")]
    Form(&'static str),
    /// It stamps something else.
    #[error("the stamp is not of this digest")]
    Imprint,
    /// It answers another request.
    #[error("the stamp does not have the nonce of the request")]
    Nonce,
    /// What was signed is not what it holds.
    #[error("the stamp's signed attributes do not fit its content: {0}")]
    Attributes(&'static str),
    /// The signature does not fit.
    #[error("the signature of the stamp does not fit")]
    Signature,
    /// The signer's certificate is not for time stamping alone.
    #[error(
        "the certificate of `{0}` is not for time stamping alone (critical extended key usage timeStamping)"
    )]
    Purpose(String),
    /// The signer's certificate does not lead to the anchor.
    #[error("the certificate of the time-stamping authority: {0}")]
    Chain(Unusable),
}

/// A request for a stamp.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    digest: Hash,
    nonce: Vec<u8>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request(..)")
    }
}

impl Request {
    /// A request for a stamp of that digest, with 128 random bits; `None` when the system has no randomness.
    pub fn new(digest: Hash) -> Option<Self> {
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).ok()?;
        // Positive, and in the shortest form of an INTEGER.
        random[0] = random[0] & 0x3f | 0x40;
        Some(Self {
            digest,
            nonce: random.to_vec(),
        })
    }

    /// It in DER. It asks for the authority's certificate.
    pub fn to_der(&self) -> Vec<u8> {
        let algorithm = der::element(SEQUENCE, &[&der::element(OID, &[ID_SHA256]), &[0x05, 0x00]]);
        let imprint = der::element(
            SEQUENCE,
            &[&algorithm, &der::element(OCTET_STRING, &[&self.digest])],
        );
        der::element(
            SEQUENCE,
            &[
                &der::element(INTEGER, &[&[1]]),
                &imprint,
                &der::element(INTEGER, &[&self.nonce]),
                &[0x01, 0x01, 0xff],
            ],
        )
    }

    /// Takes the authority's answer apart.
    ///
    /// # Errors
    /// When it does not grant a stamp, or the stamp is not one of this request.
    pub fn read_reply(&self, reply: &[u8]) -> Result<Stamp, StampProblem> {
        let form = || StampProblem::Form("the answer is no TimeStampResp");
        let mut response = der::only(reply, SEQUENCE).ok_or_else(form)?;
        let mut status = response.enter(SEQUENCE).ok_or_else(form)?;
        let status = status.take(INTEGER).and_then(small).ok_or_else(form)?;
        // granted, grantedWithMods
        if status > 1 {
            return Err(StampProblem::Status(status));
        }
        let token = response.take(SEQUENCE).ok_or_else(form)?;
        if !response.is_empty() {
            return Err(form());
        }
        let stamp = Stamp::read(token.whole, &self.digest)?;
        if stamp.nonce.as_deref() != Some(&self.nonce[..]) {
            return Err(StampProblem::Nonce);
        }
        Ok(stamp)
    }
}

/// A stamp whose signature fits; whose it is, [`Stamp::chain`] says.
#[derive(Debug)]
pub struct Stamp {
    token: Vec<u8>,
    time: Moment,
    nonce: Option<Vec<u8>>,
    authority: Certificate,
}

impl Stamp {
    /// Takes a TimeStampToken apart and checks that it stamps that digest.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(token: &[u8], digest: &Hash) -> Result<Self, StampProblem> {
        let parts = Parts::read(token)?;
        let info = Info::read(parts.content)?;
        if info.imprint != *digest {
            return Err(StampProblem::Imprint);
        }
        let authority = parts.check_signature()?;
        if !is_for_time_stamping(authority.der()) {
            return Err(StampProblem::Purpose(authority.subject().to_owned()));
        }
        Ok(Self {
            token: token.to_vec(),
            time: info.time,
            nonce: info.nonce,
            authority,
        })
    }

    /// The token in DER.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// When the authority says it saw the digest.
    pub const fn time(&self) -> Moment {
        self.time
    }

    /// The authority's certificate.
    pub const fn authority(&self) -> &Certificate {
        &self.authority
    }

    /// Whether the authority's certificate chains to the anchor at the moment of the stamp; gives the subjects of the path.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn chain(&self, anchor: &crate::trust::Anchor) -> Result<Vec<String>, StampProblem> {
        let path = anchor.path_at(&self.authority, self.time);
        path.map(|(subjects, _)| subjects)
            .map_err(StampProblem::Chain)
    }
}

#[cfg(test)]
mod tests;
