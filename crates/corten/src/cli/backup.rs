//! `corten backup` and `corten restore`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_base::fs;
use corten_storage_sqlite::{OpenError, SqliteEngine};
use tempfile::TempDir;

use super::common::{Root, note, say, say_all};
use crate::{
    backup_file,
    config::Places,
    control::{self, Answer, Request},
    instance::{Claim, Instance, Purpose},
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
    let places = options.root.places()?;
    preflight::require_owner(
        &places,
        "backup",
        "the socket of the running cluster belongs to root, and so does the copy, which holds every secret",
    )?;
    let target = std::path::absolute(&options.file).context("find the working directory")?;
    match control::ask(&places.control_socket(), Request::Backup(target))? {
        Some(Answer::Done(lines)) => say_all(&lines),
        Some(_) => bail!("the running process answered something else"),
        None => bail!("no cluster runs at {}: start it, then back it up", places.root.display()),
    }
}

/// Makes the store of a backup.
pub(crate) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    let places = options.root.places()?;
    preflight::require_owner(&places, "restore", "the store belongs to root, because it holds every secret")?;
    let _instance = match Instance::claim(&places, Purpose::Restore, &note)? {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => bail!(super::up::already_running(running.pid(), &places)),
    };
    // SQLite's own words for a file that is not there, or a directory, are worse.
    let found = std::fs::File::open(&options.file).and_then(|file| file.metadata());
    let found = found.map_err(|error| anyhow::anyhow!("open the backup {}: {error}", options.file.display()))?;
    if found.is_dir() {
        bail!("{} is a directory: name the file that `corten backup` wrote", options.file.display());
    }
    // Beside the store, where there is room for it, and gone whatever comes of it.
    let staging = staging(&places)?;
    let contents = backup_file::read(&options.file, staging.path())
        .with_context(|| format!("read the backup {}", options.file.display()))?;
    let revision = SqliteEngine::restore(&contents.store, &places.store()).map_err(|error| match error {
        OpenError::Exists { path } => anyhow::anyhow!(
            "there is a store already: move {} out of the way first, because {} would take its place",
            path.display(),
            options.file.display()
        ),
        error => anyhow::Error::new(error).context(format!("restore {}", options.file.display())),
    })?;
    match &contents.identity {
        Some(identity) => identity
            .take_place(&places)
            .context("the store is restored, but not what else makes the cluster: remove the store and try again")?,
        None => note(
            "this backup is of an earlier version and holds the store alone: where the cluster was made with ranges or a \
             node's name of its own, repeat those flags at the next `corten up`"
                .to_owned(),
        ),
    }
    say(&format!("restored revision {revision}; `corten up{}` starts from it", places.flag()));
    Ok(ExitCode::SUCCESS)
}

/// An empty directory that goes when the value does, in place of one that a killed process left.
fn staging(places: &Places) -> anyhow::Result<TempDir> {
    let path = places.restoring();
    fs::remove_dir_all(&path)?;
    let name = path.file_name().context("it has a name")?;
    let made = tempfile::Builder::new().prefix(name).rand_bytes(0).tempdir_in(&places.root);
    made.with_context(|| format!("make the directory {}", path.display()))
}
