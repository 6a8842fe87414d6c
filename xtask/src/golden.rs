//! `cargo xtask golden`: runs tests with `UPDATE_GOLDEN=1`, so that they rewrite the files they compare with.

use anyhow::Context;
use clap::Args;

use crate::places::Places;
use crate::process;

#[derive(Args)]
pub(crate) struct Options {
    /// Only the tests of this crate.
    #[arg(long, short)]
    package: Option<String>,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Rewrites golden files and shows which ones changed.
pub(crate) fn run(places: &Places, options: &Options) -> anyhow::Result<()> {
    let mut command = process::cargo(&places.root);
    command.env("UPDATE_GOLDEN", "1").args(["test", "--quiet", "--lib", "--bins", "--tests"]);
    match &options.package {
        Some(package) => command.args(["--package", package]),
        // End-to-end tests compare against a running cluster and take minutes.
        None => command.args(["--workspace", "--exclude", "corten-e2e"]),
    };
    command.args(&options.filter);
    process::run(&mut command).context("rewrite golden files: a test fails for another reason than its golden file")?;
    let status = ["-C", &places.root.display().to_string(), "status", "--short", "--", ":(glob)**/testdata/**", "docs"]
        .map(str::to_owned);
    let changed = process::output(std::process::Command::new("git").args(status))?;
    match changed.is_empty() {
        true => println!("golden: nothing changed"),
        false => print!("golden: review with git diff\n{changed}"),
    }
    Ok(())
}
