//! HTTP/2 frames by hand: just enough to ask, and to misbehave.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use super::{TlsClient, Wire};

/// Kinds of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame as received.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A frame as sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// The client's preface with empty settings.
pub fn preface() -> Vec<u8> {
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(SETTINGS, 0, 0, &[]));
    out
}

/// Sends the preface, acknowledges the server's settings and waits for it to widen the connection's window. Only then may
/// more than 65,535 bytes follow, on the stream and on the connection.
pub fn open(client: &mut TlsClient) {
    client.send(&preface());
    loop {
        let got = read(client).expect("the server's settings");
        match got.kind {
            SETTINGS if got.flags & 1 == 0 => client.send(&frame(SETTINGS, 1, 0, &[])),
            WINDOW_UPDATE => return,
            _ => {}
        }
    }
}

/// A header block of literal fields that nobody indexes (RFC 7541 section 6.2.2).
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(&mut out, name.as_ref());
        text(&mut out, value.as_ref());
    }
    out
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        out.push(u8::try_from(text.len()).unwrap());
    } else {
        out.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend(text);
}

/// The next frame; `None` when the connection ends or is silent for too long.
pub fn read(client: &mut TlsClient) -> Option<Frame> {
    let mut head = [0; 9];
    client.stream.read_exact(&mut head).ok()?;
    let mut payload =
        vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap()];
    client.stream.read_exact(&mut payload).ok()?;
    Some(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

/// Whether the server ends the connection within a time, to a client that answers its pings and settings.
pub fn ends_within(client: &mut TlsClient, limit: Duration) -> bool {
    let began = Instant::now();
    let _ = client.stream.sock.set_read_timeout(Some(limit));
    while let Some(frame) = read(client) {
        if matches!(frame.kind, PING | SETTINGS) && frame.flags & 1 == 0 {
            let echo = if frame.kind == PING {
                &frame.payload[..]
            } else {
                &[]
            };
            client.send(&self::frame(frame.kind, 1, 0, echo));
        }
    }
    began.elapsed() < limit
}

/// The body of the answer on a stream; `None` when the stream is reset or the connection ends.
pub fn answer_body(client: &mut TlsClient, stream: u32) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let frame = read(client)?;
        if frame.kind == SETTINGS && frame.flags & 1 == 0 {
            client.send(&self::frame(SETTINGS, 1, 0, &[]));
        }
        if frame.kind == GOAWAY && frame.payload.get(4..8) != Some(&[0, 0, 0, 0]) {
            return None;
        }
        if frame.stream != stream {
            continue;
        }
        match frame.kind {
            RST_STREAM => return None,
            DATA => body.extend(&frame.payload),
            _ => {}
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            return Some(body);
        }
    }
}

/// The body of the answer on a stream, and the last stream that the server will take, if it has said so by then. Pings and settings
/// are answered.
pub fn answer_or_goaway(client: &mut TlsClient, stream: u32) -> (Option<Vec<u8>>, Option<u32>) {
    let (mut body, mut last) = (Vec::new(), None);
    while let Some(frame) = read(client) {
        match frame.kind {
            SETTINGS if frame.flags & 1 == 0 => client.send(&self::frame(SETTINGS, 1, 0, &[])),
            PING if frame.flags & 1 == 0 => client.send(&self::frame(PING, 1, 0, &frame.payload)),
            GOAWAY => {
                let said: [u8; 4] = frame.payload[..4].try_into().unwrap();
                last = Some(u32::from_be_bytes(said));
            }
            RST_STREAM if frame.stream == stream => return (None, last),
            DATA if frame.stream == stream => {
                body.extend(&frame.payload);
                if let Ok(room @ 1..) = u32::try_from(frame.payload.len()) {
                    client.send(&self::frame(WINDOW_UPDATE, 0, 0, &room.to_be_bytes()));
                }
            }
            _ => {}
        }
        let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0;
        if frame.stream == stream && ends {
            return (Some(body), last);
        }
    }
    (None, last)
}

/// The frames of a request on a stream.
pub fn request(wire: &Wire, stream: u32) -> Vec<u8> {
    let mut fields = vec![
        (":method".to_owned(), "POST".to_owned()),
        (":scheme".to_owned(), "https".to_owned()),
        (":authority".to_owned(), "localhost".to_owned()),
        (":path".to_owned(), wire.path.clone()),
    ];
    fields.extend(
        wire.headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone())),
    );
    let block = block(&fields);
    let mut out = Vec::new();
    for (n, part) in block.chunks(16_000).enumerate() {
        let last = (n + 1) * 16_000 >= block.len();
        let kind = if n == 0 { HEADERS } else { CONTINUATION };
        out.extend(frame(
            kind,
            if last { END_HEADERS } else { 0 },
            stream,
            part,
        ));
    }
    let parts: Vec<&[u8]> = wire.body.chunks(16_000).collect();
    for (n, part) in parts.iter().enumerate() {
        let flags = if n + 1 == parts.len() { END_STREAM } else { 0 };
        out.extend(frame(DATA, flags, stream, part));
    }
    out
}
