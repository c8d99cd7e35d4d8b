//! TLS certificates: rustls-webpki judges the path, and our revocation rule (grace included) the path it found.
//!
//! One rule for the handshake and for bindings. The lists are consulted at the moment of the handshake, so that a list that
//! passes its deadline refuses from that second on, whenever the snapshot was made. Each anchor is tried by itself: a chain to
//! one anchor is never excused by another's missing lists.

use std::{cell::RefCell, sync::Arc};

use rustls::{
    CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::{Anchor, Anchors, Certificate, Unusable, over, signed::ALGORITHMS, unusable::shown};
use crate::clock::Moment;

/// Certificates beside the leaf that are looked at.
const INTERMEDIATES_MAX: usize = 8;

/// Which end of a connection a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// Judges clients on a face that trusts the named anchors. Whose certificate it is, is asked afterwards.
///
/// # Errors
/// When the anchors hold no root certificate.
pub fn client_verifier(
    names: &[String],
    anchors: &Arc<Anchors>,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    Ok(Arc::new(Verifier::new(names, anchors, provider)?))
}

/// Judges the server of an upstream that is trusted through the named anchors, its name included.
///
/// # Errors
/// When the anchors hold no root certificate.
pub fn server_verifier(
    names: &[String],
    anchors: &Arc<Anchors>,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    Ok(Arc::new(Verifier::new(names, anchors, provider)?))
}

/// Whether `leaf` chains to `anchor` as a TLS certificate, and nothing on the way is revoked.
pub(super) fn judge(
    leaf: &Certificate,
    presented: &[CertificateDer<'_>],
    anchor: &Anchor,
    end: End,
    now: Moment,
) -> Result<(), Unusable> {
    let der = CertificateDer::from(leaf.der());
    let parsed = EndEntityCert::try_from(&der).map_err(|e| in_words(&e, leaf))?;
    let intermediates: Vec<CertificateDer<'_>> = presented
        .iter()
        .take(INTERMEDIATES_MAX)
        .map(|c| CertificateDer::from(c.as_ref()))
        .chain(
            anchor
                .intermediates()
                .iter()
                .map(|c| CertificateDer::from(c.der())),
        )
        .collect();
    let usage = match end {
        End::Client => KeyUsage::client_auth(),
        End::Server => KeyUsage::server_auth(),
    };
    let own_reason = RefCell::new(None);
    let accept = |path: &VerifiedPath<'_>| {
        accept(leaf, path, anchor, now).map_err(|reason| {
            own_reason.replace(Some(reason));
            webpki::Error::UnknownRevocationStatus
        })
    };
    parsed
        .verify_for_usage(
            ALGORITHMS,
            anchor.trust_anchors(),
            &intermediates,
            now.to_pki_time(),
            usage,
            None,
            Some(&accept),
        )
        .map(|_| ())
        .map_err(|e| own_reason.take().unwrap_or_else(|| in_words(&e, leaf)))
}

/// Our part of the verdict, on a path that webpki found: the root's validity, and revocation.
fn accept(
    leaf: &Certificate,
    path: &VerifiedPath<'_>,
    anchor: &Anchor,
    now: Moment,
) -> Result<(), Unusable> {
    let root = anchor
        .root_of(path.anchor())
        .ok_or_else(|| Unusable::NoPath("the root is not known".to_owned()))?;
    if now < root.not_before() || over(root.not_after(), now) {
        return Err(Unusable::NoPath(format!(
            "`{}` is valid from {} to {}",
            root.subject(),
            shown(root.not_before()),
            shown(root.not_after())
        )));
    }
    let between = path
        .intermediate_certificates()
        .map(|c| {
            Certificate::from_der(c.der().to_vec())
                .map_err(|e| Unusable::NoPath(format!("an issuer cannot be read: {e}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let whole: Vec<&Certificate> = std::iter::once(leaf)
        .chain(&between)
        .chain(std::iter::once(root))
        .collect();
    anchor.not_revoked(&whole, now)
}

fn in_words(error: &webpki::Error, leaf: &Certificate) -> Unusable {
    use webpki::Error as E;
    match error {
        E::CertNotValidYet { .. } => Unusable::NotYet(leaf.not_before()),
        E::CertExpired { .. } => Unusable::Expired(leaf.not_after()),
        E::CaUsedAsEndEntity => Unusable::Usage(
            "it is a CA certificate (as MOSIP's re-signed leaves are), which TLS does not take for an end entity"
                .to_owned(),
        ),
        E::RequiredEkuNotFoundContext(_) => {
            Unusable::Usage("its extended key usage is for something else than TLS".to_owned())
        }
        E::UnknownIssuer => Unusable::UnknownIssuer(leaf.issuer().to_owned()),
        E::InvalidSignatureForPublicKey => {
            Unusable::NoPath("the issuer of that name did not sign it".to_owned())
        }
        other => Unusable::NoPath(other.to_string()),
    }
}

/// The rule as rustls asks for it.
struct Verifier {
    anchors: Arc<Anchors>,
    names: Vec<String>,
    hints: Vec<DistinguishedName>,
    handshake: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(
        names: &[String],
        anchors: &Arc<Anchors>,
        provider: &CryptoProvider,
    ) -> Result<Self, Error> {
        let mut hints = anchors.roots(names);
        if hints.is_empty() {
            return Err(Error::General(
                "no root certificate in the anchors".to_owned(),
            ));
        }
        // Clients that send their leaf alone look for its direct issuer among the hints.
        let intermediates = names
            .iter()
            .filter_map(|n| anchors.get(n))
            .flat_map(Anchor::intermediates)
            .map(|c| CertificateDer::from(c.der()));
        hints.add_parsable_certificates(intermediates);
        Ok(Self {
            anchors: Arc::clone(anchors),
            names: names.to_vec(),
            hints: RootCertStore::subjects(&hints),
            handshake: provider.signature_verification_algorithms,
        })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        end: End,
        now: UnixTime,
    ) -> Result<(), Error> {
        let now = Moment::from_s(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let leaf = Certificate::from_der(leaf.to_vec())
            .map_err(|_| Error::InvalidCertificate(TlsCertificateError::BadEncoding))?;
        let verdict = any_anchor(
            self.names.iter().filter_map(|n| self.anchors.get(n)),
            |anchor| judge(&leaf, intermediates, anchor, end, now),
        );
        verdict.map_err(|reason| Error::InvalidCertificate(for_rustls(reason)))
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// The first anchor that is content decides; else the reason of the one that came furthest.
pub(super) fn any_anchor<'a>(
    anchors: impl Iterator<Item = &'a Anchor>,
    judge: impl Fn(&'a Anchor) -> Result<(), Unusable>,
) -> Result<(), Unusable> {
    let mut reason = None;
    for anchor in anchors {
        match judge(anchor) {
            Ok(()) => return Ok(()),
            // A chain to another anchor is the commonest reason and the least telling.
            Err(why) if matches!(reason, None | Some(Unusable::UnknownIssuer(_))) => {
                reason = Some(why);
            }
            Err(_) => {}
        }
    }
    Err(reason.unwrap_or_else(|| Unusable::NoPath("no anchor is configured for it".to_owned())))
}

fn for_rustls(reason: Unusable) -> TlsCertificateError {
    match reason {
        Unusable::NotYet(_) => TlsCertificateError::NotValidYet,
        Unusable::Expired(_) => TlsCertificateError::Expired,
        Unusable::Revoked { .. } => TlsCertificateError::Revoked,
        Unusable::RevocationUnknown { .. } | Unusable::RevocationStale { .. } => {
            TlsCertificateError::UnknownRevocationStatus
        }
        Unusable::UnknownIssuer(_) | Unusable::NoPath(_) => TlsCertificateError::UnknownIssuer,
        Unusable::Usage(_) => TlsCertificateError::InvalidPurpose,
        other @ (Unusable::KeySize(_)
        | Unusable::Organisation { .. }
        | Unusable::SharedKey { .. }
        | Unusable::Issuer) => TlsCertificateError::Other(OtherError(Arc::new(other))),
    }
}

impl std::error::Error for Unusable {}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf, intermediates, End::Client, now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.handshake)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.handshake)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.handshake.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, intermediates, End::Server, now)?;
        let named = EndEntityCert::try_from(leaf)
            .and_then(|c| c.verify_is_valid_for_subject_name(server_name));
        named
            .map(|()| ServerCertVerified::assertion())
            .map_err(|_| Error::InvalidCertificate(TlsCertificateError::NotValidForName))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.handshake)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.handshake)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.handshake.supported_schemes()
    }
}
