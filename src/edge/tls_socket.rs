//! The socket under a TLS session: what has come is read at once, and a single piece is written as such.
//!
//! The session asks for 4 KiB when a record begins and for the rest after that, so a sealed request took two calls of the kernel. And it hands
//! its records over as a list even when there is one; a list of one costs the kernel more than the piece itself (bench/README.md).

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// What is read beyond what the session asks for: with its first 4 KiB a whole TLS record and the beginning of the next.
const AHEAD_MAX: usize = 16 << 10;

thread_local! {
    /// Where the kernel writes it; only what came is kept by the connection. It holds what was on the wire, nothing decrypted.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; AHEAD_MAX]);
}

/// A connection, and what was read from it ahead.
#[derive(Debug)]
pub(super) struct TlsSocket {
    stream: TcpStream,
    ahead: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
}

impl TlsSocket {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
            taken: 0,
        }
    }

    /// Hands out what was read ahead. An idle connection keeps no room for it.
    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let left = self.ahead.get(self.taken..).unwrap_or_default();
        let part = left.get(..buf.remaining()).unwrap_or(left);
        buf.put_slice(part);
        self.taken = self.taken.saturating_add(part.len());
        if self.taken >= self.ahead.len() {
            (self.ahead, self.taken) = (Vec::new(), 0);
        }
    }
}

/// One call of the kernel, which must not block: what `front` has no room for is kept in `ahead`.
fn read(stream: &TcpStream, front: &mut [u8], ahead: &mut Vec<u8>) -> io::Result<usize> {
    let room = front.len();
    SCRATCH.with_borrow_mut(|scratch| {
        let mut places = [IoSliceMut::new(front), IoSliceMut::new(scratch)];
        let came = rustix::io::retry_on_intr(|| rustix::io::readv(stream, &mut places))?;
        let beyond = came.checked_sub(room).and_then(|n| scratch.get(..n));
        *ahead = beyond.unwrap_or_default().to_vec();
        Ok(came)
    })
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let room = buf.remaining();
        if room == 0 || !socket.ahead.is_empty() {
            socket.take(buf);
            return Poll::Ready(Ok(()));
        }
        let Self { stream, ahead, .. } = socket;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            let mut came = None;
            // Less than there was room for means that the socket is drained (the runtime's own reading takes it so, too). The runtime
            // must be told, or the next look costs a call of the kernel for nothing; and told from in here, where it holds what it
            // hears against the readiness from before the call: what comes meanwhile is not lost.
            let outcome = stream.try_io(Interest::READABLE, || {
                let read = read(stream, buf.initialize_unfilled(), ahead)?;
                came = Some(read);
                if (1..room.saturating_add(AHEAD_MAX)).contains(&read) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match (came, outcome) {
                (Some(read), _) => {
                    buf.advance(read.min(room));
                    return Poll::Ready(Ok(()));
                }
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                // Not readable after all.
                (None, _) => {}
            }
        }
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.get_mut().stream);
        match pieces {
            [one] => stream.poll_write(cx, one),
            _ => stream.poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TlsSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (far, near) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        (TlsSocket::new(near.unwrap().0), far.unwrap())
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    #[tokio::test]
    async fn everything_comes_in_its_order_whatever_is_asked_for() {
        for (length, piece) in [
            (1, 4096),
            (4096, 4096),
            (4097, 4096),
            (300_000, 4096),
            (50_000, 7),
            (70_000, 40_000),
        ] {
            let (mut near, mut far) = pair().await;
            let sent = pattern(length);
            let sending = tokio::spawn({
                let sent = sent.clone();
                async move { far.write_all(&sent).await.unwrap() }
            });
            let (mut got, mut buffer) = (Vec::new(), vec![0; piece]);
            loop {
                match near.read(&mut buffer).await.unwrap() {
                    0 => break,
                    n => got.extend_from_slice(&buffer[..n]),
                }
            }
            sending.await.unwrap();
            assert!(got == sent, "{length} bytes in pieces of {piece}");
            assert_eq!(near.ahead.capacity(), 0, "an idle connection keeps no room");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_is_lost_between_a_drained_socket_and_what_comes_next() {
        let (mut near, mut far) = pair().await;
        let sending = tokio::spawn(async move {
            for round in 0..20_000_u32 {
                far.write_all(&round.to_be_bytes()).await.unwrap();
                if round % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            far
        });
        let reading = async {
            for round in 0..20_000_u32 {
                assert_eq!(near.read_u32().await.unwrap(), round);
            }
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, reading)
            .await
            .expect("a wake-up was lost");
        // What was ahead is drained, and the end is seen.
        drop(sending.await.unwrap());
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_empty_place_takes_nothing_and_loses_nothing() {
        let (mut near, mut far) = pair().await;
        far.write_all(b"abc").await.unwrap();
        assert_eq!(near.read(&mut [0; 0]).await.unwrap(), 0);
        let mut all = [0; 3];
        near.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"abc");
    }

    #[tokio::test]
    async fn a_connection_that_is_torn_down_is_an_error() {
        let (mut near, far) = pair().await;
        rustix::net::sockopt::set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
        drop(far);
        let error = near.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
