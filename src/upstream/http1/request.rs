//! A request as bytes, and its body as it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, header};
use hyper::body::Body as _;
use tokio::io::AsyncWrite;

use super::Failed;
use crate::{
    http1::{borrow_output, class::TARGET, give_back_output, push_chunk_size, push_decimal, span},
    upstream::{Outgoing, RequestBody},
};

/// What is still to be sent of a request.
#[derive(Debug)]
pub(super) struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    body: Option<RequestBody>,
    chunked: bool,
    /// Not a byte of the head was written.
    fresh: bool,
    flushed: bool,
}

impl Sending {
    /// The whole of a request, its body where there is one.
    ///
    /// # Errors
    /// When the target is not in origin form; nothing was sent.
    pub(super) fn new(
        outgoing: &Outgoing,
        host: &HeaderValue,
        body: RequestBody,
    ) -> Result<Self, Failed> {
        let target = outgoing.path_and_query.as_bytes();
        if !target.starts_with(b"/") || !span(target, TARGET).1.is_empty() {
            return Err(Failed::Target);
        }
        let mut bytes = borrow_output();
        for part in [outgoing.method.as_str().as_bytes(), b" ", target] {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        bytes.extend_from_slice(host.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &outgoing.headers {
            // Host and framing are ours to write.
            if *name == header::HOST
                || *name == header::CONTENT_LENGTH
                || *name == header::TRANSFER_ENCODING
            {
                continue;
            }
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let length = body.size_hint().exact();
        let says_nothing = length == Some(0)
            && !matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH);
        match length {
            _ if says_nothing => {}
            Some(length) => {
                bytes.extend_from_slice(b"content-length: ");
                push_decimal(&mut bytes, length);
                bytes.extend_from_slice(b"\r\n");
            }
            None => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        bytes.extend_from_slice(b"\r\n");
        Ok(Self {
            bytes,
            sent: 0,
            body: (length != Some(0)).then_some(body),
            chunked: length.is_none(),
            fresh: true,
            flushed: false,
        })
    }

    /// Whether all of it is on its way.
    pub(super) const fn is_done(&self) -> bool {
        self.flushed
    }

    /// Sends on.
    pub(super) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        link: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        while !self.flushed {
            // What there is of the body goes out with the head.
            let more = self.fresh || self.bytes.is_empty();
            self.fresh = false;
            let waits = more && self.gather(cx)?;
            let rest = self.bytes.get(self.sent..).unwrap_or_default();
            if !rest.is_empty() {
                let written = ready!(Pin::new(&mut *link).poll_write(cx, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                }
                self.sent = self.sent.saturating_add(written);
                if self.sent < self.bytes.len() {
                    continue;
                }
                self.bytes.clear();
                self.sent = 0;
            }
            ready!(Pin::new(&mut *link).poll_flush(cx))?;
            if self.body.is_none() {
                self.flushed = true;
                give_back_output(std::mem::take(&mut self.bytes));
            } else if waits {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body behind what is to be sent. Says whether there is none yet.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<bool, Failed> {
        let Some(body) = &mut self.body else {
            return Ok(false);
        };
        let data = match body.poll_data(cx) {
            Poll::Pending => return Ok(true),
            Poll::Ready(data) => data.transpose().map_err(Failed::Body)?,
        };
        match data {
            Some(data) if self.chunked => {
                // A chunk of nothing would be the last.
                if !data.is_empty() {
                    push_chunk_size(&mut self.bytes, data.len());
                    self.bytes.extend_from_slice(&data);
                    self.bytes.extend_from_slice(b"\r\n");
                }
            }
            Some(data) => self.bytes.extend_from_slice(&data),
            None => {
                if self.chunked {
                    self.bytes.extend_from_slice(b"0\r\n\r\n");
                }
                self.body = None;
            }
        }
        if self.body.as_ref().is_some_and(RequestBody::is_sent) {
            self.body = None;
        }
        Ok(false)
    }
}
