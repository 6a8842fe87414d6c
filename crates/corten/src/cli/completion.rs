//! `corten completion`: what a shell needs to complete this command line.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Options of `corten completion`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints it: `source <(corten completion bash)`.
///
/// Errors: standard output does not take it. A reader that has gone away is one: half a script is none.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(&of(options.shell)).context("write the completions")?;
    Ok(ExitCode::SUCCESS)
}

/// The script for a shell.
pub(super) fn of(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Arguments::command(), "corten", &mut script);
    script
}
