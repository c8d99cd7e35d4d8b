//! Revocation lists: made, read back and carried on.
//!
//! Written by hand because rcgen writes every serial number as positive, and then the list would not name MOSIP's
//! certificates with negative ones.

use std::{fmt, str::FromStr};

use x509_parser::{
    extensions::ParsedExtension, prelude::FromDer, revocation_list::CertificateRevocationList,
    x509::ReasonCode,
};

use super::{
    Authority, PkiError, Serial,
    authority::read_certificate,
    der::{self, Critical},
    pem,
};
use crate::clock::Moment;

const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const REASON_CODE: &[u8] = &[0x55, 0x1d, 0x15];

/// Why a certificate is revoked (RFC 5280 5.3.1, those that fit a leaf).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody says.
    Unspecified,
    /// Somebody else has the key.
    KeyCompromise,
    /// The organisation or the name has changed.
    AffiliationChanged,
    /// A newer certificate has taken its place.
    Superseded,
    /// The party does not need it any more.
    CessationOfOperation,
    /// The party may no longer.
    PrivilegeWithdrawn,
}

impl Reason {
    const ALL: [(Self, u8, &'static str); 6] = [
        (Self::Unspecified, 0, "unspecified"),
        (Self::KeyCompromise, 1, "key-compromise"),
        (Self::AffiliationChanged, 3, "affiliation-changed"),
        (Self::Superseded, 4, "superseded"),
        (Self::CessationOfOperation, 5, "cessation-of-operation"),
        (Self::PrivilegeWithdrawn, 9, "privilege-withdrawn"),
    ];

    fn code(self) -> u8 {
        Self::ALL
            .iter()
            .find(|(reason, ..)| *reason == self)
            .map_or(0, |(_, code, _)| *code)
    }

    fn from_code(code: ReasonCode) -> Self {
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == code.0)
            .map_or(Self::Unspecified, |(reason, ..)| *reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Self::ALL
                .iter()
                .find(|(reason, ..)| reason == self)
                .map_or("unspecified", |(_, _, word)| *word),
        )
    }
}

impl FromStr for Reason {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let known = Self::ALL.iter().find(|(_, _, word)| *word == text);
        known.map(|(reason, ..)| *reason).ok_or_else(|| PkiError::Name {
            what: "reason",
            value: text.to_owned(),
            why: "it is one of unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation, \
                  privilege-withdrawn",
        })
    }
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Which certificate.
    pub serial: Serial,
    /// Since when.
    pub since: Moment,
    /// Why.
    pub reason: Reason,
}

/// A revocation list that was read: what it says and that this CA signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// The list's number; 0 when it has none.
    pub number: u64,
    /// Its lines.
    pub revoked: Vec<Revoked>,
}

impl Authority {
    /// Makes this CA's list: DER.
    ///
    /// # Errors
    /// When the times cannot be used or signing fails.
    pub fn crl(
        &self,
        revoked: &[Revoked],
        number: u64,
        this_update: Moment,
        next_update: Moment,
    ) -> Result<Vec<u8>, PkiError> {
        if next_update <= this_update {
            return Err(PkiError::Validity("the next list is due before this one"));
        }
        let certificate = read_certificate(self.certificate_der())?;
        if let Ok(Some(usage)) = certificate.key_usage()
            && !usage.value.crl_sign()
        {
            return Err(PkiError::NotAnAuthority {
                subject: certificate.subject().to_string(),
                why: "its key usage lacks cRLSign, so that nobody would believe its list",
            });
        }
        let algorithm = self.key().algorithm().signature_identifier();
        let to_be_signed = der::sequence(&[
            &der::integer(&[1]),
            algorithm,
            certificate.subject().as_raw(),
            &der::time(this_update)?,
            &der::time(next_update)?,
            &lines(revoked)?,
            &der::context(0, &self.list_extensions(number)?),
        ]);
        let signature = self.key().signature(&to_be_signed)?;
        Ok(der::sequence(&[
            &to_be_signed,
            algorithm,
            &der::bit_string(&signature),
        ]))
    }

