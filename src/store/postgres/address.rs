//! The URL of a PostgreSQL: read strictly, since a part that is misread may send everything in the clear.

use std::{net::IpAddr, path::PathBuf};

/// Where the database is, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Address {
    pub(super) user: String,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) database: String,
    /// Whether the connection is encrypted and the server's certificate verified.
    pub(super) tls: bool,
}

/// The server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Host {
    /// A name or an address.
    Name(String),
    /// The folder of a Unix socket.
    Socket(PathBuf),
}

/// What is wrong with a URL, and what to do. Says nothing of the URL itself: a password may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Wrong(
    pub(in crate::store) &'static str,
    pub(in crate::store) &'static str,
);

const FORM: &str = "Write postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full.";

impl Address {
    /// Whether it is a URL of this engine at all.
    pub(in crate::store) fn rest(url: &str) -> Option<&str> {
        url.strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
    }

    /// Reads what stands behind the scheme.
    pub(in crate::store) fn read(rest: &str) -> Result<Self, Wrong> {
        if !rest.is_ascii()
            || rest
                .bytes()
                .any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
        {
            return Err(Wrong("the URL has characters that no URL has", FORM));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place
            .split_once('/')
            .ok_or(Wrong("the URL names no database", FORM))?;
        // The last @: a password may have one.
        let (user, host) = authority
            .rsplit_once('@')
            .ok_or(Wrong("the URL names no user", FORM))?;
        if user.contains([':', '@']) {
            return Err(Wrong(
                "a password stands in the URL, where it gets into listings and logs",
                "Take it out, change it, and name it by `password = { file = \"…\" }` or `{ env = \"…\" }`.",
            ));
        }
        for name in [user, database] {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(Wrong(
                    "the user and the database are written with letters, digits, `_`, `-` and `.`",
                    FORM,
                ));
            }
        }
        let asked = Asked::read(query)?;
        let (host, port) = match (host, asked.socket) {
            ("", Some(folder)) => (Host::Socket(folder), asked.port),
            ("", None) => return Err(Wrong("the URL names no host", FORM)),
            (_, Some(_)) => {
                return Err(Wrong(
                    "the URL names a host and the folder of a socket",
                    "Name one of them.",
                ));
            }
            (host, None) => {
                let (host, port) = server(host)?;
                if port.is_some() && asked.port.is_some() {
                    return Err(Wrong("the URL names two ports", "Name one of them."));
                }
                (Host::Name(host), port.or(asked.port))
            }
        };
        let local = matches!(host, Host::Socket(_));
        if local && asked.tls == Some(true) {
            return Err(Wrong(
                "there is no TLS on a Unix socket",
                "Leave sslmode out.",
            ));
        }
        Ok(Self {
            user: user.to_owned(),
            host,
            port: port.unwrap_or(5432),
            database: database.to_owned(),
            tls: asked.tls.unwrap_or(!local),
        })
    }

    /// Whether what is sent stays on this machine.
    pub(in crate::store) fn stays_here(&self) -> bool {
        match &self.host {
            Host::Socket(_) => true,
            // The name `localhost` is looked up, and whoever answers decides where it is.
            Host::Name(host) => host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        }
    }

    /// Whether the connection is encrypted.
    pub(in crate::store) const fn tls(&self) -> bool {
        self.tls
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Name(host) => write!(f, "{}@{host}:{}/{}", self.user, self.port, self.database),
            Host::Socket(folder) => write!(
                f,
                "{}@{}:{}/{}",
                self.user,
                folder.display(),
                self.port,
                self.database
            ),
        }
    }
}

/// What stands behind the question mark.
#[derive(Default)]
struct Asked {
    tls: Option<bool>,
    socket: Option<PathBuf>,
    port: Option<u16>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Wrong> {
        let mut asked = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let twice = match (name, value) {
                ("sslmode", "verify-full") => asked.tls.replace(true).is_some(),
                ("sslmode", "disable") => asked.tls.replace(false).is_some(),
                ("sslmode", _) => {
                    return Err(Wrong(
                        "an sslmode that does not verify whom it talks to, or that may fall back to plain text",
                        "Use sslmode=verify-full, or sslmode=disable on this machine.",
                    ));
                }
                ("host", folder) if folder.starts_with('/') && !folder.contains('%') => {
                    asked.socket.replace(PathBuf::from(folder)).is_some()
                }
                ("host", _) => {
                    return Err(Wrong(
                        "`host` behind the question mark is the folder of a Unix socket",
                        "Name an absolute folder, or put the host before the port.",
                    ));
                }
                ("port", number) => asked.port.replace(port(number)?).is_some(),
                _ => {
                    return Err(Wrong(
                        "a setting in the URL that is not known here",
                        "sslmode, host and port are; everything else has its own entry in [store].",
                    ));
                }
            };
            if twice {
                return Err(Wrong("a setting stands twice in the URL", "Remove one."));
            }
        }
        Ok(asked)
    }
}

