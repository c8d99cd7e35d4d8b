//! Why a binding may not be used: the first reason found.

use std::fmt;

use crate::{clock::Moment, config::Role};

/// Why a binding, or a certificate shown in a handshake, may not be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its validity has not begun.
    NotYet(Moment),
    /// Its validity is over.
    Expired(Moment),
    /// It, or an issuer of it, is revoked.
    Revoked {
        /// The subject of the revoked certificate.
        subject: String,
    },
    /// No revocation list covers it or an issuer of it.
    RevocationUnknown {
        /// The issuer whose list is missing.
        issuer: String,
    },
    /// The list that covers it is past its grace.
    RevocationStale {
        /// The issuer whose list is stale.
        issuer: String,
        /// When the grace ended.
        deadline: Moment,
    },
    /// Its issuer (named here) is not known to an anchor that is configured for the party and the role.
    UnknownIssuer(String),
    /// It does not chain to an anchor that is configured for the party and the role; what stood in the way.
    NoPath(String),
    /// Key usage or extended key usage do not fit the role.
    Usage(String),
    /// The key is too small, too large or of the wrong kind for the role.
    KeySize(String),
    /// The certificate names another organisation than the party's.
    Organisation {
        /// The party's.
        expected: String,
        /// The certificate's first O.
        found: Option<String>,
    },
    /// The same key is bound in another role of the party.
    SharedKey {
        /// The other role.
        with: Role,
    },
    /// It is one of the certificates that the anchors issue with.
    Issuer,
}

impl Unusable {
    /// A short stable word, for logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotYet(_) => "not_yet_valid",
            Self::Expired(_) => "expired",
            Self::Revoked { .. } => "revoked",
            Self::RevocationUnknown { .. } => "revocation_unknown",
            Self::RevocationStale { .. } => "revocation_stale",
            Self::UnknownIssuer(_) => "unknown_issuer",
            Self::NoPath(_) => "no_path",
            Self::Usage(_) => "usage",
            Self::KeySize(_) => "key_size",
            Self::Organisation { .. } => "organisation",
            Self::SharedKey { .. } => "shared_key",
            Self::Issuer => "issuer",
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(from) => write!(f, "it is not valid before {}", shown(*from)),
            Self::Expired(until) => write!(f, "it was valid until {}", shown(*until)),
            Self::Revoked { subject } => write!(f, "the certificate of `{subject}` is revoked"),
            Self::RevocationUnknown { issuer } => {
                write!(f, "no revocation list of `{issuer}` is at hand")
            }
            Self::RevocationStale { issuer, deadline } => write!(
                f,
                "the revocation list of `{issuer}` is out of date and its grace ended {}",
                shown(*deadline)
            ),
            Self::UnknownIssuer(issuer) => write!(
                f,
                "its issuer `{issuer}` is not among the certificates of the anchors configured for it"
            ),
            Self::NoPath(why) => write!(f, "it does not chain to a configured anchor: {why}"),
            Self::Usage(why) | Self::KeySize(why) => f.write_str(why),
            Self::Organisation { expected, found } => match found {
                Some(found) => write!(
                    f,
                    "it names the organisation `{found}`, the party is `{expected}`"
                ),
                None => write!(f, "it names no organisation, the party is `{expected}`"),
            },
            Self::SharedKey { with } => {
                write!(f, "its key is also bound in the role {}", with.as_str())
            }
            Self::Issuer => f.write_str(
                "its certificate or key is one of those in the anchors' files, which may issue others",
            ),
        }
    }
}

/// A moment as RFC 3339.
pub(super) fn shown(moment: Moment) -> String {
    time::OffsetDateTime::from_unix_timestamp(moment.s())
        .ok()
        .and_then(|t| {
            t.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_else(|| format!("{} s", moment.s()))
}
