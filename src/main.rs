//! The command line of Triseal.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use triseal::cli;

/// Triseal, the partner gateway at the MOSIP boundary: mutual TLS on the connection, encryption on the content, a
/// signature on every message, and evidence of what happened.
///
/// To see it work: `triseal sandbox`. To use it: write a configuration, `triseal check`, `triseal run`.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Subcommand)]
enum Command {
    Run(cli::run::Run),
    Check(cli::check::Check),
    Health(cli::health::Health),
    #[cfg(feature = "sandbox")]
    Sandbox(cli::sandbox::Sandbox),
    Pki(cli::pki::Pki),
    Partners(cli::partners::PartnersCommand),
    Policy(cli::policy::PolicyCommand),
    Deliveries(cli::deliveries::Deliveries),
    Store(cli::store::StoreCommand),
    Import(cli::import::Import),
    Evidence(cli::evidence::EvidenceCommand),
    Transactions(cli::transactions::Transactions),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(args) => cli::run::run(&args),
        Command::Check(args) => cli::check::run(&args),
        Command::Health(args) => cli::health::run(&args),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => cli::sandbox::run(&args),
        Command::Pki(args) => cli::pki::run(args, &triseal::clock::Clock::system()),
        Command::Policy(args) => cli::policy::run(&args, &triseal::clock::Clock::system()),
        Command::Deliveries(args) => cli::deliveries::run(&args, &triseal::clock::Clock::system()),
        Command::Transactions(args) => {
            cli::transactions::run(&args, &triseal::clock::Clock::system())
        }
        Command::Store(args) => cli::store::run(&args),
        Command::Import(args) => cli::import::run(args),
        Command::Evidence(args) => cli::evidence::run(&args, &triseal::clock::Clock::system()),
        Command::Partners(args) => cli::partners::run(&args, &triseal::clock::Clock::system()),
    }
}
