//! The settings of the shared state, checked.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use rustls::ClientConfig;

use crate::{
    config::{self, Report, WhenGone},
    keys::Secret,
};

/// Databases that a server has by default; more is a slip of the pen.
const DATABASE_MAX: i64 = 1_000;

/// Where the shared state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Memory,
    /// At a server.
    Server(Address),
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP, with or without TLS.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// The number of the database.
        database: i64,
        /// Whether TLS is spoken.
        tls: bool,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The shared state as configured.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// How the server is called with TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Arc<Secret>>,
    /// Keys for what is encrypted there, the newest first.
    pub keys: Vec<Arc<Secret>>,
    /// What every name there begins with.
    pub prefix: String,
    /// Time for an answer.
    pub timeout: Duration,
    /// Time for a connection.
    pub connect_timeout: Duration,
    /// How far the clocks may differ, in milliseconds.
    pub skew_ms: i64,
    /// How far ahead of its clock a gateway takes a message, in milliseconds.
    pub forward_ms: i64,
    /// What to do while the server is away; with the seconds for which to go on alone.
    pub alone_for_ms: Option<i64>,
}

impl Settings {
    /// In this process.
    pub fn memory() -> Self {
        Self {
            place: Place::Memory,
            tls: None,
            user: None,
            password: None,
            keys: Vec::new(),
            prefix: String::new(),
            timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(3),
            skew_ms: 5_000,
            forward_ms: 0,
            alone_for_ms: None,
        }
    }

    /// From what is written, but for what other rooms have to read: TLS, password and keys. Mistakes go to the report, which
    /// stands at the section.
    pub fn build(
        raw: &config::Shared,
        party: &str,
        forward_ms: u64,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let place = match place(&raw.url) {
            Ok(place) => Some(place),
            Err(what) => {
                let remedy = "Write memory:, rediss://HOST:PORT/DB, redis://127.0.0.1:PORT/DB or redis+unix:///PATH.";
                report.error("url", what, remedy);
                None
            }
        };
        if let Some(Place::Server(Address::Tcp { host, tls, .. })) = &place {
            if !tls && !is_loopback(host) && !raw.insecure_plaintext {
                report.error(
                    "url",
                    "without TLS everybody on the way reads and changes what is shared",
                    "Write rediss://; or set insecure_plaintext = true if the network itself is sealed.",
                );
            }
            if *tls && raw.anchors.is_empty() {
                let remedy = "List the anchors that the server's certificate chains to.";
                report.error("anchors", "rediss without anchors", remedy);
            }
        }
        if place == Some(Place::Memory) && (raw.password.is_some() || !raw.key.is_empty()) {
            let remedy = "Remove it, or name a server in `url`.";
            report.error("url", "memory: has no password and no key", remedy);
        }
        for (at, value) in [
            ("timeout_ms", raw.timeout_ms),
            ("connect_timeout_ms", raw.connect_timeout_ms),
        ] {
            if value == 0 {
                let remedy = "Leave it out for the safe default.";
                report.error(at, "0 would let nothing through", remedy);
            }
        }
        let prefix = (raw.prefix.clone()).unwrap_or_else(|| format!("triseal:{{{party}}}:"));
        if prefix.is_empty() || prefix.len() > 128 || !prefix.bytes().all(|b| b.is_ascii_graphic())
        {
            let remedy = "Use up to 128 visible ASCII characters.";
            report.error("prefix", "does not fit", remedy);
        }
        let ms = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Some(Self {
            place: place?,
            user: raw.user.clone(),
            prefix,
            timeout: Duration::from_millis(raw.timeout_ms),
            connect_timeout: Duration::from_millis(raw.connect_timeout_ms),
            skew_ms: ms(raw.clock_skew_max_ms),
            forward_ms: ms(forward_ms),
            alone_for_ms: (raw.when_gone == WhenGone::Local)
                .then(|| ms(raw.local_deadline_s).saturating_mul(1000)),
            ..Self::memory()
        })
    }
}

fn place(url: &str) -> Result<Place, &'static str> {
    if url == "memory:" {
        return Ok(Place::Memory);
    }
    if let Some(path) = url.strip_prefix("redis+unix://") {
        if !path.starts_with('/') || path.contains(['?', '#']) {
            return Err("this is no path of a socket");
        }
        return Ok(Place::Server(Address::Unix(PathBuf::from(path))));
    }
    let (rest, tls) = match (url.strip_prefix("rediss://"), url.strip_prefix("redis://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return Err("this is no address of shared state"),
    };
    if rest.contains('@') {
        return Err("a user or a password in the address would be seen wherever the address is");
    }
    let (authority, database) = match rest.split_once('/') {
        Some((authority, "")) => (authority, "0"),
        Some((authority, database)) => (authority, database),
        None => (rest, "0"),
    };
    let database = (database.parse::<i64>().ok())
        .filter(|n| (0..=DATABASE_MAX).contains(n))
        .ok_or("after the port stands the number of a database and nothing else")?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') || host.starts_with('[') => {
            (host, port.parse().map_err(|_| "the port is no number")?)
        }
        _ => (authority, 6379),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let known = |b: u8| b.is_ascii_alphanumeric() || b".-:_".contains(&b);
    if host.is_empty() || !host.bytes().all(known) {
        return Err("the address names no host");
    }
    Ok(Place::Server(Address::Tcp {
        host: host.to_owned(),
        port,
        database,
        tls,
    }))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || (host.parse::<std::net::IpAddr>()).is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, database: i64, tls: bool) -> Place {
        Place::Server(Address::Tcp {
            host: host.to_owned(),
            port,
            database,
            tls,
        })
    }

    #[test]
    fn addresses_are_read() {
        for (url, expected) in [
            ("memory:", Place::Memory),
            ("redis://127.0.0.1:7000", tcp("127.0.0.1", 7000, 0, false)),
            (
                "rediss://valkey.example:6380/3",
                tcp("valkey.example", 6380, 3, true),
            ),
            ("redis://[::1]:7000/", tcp("::1", 7000, 0, false)),
            ("redis://localhost", tcp("localhost", 6379, 0, false)),
            (
                "redis+unix:///run/redis.sock",
                Place::Server(Address::Unix("/run/redis.sock".into())),
            ),
        ] {
            assert_eq!(place(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_or_holds_a_password_is_refused() {
        for url in [
            "",
            "memory",
            "memory:x",
            "http://127.0.0.1",
            "redis://user:word@127.0.0.1:1",
            "rediss://word@h",
            "redis://h:port",
            "redis://h:1/x",
            "redis://h:1/0?ssl=no",
            "redis://h:1/-1",
            "redis://:1",
            "redis+unix://run/x",
        ] {
            assert!(place(url).is_err(), "{url}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "localhost.example", "0.0.0.0", "::", "redis"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
