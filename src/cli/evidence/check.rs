//! `triseal evidence verify`.

use std::path::PathBuf;

use clap::Args;

use super::{Problem, look::receipt, read};
use crate::{
    cli::output::say,
    evidence::{
        bundle::{BUNDLE_MAX, Bundle},
        verify::{self, Belief, Outcome},
    },
    trust::{self, Anchor},
};

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The bundle, as `triseal evidence export` wrote it or the gateway's face gave it; `-` for the standard input.
    bundle: PathBuf,
    /// A PEM file with CA certificates: the root and every CA below it that may issue. May be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    anchor: Vec<PathBuf>,
    /// The organisation whose log it must be, as in its certificate.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// A PEM file with the CA certificates of the time-stamping authority.
    #[arg(long, value_name = "FILE")]
    tsa_anchor: Vec<PathBuf>,
    /// A revocation list, PEM or DER, beside those in the bundle.
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// A file with the header `response-signature` that you received, where the bundle has none.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The answer's body that you received, with --receipt.
    #[arg(long, value_name = "FILE", requires = "receipt")]
    answer: Option<PathBuf>,
}

pub(super) fn verify(args: &Verify) -> Result<(), Problem> {
    let mut text = read(&args.bundle, BUNDLE_MAX)?;
    if let (Some(file), Ok(mut bundle)) = (&args.receipt, Bundle::read(&text)) {
        // What the partner holds counts, whatever the bundle says.
        bundle.receipt = Some(receipt(file, args.answer.as_deref())?);
        text = bundle.to_text().into_bytes();
    }
    let mut anchor = anchor_of(&args.anchor)?;
    for file in &args.crl {
        let problem = |what: String| Problem::Crl(file.clone(), what);
        for list in trust::lists_from_file(file).map_err(|e| problem(e.to_string()))? {
            anchor.add_list(&list).map_err(problem)?;
        }
    }
    let authority = match args.tsa_anchor.as_slice() {
        [] => None,
        files => Some(anchor_of(files)?),
    };
    let links = verify::verify(
        &text,
        Belief {
            anchor,
            authority,
            organisation: args.organisation.clone(),
        },
    );
    for link in &links {
        let word = match link.outcome {
            Outcome::Holds => "holds",
            Outcome::Unproven => "unproven",
            Outcome::Broken => "BROKEN",
        };
        say(format_args!("{word:<9} {:<18} {}", link.name, link.words));
    }
    match links.last() {
        Some(link) if link.outcome == Outcome::Broken => Err(Problem::Broken(format!(
            "the proof does not hold: {}",
            link.name
        ))),
        Some(_) => {
            say("The proof holds.");
            Ok(())
        }
        None => Err(Problem::Form("nothing was checked".to_owned())),
    }
}

pub(super) fn anchor_of(files: &[PathBuf]) -> Result<Anchor, Problem> {
    let shown = || files.first().cloned().unwrap_or_default();
    Anchor::offline(files).map_err(|e| Problem::Certificate(shown(), e))
}
