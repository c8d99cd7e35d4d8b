//! One connection: whom it goes to, how that is verified, and what its errors mean.

use std::{error::Error as _, sync::Arc, time::Duration};

use postgres::{
    Client, Config,
    config::{SslMode, TargetSessionAttrs},
    error::SqlState,
};
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::address::{Address, Host};
use crate::{keys::Secret, store::StoreError, tls};

/// A silent peer is given up after this and three questions more.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_QUESTIONS: u32 = 3;

/// A server, and what it takes to speak with it.
#[derive(PartialEq)]
pub(in crate::store) struct Server {
    pub(in crate::store) address: Address,
    pub(in crate::store) password: Option<Secret>,
    /// Certificates in DER that the server's must chain to.
    pub(in crate::store) anchors: Vec<Vec<u8>>,
    pub(in crate::store) identity: Option<Identity>,
    pub(in crate::store) connections: u32,
    pub(in crate::store) connect_timeout: Duration,
    pub(in crate::store) statement_timeout: Duration,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

/// Our certificate for the server, with its private key in PKCS#8.
#[derive(PartialEq)]
pub(in crate::store) struct Identity {
    pub(in crate::store) chain: Vec<Vec<u8>>,
    pub(in crate::store) key: Zeroizing<Vec<u8>>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Refused {
    /// It may be there soon.
    Now(String),
    /// It will not be there before somebody changes something.
    ByRule(StoreError),
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Now(why) => Self::Unreachable(why),
            Refused::ByRule(error) => error,
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Now(why) => f.write_str(why),
            Self::ByRule(error) => write!(f, "{error}"),
        }
    }
}

/// Connects, and says how long things may take.
pub(super) fn connect(server: &Server) -> Result<Client, Refused> {
    let mut config = Config::new();
    let limit = server.statement_timeout.as_millis();
    match &server.address.host {
        Host::Name(name) => config.host(name),
        Host::Socket(folder) => config.host_path(folder),
    };
    config
        .user(&server.address.user)
        .port(server.address.port)
        .dbname(&server.address.database)
        .application_name("triseal")
        .connect_timeout(server.connect_timeout)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_EVERY)
        .keepalives_retries(KEEPALIVE_QUESTIONS)
        .tcp_user_timeout(server.statement_timeout.saturating_mul(2))
        // After a switch of roles, the server that only reads is not ours any more.
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .options(&format!(
            "-c statement_timeout={limit} -c lock_timeout={} -c idle_in_transaction_session_timeout={} -c client_min_messages=error",
            limit / 2,
            limit.saturating_mul(2),
        ))
        .notice_callback(|notice| tracing::debug!(code = notice.code().code(), "PostgreSQL notes"));
    if let Some(password) = &server.password {
        config.password(password.expose());
    }
    if server.address.tls {
        config.ssl_mode(SslMode::Require);
        let tls = settings(server).map_err(|e| {
            Refused::ByRule(StoreError::Unreachable(format!(
                "the TLS settings are not usable: {e}. Check store.anchors and store.certificate"
            )))
        })?;
        config.connect(MakeRustlsConnect::new(tls))
    } else {
        config.ssl_mode(SslMode::Disable);
        config.connect(postgres::NoTls)
    }
    .map_err(|error| refused(&error))
}

fn settings(server: &Server) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for anchor in &server.anchors {
        roots.add(CertificateDer::from_slice(anchor))?;
    }
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::new(roots));
    let mut settings = match &server.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = (identity.chain.iter())
                .map(|der| CertificateDer::from(der.clone()))
                .collect();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.to_vec()));
            builder.with_client_auth_cert(chain, key)?
        }
    };
    settings.resumption = Resumption::disabled();
    Ok(settings)
}

/// Whether another attempt may go better.
fn refused(error: &postgres::Error) -> Refused {
    let why = told(error);
    if let Some(code) = error.code() {
        // 08 connection, 53 no room, 57P0x stopping or starting.
        let class = code.code().get(..2).unwrap_or_default();
        return match class {
            "08" | "53" | "57" => Refused::Now(why),
            _ => Refused::ByRule(StoreError::Unreachable(format!(
                "{why}. Check the user, store.password and the server's pg_hba.conf"
            ))),
        };
    }
    let mut source = error.source();
    let (mut io, mut by_tls) = (false, false);
    while let Some(cause) = source {
        by_tls = by_tls || cause.downcast_ref::<rustls::Error>().is_some();
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            io = true;
            // Wrapped, it is not among the sources.
            let inside = cause.get_ref();
            by_tls = by_tls || inside.is_some_and(|e| e.downcast_ref::<rustls::Error>().is_some());
        }
        source = cause.source();
    }
    if io && !by_tls {
        return Refused::Now(why);
    }
    let remedy = "Check store.anchors, the host name in store.url and the server's ssl settings";
    Refused::ByRule(StoreError::Unreachable(format!("{why}. {remedy}")))
}

/// What an error of a statement means. Its details are left out: they repeat values.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(error: postgres::Error) -> StoreError {
    let Some(code) = error.code() else {
        return StoreError::Unreachable(told(&error));
    };
    let why = told(&error);
    match *code {
        SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::LOCK_NOT_AVAILABLE => StoreError::InTheWay,
        SqlState::DISK_FULL => StoreError::Full(why),
        _ => StoreError::Engine(why),
    }
}

/// Whether the connection is of no use any more: closed, or to a server that only reads.
pub(super) fn lost(error: &postgres::Error) -> bool {
    error.is_closed()
        || error.code().is_none_or(|code| {
            code.code().starts_with("57P") || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        })
}

/// An error in words for an operator, without values.
pub(super) fn told(error: &postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
