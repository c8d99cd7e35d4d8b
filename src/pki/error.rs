//! Everything that can keep the room from making or reading certificates, by what the caller can do about it.

use std::{fmt, io, path::PathBuf};

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Files are in the way. Nothing was written.
    #[error("would overwrite {}; nothing was written. Choose another place, or say --replace", Paths(.0))]
    Exists(Vec<PathBuf>),
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A party id, a DNS name or a part of a subject cannot be used.
    #[error("{what} {value:?} cannot be used: {why}")]
    Name {
        /// Which name.
        what: &'static str,
        /// As it was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A moment outside the years a certificate can state, or an end before its beginning.
    #[error("the validity cannot be used: {0}")]
    Validity(&'static str),
    /// A file or structure is not what it should be.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// Where reading stopped.
        why: String,
    },
    /// A key of a kind or size that is not issued here.
    #[error("the key cannot be used: {0}")]
    Key(&'static str),
    /// The private key is not the one of the certificate.
    #[error("the private key does not belong to the certificate {0}")]
    KeyMismatch(String),
    /// A certificate that may not sign others was given as a CA.
    #[error("{subject} is not a CA: {why}")]
    NotAnAuthority {
        /// Its subject.
        subject: String,
        /// What it lacks.
        why: &'static str,
    },
    /// A signature does not verify.
    #[error("the signature of {0} does not verify")]
    Signature(String),
    /// A revocation list of another CA stands where this CA's list should.
    #[error("the revocation list is issued by {found}, not by {expected}")]
    ForeignList {
        /// The CA at hand.
        expected: String,
        /// The issuer of the list.
        found: String,
    },
    /// A PKCS#12 file cannot be opened or written.
    #[error("PKCS#12: {0}")]
    Pkcs12(String),
    /// rcgen refused.
    #[error("certificate writer: {0}")]
    Writer(#[from] rcgen::Error),
    /// The random source or the signer failed.
    #[error("the cryptographic library failed while {0}")]
    Crypto(&'static str),
}

impl PkiError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn malformed(what: &'static str, why: impl fmt::Display) -> Self {
        Self::Malformed {
            what,
            why: why.to_string(),
        }
    }
}

/// The first few paths, and how many more.
struct Paths<'a>(&'a [PathBuf]);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (position, path) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{}", path.display())?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
