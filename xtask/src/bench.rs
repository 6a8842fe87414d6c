//! `cargo xtask bench NAME`: hands over to crate corten-bench, built for release.

use std::process::Command;

use clap::Args;

use crate::places::Places;
use crate::process;

const CRATE: &str = "corten-bench";

#[derive(Args)]
pub(crate) struct Options {
    /// The profile that binary and benchmarks are built with; `profiling` has names of functions.
    #[arg(long, default_value = "release")]
    profile: String,
    /// The benchmark's name, and what it takes; without one, the list of them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds binary and benchmarks and runs one; fails when the benchmark does.
pub(crate) fn run(places: &Places, options: &Options) -> anyhow::Result<()> {
    // The binary alone, as users build it: what other packages want of dependencies is no part of it.
    for packages in [&["corten"] as &[&str], &[CRATE, "xtask"]] {
        let mut build = process::cargo(&places.root);
        build.args(["build", "--profile", &options.profile]);
        packages.iter().for_each(|package| _ = build.args(["--package", package]));
        process::run(&mut build)?;
    }
    let built = places.target.join(&options.profile);
    let mut command = Command::new(built.join(CRATE));
    command.args(&options.arguments).env("CORTEN_BIN", built.join("corten"));
    command.env("CORTEN_XTASK", built.join("xtask"));
    command.env("CORTEN_TEST_TOOLS", &places.tools).env("CORTEN_TEST_IMAGES", &places.images);
    process::run(&mut command)
}
