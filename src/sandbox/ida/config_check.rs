//! The check of the configuration at the start.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use openssl::{
    error::ErrorStack,
    pkey::{Id, PKey, Private},
    sha::sha256,
    x509::X509,
};
use zeroize::Zeroizing;

use super::{
    Ida, IdaConfig, OwnKey, State, management::Known, signature, signer::Signer, trust::TrustStore,
};

/// What is wrong with the configuration of the sandbox's IDA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdaConfigError {
    /// A private key of IDA.
    #[error("the {0} key of the sandbox's IDA cannot be read: {1}")]
    Key(&'static str, ErrorStack),
    /// A key that is not RSA; MOSIP's are.
    #[error("the {0} key of the sandbox's IDA is not RSA")]
    NotRsa(&'static str),
    /// A key with the certificate of another.
    #[error("the {0} certificate of the sandbox's IDA does not belong to its key")]
    Mismatch(&'static str),
    /// A key that cannot sign.
    #[error("the signature key of the sandbox's IDA cannot be used")]
    Signer,
    /// A certificate.
    #[error("the certificate of {0} cannot be read")]
    Certificate(String),
    /// Something that must be unique.
    #[error("{0} stands twice")]
    Twice(String),
}

pub(super) fn check(mut config: IdaConfig) -> Result<Ida, IdaConfigError> {
    let (encryption, certificate) = own("encryption", &config.encryption)?;
    let thumbprint = sha256(&der(&certificate, "IDA encryption")?);
    let (signing, certificate) = own("signature", &config.signature)?;
    let signer = Signer::new(&signing, &certificate).map_err(|_| IdaConfigError::Signer)?;
    let secret = secret(&signing).map_err(|error| IdaConfigError::Key("signature", error))?;

    let mut store = Vec::new();
    for anchor in &config.partner_anchors {
        store.push(read(anchor, "a partner anchor")?);
    }
    let stored = (config.partners.iter_mut())
        .map(|partner| (&partner.id, &mut partner.certificate))
        .chain((config.misps.iter_mut()).map(|misp| (&misp.id, &mut misp.certificate)));
    for (id, certificate) in stored {
        let read = read(certificate, id)?;
        // Matches are by SHA-256 of the DER, whatever form the record came in.
        *certificate = der(&read, id)?;
        // MOSIP stores every re-signed leaf beside its issuers, so leaves may stand in a path too (reference, 2.5).
        store.push(read);
    }
    let mut ids = HashSet::new();
    let mut licences = HashSet::new();
    let parties = config.partners.iter().map(|partner| &partner.id);
    for id in parties.chain(config.misps.iter().map(|misp| &misp.id)) {
        if !ids.insert(id) {
            return Err(IdaConfigError::Twice(format!("party {id}")));
        }
    }
    for misp in &config.misps {
        if !licences.insert(&misp.licence_key) {
            return Err(IdaConfigError::Twice(format!(
                "the licence key of {}",
                misp.id
            )));
        }
    }
    let known = Known {
        partners: std::mem::take(&mut config.partners),
        misps: std::mem::take(&mut config.misps),
    };
    Ok(Ida {
        encryption,
        thumbprint,
        signer,
        trust: TrustStore::new(store),
        secret,
        state: Mutex::new(State {
            known: Arc::new(known),
            ..State::default()
        }),
        log: None,
        config,
    })
}

fn own(what: &'static str, own: &OwnKey) -> Result<(PKey<Private>, X509), IdaConfigError> {
    let key = if own.key.trim_ascii_start().starts_with(b"-----BEGIN") {
        PKey::private_key_from_pem(&own.key)
    } else {
        PKey::private_key_from_pkcs8(&own.key).or_else(|_| PKey::private_key_from_der(&own.key))
    }
    .map_err(|error| IdaConfigError::Key(what, error))?;
    if key.id() != Id::RSA {
        return Err(IdaConfigError::NotRsa(what));
    }
    let certificate = read(&own.certificate, &format!("IDA ({what})"))?;
    if !certificate
        .public_key()
        .is_ok_and(|public| public.public_eq(&key))
    {
        return Err(IdaConfigError::Mismatch(what));
    }
    Ok((key, certificate))
}

fn read(bytes: &[u8], whose: &str) -> Result<X509, IdaConfigError> {
    signature::certificate(bytes).ok_or_else(|| IdaConfigError::Certificate(whose.to_owned()))
}

fn der(certificate: &X509, whose: &str) -> Result<Vec<u8>, IdaConfigError> {
    certificate
        .to_der()
        .map_err(|_| IdaConfigError::Certificate(whose.to_owned()))
}

/// Tokens hang on the signature key, so that they are the same after a restart with the same keys.
fn secret(key: &PKey<Private>) -> Result<Zeroizing<[u8; 32]>, ErrorStack> {
    let mut input = Zeroizing::new(b"triseal sandbox tokens\0".to_vec());
    input.extend(key.private_key_to_pkcs8()?);
    Ok(Zeroizing::new(sha256(&input)))
}
