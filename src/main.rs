//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use triseal::{cli, clock::Clock};

/// The partner gateway at the MOSIP boundary.
#[derive(Parser)]
#[command(version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Development certificates, and what a certificate file holds.
    Pki(cli::pki::Pki),
}

fn main() -> ExitCode {
    match Line::parse().command {
        Command::Pki(pki) => cli::pki::run(pki, &Clock::system()),
    }
}
