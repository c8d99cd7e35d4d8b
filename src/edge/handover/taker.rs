//! The new process's side.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Folder, HandoverError, NAME, SHORT, VERSION, broken, same_user,
    wire::{SOCKETS_MAX, Word, hear, receive_sockets, say, unexpected},
};
use crate::{config::Config, edge::Listeners, envelope::Handed};

/// An old process that is ready to hand over, and what is listened on beyond its sockets. Dropped, the old one goes on.
#[derive(Debug)]
pub struct Offered {
    stream: UnixStream,
    beyond: Listeners,
    wait: Duration,
}

/// Everything, as long as it is not confirmed: dropped, the old process takes it up again.
#[derive(Debug)]
pub struct Given {
    stream: UnixStream,
    waited: Duration,
    since: Instant,
}

/// Asks the process that serves now. The whole configuration must have been checked before.
///
/// # Errors
/// When nobody is there or says no, or an address of ours that is not theirs cannot be bound.
pub fn ask(state: &Path, config: &Config) -> Result<Offered, HandoverError> {
    let nobody = |error| HandoverError::Nobody {
        path: state.join(NAME),
        error,
    };
    let folder = Folder::open(state).map_err(nobody)?;
    let mut stream = UnixStream::connect(folder.name(NAME)).map_err(nobody)?;
    same_user(&stream)?;
    let ask = Word::Ask {
        version: VERSION,
        gateway: config.gateway.name.clone(),
    };
    say(&mut stream, &ask).map_err(broken("asking the running gateway"))?;
    let asking = "asking the running gateway";
    match hear(&mut stream, SHORT).map_err(broken(asking))? {
        Word::Offer { listen, wait_ms } => Ok(Offered {
            stream,
            beyond: Listeners::bind(config, &listen)?,
            wait: Duration::from_millis(wait_ms),
        }),
        Word::Refused { why } => Err(HandoverError::Refused(why)),
        other => Err(broken(asking)(unexpected(&other))),
    }
}

impl Offered {
    /// Says go, and waits until the old process has ended what was under way.
    ///
    /// # Errors
    /// When it does not hand over in time; it then goes on.
    pub fn go(mut self, config: &Config) -> Result<(Listeners, Handed, Given), HandoverError> {
        say(&mut self.stream, &Word::Go).map_err(broken("saying go"))?;
        let waiting = "waiting for the running gateway";
        let limit = self.wait.saturating_add(SHORT);
        let (listen, waited_ms) = match hear(&mut self.stream, limit).map_err(broken(waiting))? {
            Word::Given { listen, waited_ms } if listen.len() <= SOCKETS_MAX => (listen, waited_ms),
            other => return Err(broken(waiting)(unexpected(&other))),
        };
        let since = Instant::now();
        let limited = self.stream.set_read_timeout(Some(SHORT));
        let sockets = limited.and_then(|()| receive_sockets(&self.stream, listen.len()));
        let sockets = sockets.map_err(broken("taking the sockets"))?;
        let theirs =
            Listeners::of(listen.into_iter().zip(sockets)).map_err(broken("taking the sockets"))?;
        let handed = Handed::read(&mut self.stream).map_err(broken("taking the replay memory"))?;
        let given = Given {
            stream: self.stream,
            waited: Duration::from_millis(waited_ms),
            since,
        };
        Ok((self.beyond.with(theirs, config), handed, given))
    }
}

impl Given {
    /// Says that everything is here, and waits for the word that it is ours. Only then may anything be accepted. Gives how
    /// long new connections had to wait.
    ///
    /// # Errors
    /// When the old process takes it up again.
    pub fn confirm(mut self) -> Result<Duration, HandoverError> {
        let confirming = "confirming to the running gateway";
        say(&mut self.stream, &Word::Taken).map_err(broken(confirming))?;
        match hear(&mut self.stream, SHORT).map_err(broken(confirming))? {
            Word::Yours => Ok(self.waited.saturating_add(self.since.elapsed())),
            other => Err(broken(confirming)(unexpected(&other))),
        }
    }
}
