//! `triseal evidence witness`: a log may only be added to.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Place, Problem, check::anchor_of, read};
use crate::{
    cli::output::say,
    clock::Clock,
    evidence::{
        assemble,
        bundle::{hash, shown},
        merkle::{self, Hash, Subtrees},
        reader::{Log, ReadError},
        verify::Head,
    },
    trust::{Certificate, certificates_from_file},
};

/// The largest file of heads and proofs that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// A running gateway's tree files follow its newest head within so many seconds; beyond that, records are missing.
const PATIENCE_S: u32 = 5;

#[derive(Debug, Args)]
pub(super) struct Witness {
    #[command(flatten)]
    place: Place,
    /// The file in which the last head is remembered; made by the first run.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// An answer of the gateway to GET /evidence/consistency, in place of a folder.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "folder", "quick"])]
    fetched: Option<PathBuf>,
    /// A PEM file with the CA certificates below which the gateway's certificate stands.
    #[arg(long, value_name = "FILE", required = true)]
    anchor: Vec<PathBuf>,
    /// The organisation whose log it must be, as in its certificate.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// A file with the certificate that signs the heads, where the log's folder does not have it.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Do not hash every record: trust the tree's files beside them.
    #[arg(long)]
    quick: bool,
}

/// What is remembered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    log: String,
    size: u64,
    root: String,
    head: String,
}

/// What the gateway's face gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetched {
    head: String,
    certificate: String,
    #[serde(default)]
    from: u64,
    #[serde(default)]
    proof: Vec<String>,
}

/// Where a newer head comes from, and what proves that it extends the older one.
enum Source {
    Folder(Log),
    Fetched(Fetched),
}

pub(super) fn witness(args: &Witness, clock: &Clock) -> Result<(), Problem> {
    let before = remembered(&args.state)?;
    let source = match &args.fetched {
        Some(file) => Source::Fetched(
            serde_json::from_slice(&read(file, FILE_MAX)?)
                .map_err(|e| Problem::Form(format!("{}: {e}", file.display())))?,
        ),
        None => Source::Folder(args.place.log()?),
    };
    let text = newest(&source)?;
    let head =
        Head::read(&text).map_err(|what| broken(format!("the log's newest head: {what}")))?;
    signed(args, &source, &text, &head, clock)?;
    if let Source::Folder(log) = &source
        && log.id() != head.log
    {
        return Err(broken("the folder says it is another log than its head"));
    }
    match &before {
        None => {
            if let Source::Folder(log) = &source {
                own_root(log, &head, args.quick)?;
            }
            say(format_args!(
                "first head of log {}: {} records",
                head.log, head.size
            ));
        }
        Some(before) => {
            extends(before, &source, &head, args.quick)?;
            say(format_args!(
                "log {} still has all {} records it had, and {} more",
                head.log,
                before.size,
                head.size.saturating_sub(before.size)
            ));
        }
    }
    say(format_args!(
        "the next run wants a proof from {} on",
        head.size
    ));
    remember(&args.state, &text, &head)
}

fn broken(what: impl Into<String>) -> Problem {
    Problem::Broken(what.into())
}

fn remembered(file: &Path) -> Result<Option<Remembered>, Problem> {
    if !file.exists() {
        return Ok(None);
    }
    let bytes = read(file, FILE_MAX)?;
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|e| {
        Problem::Form(format!(
            "{}: {e}; it is what this witness knows, so restore it",
            file.display()
        ))
    })
}

fn remember(file: &Path, text: &str, head: &Head) -> Result<(), Problem> {
    let remembered = Remembered {
        log: head.log.clone(),
        size: head.size,
        root: shown(&head.root),
        head: text.to_owned(),
    };
    let problem = |e: io::Error| Problem::File(file.to_path_buf(), e);
    let text = serde_json::to_vec_pretty(&remembered).map_err(|e| problem(e.into()))?;
    let new = file.with_extension("new");
    fs::write(&new, text).map_err(problem)?;
    fs::rename(new, file).map_err(problem)
}

