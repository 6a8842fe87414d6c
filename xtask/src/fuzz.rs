//! `cargo xtask fuzz`: random input for the decoders of all crates, for as long as asked.
//!
//! The tables of targets stand in the crates' tests and run for about a second in a usual test run; see crate corten-fuzz.

use clap::Args;

use crate::places::Places;
use crate::process;

/// The test that runs a crate's table.
const TEST: &str = "no_input_harms_a_decoder";

#[derive(Args)]
pub(crate) struct Options {
    /// How many seconds each decoder gets.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only the decoders of this crate; can be given several times.
    #[arg(long = "package", short)]
    packages: Vec<String>,
}

/// Builds the tests and runs the tables; fails when a decoder does, whose input and seed are printed.
pub(crate) fn run(places: &Places, options: &Options) -> anyhow::Result<()> {
    let mut runner = process::companion(&places.root, &places.tool("cargo-nextest"))?;
    runner.args(["nextest", "run", "--profile", "fuzz", "--filterset", &format!("test({TEST})")]);
    if options.packages.is_empty() {
        runner.arg("--workspace");
    }
    runner.args(options.packages.iter().flat_map(|package| ["--package", package.as_str()]));
    process::run(runner.env("CORTEN_FUZZ_SECONDS", options.seconds.to_string()))
}
