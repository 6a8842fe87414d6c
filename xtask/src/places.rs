//! Where things are: the workspace, cargo's target folder and what tasks keep below it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Absolute paths that tasks share.
pub(crate) struct Places {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Cargo's target folder: `CARGO_TARGET_DIR`, or `target` in the workspace.
    pub(crate) target: PathBuf,
    /// Installed tools; programs are in its `bin`.
    pub(crate) tools: PathBuf,
    /// Container images for tests.
    pub(crate) images: PathBuf,
}

/// The workspace that this program was called for.
///
/// That may be another one than it was built in: clones that share a target folder share the program. Cargo names the
/// package that it runs; called without cargo, the current folder counts.
pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let called_for = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let starts = [called_for, env::current_dir().ok(), Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")))];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .find(|folder| folder.join("xtask/Cargo.toml").is_file())
        .map(Path::to_owned)
        .context("find the workspace: run this in its folder, by `cargo xtask`")
}

impl Places {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = workspace_root()?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // Cargo takes a relative folder from where it was called, and so does this.
            Some(folder) => std::path::absolute(&folder).context("resolve CARGO_TARGET_DIR")?,
            None => root.join("target"),
        };
        Ok(Self { tools: target.join("tools"), images: target.join("images"), root, target })
    }

    /// An installed program.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.tools.join("bin").join(name)
    }

    pub(crate) fn has_crate(&self, name: &str) -> bool {
        self.root.join("crates").join(name).join("Cargo.toml").exists()
    }
}
