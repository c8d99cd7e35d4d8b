//! The end of a connection: the gate's own refusal, and a close that lets the client read it.

use super::{Ended, Gate, Over, Stage};
use crate::refusal::Code;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// How long the last answer may take, and how long and how much is read after it. A client that still sends would get a
/// reset instead of the answer if the connection were closed at once.
const LAST_ANSWER: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

impl<S> Gate<S> {
    /// The refusal that nobody but the gate can answer, if there is one and the place for it is free.
    pub(super) const fn must_answer(&self) -> Option<Code> {
        let free = match self.framing.stage() {
            // hyper was told that no further request comes, and has written everything.
            Stage::Between | Stage::Head => self.told && self.shut,
            // hyper gave up on this exchange before a byte of its answer.
            Stage::Body => !self.wrote && !self.unflushed,
        };
        match (self.over, self.framing.refused()) {
            (Some(Over::Refused), Some(code)) if free => Some(code),
            _ => None,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// Ends the connection, after hyper is done with it: answers a refusal that is still unanswered, shuts down, and reads
    /// on for a moment if the client may still be sending.
    pub async fn finish(mut self) -> Ended {
        let refused = match self.over {
            Some(Over::Refused) => self.framing.refused(),
            Some(Over::Closed | Over::Broken) | None => None,
        };
        let ended = |answered| Ended { refused, answered };
        if self.over == Some(Over::Broken) {
            return ended(false);
        }
        let answer = self.must_answer();
        let last = timeout(LAST_ANSWER, async {
            if let Some(code) = answer {
                self.stream.write_all(answer_to(code).as_bytes()).await?;
            }
            if answer.is_some() || !self.shut {
                self.stream.shutdown().await?;
            }
            io::Result::Ok(())
        });
        let written = matches!(last.await, Ok(Ok(())));
        let mid_request = self.framing.stage() != Stage::Between || !self.held.is_empty();
        if written && (refused.is_some() || mid_request) {
            // Whatever comes of it: the answer is out.
            let _ = timeout(LINGER, drop_rest(&mut self.stream)).await;
        }
        ended(answer.is_some() && written)
    }
}

async fn drop_rest(stream: &mut (impl AsyncRead + Unpin)) {
    let mut scratch = [0; 2 << 10];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match stream.read(&mut scratch).await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}

/// The refusal as bytes. The texts of codes are our own and need no escaping; a test holds that.
pub(super) fn answer_to(code: Code) -> String {
    let body = format!(
        "{{\"code\":\"{}\",\"message\":\"{}\"}}",
        code.as_str(),
        code.remedy()
    );
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-triseal-code: {}\r\nconnection: close\r\n\r\n{body}",
        code.status(),
        http::StatusCode::from_u16(code.status())
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused"),
        body.len(),
        code.as_str(),
    )
}
