//! `triseal pki`: certificates for development, and `pki show`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::output::say;
use crate::{
    clock::Clock,
    pki::{self, NewFile, Overwrite, PkiError},
};

mod crl;
mod issue;
mod make;
mod options;
mod p12;
mod show;

/// Development certificates, and what a certificate file holds.
#[derive(Debug, Args)]
pub struct Pki {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a hierarchy like MOSIP's, with three certificates for each party.
    Make(make::Make),
    /// Add a party to a folder that `pki make` made.
    Add(make::Add),
    /// Say what certificate files hold, and what is wrong with them.
    Show(show::Show),
    /// Make or renew the revocation list of a CA, and revoke certificates.
    Crl(crl::Crl),
    /// Make a key and a request for a certificate.
    Csr(issue::Csr),
    /// Sign a request in a role.
    Issue(issue::Issue),
    /// Sign a partner's certificate anew, the way MOSIP does after an upload.
    Resign(issue::Resign),
    /// Put a key and its certificates from PEM into a PKCS#12 key store, or take them out.
    P12(p12::P12),
}

/// Runs the command. What it makes is said on the standard output, what went wrong on the standard error.
pub fn run(args: Pki, clock: &Clock) -> ExitCode {
    let done = match args.command {
        Command::Make(make) => make.run(clock),
        Command::Add(add) => add.run(clock),
        Command::Show(show) => return show.run(clock),
        Command::Crl(crl) => crl.run(clock),
        Command::Csr(csr) => csr.run(),
        Command::Issue(issue) => issue.run(clock),
        Command::Resign(resign) => resign.run(clock),
        Command::P12(p12) => p12.run(),
    };
    match done {
        Ok(written) => {
            report(&written);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("triseal pki: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a command leaves behind: the files, and lines for the reader.
struct Written {
    files: Vec<PathBuf>,
    lines: Vec<String>,
}

impl Written {
    const fn files(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            lines: Vec::new(),
        }
    }
}

type Done = Result<Written, PkiError>;

/// Writes files, and says which.
fn write(files: &[NewFile], overwrite: Overwrite) -> Done {
    pki::write_all(files, overwrite)?;
    Ok(Written::files(
        files.iter().map(|file| file.path().to_path_buf()).collect(),
    ))
}

fn report(written: &Written) {
    const LISTED: usize = 12;
    if written.files.len() <= LISTED {
        for file in &written.files {
            say(format_args!("wrote {}", file.display()));
        }
    }
    for line in &written.lines {
        say(line);
    }
}