fn newest(source: &Source) -> Result<String, Problem> {
    match source {
        Source::Fetched(fetched) => Ok(fetched.head.clone()),
        Source::Folder(log) => {
            for _ in 0..PATIENCE_S {
                if let Some(text) = log.last_head()?
                    && Head::read(&text).is_ok_and(|head| log.size().is_ok_and(|n| head.size <= n))
                {
                    return Ok(text);
                }
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            let last = log.last_head()?;
            last.ok_or_else(|| Problem::Form("the log has no signed head yet".to_owned()))
        }
    }
}

/// The head bears the signature of a certificate below the anchors.
fn signed(
    args: &Witness,
    source: &Source,
    text: &str,
    head: &Head,
    clock: &Clock,
) -> Result<(), Problem> {
    let certificate = match (&args.certificate, source) {
        (Some(file), _) => {
            let read = certificates_from_file(file);
            let read = read.map_err(|e| Problem::Certificate(file.clone(), e))?;
            read.into_iter().find(|c| c.fingerprint() == head.signer)
        }
        (None, Source::Folder(log)) => assemble::certificate(log.folder(), &head.signer)
            .and_then(|der| Certificate::from_der(der).ok()),
        (None, Source::Fetched(fetched)) => (STANDARD.decode(&fetched.certificate).ok())
            .and_then(|der| Certificate::from_der(der).ok())
            .filter(|c| c.fingerprint() == head.signer),
    };
    let Some(certificate) = certificate else {
        let what = format!(
            "the certificate {} that signed the head is not at hand; give it with --certificate",
            head.signer
        );
        return Err(Problem::Form(what));
    };
    if !Head::signed_by(text, &certificate) {
        return Err(broken("the newest head does not bear its signature"));
    }
    if head.time > clock.now().plus_ms(300_000) {
        return Err(broken("the newest head is signed in the future"));
    }
    if let Some(wanted) = &args.organisation
        && certificate.organisation() != Some(wanted)
    {
        return Err(broken(format!(
            "the head was not signed for the organisation `{wanted}`"
        )));
    }
    let path = anchor_of(&args.anchor)?.signature_path(&certificate, head.time);
    path.map(drop)
        .map_err(|why| broken(format!("`{}`: {why}", certificate.subject())))
}

/// The folder's records hash to the head's root.
fn own_root(log: &Log, head: &Head, quick: bool) -> Result<(), Problem> {
    let root = if quick {
        merkle::root(log, head.size)?
    } else {
        merkle::root(&hashed(log, head.size)?, head.size)?
    };
    if root == head.root {
        Ok(())
    } else {
        Err(broken(
            "the records do not hash to the newest signed head: the log was rewritten",
        ))
    }
}

fn extends(before: &Remembered, source: &Source, head: &Head, quick: bool) -> Result<(), Problem> {
    if before.log != head.log {
        return Err(broken(format!(
            "this is log {}, the one before was {}",
            head.log, before.log
        )));
    }
    if head.size < before.size {
        let what = format!(
            "the log had {} records and has {}: it was cut",
            before.size, head.size
        );
        return Err(broken(what));
    }
    let root = hash(&before.root)
        .ok_or_else(|| Problem::Form("the remembered root is no hash".to_owned()))?;
    let proof = match source {
        Source::Folder(log) if quick => merkle::consistency(log, before.size, head.size)?,
        Source::Folder(log) => {
            own_root(log, head, false)?;
            merkle::consistency(&hashed(log, head.size)?, before.size, head.size)?
        }
        Source::Fetched(fetched) if fetched.from != before.size && before.size != head.size => {
            let what = format!(
                "the proof begins at {}; ask for /evidence/consistency?from={}",
                fetched.from, before.size
            );
            return Err(Problem::Form(what));
        }
        Source::Fetched(fetched) => fetched.proof.iter().map(|text| hash(text)).collect(),
    };
    let fits = proof.is_some_and(|proof| {
        merkle::extends((before.size, &root), (head.size, &head.root), &proof)
    });
    if fits {
        return Ok(());
    }
    Err(broken(format!(
        "the head over {} records does not extend the remembered one over {}: a record was changed, removed or put in",
        head.size, before.size
    )))
}

/// The leaf hashes, from the records themselves.
struct Hashed(Vec<Vec<Hash>>);

fn hashed(log: &Log, size: u64) -> Result<Hashed, Problem> {
    let mut leaves = Vec::new();
    for record in log.records(0..size)? {
        let (_, line) = record?;
        leaves.push(merkle::leaf_hash(&line));
    }
    if u64::try_from(leaves.len()).ok() != Some(size) {
        return Err(broken(format!(
            "the head covers {size} records and {} are there: the log was cut",
            leaves.len()
        )));
    }
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|l| l.len() > 1) {
        let above = below.chunks_exact(2).filter_map(|pair| match pair {
            [left, right] => Some(merkle::node_hash(left, right)),
            _ => None,
        });
        levels.push(above.collect());
    }
    Ok(Hashed(levels))
}

impl Subtrees for Hashed {
    type Error = ReadError;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, ReadError> {
        let level = usize::try_from(level)
            .ok()
            .and_then(|level| self.0.get(level));
        let at = usize::try_from(index).ok();
        level
            .zip(at)
            .and_then(|(level, at)| level.get(at).copied())
            .ok_or(ReadError::None(index))
    }
}
