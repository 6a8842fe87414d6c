//! `corten backup` and `corten restore`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_storage_sqlite::{OpenError, SqliteEngine};

use super::common::{Root, say, say_all};
use crate::{
    config::Places,
    control::{self, Answer, Request},
    instance::{Claim, Instance},
    preflight,
};

/// Options of `corten backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupOptions {
    #[command(flatten)]
    root: Root,
    /// The new file; it must not exist. It holds every secret of the cluster.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Options of `corten restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    #[command(flatten)]
    root: Root,
    /// The file that `backup` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Copies the store of the running cluster.
pub(crate) fn backup(options: &BackupOptions) -> anyhow::Result<ExitCode> {
    preflight::require_root(
        "backup",
        "the socket of the running cluster belongs to root, and so does the copy, which holds every secret",
    )?;
    let places = options.root.places()?;
    let target = std::path::absolute(&options.file).context("find the working directory")?;
    match control::ask(&places.control_socket(), Request::Backup(target))? {
        Some(Answer::Done(lines)) => say_all(&lines),
        Some(_) => bail!("the running process answered something else"),
        None => bail!("no cluster runs at {}: start it, then back it up", places.root.display()),
    }
}

/// Who works with the places: the cluster answers on its socket, another command does not.
fn busy(pid: Option<i32>, places: &Places) -> anyhow::Result<String> {
    if control::ask(&places.control_socket(), Request::Status)?.is_some() {
        return Ok(super::up::already_running(pid, places));
    }
    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    Ok(format!(
        "another command works with {}{pid}, or a cluster that is starting or ending: try again when it is done",
        places.root.display()
    ))
}

/// Makes the store of a backup.
pub(crate) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    preflight::require_root("restore", "the store belongs to root, because it holds every secret")?;
    let places = options.root.places()?;
    let _instance = match Instance::claim(&places)? {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => bail!(busy(running.pid, &places)?),
    };
    // SQLite's own words for a file that is not there, or a directory, are worse.
    let found = std::fs::File::open(&options.file).and_then(|file| file.metadata());
    let found = found.map_err(|error| anyhow::anyhow!("open the backup {}: {error}", options.file.display()))?;
    if found.is_dir() {
        bail!("{} is a directory: name the file that `corten backup` wrote", options.file.display());
    }
    let revision = SqliteEngine::restore(&options.file, &places.store()).map_err(|error| match error {
        OpenError::Exists { path } => anyhow::anyhow!(
            "there is a store already: move {} out of the way first, because {} would take its place",
            path.display(),
            options.file.display()
        ),
        error => anyhow::Error::new(error).context(format!("restore {}", options.file.display())),
    })?;
    say(&format!("restored revision {revision}; `corten up{}` starts from it", super::up::root_flag(&places)));
    Ok(ExitCode::SUCCESS)
}
