//! The `corten` binary: every component of Kubernetes behind one command line.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("no component is assembled yet")
}
