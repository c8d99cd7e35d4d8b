//! `triseal partners replace-certificate`: the partner's side of replacing one of its own certificates at the gateway that it calls.
//! Asks for a challenge, answers it with the new key, and says what is to be done next.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};

use crate::{
    clock::Clock,
    config::{Algorithm, Document, Mistakes, OwnCertificate, Report, Role, SecretRef},
    envelope::possession::{self, Claim, PossessionProblem, encoded},
    exchange::{Gateway, Snapshot, StartError, outward},
    keys::{self, KeyEntry, KeyError},
    refusal::Refusal,
    trust::{Certificate, CertificateError, Fingerprint},
    upstream::Outgoing,
};

/// Replace one of our own certificates at the gateway that we call.
///
/// The request goes through an upstream of the configuration, with the keys of [party] that are in use now. A new encryption
/// certificate must be in [party] before (messages are sealed to it at once); a new TLS or signature certificate is added there
/// afterwards (before, nobody would know it).
#[derive(Debug, Args)]
pub(super) struct Replace {
    /// The configuration of our own gateway.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: PathBuf,
    /// The upstream that is the other gateway; it must name a party.
    #[arg(long, value_name = "NAME")]
    upstream: String,
    /// Where the other gateway has its route for this.
    #[arg(long, value_name = "PATH", default_value = "/certificates")]
    path: String,
    /// What the certificate is for.
    #[arg(long, value_enum)]
    role: RoleWord,
    /// The new certificate, PEM, its issuers after it.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// A PKCS#12 key store with both, in place of the two.
    #[arg(long, value_name = "FILE", requires = "password_file", conflicts_with_all = ["certificate", "key"], required_unless_present = "certificate")]
    keystore: Option<PathBuf>,
    /// The file with the password of the key store.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The friendly name of the entry in the key store.
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// The signature algorithm to agree for the new key (role signature): RS256, PS256, ES256 or EdDSA.
    #[arg(long, value_name = "ALGORITHM", value_parser = algorithm)]
    algorithm: Option<Algorithm>,
    /// From when the new certificate is to hold (RFC 3339). Default: now.
    #[arg(long, value_name = "MOMENT")]
    valid_from: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleWord {
    /// The connection.
    Tls,
    /// The content.
    Encryption,
    /// The message.
    Signature,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Tls => Self::Tls,
            RoleWord::Encryption => Self::Encryption,
            RoleWord::Signature => Self::Signature,
        }
    }
}

fn algorithm(name: &str) -> Result<Algorithm, &'static str> {
    possession::algorithm(name).ok_or("use RS256, PS256, ES256 or EdDSA")
}

