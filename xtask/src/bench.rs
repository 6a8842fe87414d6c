//! `cargo xtask bench NAME`: hands over to crate corten-bench, built for release.

use anyhow::bail;
use clap::Args;

use crate::places::Places;
use crate::process;

const CRATE: &str = "corten-bench";

#[derive(Args)]
pub(crate) struct Options {
    /// The benchmark's name, and what it takes; without one, the list of them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the benchmark; fails when the crate does not exist or the benchmark does.
pub(crate) fn run(places: &Places, options: &Options) -> anyhow::Result<()> {
    if !places.has_crate(CRATE) {
        bail!("there are no benchmarks yet: crate {CRATE} does not exist; docs/roadmap.md says when it comes");
    }
    let mut command = process::cargo(&places.root);
    command.args(["run", "--release", "--quiet", "--package", CRATE, "--"]).args(&options.arguments);
    process::run(&mut command)
}
