//! The TLS versions, suites and groups of every connection, in and out, and how one side's settings are built.
//!
//! TLS 1.3 and 1.2 with AEAD suites and forward secrecy only; the post-quantum hybrid X25519MLKEM768 first. No early data,
//! no resumption where a client certificate decides: a resumed session skips the verifier (field guide 3.3).

use std::sync::Arc;

use rustls::{
    ClientConfig, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
};

/// The provider with only the suites and groups we speak.
pub fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::{cipher_suite as suite, kx_group as group};
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![
            group::X25519MLKEM768,
            group::X25519,
            group::SECP256R1,
            group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    })
}

/// Settings for a listening side. Without a verifier no client certificate is asked for.
///
/// # Errors
/// When the provider cannot do the protocol versions; a mistake in this file.
pub fn server(
    key: Arc<CertifiedKey>,
    hosts: Vec<String>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(OneKey { key, hosts }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Settings for a calling side, with our own certificate where there is one.
///
/// # Errors
/// As [`server`].
pub fn client(
    verifier: Arc<dyn ServerCertVerifier>,
    key: Option<Arc<CertifiedKey>>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match key {
        Some(key) => {
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    };
    // A resumed session would skip the verifier here too.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// One certificate, shown only to those who ask for one of our names, or for none.
#[derive(Debug)]
struct OneKey {
    key: Arc<CertifiedKey>,
    hosts: Vec<String>,
}

impl ResolvesServerCert for OneKey {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let ours = |name: &str| {
            self.hosts.is_empty() || self.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
        };
        match hello.server_name() {
            Some(name) if !ours(name) => None,
            _ => Some(Arc::clone(&self.key)),
        }
    }
}