/// Why nothing was replaced, or why that is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplaceError {
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("the new certificate: {0}")]
    Certificate(#[from] CertificateError),
    #[error("there is no upstream `{0}` in the configuration")]
    Upstream(String),
    #[error(
        "the new encryption certificate is not in [party] yet. Add it there and reload the gateway first: the other side seals to it as soon as it is replaced"
    )]
    NotYetOurs,
    #[error(
        "the new {0} certificate is in [party] already, where it would be used before the other side knows it. Take it out, replace it, and add it then"
    )]
    TooSoon(&'static str),
    #[error("no answer that can be believed: {} ({})", .0.cause(), .0.code())]
    Call(Refusal),
    #[error("refused with {code}: {message} Correlation id: {id}")]
    Refused {
        code: String,
        message: String,
        id: String,
    },
    #[error("the other gateway's answer is not of the form: {0}")]
    Answer(&'static str),
    #[error("the challenge: {0}")]
    Possession(#[from] PossessionProblem),
    #[error("the new key: {0}")]
    Key(#[from] KeyError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Replace {
    pub(super) fn run(&self, clock: &Clock, output: &mut impl Write) -> Result<(), ReplaceError> {
        let (snapshot, _) = Gateway::read(&self.config, clock)?;
        let entry = self.entry()?;
        let leaf = entry.chain.first().cloned().unwrap_or_default();
        let leaf = Certificate::from_der(leaf)?;
        self.in_order(&snapshot, &leaf.fingerprint())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let done = runtime.block_on(self.replace(&snapshot, clock, &entry, leaf.fingerprint()))?;
        self.tell(&done, output)?;
        Ok(())
    }

    /// A certificate must be known to us before it is sealed to, and to the other side before we use it.
    fn in_order(&self, snapshot: &Snapshot, new: &Fingerprint) -> Result<(), ReplaceError> {
        let role = Role::from(self.role);
        let ours = snapshot.own().certificates().find_in(role, new).is_some();
        match (role, ours) {
            (Role::Encryption, false) => Err(ReplaceError::NotYetOurs),
            (Role::Tls | Role::Signature, true) => Err(ReplaceError::TooSoon(role.as_str())),
            _ => Ok(()),
        }
    }

    fn entry(&self) -> Result<KeyEntry, ReplaceError> {
        let here = std::env::current_dir()?;
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(|path| here.join(path));
        let raw = OwnCertificate {
            role: self.role.into(),
            certificate: absolute(&self.certificate),
            key: absolute(&self.key),
            keystore: absolute(&self.keystore),
            password: absolute(&self.password_file).map(|file| SecretRef {
                file: Some(file),
                env: None,
            }),
            alias: self.alias.clone(),
            anchors: Vec::new(),
            algorithm: None,
        };
        let document = Document::from_text("command line".as_ref(), String::new());
        let mut mistakes = Mistakes::default();
        let entry = keys::load(&raw, &mut Report::new(&document, &mut mistakes));
        entry.ok_or(ReplaceError::Mistakes(mistakes))
    }

    async fn replace(
        &self,
        snapshot: &Snapshot,
        clock: &Clock,
        entry: &KeyEntry,
        new: Fingerprint,
    ) -> Result<Map<String, Value>, ReplaceError> {
        let role = Role::from(self.role);
        let pem: String = entry.chain.iter().map(|der| pem(der)).collect();
        let mut question = json!({"role": role.as_str(), "certificate": pem});
        if let (Some(algorithm), Some(members)) = (self.algorithm, question.as_object_mut()) {
            members.insert("algorithm".to_owned(), json!(format!("{algorithm:?}")));
        }
        let asked = self.ask(snapshot, clock, "challenge", &question).await?;
        let text = |name: &'static str| {
            let text = asked.get(name).and_then(Value::as_str);
            text.ok_or(ReplaceError::Answer("a member is missing"))
        };
        let claim = Claim {
            audience: text("audience")?,
            partner: text("partner")?,
            role,
            algorithm: self.algorithm,
            certificate: new,
        };
        let proof = if role == Role::Encryption {
            claim.open(text("sealed")?, &entry.content_key()?)?
        } else {
            claim.prove(entry, text("nonce")?)?
        };
        let mut question = json!({
            "challenge": text("challenge")?, "certificate": pem, "proof": proof,
        });
        if let (Some(from), Some(members)) = (&self.valid_from, question.as_object_mut()) {
            members.insert("validFrom".to_owned(), json!(from));
        }
        let done = self.ask(snapshot, clock, "replacement", &question).await?;
        if done.get("certificate") == Some(&json!(encoded(&new))) {
            Ok(done)
        } else {
            Err(ReplaceError::Answer("it names another certificate"))
        }
    }

    async fn ask(
        &self,
        snapshot: &Snapshot,
        clock: &Clock,
        what: &str,
        question: &Value,
    ) -> Result<Map<String, Value>, ReplaceError> {
        let service = snapshot
            .upstream(&self.upstream)
            .ok_or_else(|| ReplaceError::Upstream(self.upstream.clone()))?;
        let json = HeaderValue::from_static("application/json");
        let outgoing = Outgoing {
            method: Method::POST,
            path_and_query: format!("{}/{what}", self.path.trim_end_matches('/')),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, json)]),
        };
        let body = Bytes::from(question.to_string());
        let called = outward::call_sealed(clock, snapshot, service, outgoing, body).await;
        let (answer, _) = called.map_err(ReplaceError::Call)?;
        let said: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| ReplaceError::Answer("it is no JSON"))?;
        let text = |name: &str| {
            let text = said.get(name).and_then(Value::as_str);
            text.unwrap_or("?").to_owned()
        };
        match said {
            Value::Object(said) if answer.status == http::StatusCode::OK => Ok(said),
            _ => Err(ReplaceError::Refused {
                code: text("code"),
                message: text("message"),
                id: text("correlationId"),
            }),
        }
    }

    fn tell(&self, done: &Map<String, Value>, output: &mut impl Write) -> io::Result<()> {
        let role = Role::from(self.role);
        let text = |of: &Map<String, Value>, name: &str| {
            let text = of.get(name).and_then(Value::as_str);
            text.unwrap_or("?").to_owned()
        };
        writeln!(
            output,
            "The {} certificate {} is bound from {} to {}.",
            role.as_str(),
            text(done, "certificate"),
            text(done, "validFrom"),
            text(done, "validUntil"),
        )?;
        let old = done.get("replaces").and_then(Value::as_array);
        for old in old.into_iter().flatten().filter_map(Value::as_object) {
            writeln!(
                output,
                "Beside it, {} holds until {}.",
                text(old, "certificate"),
                text(old, "validUntil"),
            )?;
        }
        let next = match role {
            Role::Encryption => {
                "Next: keep the old key in [party] until its end; messages that were sealed to it may still come."
            }
            Role::Tls | Role::Signature => {
                "Next: add the new certificate to [party], not before the moment from which it is bound, and reload. Take the old one out before its end."
            }
        };
        writeln!(output, "{next}")
    }
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
