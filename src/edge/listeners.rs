//! The listening sockets: bound here, or taken over from the process before us.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use super::ListenError;
use crate::config::Config;

/// Connections that may wait to be accepted; the system's own bound (`net.core.somaxconn`) is below it.
const BACKLOG: i32 = 65_535;

/// Every socket that the gateway listens on, by address. They stay bound as long as this lives; what accepts from them does so
/// through a copy.
#[derive(Debug, Default)]
pub struct Listeners(BTreeMap<SocketAddr, TcpListener>);

impl Listeners {
    /// Those that are there, from another process.
    pub(super) fn of(sockets: impl IntoIterator<Item = (SocketAddr, OwnedFd)>) -> io::Result<Self> {
        let mut all = BTreeMap::new();
        for (address, socket) in sockets {
            let listener = TcpListener::from(socket);
            if listener.local_addr()? != address
                || !rustix::net::sockopt::socket_acceptconn(&listener)?
            {
                return Err(io::Error::other(format!(
                    "what was handed over for {address} does not listen there"
                )));
            }
            all.insert(address, listener);
        }
        Ok(Self(all))
    }

    /// Binds what a configuration asks for beyond `held`.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn bind(config: &Config, held: &[SocketAddr]) -> Result<Self, ListenError> {
        let mut all = BTreeMap::new();
        for (address, what) in wanted(config) {
            if held.contains(&address) {
                continue;
            }
            let bound = TcpListener::bind(address).and_then(|listener| {
                rustix::net::listen(&listener, BACKLOG)?;
                Ok(listener)
            });
            let listener = bound.map_err(|error| ListenError::Bind {
                address,
                what,
                error,
            })?;
            all.insert(address, listener);
        }
        Ok(Self(all))
    }

    /// Together with others; of these, those that the configuration does not ask for are closed.
    pub fn with(mut self, others: Self, config: &Config) -> Self {
        self.0.extend(others.0);
        let wanted: Vec<_> = wanted(config).map(|(address, _)| address).collect();
        self.0.retain(|address, _| wanted.contains(address));
        self
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.keys().copied().collect()
    }

    /// A copy to accept from.
    ///
    /// # Errors
    /// When there is none for the address, or the system gives no copy.
    pub(super) fn copy(&self, address: SocketAddr, what: &str) -> Result<TcpListener, ListenError> {
        let copied = match self.0.get(&address) {
            Some(listener) => listener.try_clone().and_then(|copy| {
                copy.set_nonblocking(true)?;
                Ok(copy)
            }),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        copied.map_err(|error| ListenError::Bind {
            address,
            what: what.to_owned(),
            error,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &TcpListener)> {
        self.0.iter()
    }
}

/// What a configuration listens on, and what for.
fn wanted(config: &Config) -> impl Iterator<Item = (SocketAddr, String)> {
    let faces = config.face.iter();
    faces
        .map(|face| (face.listen, format!("face {}", face.name)))
        .chain([(config.admin.listen, "admin".to_owned())])
}
