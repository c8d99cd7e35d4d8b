//! Whoever started the gateway: a service manager that wants to know how it goes (systemd's `Type=notify`), and the program
//! itself, started anew.

use std::{
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::edge::Host;

/// Who is told, and what is started anew.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// Where the service manager listens, when there is one.
    notify: Option<OsString>,
    /// This program, by the path under which it was started: an installation puts the new version there.
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        Self {
            notify: std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            program: std::env::current_exe()
                .inspect_err(|error| tracing::warn!(%error, "SIGUSR2 will not work"))
                .ok(),
            arguments: std::env::args_os().skip(1).collect(),
        }
    }

    /// A reload was asked for.
    pub(super) fn reloading(&self) {
        self.tell("RELOADING=1");
    }

    /// It is over.
    pub(super) fn reloaded(&self) {
        self.tell("READY=1");
    }

    /// Another process goes on as the main one.
    pub(super) fn succeeded_by(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}"));
    }

    fn tell(&self, word: &str) {
        if let Some(to) = &self.notify
            && let Err(error) = send(to, word)
        {
            tracing::warn!(%error, word, "the service manager could not be told");
        }
    }
}

impl Host for Supervisor {
    fn serving(&self) {
        tracing::info!("every face accepts connections");
        self.tell("READY=1");
    }

    fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn renew(&self) {
        let Some(program) = &self.program else {
            tracing::error!("SIGUSR2: this program's path is not known");
            return;
        };
        let mut command = Command::new(program);
        command.args(&self.arguments).stdin(Stdio::null());
        if !self.arguments.iter().any(|a| a == "--upgrade") {
            command.arg("--upgrade");
        }
        match command.spawn() {
            Ok(mut child) => {
                tracing::info!(pid = child.id(), "SIGUSR2: {} starts", program.display());
                let waiting = std::thread::Builder::new().name("renewal".to_owned());
                let waited = waiting.spawn(move || match child.wait() {
                    Ok(status) => tracing::error!("the new process ended: {status}"),
                    Err(error) => tracing::error!(%error, "the new process is lost"),
                });
                if let Err(error) = waited {
                    tracing::warn!(%error, "the new process is not watched");
                }
            }
            Err(error) => {
                tracing::error!(%error, "SIGUSR2: {} could not be started", program.display());
            }
        }
    }
}

/// One datagram, as `sd_notify(3)` has it: a path, or with `@` in front a name without a file.
fn send(to: &OsString, word: &str) -> io::Result<()> {
    let address = match to.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(to)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(word.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(notify: OsString) -> Supervisor {
        Supervisor {
            notify: Some(notify),
            program: None,
            arguments: Vec::new(),
        }
    }

    #[test]
    fn a_service_manager_is_told_at_a_path_and_at_a_name_without_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("triseal-test-{}", std::process::id());
        let at_path = UnixDatagram::bind(&path).unwrap();
        let at_name =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (manager, address) in [
            (at_path, path.into_os_string()),
            (at_name, format!("@{name}").into()),
        ] {
            let supervisor = supervisor(address);
            supervisor.serving();
            supervisor.succeeded_by(42);
            let mut word = [0; 64];
            for expected in ["READY=1", "MAINPID=42"] {
                let length = manager.recv(&mut word).unwrap();
                assert_eq!(&word[..length], expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_service_manager_that_is_gone_is_no_reason_to_fail() {
        supervisor("/nonexistent/notify".into()).serving();
    }
}
