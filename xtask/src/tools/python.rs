//! The machine's Python: pip fetches what other registries do not have, and the Python client runs on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::process::output;

/// A Python that has pip: the first of the usual names that answers.
pub(super) fn find() -> anyhow::Result<PathBuf> {
    for candidate in ["python3", "python", "/usr/bin/python3", "/usr/local/bin/python3"] {
        if output(Command::new(candidate).args(["-m", "pip", "--version"])).is_ok() {
            return Ok(candidate.into());
        }
    }
    bail!(
        "no Python with pip was found, which fetches kubectl and clients; install python3 and python3-pip, or put them in PATH"
    )
}

/// A call of pip that leaves nothing behind but what it is told to make.
pub(super) fn pip(python: &Path, verb: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--disable-pip-version-check", verb, "--quiet", "--no-deps", "--no-cache-dir"]);
    command
}

/// Where the interpreter itself is, for whoever calls it without a search path.
pub(super) fn executable(python: &Path) -> anyhow::Result<PathBuf> {
    let path = output(Command::new(python).args(["-c", "import sys; print(sys.executable)"]))?;
    Ok(path.trim_end().into())
}

/// Unpacks a zip file, such as a wheel.
pub(super) fn unzip(python: &Path, archive: &Path, folder: &Path) -> anyhow::Result<()> {
    output(Command::new(python).args(["-m", "zipfile", "-e"]).arg(archive).arg(folder))
        .with_context(|| format!("unpack {}", archive.display()))?;
    Ok(())
}
