//! Ten thousand seeded mutations of valid requests against a running gateway: bytes, headers, JOSE parts, members, lengths.
//! Each ends in a refusal or, where it was harmless, in a right answer; the process stays, quick and small.
//!
//! `TRISEAL_SEED=n` repeats a run.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    forge::{Forger, assert_signed},
    harness::{Answer, Ask, Site, TlsClient, Wire},
};

const MUTATIONS: usize = 10_000;
const WORKERS: usize = 2;
/// Longer than any of the gateway's answers to a caller that has said all it will say.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a caller that might be expected to say more waits before it ends.
const PATIENCE: Duration = Duration::from_millis(400);
const GROWTH_MAX_KIB: u64 = 30 * 1024;

/// xorshift64*: small, seeded, the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// A mutated request: well framed ones leave the connection usable.
struct Mutant {
    bytes: Vec<u8>,
    framed: bool,
    /// Fewer bytes than announced may have been sent: nothing comes before the caller ends.
    short: bool,
    what: &'static str,
}

impl Mutant {
    const fn framed(bytes: Vec<u8>, what: &'static str) -> Self {
        Self {
            bytes,
            framed: true,
            short: false,
            what,
        }
    }

    const fn raw(bytes: Vec<u8>, short: bool, what: &'static str) -> Self {
        Self {
            bytes,
            framed: false,
            short,
            what,
        }
    }
}

