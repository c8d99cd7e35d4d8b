//! stub
use crate::clock::Clock;
use clap::Args;
use std::process::ExitCode;
#[derive(Debug, Args)]
pub(super) struct Show {}
impl Show {
    pub(super) fn run(self, _c: &Clock) -> ExitCode {
        ExitCode::SUCCESS
    }
}
