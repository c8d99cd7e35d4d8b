//! The end of a connection: the gate's own refusal, and a close that lets the client read it.

use super::{
    Ended, Stage,
    wire::{Over, Shared},
};
use crate::{http1::poll_read_into, refusal::Code};
use bytes::BytesMut;
use std::{future::poll_fn, io, pin::Pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// How long the last answer may take, and how long and how much is read after it. A client that still sends would get a
/// reset instead of the answer if the connection were closed at once.
const LAST_ANSWER: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

/// Ends the connection: answers a refusal that is still unanswered, shuts down, and reads on for a moment if the client may
/// still be sending.
pub(super) async fn finish<S: AsyncRead + AsyncWrite + Unpin>(shared: &Shared<S>) -> Ended {
    let (over, stage, refused, waiting, fields) = {
        let wire = shared.lock();
        (
            wire.over,
            wire.framing.stage(),
            wire.framing.refused(),
            !wire.input.is_empty(),
            wire.limits.refusal_fields,
        )
    };
    let refused = refused.filter(|_| over == Some(Over::Refused));
    let ended = |answered| Ended { refused, answered };
    if over == Some(Over::Broken) {
        return ended(false);
    }
    // To a bad body the exchange has answered.
    let answer = refused.filter(|_| stage != Stage::Body);
    if let Some(code) = answer {
        let text = answer_to(code, fields);
        shared.lock().output.extend_from_slice(text.as_bytes());
    }
    let last = timeout(LAST_ANSWER, async {
        poll_fn(|cx| shared.lock().poll_write_out(cx)).await?;
        poll_fn(|cx| Pin::new(&mut shared.lock().stream).poll_shutdown(cx)).await
    });
    let written = matches!(last.await, Ok(Ok(())));
    if written && (refused.is_some() || waiting || stage != Stage::Between) {
        // Whatever comes of it: the answer is out.
        let _ = timeout(LINGER, drop_rest(shared)).await;
    }
    ended(answer.is_some() && written)
}

async fn drop_rest<S: AsyncRead + Unpin>(shared: &Shared<S>) {
    let mut dropped = BytesMut::new();
    let mut left = LINGER_BYTES;
    while left > 0 {
        let read: io::Result<usize> =
            poll_fn(|cx| poll_read_into(&mut shared.lock().stream, cx, &mut dropped)).await;
        match read {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
        dropped.clear();
    }
}

/// The refusal as bytes. The texts of codes are our own and need no escaping; a test holds that.
pub(super) fn answer_to(code: Code, fields: &str) -> String {
    let body = format!(
        "{{\"code\":\"{}\",\"message\":\"{}\"}}",
        code.as_str(),
        code.remedy()
    );
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-triseal-code: {}\r\n{fields}connection: close\r\n\r\n{body}",
        code.status(),
        http::StatusCode::from_u16(code.status())
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused"),
        body.len(),
        code.as_str(),
    )
}
