//! `corten backup` and `corten restore`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_base::{ErrorChain, fs};
use corten_storage::kv::Revision;
use corten_storage_sqlite::{OpenError, SqliteEngine};
use tempfile::TempDir;

use super::common::{Root, note, print, say};
use crate::{
    backup_file,
    control::{self, Answer, Request},
    instance::{Asker, Claim, Instance, Purpose},
    places::Places,
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
        Some(Answer::Done(lines)) => print(lines).map(|()| ExitCode::SUCCESS),
        Some(_) => bail!("the running process answered something else"),
        None => bail!("no cluster runs at {}: start it, then back it up", places.root.display()),
    }
}

/// Makes the store of a backup.
pub(crate) fn restore(options: &RestoreOptions) -> anyhow::Result<ExitCode> {
    let places = options.root.places()?;
    preflight::require_owner(&places, "restore", "the store belongs to root, because it holds every secret")?;
    let _instance = match Instance::claim(&places, Purpose::Restore, Asker::new(&note))? {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => bail!(super::up::already_running(running.pid(), &places)),
    };
    // SQLite's own words for a file that is not there, or a directory, are worse.
    let found = std::fs::File::open(&options.file).and_then(|file| file.metadata());
    let found = found.map_err(|error| anyhow::anyhow!("open the backup {}: {error}", options.file.display()))?;
    if found.is_dir() {
        bail!("{} is a directory: name the file that `corten backup` wrote", options.file.display());
    }
    // Beside the store, where there is room for it.
    let staging = staging(&places)?;
    restore_into(&places, &options.file, staging)
}

/// Restores by way of `staging`, which stays, as the sign that a restore has not come to its end, if it fails with a part in its
/// place.
fn restore_into(places: &Places, backup: &Path, mut staging: TempDir) -> anyhow::Result<ExitCode> {
    match try_restore(places, backup, &mut staging) {
        Ok(revision) => {
            staging.disable_cleanup(false);
            say(&format!("restored revision {revision}; `corten up{}` starts from it", places.flag()));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // If it stays, then without the copy of the store: the disk may be full.
            if let Err(more) = fs::remove_file(&staging.path().join(backup_file::STORE)) {
                note(ErrorChain(&more).to_string());
            }
            Err(error)
        }
    }
}

fn try_restore(places: &Places, backup: &Path, staging: &mut TempDir) -> anyhow::Result<Revision> {
    let said = |error: OpenError| match error {
        OpenError::Exists { path } => anyhow::anyhow!(
            "there is a store already: move {} out of the way first, because {} would take its place",
            path.display(),
            backup.display()
        ),
        OpenError::Damaged { damage, .. } => {
            anyhow::anyhow!("the backup {} is damaged: {damage}; take an earlier one", backup.display())
        }
        error => anyhow::Error::new(error).context(format!("restore {}", backup.display())),
    };
    let contents =
        backup_file::read(backup, staging.path()).with_context(|| format!("read the backup {}", backup.display()))?;
    SqliteEngine::check_restore(&contents.store, &places.store()).map_err(said)?;
    match &contents.identity {
        Some(identity) => {
            identity.expect_room(places)?;
            staging.disable_cleanup(true);
            let taken = identity.take_place(places, staging.path());
            taken.context("put what the cluster was made with in its place")?;
        }
        None => note(
            "this backup is of an earlier version and holds the store alone: where the cluster was made with ranges or a \
             node's name of its own, repeat those flags at the next `corten up`"
                .to_owned(),
        ),
    }
    // Last: a cluster that has its store has everything.
    SqliteEngine::restore(&contents.store, &places.store()).map_err(said)
}

/// Fails where a `restore` was interrupted, or failed, before it had made the store: a start would make an empty one. The
/// caller has the places.
pub(crate) fn expect_restored(places: &Places) -> anyhow::Result<()> {
    let left = places.restoring();
    if !left.exists() {
        return Ok(());
    }
    if SqliteEngine::is_in(&places.store()) {
        return Ok(fs::remove_dir_all(&left)?);
    }
    // What `delete` takes cannot be had again.
    let keys = match places.replaced_pki() {
        replaced if replaced.exists() => {
            format!(" (and with it {}, the keys that were here before)", replaced.display())
        }
        _ => String::new(),
    };
    bail!(
        "a `corten restore` here was interrupted or failed: repeat it, or remove what it has left with `corten \
         delete{}`{keys}",
        places.flag()
    )
}

