//! File operations whose errors name the operation and the path. All of them block: call them from `spawn_blocking` or an owned thread.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A failed file operation.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}", path.display())]
pub struct FsError {
    /// What was tried, as a verb: `open`, `write`, `rename`.
    pub operation: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Whether the path did not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Gives an I/O result its operation and path.
pub trait Context<T> {
    /// Names what was tried.
    fn at(self, operation: &'static str, path: &Path) -> Result<T, FsError>;
}

impl<T> Context<T> for io::Result<T> {
    fn at(self, operation: &'static str, path: &Path) -> Result<T, FsError> {
        self.map_err(|source| FsError { operation, path: path.to_owned(), source })
    }
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    fs::read(path).at("read", path)
}

/// Reads a whole file of UTF-8 text.
pub fn read_to_string(path: &Path) -> Result<String, FsError> {
    fs::read_to_string(path).at("read", path)
}

/// Makes a directory and its parents; one that exists is fine.
pub fn create_dir_all(path: &Path) -> Result<(), FsError> {
    fs::create_dir_all(path).at("create directory", path)
}

/// Writes `data` to `path` in place, for files of the kernel (cgroup, proc, sys).
pub fn write(path: &Path, data: &[u8]) -> Result<(), FsError> {
    fs::write(path, data).at("write", path)
}

/// Replaces `path` by a file with `data` and `mode`: readers see the old content or the new, also after a crash.
pub fn write_atomic(path: &Path, data: &[u8], mode: u32) -> Result<(), FsError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .at("create", &temporary)?;
    // The mode given at open is cut by the umask.
    file.set_permissions(fs::Permissions::from_mode(mode)).at("set mode of", &temporary)?;
    file.write_all(data).at("write", &temporary)?;
    file.sync_all().at("sync", &temporary)?;
    fs::rename(&temporary, path).at("rename to", path)?;
    fs::File::open(directory).and_then(|d| d.sync_all()).at("sync", directory)
}

/// Removes a file; one that does not exist is fine.
pub fn remove_file(path: &Path) -> Result<(), FsError> {
    absent_is_ok(fs::remove_file(path)).at("remove", path)
}

/// Removes a directory with everything in it; one that does not exist is fine. Does not follow symbolic links.
pub fn remove_dir_all(path: &Path) -> Result<(), FsError> {
    absent_is_ok(fs::remove_dir_all(path)).at("remove directory", path)
}

fn absent_is_ok(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