/// One round of changes to a text of bytes; says whether it became shorter.
fn scramble(dice: &mut Dice, bytes: &mut Vec<u8>) -> bool {
    let before = bytes.len();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            2 => {
                let end = (at + 1 + dice.below(40)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            3 => {
                let new: Vec<u8> = (0..=dice.below(20)).map(|_| dice.byte()).collect();
                bytes.splice(at..at, new);
            }
            4 => {
                let end = (at + 1 + dice.below(60)).min(bytes.len());
                let copy = bytes[at.min(end)..end].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.len() < before
}

/// Bytes of the whole request, framing and all.
fn raw(dice: &mut Dice, wire: &Wire) -> Mutant {
    let mut bytes = wire.http1();
    if dice.one_in(3) {
        // Lengths: what is announced and what comes are two things.
        let real = wire.body.len();
        let lies = [0, 1, real - 1, real + 1, real * 2, 1 << 20, 1 << 40];
        let lie = *dice.pick(&lies);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let spelt = match dice.below(5) {
            0 => format!("Content-Length: +{real}"),
            1 => format!("Content-Length: {real}, {real}"),
            2 => format!("Content-Length: {real}\r\nContent-Length: {lie}"),
            3 => format!("Transfer-Encoding: chunked\r\nContent-Length: {real}"),
            _ => format!("Content-Length: {lie}"),
        };
        let new = text.replacen(&format!("Content-Length: {real}"), &spelt, 1);
        return Mutant::raw(new.into_bytes(), lie > real, "lengths");
    }
    let short = scramble(dice, &mut bytes);
    Mutant::raw(bytes, short, "bytes")
}

/// Header fields: twice, gone, swapped, renamed, of other letters.
fn header(dice: &mut Dice, mut wire: Wire) -> Mutant {
    let at = dice.below(wire.headers.len());
    match dice.below(6) {
        0 => wire.headers.push(wire.headers[at].clone()),
        1 => drop(wire.headers.remove(at)),
        2 => {
            let other = dice.below(wire.headers.len());
            let value = wire.headers[other].1.clone();
            wire.headers[at].1 = value;
        }
        3 => wire.headers[at].0 = wire.headers[at].0.replace(['-', 'a'], "_"),
        4 => {
            let name = *dice.pick(&[
                "X-Triseal-Partner",
                "Connection",
                "Upgrade",
                "Expect",
                "TE",
                "Trailer",
                "Host",
                "Transfer-Encoding",
                "X-Correlation-Id",
                "Content-Encoding",
                "X-Forwarded-For",
                "Proxy-Connection",
                "Keep-Alive",
                "Cookie",
            ]);
            let value = *dice.pick(&[
                "chunked",
                "crvs",
                "100-continue",
                "close",
                "signature",
                "gzip",
                "websocket",
                "",
                "localhost",
            ]);
            wire.headers.push((name.to_owned(), value.to_owned()));
            if matches!(
                name,
                "Transfer-Encoding" | "Expect" | "Upgrade" | "Connection"
            ) {
                return Mutant::raw(wire.http1(), false, "headers");
            }
        }
        _ => {
            let mut value = wire.headers[at].1.clone().into_bytes();
            scramble(dice, &mut value);
            let clean: Vec<u8> = value
                .into_iter()
                .filter(|b| *b != b'\r' && *b != b'\n')
                .collect();
            wire.headers[at].1 = String::from_utf8_lossy(&clean).into_owned();
        }
    }
    Mutant::framed(wire.http1(), "headers")
}

/// The path's segments.
fn path(dice: &mut Dice, mut wire: Wire) -> Mutant {
    let mut segments: Vec<String> = wire.path.split('/').skip(1).map(str::to_owned).collect();
    let at = dice.below(segments.len());
    match dice.below(6) {
        0 => drop(segments.remove(at)),
        1 => segments.insert(at, segments[at].clone()),
        2 => {
            let other = dice.below(segments.len());
            segments.swap(at, other);
        }
        3 => {
            let new = *dice.pick(&[
                "..", ".", "", "%2e%2e", "%2f", "swagger", "a;b", "crvs%00", "%", "\u{e9}", "?x=1",
                "kyc", "otp",
            ]);
            new.clone_into(&mut segments[at]);
        }
        4 => segments[at] = segments[at].repeat(1 + dice.below(200)),
        _ => {
            let mut text = segments[at].clone().into_bytes();
            scramble(dice, &mut text);
            let clean = text
                .into_iter()
                .filter(|b| !b.is_ascii_whitespace() && !b.is_ascii_control())
                .collect();
            segments[at] = String::from_utf8(clean).unwrap_or_default();
        }
    }
    wire.path = format!("/{}", segments.join("/"));
    Mutant::framed(wire.http1(), "path")
}

/// The parts of the JWS.
fn jose(dice: &mut Dice, wire: Wire) -> Mutant {
    let text = wire.header_value("signature").to_owned();
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    match dice.below(7) {
        0 => parts.swap(0, 2),
        1 => parts[1] = URL_SAFE_NO_PAD.encode(&wire.body),
        2 => {
            // The header's JSON, encoded again: canonical base64url of something else.
            let mut json = URL_SAFE_NO_PAD.decode(&parts[0]).unwrap();
            scramble(dice, &mut json);
            parts[0] = URL_SAFE_NO_PAD.encode(json);
        }
        3 => {
            let mut json: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[0]).unwrap()).unwrap();
            let name = *dice.pick(&["alg", "x5c", "kid", "x5t#S256", "crit", "b64", "jwk", "zip"]);
            json[name] = dice
                .pick(&[
                    json!(null),
                    json!("none"),
                    json!("PS256"),
                    json!([]),
                    json!([""]),
                    json!(false),
                    json!({"a": [1]}),
                    json!(""),
                ])
                .clone();
            parts[0] = URL_SAFE_NO_PAD.encode(json.to_string());
        }
        4 => {
            let mut signature = URL_SAFE_NO_PAD.decode(&parts[2]).unwrap();
            scramble(dice, &mut signature);
            parts[2] = URL_SAFE_NO_PAD.encode(signature);
        }
        5 => {
            let at = dice.below(3);
            parts.insert(at, String::new());
        }
        _ => {
            let at = dice.below(text.len());
            let letter = *dice.pick(&["=", "+", "/", ".", "-", "_", "A", " "]);
            let new = format!("{}{letter}{}", &text[..at], &text[at + dice.below(2)..]);
            return Mutant::framed(wire.header("signature", &new).http1(), "jose");
        }
    }
    Mutant::framed(wire.header("signature", &parts.join(".")).http1(), "jose")
}

/// The body under the old signature, or signed again by the partner so that what lies behind the signature is reached.
fn body(dice: &mut Dice, wire: Wire, signed_again: Option<&Forger>) -> Mutant {
    let mut bytes = wire.body.clone();
    if dice.one_in(3) {
        scramble(dice, &mut bytes);
    } else {
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        member(dice, &mut value);
        bytes = value.to_string().into_bytes();
        if dice.one_in(8) {
            // A name twice.
            bytes.splice(1..1, b"\"id\":\"mosip.identity.auth\",".iter().copied());
        }
    }
    let what = if signed_again.is_some() {
        "body, signed again"
    } else {
        "body"
    };
    let mut wire = wire;
    if let Some(forger) = signed_again {
        let signature = forger.jws(&forger.header(), &bytes);
        wire = wire.header("signature", &signature);
    }
    wire.body = bytes;
    Mutant::framed(wire.http1(), what)
}

fn member(dice: &mut Dice, value: &mut Value) {
    let object = value.as_object_mut().unwrap();
    let names: Vec<String> = object.keys().cloned().collect();
    let (name, other) = (dice.pick(&names).clone(), dice.pick(&names).clone());
    match dice.below(5) {
        0 => drop(object.remove(&name)),
        1 => {
            let (a, b) = (object[&name].clone(), object[&other].clone());
            object.insert(name, b);
            object.insert(other, a);
        }
        2 => {
            let new = dice
                .pick(&[
                    json!(null),
                    json!(""),
                    json!(0),
                    json!(-1),
                    json!(1e300),
                    json!([]),
                    json!({}),
                    json!(true),
                    json!([[[[]]]]),
                ])
                .clone();
            object.insert(name, new);
        }
        3 => drop(object.insert(format!("{name}x"), object[&name].clone())),
        _ => {
            if let Some(text) = object[&name].as_str() {
                // Sealed members: other bytes in canonical base64url; others: other letters.
                let decoded = URL_SAFE_NO_PAD.decode(text).ok().filter(|d| d.len() > 20);
                let sealed = decoded.is_some();
                let mut bytes = decoded.unwrap_or_else(|| text.as_bytes().to_vec());
                scramble(dice, &mut bytes);
                let new = if sealed {
                    URL_SAFE_NO_PAD.encode(bytes)
                } else {
                    String::from_utf8_lossy(&bytes).into_owned()
                };
                object.insert(name, new.into());
            }
        }
    }
}

fn mutate(dice: &mut Dice, wire: Wire, forger: &Forger) -> Mutant {
    match dice.below(20) {
        0..5 => raw(dice, &wire),
        5..8 => header(dice, wire),
        8..10 => path(dice, wire),
        10..13 => jose(dice, wire),
        13..16 => body(dice, wire, None),
        16..19 => body(dice, wire, Some(forger)),
        _ => Mutant::framed(wire.http1(), "nothing"),
    }
}

/// Everything that comes back, and whether the connection can be used on. Panics when the gateway takes too long.
fn answers(client: &mut TlsClient, mutant: &Mutant) -> (Vec<Answer>, bool) {
    client.send(&mutant.bytes);
    if mutant.framed {
        let answer = client.answer();
        let open = answer
            .as_ref()
            .is_some_and(|a| a.header("connection") != Some("close"));
        return (answer.into_iter().collect(), open);
    }
    let mut got = Vec::new();
    if !mutant.short {
        client.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        if let Some(answer) = client.answer() {
            got.push(answer);
        }
    }
    client.stream.conn.send_close_notify();
    let _ = client.stream.flush();
    let _ = client.stream.sock.shutdown(Shutdown::Write);
    client.stream.sock.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut rest = Vec::new();
    if let Err(error) = client.stream.read_to_end(&mut rest) {
        let waited = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(
            !waited,
            "{}: the gateway keeps a connection that has ended",
            mutant.what
        );
    }
    let mut rest = rest.as_slice();
    while let Some(answer) = Answer::read(&mut rest) {
        got.push(answer);
    }
    (got, false)
}

/// Refused, or right: nothing between.
fn judge(site: &Site, mutant: &Mutant, answer: &Answer) -> String {
    let code = answer.code();
    let text = || format!("{}: {} {}", mutant.what, answer.status, answer.text());
    if code != "-" {
        assert!(
            !code.starts_with("GW-") && !code.starts_with("UP-"),
            "a fault: {}",
            text()
        );
        assert!(
            answer.status >= 400 || !answer.mosip_codes().is_empty(),
            "{}",
            text()
        );
        assert!(!answer.says_yes(), "{}", text());
        assert_eq!(
            answer.json()["response"].get("identity"),
            None,
            "{}",
            text()
        );
        return code;
    }
    // Framing that the HTTP library itself refuses has no body of ours.
    if answer.status == 400 && answer.body.is_empty() {
        return "400".to_owned();
    }
    assert_eq!(answer.status, 200, "{}", text());
    assert_signed(answer, &site.party("misp"));
    let json = answer.json();
    let asked = String::from_utf8_lossy(&mutant.bytes);
    let transaction = json["transactionID"].as_str().unwrap();
    assert!(
        asked.contains(transaction),
        "another transaction: {}",
        text()
    );
    "answered".to_owned()
}

/// One worker: a good message now and then, and many a bad copy of it.
fn work(
    site: &Site,
    seed: u64,
    count: usize,
    after_first_tenth: &dyn Fn(),
) -> BTreeMap<String, usize> {
    let mut dice = Dice(seed | 1);
    let forger = Forger::load(&site.party("crvs"), "signature");
    let auth = site.auth();
    // Somebody whom no other test asks for passwords.
    let otp = site.auth().otp().set("individualId", "2753124866".into());
    let asks: [Ask; 3] = [auth.clone(), auth.kyc(), otp];
    let (config, name) = site.client().config();
    let connect = || TlsClient::connect(&config, &name, site.partner_face()).unwrap();
    let mut client = connect();
    let mut tally = BTreeMap::new();
    let mut base = asks[0].again().wire();
    for n in 0..count {
        if n % 50 == 0 || dice.one_in(4) {
            base = dice.pick(&asks).again().wire();
        }
        let mutant = mutate(&mut dice, base.clone(), &forger);
        let began = Instant::now();
        client.stream.sock.set_read_timeout(Some(DEADLINE)).unwrap();
        let (got, open) = answers(&mut client, &mutant);
        assert!(
            began.elapsed() < DEADLINE,
            "{}: {:?}",
            mutant.what,
            began.elapsed()
        );
        if got.is_empty() {
            // A framed request is always answered; only a torn one may end in silence.
            assert!(!mutant.framed, "{}: no answer", mutant.what);
            *tally.entry("closed".to_owned()).or_insert(0) += 1;
        }
        for answer in &got {
            *tally.entry(judge(site, &mutant, answer)).or_insert(0) += 1;
        }
        if !open {
            client = connect();
        }
        if n == count / 10 {
            after_first_tenth();
        }
    }
    tally
}

#[test]
fn ten_thousand_mutations_end_in_a_refusal_or_a_right_answer() {
    let seed = std::env::var("TRISEAL_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| {
            let mut random = [0; 8];
            aws_lc_rs::rand::fill(&mut random).unwrap();
            u64::from_le_bytes(random)
        });
    println!("TRISEAL_SEED={seed}");
    let site = Site::misp_running("mutations");
    let process = site.misp().process();
    let early = std::sync::atomic::AtomicU64::new(0);
    let began = Instant::now();
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|n| {
                let (site, early) = (&site, &early);
                scope.spawn(move || {
                    let mark = || {
                        early.fetch_max(
                            site.misp().process().resident_kib(),
                            std::sync::atomic::Ordering::Relaxed,
                        );
                    };
                    work(
                        site,
                        seed.wrapping_add(n as u64 * 0x9E37_79B9),
                        MUTATIONS / WORKERS,
                        &mark,
                    )
                })
            })
            .collect();
        for worker in workers {
            let part = worker
                .join()
                .unwrap_or_else(|_| panic!("TRISEAL_SEED={seed}"));
            for (outcome, count) in part {
                *tally.entry(outcome).or_insert(0) += count;
            }
        }
    });
    let early = early.into_inner();
    println!(
        "{tally:?} in {:?}; {early} KiB after a tenth, {} KiB at the end",
        began.elapsed(),
        process.resident_kib()
    );
    assert!(process.runs());
    let log = process.err();
    assert!(!log.to_ascii_lowercase().contains("panic"), "{log}");
    assert!(
        tally.get("answered").copied().unwrap_or(0) > 100,
        "harmless ones are answered: {tally:?}"
    );
    assert!(tally.len() > 15, "many rooms are reached: {tally:?}");
    assert!(process.resident_kib() < early + GROWTH_MAX_KIB, "it grew");
    assert!(site.ask(&site.auth()).says_yes(), "and it works on");
}
