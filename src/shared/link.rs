//! One connection to the shared server, and what was agreed on it before anybody uses it.
//!
//! A server cannot become another one while a connection lives. So which run of it this is, what it may forget, and how its clock goes are
//! asked once for each connection; a connection that fails is never used again.

use std::io;

use redis::{
    AsyncConnectionConfig, RedisConnectionInfo, RedisError, Script,
    aio::{ConnectionLike, MultiplexedConnection},
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::{
    scripts,
    settings::{Address, Settings},
};
use crate::clock::{Clock, Moment};

/// Commands that may wait on one connection: beyond it, callers wait.
const QUEUE_MAX: usize = 1_024;

/// A connection that may be used.
pub(super) struct Link {
    connection: MultiplexedConnection,
    /// The epoch in force.
    pub(super) epoch: String,
    /// Messages with a time at or before it are refused.
    pub(super) floor: Moment,
}

/// Why there is none. The text is the operator's.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error("{}", in_words(.0))]
    Server(#[from] RedisError),
    #[error("no connection in time")]
    Slow,
    #[error(
        "the server may drop keys when its memory is full (maxmemory-policy {0}); set it to noeviction"
    )]
    Forgets(String),
    #[error("the server's clock is {0} ms from ours")]
    Clock(i64),
    #[error("the server says something that is not understood: {0}")]
    Form(&'static str),
}

/// A wrong password is told apart; the server's own words may hold names of ours, and nothing worse.
fn in_words(error: &RedisError) -> String {
    match error.code() {
        Some(code @ ("WRONGPASS" | "NOAUTH" | "NOPERM")) => {
            format!("the server does not admit us ({code})")
        }
        Some(code) => format!("the server refuses ({code})"),
        None => format!("the connection failed: {error}"),
    }
}

impl Link {
    /// Connects, and takes or begins the epoch. `anew` begins a new one in any case.
    pub(super) async fn open(
        settings: &Settings,
        address: &Address,
        clock: &Clock,
        anew: bool,
    ) -> Result<Self, LinkError> {
        let opening = Self::open_unlimited(settings, address, clock, anew);
        tokio::time::timeout(settings.connect_timeout, opening)
            .await
            .map_err(|_| LinkError::Slow)?
    }

    async fn open_unlimited(
        settings: &Settings,
        address: &Address,
        clock: &Clock,
        anew: bool,
    ) -> Result<Self, LinkError> {
        let connection = connect(settings, address).await?;
        let mut link = Self {
            connection,
            epoch: String::new(),
            floor: Moment::from_ms(0),
        };
        let about: String = link.ask(redis::cmd("INFO").arg("server")).await?;
        let run = field(&about, "run_id")
            .filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()))
            .ok_or(LinkError::Form("no run_id"))?
            .to_owned();
        let memory: String = link.ask(redis::cmd("INFO").arg("memory")).await?;
        let bounded = field(&memory, "maxmemory").is_none_or(|bytes| bytes != "0");
        let policy = field(&memory, "maxmemory_policy").unwrap_or("unknown");
        if bounded && policy != "noeviction" {
            return Err(LinkError::Forgets(policy.to_owned()));
        }
        let ahead = (settings.forward_ms)
            .saturating_add(settings.skew_ms)
            .saturating_add(1_000);
        let mut word = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut word).map_err(|_| LinkError::Form("no randomness"))?;
        let script = Script::new(scripts::FOUND);
        let mut call = script.key(format!("{}epoch", settings.prefix));
        call.arg(&run)
            .arg(ahead)
            .arg(format!("{:016x}", u64::from_be_bytes(word)))
            .arg(u8::from(anew));
        let (epoch, theirs): (String, i64) = call.invoke_async(&mut link.connection).await?;
        link.floor = (epoch.split(' ').nth(1))
            .and_then(|floor| floor.parse().ok())
            .map(Moment::from_ms)
            .ok_or(LinkError::Form("no floor in the epoch"))?;
        link.epoch = epoch;
        within(Moment::from_ms(theirs), clock, settings)?;
        Ok(link)
    }

    /// Whether the server is there and its clock goes right.
    pub(super) async fn check(&self, clock: &Clock, settings: &Settings) -> Result<(), LinkError> {
        let (s, us): (i64, i64) = self.ask(&redis::cmd("TIME")).await?;
        let theirs = Moment::from_s(s).plus_ms(us / 1000);
        within(theirs, clock, settings)
    }

    /// One command, within the time for an answer.
    pub(super) async fn ask<T: redis::FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, RedisError> {
        command.query_async(&mut self.connection()).await
    }

    /// A handle of the connection, for scripts.
    pub(super) fn connection(&self) -> impl ConnectionLike + use<> {
        self.connection.clone()
    }
}

async fn connect(
    settings: &Settings,
    address: &Address,
) -> Result<MultiplexedConnection, LinkError> {
    match address {
        Address::Unix(path) => begin(settings, 0, UnixStream::connect(path).await?).await,
        Address::Tcp {
            host,
            port,
            database,
            tls,
        } => {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tcp.set_nodelay(true)?;
            if !tls {
                return begin(settings, *database, tcp).await;
            }
            let config = (settings.tls.clone()).ok_or(LinkError::Form("no TLS settings"))?;
            let name = ServerName::try_from(host.clone())
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            let stream = TlsConnector::from(config).connect(name, tcp).await?;
            begin(settings, *database, stream).await
        }
    }
}

async fn begin<S>(
    settings: &Settings,
    database: i64,
    stream: S,
) -> Result<MultiplexedConnection, LinkError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut who = RedisConnectionInfo::default()
        .set_db(database)
        .set_skip_set_lib_name();
    if let Some(user) = &settings.user {
        who = who.set_username(user);
    }
    if let Some(password) = &settings.password {
        let text = password.expose_text();
        who = who.set_password(text.ok_or(LinkError::Form("the password is not text"))?);
    }
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(settings.timeout))
        .set_pipeline_buffer_size(QUEUE_MAX);
    let (connection, driver) = MultiplexedConnection::new_with_config(&who, stream, config).await?;
    // Ends with the last handle.
    tokio::spawn(driver);
    Ok(connection)
}

fn within(theirs: Moment, clock: &Clock, settings: &Settings) -> Result<(), LinkError> {
    let apart = clock.now().since_ms(theirs).saturating_abs();
    if apart > settings.skew_ms {
        return Err(LinkError::Clock(apart));
    }
    Ok(())
}

fn field<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| (key == name).then_some(value.trim()))
}