    /// As [`Authority::crl`], as PEM.
    ///
    /// # Errors
    /// As [`Authority::crl`].
    pub fn crl_pem(
        &self,
        revoked: &[Revoked],
        number: u64,
        this_update: Moment,
        next_update: Moment,
    ) -> Result<String, PkiError> {
        Ok(pem::public(
            "X509 CRL",
            &self.crl(revoked, number, this_update, next_update)?,
        ))
    }

    /// Reads an earlier list of this CA (PEM or DER), so that the next one carries its lines on.
    ///
    /// # Errors
    /// When it is not a list, is another CA's, or its signature does not verify.
    pub fn read_crl(&self, bytes: &[u8]) -> Result<RevocationList, PkiError> {
        let der = if pem::looks_like(bytes) {
            let block = pem::blocks(bytes)?
                .into_iter()
                .find(|block| block.label == "X509 CRL");
            block
                .map(|block| block.der.to_vec())
                .ok_or_else(|| PkiError::malformed("revocation list", "no X509 CRL"))?
        } else {
            bytes.to_vec()
        };
        let list = read_list(&der)?;
        let certificate = read_certificate(self.certificate_der())?;
        if list.issuer().as_raw() != certificate.subject().as_raw() {
            return Err(PkiError::ForeignList {
                expected: certificate.subject().to_string(),
                found: list.issuer().to_string(),
            });
        }
        list.verify_signature(certificate.public_key())
            .map_err(|_| PkiError::Signature(format!("the list of {}", certificate.subject())))?;
        Ok(RevocationList {
            number: list
                .crl_number()
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0),
            revoked: list
                .iter_revoked_certificates()
                .map(|line| Revoked {
                    serial: Serial::from_octets(line.raw_serial()),
                    since: Moment::from_s(line.revocation_date.timestamp()),
                    reason: line
                        .reason_code()
                        .map_or(Reason::Unspecified, |(_, code)| Reason::from_code(code)),
                })
                .collect(),
        })
    }

    fn list_extensions(&self, number: u64) -> Result<Vec<u8>, PkiError> {
        let number = der::extension(
            CRL_NUMBER,
            Critical::No,
            &der::integer(&der::unsigned_octets(number)),
        );
        let certificate = read_certificate(self.certificate_der())?;
        let identifier = certificate.iter_extensions().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
                _ => None,
            }
        });
        let Some(identifier) = identifier else {
            return Ok(der::sequence(&[&number]));
        };
        let value = der::sequence(&[&der::element(0x80, identifier)]);
        Ok(der::sequence(&[
            &der::extension(AUTHORITY_KEY_IDENTIFIER, Critical::No, &value),
            &number,
        ]))
    }
}

/// Reads a list that must fill all of `der`.
pub(super) fn read_list(der: &[u8]) -> Result<CertificateRevocationList<'_>, PkiError> {
    match CertificateRevocationList::from_der(der) {
        Ok(([], list)) => Ok(list),
        Ok(_) => Err(PkiError::malformed("revocation list", "bytes follow it")),
        Err(error) => Err(PkiError::malformed("revocation list", error)),
    }
}

/// The lines; an empty list has no such element at all (RFC 5280 5.1.2.6).
fn lines(revoked: &[Revoked]) -> Result<Vec<u8>, PkiError> {
    if revoked.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for line in revoked {
        let extensions = match line.reason {
            Reason::Unspecified => Vec::new(),
            reason => {
                let code = der::enumerated(reason.code());
                der::sequence(&[&der::extension(REASON_CODE, Critical::No, &code)])
            }
        };
        let serial = der::integer(line.serial.octets());
        lines.extend(der::sequence(&[
            &serial,
            &der::time(line.since)?,
            &extensions,
        ]));
    }
    Ok(der::sequence(&[&lines]))
}
