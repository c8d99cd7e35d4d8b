//! The service behind every server under test: plain HTTP/1.1, fixed answers, as little work as possible.
//!
//! A GET gets 1 KiB. A POST gets the plain content of an eKYC answer, which the gateway has to seal.

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Bytes of the relay's answer.
pub const RELAY_ANSWER_BYTES: usize = 1024;

/// Starts it on the runtime that is running and says on which port it listens.
pub async fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(connection(stream));
        }
    });
    port
}

/// The plain identity that an eKYC answer carries, about 2 KB of JSON, the photo being most of it.
pub fn identity() -> String {
    let photo = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf".repeat(44);
    format!(
        r#"{{"fullName_eng":"Bench Person","dob":"1990/01/31","gender_eng":"Female","phone":"5550100","email":"bench@example.org","fullAddress_eng":"1 Example Street, Example Town","photo":"{photo}"}}"#
    )
}

async fn connection(mut stream: TcpStream) {
    let relay = answer("text/plain", &"r".repeat(RELAY_ANSWER_BYTES));
    let identity = identity();
    let mut input = BytesMut::with_capacity(16 << 10);
    loop {
        let Some((head, total)) = message(&mut stream, &mut input).await else {
            return;
        };
        let written = if input.starts_with(b"POST /taken ") || input.starts_with(b"POST /hub ") {
            stream.write_all(&relay).await
        } else if input.starts_with(b"POST ") {
            let transaction = transaction(&input[head..total]);
            let kyc = answer("application/json", &kyc(&transaction, &identity));
            stream.write_all(&kyc).await
        } else {
            stream.write_all(&relay).await
        };
        if written.is_err() {
            return;
        }
        input.advance(total);
    }
}

/// Waits for a whole message: where its head ends and where it ends.
async fn message(stream: &mut TcpStream, input: &mut BytesMut) -> Option<(usize, usize)> {
    loop {
        if let Some(head) = find(input, b"\r\n\r\n").map(|at| at + 4) {
            let lower = String::from_utf8_lossy(&input[..head]).to_ascii_lowercase();
            let end = if lower.contains("\r\ntransfer-encoding: chunked\r\n") {
                find(&input[head..], b"0\r\n\r\n").map(|at| head + at + 5)
            } else {
                let length = lower
                    .split_once("\r\ncontent-length: ")
                    .and_then(|(_, rest)| rest.split_once('\r'))
                    .map_or(0, |(n, _)| n.parse::<usize>().unwrap());
                Some(head + length).filter(|end| *end <= input.len())
            };
            if let Some(end) = end {
                return Some((head, end));
            }
        }
        if !matches!(stream.read_buf(input).await, Ok(1..)) {
            return None;
        }
    }
}

fn transaction(body: &[u8]) -> String {
    let name = b"\"transactionID\":\"";
    let at = find(body, name).expect("an opened request has a transaction id") + name.len();
    String::from_utf8_lossy(&body[at..at + 10]).into_owned()
}

fn kyc(transaction: &str, identity: &str) -> String {
    format!(
        r#"{{"id":"mosip.identity.kyc","version":"1.0","transactionID":"{transaction}","responseTime":"2026-01-01T00:00:00.000Z","errors":null,"response":{{"kycStatus":true,"authToken":"123456789012345678901234567890123456","identity":{identity}}}}}"#
    )
}

fn answer(media_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}
