//! stub
use clap::Args;
use std::process::ExitCode;
use crate::clock::Clock;
#[derive(Debug, Args)]
pub(super) struct Show {}
impl Show { pub(super) fn run(self, _c: &Clock) -> ExitCode { ExitCode::SUCCESS } }
