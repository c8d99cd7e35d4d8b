//! The least HTTP client there is, for plain listeners.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use super::Answer;

/// `GET path` from a plain listener on this machine; `None` when nobody answers.
pub fn get(port: u16, path: &str) -> Option<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    Answer::read(&mut stream)
}
