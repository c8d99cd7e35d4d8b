//! A TLS client under which every byte can be written by hand.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned,
    SupportedProtocolVersion, client::Resumption, crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};

use super::Answer;

/// A certificate with its chain and key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// `DIR/ROLE.pem` and `DIR/ROLE.key.pem`.
    pub fn load(dir: &Path, role: &str) -> Self {
        Self {
            chain: CertificateDer::pem_file_iter(dir.join(format!("{role}.pem")))
                .unwrap()
                .map(Result::unwrap)
                .collect(),
            key: PrivateKeyDer::from_pem_file(dir.join(format!("{role}.key.pem"))).unwrap(),
        }
    }
}

/// How to connect.
#[derive(Debug)]
pub struct Tls {
    roots: RootCertStore,
    identity: Option<Identity>,
    name: String,
    alpn: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    groups: Option<NamedGroup>,
    early_data: bool,
}

impl Tls {
    /// A client without a certificate that trusts the anchors of a file and offers HTTP/1.1.
    pub fn new(ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for der in CertificateDer::pem_file_iter(ca).unwrap() {
            roots.add(der.unwrap()).unwrap();
        }
        Self {
            roots,
            identity: None,
            name: "localhost".to_owned(),
            alpn: vec![b"http/1.1".to_vec()],
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            groups: None,
            early_data: false,
        }
    }

    /// With a certificate.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Asking for another server name.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With HTTP/2.
    pub fn http2(mut self) -> Self {
        self.alpn = vec![b"h2".to_vec()];
        self
    }

    /// With TLS 1.2 alone.
    pub fn tls12(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// With one key exchange group alone.
    pub const fn group(mut self, group: NamedGroup) -> Self {
        self.groups = Some(group);
        self
    }

    /// Willing to send early data.
    pub const fn early_data(mut self) -> Self {
        self.early_data = true;
        self
    }

    /// The configuration, to be used for several connections.
    pub fn config(self) -> (Arc<ClientConfig>, String) {
        let mut provider: CryptoProvider = rustls::crypto::aws_lc_rs::default_provider();
        if let Some(group) = self.groups {
            provider.kx_groups.retain(|g| g.name() == group);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots);
        let mut config = match self.identity {
            Some(i) => builder.with_client_auth_cert(i.chain, i.key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.enable_early_data = self.early_data;
        config.resumption = Resumption::in_memory_sessions(16);
        (Arc::new(config), self.name)
    }

    /// Connects and finishes the handshake on our side.
    ///
    /// # Errors
    /// What went wrong. With TLS 1.3 a client certificate is refused only after this: see [`Tls::refusal`].
    pub fn connect(self, port: u16) -> Result<TlsClient, String> {
        let (config, name) = self.config();
        TlsClient::connect(&config, &name, port)
    }

    /// How the server refuses the handshake; `None` when it takes it and answers a request.
    pub fn refusal(self, port: u16) -> Option<String> {
        let h2 = self.alpn == [b"h2".to_vec()];
        let mut client = match self.connect(port) {
            Ok(client) => client,
            Err(why) => return Some(why),
        };
        let bytes: &[u8] = if h2 {
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        } else {
            b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        };
        let mut one = [0];
        let asked = client.stream.write_all(bytes);
        match asked.and_then(|()| client.stream.read_exact(&mut one)) {
            Ok(()) => None,
            Err(why) => Some(why.to_string()),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct TlsClient {
    /// The decrypted stream.
    pub stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    /// Connects with a configuration that may be used again.
    ///
    /// # Errors
    /// What went wrong in the handshake.
    pub fn connect(config: &Arc<ClientConfig>, name: &str, port: u16) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut tcp = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        tcp.set_write_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut tcp).map_err(|e| e.to_string())?;
        }
        Ok(Self {
            stream: StreamOwned::new(session, tcp),
        })
    }

    /// Sends bytes. That the other side has closed is seen when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
    }

    /// Reads one answer; `None` when the connection ends before.
    pub fn answer(&mut self) -> Option<Answer> {
        Answer::read(&mut self.stream)
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer()
            .expect("the connection ended without an answer")
    }

    /// Whether the server ends the connection within a time. Bytes that come before are dropped.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        while let Some(left) = limit.checked_sub(began.elapsed()) {
            let _ = self
                .stream
                .sock
                .set_read_timeout(Some(left.max(Duration::from_millis(1))));
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return true,
            }
        }
        false
    }
}
