//! Requests changed at random, from a fixed seed: whatever passes the gate, the exchange is given exactly as a
//! simple-minded reader would read it, however the bytes are cut.

use super::{
    Framing, HEAD_MAX, HEADERS_MAX, Stage, Step,
    served::{Seen, connect, limits},
};
use crate::refusal::Code;
use tokio::io::AsyncWriteExt as _;

const ROUNDS: usize = 3_000;

/// A small generator of numbers (xorshift), so that every run is the same.
struct Seed(u64);

impl Seed {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

const REQUESTS: [&str; 6] = [
    "GET /a?b=c HTTP/1.1\r\nHost: gate.example\r\nAccept: */*\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: gate.example:443\r\nContent-Length: 11\r\nX-Note: a\tb\r\n\r\nhello world",
    "PUT /c HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
    "POST /d HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    "DELETE /e/f HTTP/1.1\r\nConnection: keep-alive\r\nHost: [::1]:1\r\nX:\r\n\r\n",
    "POST /g HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

const PIECES: [&[u8]; 30] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"0",
    b"1",
    b"5",
    b"\x80",
    b"/",
    b"_",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: x\r\n",
    b"Host: x\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b";a=b",
    b"HTTP/1.0",
    b"http://x/",
    b"#",
    b"Upgrade: h2c\r\n",
    b"+",
    b"\x0b",
    b"Content-Length: 0\r\n",
];

/// One or two changes of a connection's bytes: a bit, a byte less, a piece more, a part twice, an end cut off.
fn mutate(bytes: &mut Vec<u8>, seed: &mut Seed) {
    for _ in 0..=seed.below(2) {
        if bytes.is_empty() {
            return;
        }
        let at = seed.below(bytes.len());
        match seed.below(6) {
            0 => bytes[at] ^= 1 << seed.below(8),
            1 => {
                bytes.remove(at);
            }
            2 | 3 => {
                let piece = seed.pick(&PIECES);
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let end = (at + 1 + seed.below(20)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.truncate(at),
        }
    }
}

/// What the machine reads out of a connection, byte by byte.
fn reading(bytes: &[u8]) -> (Vec<Seen>, Option<Code>) {
    let mut machine = Framing::new(HEAD_MAX, HEADERS_MAX);
    let (mut seen, mut held, mut body) = (Vec::<Seen>::new(), Vec::new(), Vec::new());
    'bytes: for byte in bytes {
        held.push(*byte);
        loop {
            let length = match machine.step(&held) {
                Ok(Step::More) => break,
                Err(_) => break 'bytes,
                Ok(Step::Head(length)) => {
                    seen.push(head(&held));
                    body.clear();
                    length
                }
                Ok(Step::Content(length)) => {
                    body.extend_from_slice(&held[..length]);
                    length
                }
                Ok(Step::Mark(length)) => length,
            };
            held.drain(..length);
            if machine.stage() == Stage::Between {
                seen.last_mut().unwrap().body = Ok(std::mem::take(&mut body));
            }
        }
    }
    machine.end();
    if let Some(last) = seen.last_mut()
        && machine.stage() == Stage::Body
    {
        last.body = Err(machine.refused());
    }
    (seen, machine.refused())
}

/// A head that passed, read in the most simple-minded way.
fn head(bytes: &[u8]) -> Seen {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut lines = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    let line = lines
        .next()
        .unwrap()
        .strip_suffix(" HTTP/1.1")
        .unwrap()
        .to_owned();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim_matches([' ', '\t']);
        (name.to_ascii_lowercase(), value.as_bytes().to_vec())
    });
    Seen {
        line,
        headers: headers.collect(),
        body: Ok(Vec::new()),
    }
}

fn sorted(mut seen: Vec<Seen>) -> Vec<Seen> {
    // The header map keeps the order of equal names only.
    for one in &mut seen {
        one.headers.sort_by(|a, b| a.0.cmp(&b.0));
    }
    seen
}

#[tokio::test]
async fn the_exchange_is_given_what_passes_and_nothing_of_a_bad_head() {
    let mut seed = Seed(0x7269_7365_616c);
    let (mut refused, mut whole) = (0, 0);
    for round in 0..ROUNDS {
        let count = 1 + seed.below(3);
        let mut bytes: Vec<u8> = (0..count)
            .flat_map(|_| seed.pick(&REQUESTS).bytes())
            .collect();
        mutate(&mut bytes, &mut seed);
        let (expected, code) = reading(&bytes);

        let mut connection = connect(limits());
        let cut = seed.below(bytes.len() + 1);
        let (first, second) = bytes.split_at(cut);
        connection.client.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        // The server may have refused and gone by then.
        let _ = connection.client.write_all(second).await;
        let _ = connection.client.shutdown().await;
        let (text, seen, ended) = connection.read_out().await;

        let context = format!("round {round}: {}", bytes.escape_ascii());
        // After an answer that closes, the rest is left unread.
        let closes = |one: &Seen| {
            one.headers
                .iter()
                .any(|(name, value)| name == "connection" && value.eq_ignore_ascii_case(b"close"))
        };
        assert!(
            !expected.iter().any(closes),
            "no request of this test closes"
        );
        assert_eq!(sorted(seen), sorted(expected.clone()), "{context}");
        assert_eq!(ended.refused, code, "{context}");
        let finals = text.matches("HTTP/1.1 ").count() - text.matches("HTTP/1.1 100 ").count();
        let by_gate = text.matches("x-triseal-code: ").count();
        assert_eq!(finals, expected.len() + by_gate, "{context}\n{text}");
        assert_eq!(by_gate == 1, ended.answered, "{context}\n{text}");
        let in_body = expected.last().is_some_and(|last| last.body.is_err());
        assert_eq!(
            ended.answered,
            code.is_some() && !in_body,
            "{context}\n{text}"
        );
        if code.is_some() {
            refused += 1
        } else {
            whole += 1
        }
    }
    assert!(
        refused > ROUNDS / 2 && whole > ROUNDS / 50,
        "{refused} refused, {whole} passed"
    );
}
