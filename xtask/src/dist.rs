//! `cargo xtask dist`: the release binary, with its size and SHA-256 to publish beside it.

use std::fs;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::places::Places;
use crate::process;
use crate::stopwatch::Stopwatch;

/// Builds `target/release/corten` from the locked dependencies and writes `corten.sha256` beside it.
pub(crate) fn run(places: &Places) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    process::run(process::cargo(&places.root).args(["build", "--release", "--locked", "--package", "corten"]))?;
    let binary = places.target.join("release/corten");
    let bytes = fs::read(&binary).with_context(|| format!("read {}", binary.display()))?;
    let line = format!("{:x}  corten\n", Sha256::digest(&bytes));
    let sums = places.target.join("release/corten.sha256");
    fs::write(&sums, &line).with_context(|| format!("write {}", sums.display()))?;
    println!("{}: {:.1} MB in {}", binary.display(), bytes.len() as f64 / 1e6, watch.elapsed_text());
    print!("{line}");
    Ok(())
}
