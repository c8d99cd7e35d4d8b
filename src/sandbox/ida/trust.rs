//! IDA's trust store of domain AUTH: PKIX path building without revocation, extended key usage or names (reference,
//! sections 2.5 and 5.3). A leaf that is itself a CA is fine, as MOSIP re-signs its partners that way.

use openssl::{
    asn1::Asn1Time,
    error::ErrorStack,
    stack::Stack,
    x509::{X509, X509Ref, X509StoreContext, store::X509StoreBuilder, verify::X509VerifyParam},
};

use crate::clock::Moment;

/// Self-signed certificates are roots, all others may stand between.
pub(super) struct TrustStore {
    roots: Vec<X509>,
    between: Vec<X509>,
}

impl TrustStore {
    pub(super) fn new(certificates: impl IntoIterator<Item = X509>) -> Self {
        let (roots, between) = certificates
            .into_iter()
            .partition(|certificate| self_signed(certificate));
        Self { roots, between }
    }

    /// Whether a path leads from the certificate to a root at that moment.
    pub(super) fn trusts(&self, leaf: &X509Ref, now: Moment) -> bool {
        self.verify(leaf, now).unwrap_or(false)
    }

    fn verify(&self, leaf: &X509Ref, now: Moment) -> Result<bool, ErrorStack> {
        let mut param = X509VerifyParam::new()?;
        param.set_time(now.s());
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&param)?;
        for root in &self.roots {
            store.add_cert(root.clone())?;
        }
        let mut between = Stack::new()?;
        for certificate in &self.between {
            between.push(certificate.clone())?;
        }
        X509StoreContext::new()?.init(&store.build(), leaf, &between, |context| {
            context.verify_cert()
        })
    }
}

/// Whether the moment lies within the certificate's own dates.
pub(super) fn within_dates(certificate: &X509Ref, now: Moment) -> bool {
    Asn1Time::from_unix(now.s())
        .is_ok_and(|now| certificate.not_before() <= now && certificate.not_after() >= now)
}

fn self_signed(certificate: &X509Ref) -> bool {
    certificate
        .public_key()
        .and_then(|key| certificate.verify(&key))
        .unwrap_or(false)
}
