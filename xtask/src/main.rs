//! All automation of the workspace, in Rust.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("no task yet")
}
