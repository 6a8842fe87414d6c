//! The files of one container's log: measured, compressed, renamed, removed. Everything here blocks.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
};

use super::plan::{COMPRESSED, TEMPORARY, is_rotated, plan, rotated_name};

/// How much of a log is read at once while it is compressed.
const READ_BYTES: usize = 64 << 10;

/// Why a log could not be taken care of.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}", path = path.display())]
pub(super) struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Says what was done to which file when it failed.
fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// How long a log is; `None` if there is none.
pub(super) fn size(log: &Path) -> Result<Option<u64>, FileError> {
    match std::fs::metadata(log) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("measure", log)(error)),
    }
}

/// Makes room for one more rotated file and renames the log. Returns its new name; whoever writes it writes there until it
/// opens the log anew.
pub(super) fn rotate(log: &Path, max_files: usize, now: Timestamp) -> Result<PathBuf, FileError> {
    let (directory, name) = parts(log)?;
    let plan = plan(&name, &names(directory)?, max_files);
    for name in plan.remove {
        remove(&directory.join(name))?;
    }
    for name in plan.compress {
        compress(&directory.join(name))?;
    }
    let rotated = directory.join(rotated_name(&name, now));
    rename(log, &rotated)?;
    Ok(rotated)
}

/// Gives a file another name.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(at("rename", from))
}

/// Gives a file another name, unless that is taken; whether it did.
pub(super) fn give_back(from: &Path, to: &Path) -> Result<bool, FileError> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        // Not every file system can.
        Err(Errno::EINVAL) if !to.exists() => rename(from, to).map(|()| true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(at("rename", from)(errno.into())),
    }
}

/// Removes a log with everything that became of it.
pub(super) fn remove_all(log: &Path) -> Result<(), FileError> {
    let (directory, name) = parts(log)?;
    for rotated in names(directory)?.iter().filter(|other| is_rotated(&name, other)) {
        remove(&directory.join(rotated))?;
    }
    remove(log)
}

fn parts(log: &Path) -> Result<(&Path, String), FileError> {
    let invalid = || at("find the name of", log)(io::ErrorKind::InvalidInput.into());
    let name = log.file_name().ok_or_else(invalid)?.to_string_lossy().into_owned();
    Ok((log.parent().ok_or_else(invalid)?, name))
}

/// The names of a directory's entries; one that is gone has none.
fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let listed = std::fs::read_dir(directory).and_then(|entries| {
        let name = |entry: io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect()
    });
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(at("list", directory)),
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Puts `<path>.gz` in the place of `path`. An interruption leaves what `plan` removes the next time.
fn compress(path: &Path) -> Result<(), FileError> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let temporary = with(TEMPORARY);
    if let Err(error) = compress_into(path, &temporary) {
        // Only room on the disk is lost if it stays, and the next time removes it.
        let _left = std::fs::remove_file(&temporary);
        return Err(at("compress", path)(error));
    }
    rename(&temporary, &with(COMPRESSED))?;
    remove(path)
}

fn compress_into(path: &Path, temporary: &Path) -> io::Result<()> {
    let from = File::open(path)?;
    let mode = from.metadata()?.permissions().mode();
    let into = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(temporary)?;
    let mut encoder = GzEncoder::new(into, Compression::default());
    io::copy(&mut BufReader::with_capacity(READ_BYTES, from), &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
