//! `corten completion`: what a shell needs to complete this command line.

use std::process::ExitCode;

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
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    clap_complete::generate(options.shell, &mut super::Arguments::command(), "corten", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
