//! How large the binary is.

use anyhow::Context as _;

use super::Bench;
use crate::{process, report::Report};

pub(super) static BENCH: Bench = Bench { name: "size", about: "size of the release binary", needs_sandbox: false, run };

fn run(report: &mut Report) -> anyhow::Result<()> {
    let binary = process::binary()?;
    let bytes = std::fs::metadata(&binary).with_context(|| format!("read {}", binary.display()))?.len();
    report.add("binary", "MB", bytes as f64 / 1e6, Some(40.0));
    Ok(())
}
