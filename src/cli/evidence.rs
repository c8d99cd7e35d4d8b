//! `triseal evidence`: looking up what happened, proving it, and checking proofs.

mod check;
mod look;
mod witness;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{output::say, store::CommandError};
use crate::{
    clock::Clock,
    config::{Config, Document, Mistakes, config_schema},
    evidence::{
        assemble::AssembleError,
        bodies::{self, BodyError},
        reader::{Log, ReadError},
    },
    trust::CertificateError,
};

/// Evidence: what happened, and the proof of it.
///
/// A gateway with `[evidence]` writes one record for every exchange of a partner into a log that can only grow. `list` and `show` look
/// records up; `export` puts one record with its whole proof into one file; `verify` checks such a file anywhere, offline;
/// `witness` makes sure that a log was only ever added to; `erase` destroys kept bodies, and all proofs go on holding.
///
/// Only `erase` changes anything. All work beside a running gateway. docs/evidence.md has the format.
#[derive(Debug, Args)]
pub struct EvidenceCommand {
    #[command(subcommand)]
    what: What,
}

/// Where the log is.
#[derive(Debug, Args)]
struct Place {
    /// The gateway's configuration: says where its log is, and has its revocation lists and the store's key.
    #[arg(long, short, value_name = "FILE", env = "TRISEAL_CONFIG")]
    config: Option<PathBuf>,
    /// The folder of a log, without a configuration: a copy, or somebody else's.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List records, oldest first: number, time, partner, route, verdict, correlation id.
    ///
    /// For example: `triseal evidence list -c gateway.toml --partner crvs --from 2026-11-22T00:00:00Z`
    List(look::List),
    /// Show one record, by its correlation id or its number in the log.
    Show(look::Show),
    /// Write one file with a record and everything that proves it.
    ///
    /// In it: the record, its path to a signed tree head, the certificates that signed, revocation lists, a time stamp where the head
    /// has one; with --bodies what was kept of request and answer. With --receipt, the answer's signature as the partner received it.
    ///
    /// For example: `triseal evidence export -c gateway.toml 5f0c… --out proof.json`
    Export(look::Export),
    /// Check a bundle offline. Prints each link of the proof in words; exits with 1 at the first broken one.
    ///
    /// Believed are the CA certificates in --anchor and nothing else: the root and every CA that may stand between it and the
    /// gateway's certificate. A certificate in a bundle is never an issuer. --organisation says whose log it must be; without it, any
    /// certificate below the anchors could have signed.
    ///
    /// For example: `triseal evidence verify proof.json --anchor mosip-ca.pem --organisation "MISP One"`
    Verify(check::Verify),
    /// Destroy the keys of the bodies that were kept of a partner on a day. Records and proofs go on holding.
    Erase {
        /// Where.
        #[command(flatten)]
        place: Place,
        /// The partner's id.
        #[arg(long)]
        partner: String,
        /// The UTC day, such as 2026-11-22.
        #[arg(long)]
        day: String,
    },
    /// Remember a log's head, and make sure that every later one extends it.
    ///
    /// Run it regularly, somewhere the gateway's operator has no say. The first run remembers the head; each later run proves that
    /// the log still has every record it had, unchanged and in its place, and remembers the newer head. Exits with 1 when the log
    /// was cut, rewritten, or replaced, and keeps the old head as the proof of that: both heads are signed.
    ///
    /// Beside a log's folder it hashes every record (--quick trusts the tree's files). A partner needs no folder: GET
    /// /evidence/consistency?from=SIZE from the gateway, and give that answer with --fetched. --state tells SIZE.
    Witness(witness::Witness),
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("say where the log is: --config FILE, or --folder DIR")]
    NoPlace,
    #[error("{0}: the configuration has no [evidence]")]
    NoEvidence(PathBuf),
    #[error("{0}")]
    Command(#[from] CommandError),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Assemble(#[from] AssembleError),
    #[error("{0}")]
    Body(#[from] BodyError),
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0}: {1}")]
    Certificate(PathBuf, CertificateError),
    #[error("{0}: {1}")]
    Crl(PathBuf, String),
    #[error("no record has the correlation id or number `{0}`; `triseal evidence list` shows them")]
    Unknown(String),
    #[error("{0} records have the correlation id `{1}`; name one by its number: {2}")]
    Several(usize, String, String),
    #[error("`{0}` is no time such as 2026-11-22T08:00:00Z")]
    Time(String),
    #[error("the kept bodies are under the store's key: give --config")]
    NoKey,
    #[error("{0}")]
    Form(String),
    #[error("BROKEN: {0}")]
    Broken(String),
}

/// Runs the command.
pub fn run(command: &EvidenceCommand, clock: &Clock) -> ExitCode {
    let done = match &command.what {
        What::List(args) => look::list(args),
        What::Show(args) => look::show(args),
        What::Export(args) => look::export(args),
        What::Verify(args) => check::verify(args),
        What::Erase {
            place,
            partner,
            day,
        } => erase(place, day, partner),
        What::Witness(args) => witness::witness(args, clock),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            use io::Write;
            // Nothing to be done about a failing standard error.
            let _ = writeln!(io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

fn erase(place: &Place, day: &str, partner: &str) -> Result<(), Problem> {
    let gone = bodies::erase(&place.folder()?, day, partner)?;
    if gone.is_empty() {
        say(format_args!(
            "nothing was kept of {partner} on {day}, or it is erased already"
        ));
    }
    for key in gone {
        say(format_args!(
            "{key}: the key is destroyed and what it sealed is removed; nobody reads it again"
        ));
    }
    Ok(())
}

impl Place {
    fn folder(&self) -> Result<PathBuf, Problem> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let file = self.config.as_deref().ok_or(Problem::NoPlace)?;
        let config = read_config(file)?;
        let evidence = config.evidence.as_ref();
        let evidence = evidence.ok_or_else(|| Problem::NoEvidence(file.to_path_buf()))?;
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        Ok(evidence.folder.as_ref().map_or_else(
            || base.join(&config.gateway.state).join("evidence"),
            |folder| base.join(folder),
        ))
    }

    fn log(&self) -> Result<Log, Problem> {
        Ok(Log::open(&self.folder()?)?)
    }
}

fn read_config(file: &Path) -> Result<Config, Problem> {
    let mut mistakes = Mistakes::default();
    let document = Document::read(file).map_err(|e| CommandError::Mistakes(Mistakes(vec![e.0])))?;
    let parsed: Option<Config> = document.parse(&config_schema(), &mut mistakes);
    let parsed = parsed.filter(|_| !mistakes.refuse());
    parsed.ok_or_else(|| CommandError::Mistakes(mistakes).into())
}

/// The bytes of a file that is not larger than `max`; `-` is the standard input.
fn read(file: &Path, max: u64) -> Result<Vec<u8>, Problem> {
    use io::Read;
    let problem = |e| Problem::File(file.to_path_buf(), e);
    let mut bytes = Vec::new();
    let limit = max.saturating_add(1);
    if file == Path::new("-") {
        io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(problem)?;
    } else {
        let opened = fs::File::open(file).map_err(problem)?;
        opened
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(problem)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        let what = format!("{}: larger than {max} bytes", file.display());
        return Err(Problem::Form(what));
    }
    Ok(bytes)
}
