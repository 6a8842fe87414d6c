//! Runs scripts that tell each of their checks in a line, `ok NAME`, and end with an error if one was not so.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use corten_e2e::Kubectl;

/// A folder with scripts, and the program that runs them.
pub(super) struct Scripts {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
}

impl Scripts {
    /// Writes the scripts into a folder of their own.
    pub(super) fn write(program: PathBuf, folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        for (name, text) in files {
            std::fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
        }
        Ok(Self { program, folder: folder.to_owned() })
    }

    /// Runs one of them as the administrator, in kubectl's namespace, and shows what it told.
    pub(super) fn run(&self, script: &str, kubectl: &Kubectl) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg(self.folder.join(script)).arg(kubectl.namespace()).stdin(Stdio::null());
        command.env_clear().env("KUBECONFIG", kubectl.kubeconfig()).env("HOME", &self.folder);
        let output = command.output().with_context(|| format!("run {}", self.program.display()))?;
        let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        write!(std::io::stdout(), "{script}:\n{told}{errors}").context("show what the script told")?;
        let held = told.lines().filter(|line| line.starts_with("ok ")).count();
        ensure!(output.status.success() && held > 0, "{script} ended with {}, see above", output.status);
        Ok(())
    }
}
