//! The bare cryptography of one sealed exchange, in a loop and nothing else: the ceiling the gateway is compared with.
//!
//! It runs in a process of its own on the servers' core, so that its time is counted as theirs is.

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use aes_gcm::KeyInit;
use aws_lc_rs::{
    rand,
    rsa::{OaepPrivateDecryptingKey, OaepPublicEncryptingKey},
    signature::{ParsedPublicKey, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use triseal::clock::Clock;

use crate::{
    jose, machine,
    partner::{self, MosipGcm, Partner, Sealed},
    pki::{self, Pki},
    upstream,
};

/// Whose cryptography.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exchange {
    /// An eKYC exchange in MOSIP's own form.
    Mosip,
    /// The envelope `jose` with RSA-2048.
    JoseRsa,
    /// The same with P-256.
    JoseP256,
}

/// What the loop did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bare {
    pub exchanges: u64,
    pub cpu_s: f64,
    pub wall_s: f64,
}

impl Bare {
    pub fn per_cpu_s(&self) -> f64 {
        self.exchanges as f64 / self.cpu_s
    }

    pub fn per_wall_s(&self) -> f64 {
        self.exchanges as f64 / self.wall_s
    }

    /// What a loop does for so long that is started for it.
    pub async fn alone(core: u32, pki: &Pki, exchange: Exchange, window: Duration) -> Self {
        let mut running = Running::start(core, pki, exchange).await;
        running.turn(window).await;
        running.end().await
    }
}

/// The loop, in a child process that waits for its turns.
pub struct Running {
    child: Child,
    turns: ChildStdin,
    /// Lent to whoever waits for the end of a turn.
    done: Option<BufReader<ChildStdout>>,
    so_far: Turns,
    /// Its processor time before the first turn.
    before: f64,
}

/// What the child says after each turn. Its processor time is read from outside while it waits: what the kernel says of a process that
/// runs is as old as the last tick, two of a turn's hundred milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Turns {
    exchanges: u64,
    wall_s: f64,
}

/// After a line from the child, until it waits for the next turn.
const SETTLED: Duration = Duration::from_millis(10);

impl Running {
    /// Starts it on `core`; it is warm when this returns.
    pub async fn start(core: u32, pki: &Pki, exchange: Exchange) -> Self {
        let mut child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(std::env::current_exe().unwrap())
            .arg("--bare-crypto")
            .arg(pki.folder())
            .args([
                "--exchange",
                exchange.to_possible_value().unwrap().get_name(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self {
            turns: child.stdin.take().unwrap(),
            done: child.stdout.take().map(BufReader::new),
            child,
            so_far: Turns::default(),
            before: 0.0,
        };
        running.heard().await;
        running.before = running.cpu_s().await;
        running
    }

    /// Lets it work for so long.
    pub async fn turn(&mut self, window: Duration) {
        writeln!(self.turns, "{}", window.as_secs_f64()).unwrap();
        self.heard().await;
    }

    /// Waits for the child's next line.
    async fn heard(&mut self) {
        let mut done = self.done.take().unwrap();
        let (line, done) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            done.read_line(&mut line).unwrap();
            (line, done)
        })
        .await
        .unwrap();
        self.done = Some(done);
        self.so_far = serde_json::from_str(&line).expect("the bare cryptography works");
    }

    async fn cpu_s(&self) -> f64 {
        tokio::time::sleep(SETTLED).await;
        machine::cpu_s(&[self.child.id()])
    }

    /// Ends it: what it did in all its turns.
    pub async fn end(mut self) -> Bare {
        let cpu_s = self.cpu_s().await - self.before;
        drop(self.turns);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        Bare {
            exchanges: self.so_far.exchanges,
            cpu_s,
            wall_s: self.so_far.wall_s,
        }
    }
}

/// The child's whole work: a line when it is warm, then for each line a turn of so many seconds, and a line with what it did so far.
pub fn run(pki: &Path, exchange: Exchange) {
    let pki = Pki::at(pki);
    let once: Box<dyn Fn()> = match exchange {
        Exchange::Mosip => {
            let exchange = Mosip::new(&pki);
            Box::new(move || exchange.once())
        }
        Exchange::JoseRsa | Exchange::JoseP256 => {
            let exchange = jose::Bare::new(&pki, exchange);
            Box::new(move || exchange.once())
        }
    };
    for _ in 0..20 {
        once();
    }
    let mut so_far = Turns::default();
    let say = |so_far: &Turns| println!("{}", serde_json::to_string(so_far).unwrap());
    say(&so_far);
    for line in std::io::stdin().lines() {
        let seconds: f64 = line.unwrap().parse().unwrap();
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds {
            once();
            so_far.exchanges += 1;
        }
        so_far.wall_s += start.elapsed().as_secs_f64();
        say(&so_far);
    }
}

/// Keys and messages, all parsed and built beforehand.
struct Mosip {
    partner_signature: ParsedPublicKey,
    encryption: OaepPrivateDecryptingKey,
    partner_encryption: OaepPublicEncryptingKey,
    signature: RsaKeyPair,
    message: Sealed,
    signed: Vec<u8>,
    signature_value: Vec<u8>,
    identity: String,
    /// As long as what is signed in a sealed answer.
    answer: Vec<u8>,
}

impl Mosip {
    fn new(pki: &Pki) -> Self {
        let message = Partner::new(pki).seal(Clock::system().now());
        let (protected, value) = message.signature.split_once("..").unwrap();
        let identity = upstream::identity();
        Self {
            partner_signature: partner::verifying_key(pki, pki::PARTNER_SIGNATURE),
            encryption: OaepPrivateDecryptingKey::new(partner::private_key(
                pki,
                pki::GATEWAY_ENCRYPTION,
            ))
            .unwrap(),
            partner_encryption: partner::wrapping_key(pki, pki::PARTNER_ENCRYPTION),
            signature: partner::signing_key(pki, pki::GATEWAY_SIGNATURE),
            signed: partner::signing_input(protected, &message.body),
            signature_value: base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(value)
                .unwrap(),
            answer: answer_to_sign(pki, identity.len()),
            identity,
            message,
        }
    }

    /// Verify, unwrap, open twice, wrap, seal, sign.
    fn once(&self) {
        self.partner_signature
            .verify_sig(black_box(&self.signed), &self.signature_value)
            .unwrap();
        let key = partner::unwrap(&self.encryption, black_box(&self.message.wrapped_key));
        let cipher = MosipGcm::new_from_slice(&key).unwrap();
        black_box(partner::decrypt(&cipher, &self.message.hmac).unwrap());
        black_box(partner::decrypt(&cipher, &self.message.request).unwrap());

        let mut fresh = [0; 32];
        rand::fill(&mut fresh).unwrap();
        black_box(partner::wrap(&self.partner_encryption, &fresh));
        let cipher = MosipGcm::new(&fresh.into());
        black_box(partner::encrypt(&cipher, self.identity.as_bytes()));
        black_box(partner::sign(&self.signature, black_box(&self.answer)));
    }
}

/// Base64url of the protected header with its certificate, and of a body that holds the sealed identity.
fn answer_to_sign(pki: &Pki, identity: usize) -> Vec<u8> {
    let x5c = STANDARD.encode(pki.certificate(pki::GATEWAY_SIGNATURE));
    let header = x5c.len() + 100;
    let body = (identity + partner::TAG + partner::NONCE + 256) * 4 / 3 + 400;
    vec![b'a'; (header + body) * 4 / 3]
}
