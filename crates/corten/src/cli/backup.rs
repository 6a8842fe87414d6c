//! `corten backup` and `corten restore`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_storage_sqlite::SqliteEngine;

use super::common::{Root, say, say_all};
use crate::{
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
    preflight::require_root("backup")?;
    let places = options.root.places()?;
    let target = std::path::absolute(&options.file).context("find the working directory")?;
    match control::ask(&places.control_socket(), Request::Backup(target))? {
        Some(Answer::Done(lines)) => say_all(&lines),
        Some(_) => bail!("the running process answered something else"),
        None => bail!("no cluster runs at {}: start it, then back it up", places.root.display()),
    }
}

/// Makes the store of a backup.
pub(crate) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    preflight::require_root("restore")?;
    let places = options.root.places()?;
    let _instance = match Instance::claim(&places)? {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => bail!("{}", super::up::already_running(running.pid, &places)),
    };
    let revision = SqliteEngine::restore(&options.file, &places.store()).with_context(|| {
        format!(
            "restore {} into {}: move a store that is there out of the way first",
            options.file.display(),
            places.store().display()
        )
    })?;
    say(&format!("restored revision {revision}; `corten up{}` starts from it", super::up::root_flag(&places)));
    Ok(ExitCode::SUCCESS)
}
