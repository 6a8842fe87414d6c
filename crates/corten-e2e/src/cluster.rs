//! One running cluster.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::kubectl::Kubectl;

/// A control plane in a process of its own, on a port of its own, with its data in a folder that goes with it.
#[derive(Debug)]
pub struct Cluster {
    root: TempDir,
    process: Option<Child>,
}

impl Cluster {
    /// Starts a cluster and waits until it says that it serves.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// The same, with its folder in one of the caller's.
    pub fn start_in(parent: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("corten-e2e-").tempdir_in(parent);
        let root = folder.context("make the cluster's folder")?;
        let mut cluster = Self { root, process: None };
        cluster.restart()?;
        Ok(cluster)
    }

    /// Starts the process again on the same data; it must not be running.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        assert!(self.process.is_none(), "the cluster runs already");
        let binary =
            PathBuf::from(std::env::var_os("CORTEN_BIN").context("CORTEN_BIN is not set: run `cargo xtask test`")?);
        let mut command = Command::new(&binary);
        command.args(["server", "--listen", "127.0.0.1:0", "--root"]).arg(self.root.path());
        let mut child = command
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let mut log = BufReader::new(child.stderr.take().context("the log is piped")?);
        self.process = Some(child);
        let mut seen = String::new();
        loop {
            let before = seen.len();
            if log.read_line(&mut seen).context("read the cluster's log")? == 0 {
                bail!("the cluster ended before it served:\n{seen}");
            }
            if seen[before..].contains("Started the API server") {
                break;
            }
        }
        // The rest of the log is kept for whoever looks at a failure.
        let mut file =
            File::options().append(true).create(true).open(self.root.path().join("log")).context("open the log")?;
        std::thread::spawn(move || std::io::copy(&mut log, &mut file));
        Ok(())
    }

    /// The folder of the cluster's data.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The real kubectl as the administrator of this cluster.
    pub fn kubectl(&self) -> anyhow::Result<Kubectl> {
        Kubectl::new(&self.root.path().join("admin.conf"), self.root.path())
    }

    /// The id of the process that runs.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        Ok(self.process.as_ref().context("the cluster does not run")?.id())
    }

    /// Kills the process without warning, as a crash would.
    pub fn crash(&mut self) -> anyhow::Result<()> {
        let mut child = self.process.take().context("the cluster does not run")?;
        child.kill().context("kill the cluster")?;
        child.wait().context("wait for the cluster's end")?;
        Ok(())
    }

    /// Asks the process to end and waits until it has, cleanly.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let mut child = self.process.take().context("the cluster does not run")?;
        kill(Pid::from_raw(child.id().try_into()?), Signal::SIGTERM).context("end the cluster")?;
        let status = child.wait().context("wait for the cluster's end")?;
        if !status.success() {
            bail!("the cluster ended with {status}:\n{}", std::fs::read_to_string(self.root.path().join("log"))?);
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            // Already failing, or done with it: nothing more can be reported here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
