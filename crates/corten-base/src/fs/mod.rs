//! File operations whose errors name the operation and the path. All of them block: call them through [`crate::blocking`] or from an owned thread.

mod descent;
mod remove;

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

pub use descent::Descent;
pub use remove::remove_at;

/// The mode of a directory that is its owner's alone.
const PRIVATE_DIRECTORY: u32 = 0o700;

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

/// Makes a directory, and its parents as they come, that only its owner may enter; one that exists is closed to others too.
///
/// For what the machine's other users must not reach, whatever the modes of the files in it.
pub fn create_private_dir(path: &Path) -> Result<(), FsError> {
    if let Some(parent) = path.parent() {
        create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.at("create directory", path)?,
    }
    // One of an earlier version may be open to all; the mode given at creation is cut by the umask.
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_DIRECTORY)).at("set mode of", path)
}

/// Writes `data` in place to a file that only its owner may read, for files that nobody reads before the call has returned.
pub fn write_private(path: &Path, data: &[u8]) -> Result<(), FsError> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).at("open", path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).at("set mode of", path)?;
    file.write_all(data).at("write", path)
}

/// Writes `data` to `path` in place, for files of the kernel (cgroup, proc, sys).
pub fn write(path: &Path, data: &[u8]) -> Result<(), FsError> {
    fs::write(path, data).at("write", path)
}

/// Replaces `path` by a file with `data` and `mode`: readers see the old content or the new, also after a crash.
///
/// What is written first has a name that nobody can guess, is made anew and is never reached through a link, so that a
/// folder may belong to somebody else. A failure leaves nothing behind but the old file.
pub fn write_atomic(path: &Path, data: &[u8], mode: u32) -> Result<(), FsError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    let mut temporary = tempfile::Builder::new()
        .prefix(&name)
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .at("create a file in", directory)?;
    let place = temporary.path().to_owned();
    temporary.write_all(data).at("write", &place)?;
    // After the content: a reader of the folder must not see a part of it. The mode given at creation is cut by the umask.
    temporary.as_file().set_permissions(fs::Permissions::from_mode(mode)).at("set mode of", &place)?;
    temporary.as_file().sync_all().at("sync", &place)?;
    temporary.persist(path).map_err(|error| error.error).at("rename to", path)?;
    fs::File::open(directory).and_then(|d| d.sync_all()).at("sync", directory)
}

/// Removes a file; one that does not exist is fine.
pub fn remove_file(path: &Path) -> Result<(), FsError> {
    absent_is_ok(fs::remove_file(path)).at("remove", path)
}

/// Removes a directory with everything in it, however deep; one that does not exist is fine. Does not follow symbolic links,
/// and fails where something is mounted below it.
pub fn remove_dir_all(path: &Path) -> Result<(), FsError> {
    remove::remove_dir_all(path).at("remove directory", path)
}

fn absent_is_ok(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        for (data, mode) in [("old", 0o600), ("new", 0o644)] {
            write_atomic(&path, data.as_bytes(), mode).unwrap();
            assert_eq!(read_to_string(&path).unwrap(), data);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("config"), folder.path().join("shadow"));
        write(&target, b"theirs").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        write_atomic(&path, b"ours", 0o600).unwrap();
        assert_eq!(read(&target).unwrap(), b"theirs");
        assert_eq!(read(&path).unwrap(), b"ours");
    }

    #[test]
    fn what_is_private_is_closed_to_others_also_if_it_was_open() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let (directory, file) = (folder.path().join("a/b"), folder.path().join("f"));
        for _ in 0..2 {
            create_private_dir(&directory).unwrap();
            write_private(&file, b"secret").unwrap();
            assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
            for path in [&directory, &file] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        assert!(create_private_dir(&file).is_err(), "a file is in the way");
    }

    #[test]
    fn a_failure_names_the_operation_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        create_dir_all(&path.join("full")).unwrap();
        assert!(write_atomic(&path, b"data", 0o600).unwrap_err().to_string().starts_with("rename to "));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
