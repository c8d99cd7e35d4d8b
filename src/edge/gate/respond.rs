//! An answer as bytes: its head by hand, its body as it comes, as few writes as possible.

use super::{
    Stage,
    date::push_date,
    wire::{Over, Shared},
};
use crate::{
    clock::Moment,
    http1::{borrow_output, push_chunk_size, push_decimal},
    upstream::AnswerBody,
};
use http::{HeaderMap, Response, StatusCode, header};
use std::{
    future::poll_fn,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes that are gathered before they are written.
const GATHERED: usize = 16 << 10;

/// How the body of an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framed {
    /// There is none to be written.
    Not,
    /// So many bytes are still to come.
    Sized(u64),
    Chunked,
}

/// What is asked of an answer beside its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// It answers a HEAD: no body, whatever the head says.
    pub(super) to_head: bool,
    /// The connection ends after it.
    pub(super) close: bool,
    pub(super) now: Moment,
}

/// Writes an answer. Says whether all of it was written and the connection may go on.
pub(super) async fn respond<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<S>,
    mut response: Box<Response<AnswerBody>>,
    manner: Manner,
) -> bool {
    let (close, mut framed) = {
        let mut wire = shared.lock();
        let close = manner.close || says_close(response.headers());
        if wire.output.capacity() == 0 {
            wire.output = borrow_output();
        }
        let framed = write_head(&mut wire.output, &response, close, manner);
        (close, framed)
    };
    let body = response.body_mut();
    let written = poll_fn(|cx| poll_body(shared, body, &mut framed, cx)).await;
    written && !close
}

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Writes the head; says how the body has to be framed.
fn write_head(
    head: &mut Vec<u8>,
    response: &Response<AnswerBody>,
    close: bool,
    manner: Manner,
) -> Framed {
    let (status, length) = (response.status(), response.body().left());
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or("-").as_bytes());
    head.extend_from_slice(b"\r\n");
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // Where no body goes out, the head may still say how long it would have been.
    let announces = (manner.to_head && length.is_none_or(|length| length == 0))
        || status == StatusCode::NOT_MODIFIED;
    let mut dated = false;
    for (name, value) in response.headers() {
        match *name {
            header::CONNECTION | header::TRANSFER_ENCODING => continue,
            header::CONTENT_LENGTH if !announces => continue,
            header::DATE => dated = true,
            _ => {}
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if !dated {
        push_date(head, manner.now);
    }
    if close {
        head.extend_from_slice(b"connection: close\r\n");
    }
    let said = announces && response.headers().contains_key(header::CONTENT_LENGTH);
    let framed = match length {
        _ if bodiless || said => Framed::Not,
        Some(length) => {
            head.extend_from_slice(b"content-length: ");
            push_decimal(head, length);
            head.extend_from_slice(b"\r\n");
            Framed::Sized(length)
        }
        None => {
            head.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Framed::Chunked
        }
    };
    head.extend_from_slice(b"\r\n");
    if manner.to_head { Framed::Not } else { framed }
}

/// Gathers what there is of the body and writes it. Ready when all was written, or never will be.
fn poll_body<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<S>,
    body: &mut AnswerBody,
    framed: &mut Framed,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    loop {
        let mut waits = false;
        while !matches!(framed, Framed::Not | Framed::Sized(0)) {
            if shared.lock().output.len() >= GATHERED {
                break;
            }
            // Not under the lock: the answer may wait for the request's own body.
            match body.poll_data(cx) {
                Poll::Ready(data) => {
                    let mut wire = shared.lock();
                    let Some(next) = append(&mut wire.output, *framed, data.transpose().ok())
                    else {
                        // Cut off: it must not look whole.
                        wire.over = Some(Over::Broken);
                        return Poll::Ready(false);
                    };
                    *framed = next;
                }
                Poll::Pending => {
                    waits = true;
                    break;
                }
            }
        }
        match shared.lock().poll_write_out(cx) {
            Poll::Ready(Ok(())) if waits => return Poll::Pending,
            Poll::Ready(Ok(())) if matches!(framed, Framed::Not | Framed::Sized(0)) => {
                return Poll::Ready(true);
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(false),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Appends a piece of the body, or its end. None where that is not what the head said.
fn append(
    output: &mut Vec<u8>,
    framed: Framed,
    data: Option<Option<bytes::Bytes>>,
) -> Option<Framed> {
    match (framed, data?) {
        (Framed::Sized(left), Some(data)) => {
            let size = u64::try_from(data.len()).ok()?;
            output.extend_from_slice(&data);
            left.checked_sub(size).map(Framed::Sized)
        }
        (Framed::Chunked, Some(data)) => {
            // A chunk of nothing would be the last.
            if !data.is_empty() {
                push_chunk_size(output, data.len());
                output.extend_from_slice(&data);
                output.extend_from_slice(b"\r\n");
            }
            Some(Framed::Chunked)
        }
        (Framed::Chunked, None) => {
            output.extend_from_slice(b"0\r\n\r\n");
            Some(Framed::Not)
        }
        (Framed::Sized(_), None) | (Framed::Not, _) => None,
    }
}

/// Whether the rest of the request's body stands in the way of a next request.
pub(super) fn body_in_the_way<S: AsyncRead + AsyncWrite + Unpin>(shared: &Shared<S>) -> bool {
    let mut wire = shared.lock();
    wire.skip_content();
    wire.framing.stage() == Stage::Body
}
