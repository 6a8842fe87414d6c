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

impl Places {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has a parent folder")?.to_owned();
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