/// An empty directory that goes when the value does; in place of one that an earlier process left, it stays as that did.
fn staging(places: &Places) -> anyhow::Result<TempDir> {
    let path = places.restoring();
    let was_left = path.exists();
    fs::remove_dir_all(&path)?;
    let name = path.file_name().context("it has a name")?;
    let made = tempfile::Builder::new().prefix(name).rand_bytes(0).disable_cleanup(was_left).tempdir_in(&places.root);
    made.with_context(|| format!("make the directory {}", path.display()))
}

#[cfg(test)]
mod tests {
    use corten_base::{Shutdown, SystemClock, TaskSet};
    use corten_storage::kv::KvEngine as _;
    use corten_storage_sqlite::Config;

    use super::*;
    use crate::backup_file::{
        Draft,
        tests::{record, write_keys},
    };

    /// `up` made an empty cluster in the place of one that was to be restored, and said nothing.
    #[test]
    fn a_start_after_half_a_restore_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        expect_restored(&places).unwrap();
        let killed = staging(&places).unwrap().keep();
        fs::write(&killed.join("store"), b"half").unwrap();
        let refused = expect_restored(&places).unwrap_err().to_string();
        assert!(refused.contains("was interrupted or failed: repeat it"), "{refused}");
        drop(staging(&places).unwrap());
        expect_restored(&places).unwrap_err();
        fs::remove_dir_all(&killed).unwrap();
        drop(staging(&places).unwrap());
        expect_restored(&places).unwrap();
        // It was killed between its last step and the end.
        let _ = staging(&places).unwrap().keep();
        fs::create_dir_all(&places.store()).unwrap();
        fs::write(&places.store().join("corten.db"), b"whole").unwrap();
        expect_restored(&places).unwrap();
        assert!(!killed.exists());
    }

    /// What it had unpacked was removed, and with it the sign: the next `up` made an empty cluster with the backup's keys.
    #[tokio::test]
    async fn a_start_after_a_restore_that_failed_is_refused_until_it_is_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let backup = directory.path().join("backup");
        let old = Places::new(&directory.path().join("old")).unwrap();
        write_keys(&old.pki());
        let draft = Draft::begin(backup.clone()).unwrap();
        let (tasks, (end, shutdown)) = (TaskSet::new("store"), Shutdown::new());
        let config = Config { ballast_bytes: 0, ..Config::new(old.store()) };
        let engine = SqliteEngine::open(config, SystemClock::shared(), &tasks, &shutdown).await.unwrap();
        engine.backup(&draft.store()).await.unwrap();
        drop(engine);
        end.request();
        tasks.join().await.unwrap();
        draft.finish(&record(), &old.pki()).unwrap();

        let places = Places::new(&directory.path().join("new")).unwrap();
        fs::create_dir_all(&places.root).unwrap();
        // In the way of the copy.
        let partial = places.store().join("corten.db.partial");
        fs::create_dir_all(&partial.join("full")).unwrap();
        restore_into(&places, &backup, staging(&places).unwrap()).unwrap_err();
        assert!(places.pki().exists(), "it failed late");
        assert!(!places.restoring().join("store").exists(), "the disk may be full");
        expect_restored(&places).unwrap_err();
        // Repeated with another file, and failed early.
        fs::write(&directory.path().join("notes"), b"mine").unwrap();
        restore_into(&places, &directory.path().join("notes"), staging(&places).unwrap()).unwrap_err();
        expect_restored(&places).unwrap_err();
        fs::remove_dir_all(&partial).unwrap();
        restore_into(&places, &backup, staging(&places).unwrap()).unwrap();
        assert!(!places.restoring().exists());
        expect_restored(&places).unwrap();
    }

    /// Keys of the backup must not take the place of those of a cluster that is there.
    #[test]
    fn a_cluster_that_is_there_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        fs::create_dir_all(&places.store()).unwrap();
        fs::write(&places.store().join("corten.db"), b"precious").unwrap();
        let backup = directory.path().join("backup");
        fs::write(&backup, b"SQLite format 3\0").unwrap();
        let staging = staging(&places).unwrap();
        let refused = restore_into(&places, &backup, staging).unwrap_err().to_string();
        assert!(refused.starts_with("there is a store already: move "), "{refused}");
        assert_eq!(fs::read(&places.store().join("corten.db")).unwrap(), b"precious");
    }
}