fn server(text: &str) -> Result<(String, Option<u16>), Wrong> {
    let wrong = Wrong("the URL's host is no name and no address", FORM);
    let (host, number) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']').ok_or(wrong)?;
            let ip: std::net::Ipv6Addr = address.parse().map_err(|_| wrong)?;
            let number = match behind {
                "" => None,
                _ => Some(behind.strip_prefix(':').ok_or(wrong)?),
            };
            (ip.to_string(), number)
        }
        None => {
            let (host, number) = match text.split_once(':') {
                Some((host, number)) => (host, Some(number)),
                None => (text, None),
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
            if host.is_empty() || !host.bytes().all(plain) {
                return Err(wrong);
            }
            (host.to_owned(), number)
        }
    };
    Ok((host, number.map(port).transpose()?))
}

fn port(text: &str) -> Result<u16, Wrong> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or(Wrong("the URL's port is no port", FORM))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, Wrong> {
        Address::read(Address::rest(url).expect("a URL of PostgreSQL"))
    }

    #[test]
    fn hosts_addresses_and_sockets_are_read() {
        let named = read("postgres://triseal@db.example:6432/errands?sslmode=verify-full").unwrap();
        assert_eq!(named.to_string(), "triseal@db.example:6432/errands");
        assert!(named.tls && !named.stays_here());
        let plain = read("postgresql://triseal@[::1]/errands?sslmode=disable").unwrap();
        assert!(!plain.tls && plain.stays_here());
        assert_eq!(plain.port, 5432);
        let socket = read("postgres://triseal@/errands?host=/run/postgresql&port=5433").unwrap();
        assert_eq!(socket.host, Host::Socket(PathBuf::from("/run/postgresql")));
        assert!(!socket.tls && socket.stays_here());
    }

    #[test]
    fn without_sslmode_a_server_is_verified() {
        assert!(read("postgres://triseal@127.0.0.1/errands").unwrap().tls);
    }

    #[test]
    fn a_name_is_never_taken_for_this_machine() {
        let named = read("postgres://triseal@localhost/errands?sslmode=disable").unwrap();
        assert!(!named.stays_here());
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for url in [
            "postgres://triseal:hush@db.example/errands",
            "postgres://triseal:hu@sh@db.example/errands",
            "postgres://triseal:@db.example/errands",
        ] {
            let Wrong(what, remedy) = read(url).unwrap_err();
            assert!(
                what.contains("password") && remedy.contains("file"),
                "{url}"
            );
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for url in [
            "postgres://db.example/errands",
            "postgres://triseal@db.example",
            "postgres://triseal@db.example/",
            "postgres://@db.example/errands",
            "postgres://triseal@/errands",
            "postgres://triseal@db.example:0/errands",
            "postgres://triseal@db.example:65536/errands",
            "postgres://triseal@db.example:5432/errands?port=5433",
            "postgres://triseal@db.example/errands?host=/run",
            "postgres://triseal@/errands?host=run",
            "postgres://triseal@/errands?host=/run&sslmode=verify-full",
            "postgres://triseal@a,b/errands",
            "postgres://triseal@[::1/errands",
            "postgres://triseal@[::1]5432/errands",
            "postgres://tri%73eal@db.example/errands",
            "postgres://triseal@db.example/errands?sslmode=prefer",
            "postgres://triseal@db.example/errands?sslmode=require",
            "postgres://triseal@db.example/errands?sslmode=verify-ca",
            "postgres://triseal@db.example/errands?sslmode=verify-full&sslmode=disable",
            "postgres://triseal@db.example/errands?options=-c",
            "postgres://triseal@db.example/errands#x",
            "postgres://triseal@db. example/errands",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
