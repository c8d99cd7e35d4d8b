//! The old process's side: a door that a new one may knock on.

use std::{
    fs, io,
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, mpsc};

use super::{
    Folder, HandoverError, NAME, OPENING, SHORT, VERSION, broken, same_user,
    wire::{SOCKETS_MAX, Word, hear, say, send_sockets, unexpected},
};
use crate::{edge::Listeners, envelope::Handed};

/// Where a new process knocks.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    asked: Mutex<mpsc::Receiver<Asked>>,
}

/// A new process that waits for everything.
#[derive(Debug)]
pub struct Asked {
    stream: UnixStream,
    pid: u32,
}

/// What the door says of the gateway behind it.
#[derive(Debug)]
struct Behind {
    gateway: String,
    listen: Vec<SocketAddr>,
    wait_ms: u64,
}

impl Door {
    /// Opens the door in a state folder, in place of one that is there: whoever calls this has the gateway's sockets.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(
        folder: &Path,
        gateway: &str,
        listeners: &Listeners,
        longest_wait: Duration,
    ) -> Result<Self, HandoverError> {
        let listener = listen(folder).map_err(broken("opening the socket for upgrades"))?;
        let behind = Behind {
            gateway: gateway.to_owned(),
            listen: listeners.addresses(),
            wait_ms: u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX),
        };
        let (tell, asked) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("upgrades".to_owned())
            .spawn(move || attend(&listener, &behind, &tell))
            .map_err(broken("starting the thread for upgrades"))?;
        Ok(Self {
            path: folder.join(NAME),
            asked: Mutex::new(asked),
        })
    }

    /// The next process that asks for everything.
    pub async fn asked(&self) -> Asked {
        match self.asked.lock().await.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }

    /// Takes the door away, when no other process has put its own there.
    pub fn close(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket for upgrades was gone");
        }
    }
}

/// A socket that comes into place as a whole, for its owner alone.
fn listen(folder: &Path) -> io::Result<UnixListener> {
    let folder = Folder::open(folder)?;
    let new = folder.name(&format!("{NAME}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, folder.name(NAME))?;
    Ok(listener)
}

fn attend(listener: &UnixListener, behind: &Behind, tell: &mpsc::Sender<Asked>) {
    loop {
        let knocked = match listener.accept() {
            Ok((stream, _)) => meet(stream, behind, tell),
            Err(error) => {
                std::thread::sleep(SHORT);
                Err(broken("accepting at the socket for upgrades")(error))
            }
        };
        if let Err(error) = knocked {
            tracing::warn!("an upgrade was asked for and did not begin: {error}");
        }
    }
}

/// Talks to who knocks, up to the word that it is ready.
fn meet(
    mut stream: UnixStream,
    behind: &Behind,
    tell: &mpsc::Sender<Asked>,
) -> Result<(), HandoverError> {
    let pid = same_user(&stream)?;
    let asked = hear(&mut stream, SHORT).map_err(broken("hearing what is asked"))?;
    let Ok(place) = tell.try_reserve() else {
        return refuse(&mut stream, "another upgrade is under way");
    };
    let why = match asked {
        Word::Ask { version, .. } if version != VERSION => Some(format!(
            "this version hands over in form {VERSION}, not {version}; restart the gateway instead"
        )),
        Word::Ask { gateway, .. } if gateway != behind.gateway => {
            Some(format!("here is gateway `{}`", behind.gateway))
        }
        Word::Ask { .. } if behind.listen.len() > SOCKETS_MAX => Some(format!(
            "more than {SOCKETS_MAX} sockets cannot be handed over; restart the gateway instead"
        )),
        Word::Ask { .. } => None,
        other => return Err(broken("hearing what is asked")(unexpected(&other))),
    };
    if let Some(why) = why {
        return refuse(&mut stream, &why);
    }
    let offer = Word::Offer {
        listen: behind.listen.clone(),
        wait_ms: behind.wait_ms,
    };
    say(&mut stream, &offer).map_err(broken("offering"))?;
    match hear(&mut stream, SHORT).map_err(broken("waiting for the new process"))? {
        Word::Go => place.send(Asked { stream, pid }),
        other => return Err(broken("waiting for the new process")(unexpected(&other))),
    }
    Ok(())
}

fn refuse(stream: &mut UnixStream, why: &str) -> Result<(), HandoverError> {
    let word = Word::Refused {
        why: why.to_owned(),
    };
    say(stream, &word).map_err(broken("refusing"))?;
    Err(HandoverError::Refused(why.to_owned()))
}

impl Asked {
    /// The new process.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Gives everything away. When this returns without an error, the new process is bound to serve and this one is bound
    /// never to accept again; with an error, the new one never serves.
    ///
    /// # Errors
    /// When the new process is gone, or does not say in time that it has everything.
    pub fn give(
        mut self,
        listeners: &Listeners,
        handed: &Handed,
        since: Instant,
    ) -> Result<(), HandoverError> {
        let (listen, sockets): (Vec<_>, Vec<_>) = listeners
            .iter()
            .map(|(address, listener)| (*address, listener.as_fd()))
            .unzip();
        let waited_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        say(&mut self.stream, &Word::Given { listen, waited_ms }).map_err(broken("giving"))?;
        send_sockets(&self.stream, &sockets).map_err(broken("giving the sockets"))?;
        handed
            .write(&mut self.stream)
            .map_err(broken("giving the replay memory"))?;
        match hear(&mut self.stream, OPENING).map_err(broken("waiting until it has everything"))? {
            Word::Taken => {}
            other => {
                return Err(broken("waiting until it has everything")(unexpected(
                    &other,
                )));
            }
        }
        // The point of no return. Should the new process be gone by now, whoever supervises starts one.
        say(&mut self.stream, &Word::Yours).map_err(broken("saying that it is theirs"))
    }
}
