//! An upgrade: a running gateway hands its listening sockets and its replay memory to a new process.
//!
//! The new process has read and checked its whole configuration before it asks, over a Unix socket in the state folder that only
//! processes of the same user are answered on. The old one answers with what it listens on; the new one binds what it wants
//! beyond that, and says go. The old one then asks its clients to reconnect, stops accepting (connections wait in the kernel),
//! finishes what is under way, closes its store and logs, and hands over sockets and memory. The new one opens the same store
//! and logs, says that it has them, and accepts only when the old one has said that it never will again. Until that word
//! the old one takes everything up again when the new one fails in any way; after it, it ends.
//!
//! ```text
//!   new                                            old
//!    │── Ask {version, gateway} ───────────────────▶│  peer's user checked, one at a time
//!    │◀────────────────── Offer {listen, wait_ms} ──│
//!    │── Go ───────────────────────────────────────▶│  farewell, no more accepting, drained, store and logs closed
//!    │◀── Given {listen, waited_ms}, sockets, memory ─│
//!    │── Taken ────────────────────────────────────▶│  store and logs opened
//!    │◀──────────────────────────────────── Yours ──│  the old one is bound to end
//! ```

mod door;
mod taker;
#[cfg(test)]
mod tests;
mod wire;

pub use door::{Asked, Door};
pub use taker::{Given, Offered, ask};

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

/// The socket's name in the state folder.
const NAME: &str = "upgrade.sock";

/// The form of this conversation. Another one is refused, and the gateway is restarted instead.
const VERSION: u32 = 1;

/// How long either side waits for a word that costs the other nothing.
const SHORT: Duration = Duration::from_secs(5);

/// How long the old one waits for the new one to open the store and the logs.
const OPENING: Duration = Duration::from_secs(15);

/// Why nothing was handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Nobody answers there.
    #[error(
        "no gateway answers at {path}: {error}. Start it without --upgrade, or look whether `gateway.state` is the running one's"
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The other side runs as another user.
    #[error("the other process runs as user {0}; run the new one as the same user as the old one")]
    Stranger(u32),
    /// The other side says no.
    #[error("the other process says: {0}")]
    Refused(String),
    /// The conversation broke off.
    #[error("{what}: {error}")]
    Broken {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// An address that the new process wants beyond the old one's.
    #[error("{0}")]
    Listen(#[from] super::ListenError),
}

fn broken(what: &'static str) -> impl FnOnce(io::Error) -> HandoverError {
    move |error| HandoverError::Broken { what, error }
}

/// A folder, and the way to names in it that does not depend on how long its path is: a Unix socket's address holds 107 bytes.
struct Folder(File);

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    fn name(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }
}

/// The user of whoever is at the other end must be ours.
fn same_user(stream: &UnixStream) -> Result<u32, HandoverError> {
    let peer = rustix::net::sockopt::socket_peercred(stream)
        .map_err(|e| broken("asking who the other process is")(e.into()))?;
    let ours = rustix::process::geteuid();
    if !admits(peer.uid.as_raw(), ours.as_raw()) {
        return Err(HandoverError::Stranger(peer.uid.as_raw()));
    }
    Ok(u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or_default())
}

/// Root has other ways, and a gateway that root took over would run as root.
const fn admits(peer: u32, ours: u32) -> bool {
    peer == ours
}
