//! Words between two processes: a length, then JSON; sockets beside a single byte.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::SocketAddr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// Bytes of a word.
const WORD_MAX: u32 = 16 << 10;

/// Sockets in one hand-over.
pub(super) const SOCKETS_MAX: usize = 64;

const SPACE: usize = rustix::cmsg_space!(ScmRights(SOCKETS_MAX));

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Word {
    /// May I?
    Ask { version: u32, gateway: String },
    /// These sockets, after so long at most.
    Offer {
        listen: Vec<SocketAddr>,
        wait_ms: u64,
    },
    /// No.
    Refused { why: String },
    /// I am ready for them.
    Go,
    /// Here they are, in this order; nobody accepts since so long.
    Given {
        listen: Vec<SocketAddr>,
        waited_ms: u64,
    },
    /// I have everything.
    Taken,
    /// I never accept again.
    Yours,
}

/// Says a word.
pub(super) fn say(stream: &mut UnixStream, word: &Word) -> io::Result<()> {
    let text = serde_json::to_vec(word)?;
    let length = u32::try_from(text.len())
        .ok()
        .filter(|length| *length <= WORD_MAX)
        .ok_or_else(|| io::Error::other("too long a word"))?;
    stream.set_write_timeout(Some(super::SHORT))?;
    stream.write_all(&[&length.to_be_bytes(), text.as_slice()].concat())
}

/// Waits for a word.
pub(super) fn hear(stream: &mut UnixStream, limit: Duration) -> io::Result<Word> {
    stream.set_read_timeout(Some(limit))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > WORD_MAX {
        return Err(io::Error::other("too long a word"));
    }
    let mut text = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The other side said another word than it had to.
pub(super) fn unexpected(word: &Word) -> io::Error {
    io::Error::other(format!("out of turn: {word:?}"))
}

/// Sends sockets beside one byte.
pub(super) fn send_sockets(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other(format!(
            "more than {SOCKETS_MAX} sockets cannot be handed over"
        )));
    }
    let sent = sendmsg(
        stream.as_fd(),
        &[IoSlice::new(b"s")],
        &mut beside,
        SendFlags::NOSIGNAL,
    )?;
    if sent == 1 {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives exactly so many sockets.
pub(super) fn receive_sockets(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        stream.as_fd(),
        &mut [IoSliceMut::new(&mut byte)],
        &mut beside,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut sockets = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    if received.bytes != 1 || received.flags.contains(ReturnFlags::CTRUNC) || sockets.len() != count
    {
        return Err(io::Error::other(format!(
            "{} sockets came instead of {count}",
            sockets.len()
        )));
    }
    Ok(sockets)
}
