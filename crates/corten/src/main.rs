//! The `corten` binary: every component of Kubernetes behind one command line.

#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    anyhow::bail!("no component is assembled yet")
}
