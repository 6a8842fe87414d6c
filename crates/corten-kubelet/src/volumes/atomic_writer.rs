//! Replaces all files of a directory at once, as readers see it.
//!
//! Layout: the files are in a fresh directory `..<time>.<number>`; the link `..data` leads to it, and each visible name
//! is a link through `..data`. Changing that one link changes everything.
//! Invariant: a reader that opened `..data` once sees files of one write only; after a crash the old content is whole.
//! Upstream: pkg/volume/util/atomic_writer.go (v1.35), whose layout containers rely upon.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Component, Path, PathBuf},
};

use corten_base::fs::{Context as _, FsError};
use jiff::Timestamp;

use super::payload::Payload;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// The longest path that the kernel takes, in bytes. Source: `maxPathLength`.
const PATH_BYTES_MAX: usize = 4_096;
/// The longest name that the kernel takes, in bytes. Source: `maxFileNameLength`.
const NAME_BYTES_MAX: usize = 255;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// A path of the payload leads elsewhere.
    #[error("{0}")]
    Path(String),
    /// The system refused.
    #[error(transparent)]
    File(#[from] FsError),
}

/// Makes the files below `directory` those of `payload`, and whether anything changed. Blocks.
///
/// `own` sets owners and modes of the fresh directory before anybody sees it. `now` names that directory.
pub(super) fn write(
    directory: &Path,
    payload: &Payload,
    now: Timestamp,
    own: impl FnOnce(&Path) -> Result<(), FsError>,
) -> Result<bool, WriteError> {
    for path in payload.keys() {
        check_path(path).map_err(WriteError::Path)?;
    }
    let old = match fs::read_link(directory.join(DATA)) {
        Ok(name) => Some(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).at("read link", &directory.join(DATA)).map_err(Into::into),
    };
    let old_files = match &old {
        Some(name) => files_below(&directory.join(name))?,
        None => BTreeSet::new(),
    };
    let is_same = old.is_some()
        && old_files.iter().map(String::as_str).eq(payload.keys().map(String::as_str))
        && payload
            .iter()
            .all(|(path, file)| fs::read(directory.join(DATA).join(path)).is_ok_and(|content| content == file.data));
    if is_same {
        // A crash may have come between the new data and the names that show it.
        show(directory, payload)?;
        return Ok(false);
    }
    let fresh = fresh_directory(directory, now)?;
    let result = fill(&fresh, payload).and_then(|()| own(&fresh)).and_then(|()| switch(directory, &fresh));
    if let Err(error) = result {
        // Best effort: the error that matters is the first one, and the next write makes a directory of its own.
        let _ = fs::remove_dir_all(&fresh);
        return Err(error.into());
    }
    show(directory, payload)?;
    hide(directory, &old_files, payload)?;
    if let Some(name) = old {
        corten_base::fs::remove_dir_all(&directory.join(name))?;
    }
    Ok(true)
}

fn check_path(path: &str) -> Result<(), String> {
    let relative = Path::new(path);
    if path.is_empty() || relative.is_absolute() {
        return Err(format!("invalid path: must be relative path: {path}"));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("invalid path: must be less than or equal to {PATH_BYTES_MAX} characters"));
    }
    for part in relative.components() {
        match part {
            Component::Normal(name) if name.len() > NAME_BYTES_MAX => {
                return Err(format!(
                    "invalid path: filenames must be less than or equal to {NAME_BYTES_MAX} characters"
                ));
            }
            Component::Normal(_) => {}
            _ => return Err(format!("invalid path: must not contain '..': {path}")),
        }
    }
    if path.starts_with("..") {
        return Err(format!("invalid path: must not start with '..': {path}"));
    }
    Ok(())
}

/// The files below a directory, by their paths in it.
fn files_below(directory: &Path) -> Result<BTreeSet<String>, FsError> {
    let (mut found, mut left) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(relative) = left.pop() {
        let path = directory.join(&relative);
        let entries = match fs::read_dir(&path) {
            // The link leads nowhere: a crash came before the directory was there again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.at("list", &path)?,
        };
        for entry in entries {
            let entry = entry.at("list", &path)?;
            let name = relative.join(entry.file_name());
            if entry.file_type().at("stat", &path)?.is_dir() {
                left.push(name);
            } else {
                found.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

/// A new directory named after the time, and a number if that is taken.
fn fresh_directory(directory: &Path, now: Timestamp) -> Result<PathBuf, FsError> {
    let time = now.strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    let mut number = u64::from(now.subsec_nanosecond().unsigned_abs());
    loop {
        let path = directory.join(format!("{time}.{number}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => {
                made.at("create directory", &path)?;
                set_mode(&path, 0o755)?;
                return Ok(path);
            }
        }
    }
}

fn fill(fresh: &Path, payload: &Payload) -> Result<(), FsError> {
    for (path, file) in payload {
        let target = fresh.join(path);
        let parent = target.parent().unwrap_or(fresh);
        corten_base::fs::create_dir_all(parent)?;
        // The umask may have cut the modes of directories and files.
        let mut directory = parent;
        while directory != fresh {
            set_mode(directory, 0o755)?;
            directory = directory.parent().unwrap_or(fresh);
        }
        corten_base::fs::write(&target, &file.data)?;
        if let Some(owner) = file.owner {
            chown(&target, Some(owner), None).at("change owner of", &target)?;
        }
        set_mode(&target, file.mode)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<(), FsError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set mode of", path)
}

/// The moment of the change.
fn switch(directory: &Path, fresh: &Path) -> Result<(), FsError> {
    let next = directory.join(NEW_DATA);
    corten_base::fs::remove_file(&next)?;
    symlink(fresh.file_name().unwrap_or_default(), &next).at("link", &next)?;
    fs::rename(&next, directory.join(DATA)).at("rename to", &directory.join(DATA))
}

/// The first part of a path: what stands in the directory itself.
fn visible(path: &str) -> &str {
    path.split('/').find(|part| !part.is_empty() && *part != ".").unwrap_or(path)
}

fn show(directory: &Path, payload: &Payload) -> Result<(), FsError> {
    for name in payload.keys().map(|path| visible(path)).collect::<BTreeSet<_>>() {
        let link = directory.join(name);
        match fs::symlink_metadata(&link) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                symlink(Path::new(DATA).join(name), &link).at("link", &link)?;
            }
            Err(error) => return Err(error).at("stat", &link),
        }
    }
    Ok(())
}

fn hide(directory: &Path, old: &BTreeSet<String>, payload: &Payload) -> Result<(), FsError> {
    let kept: BTreeSet<&str> = payload.keys().map(|path| visible(path)).collect();
    for name in old.iter().map(|path| visible(path)).collect::<BTreeSet<_>>() {
        if !kept.contains(name) {
            corten_base::fs::remove_file(&directory.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::payload::ProjectedFile, *};

    fn payload(files: &[(&str, &str, u32)]) -> Payload {
        let file = |data: &str, mode| ProjectedFile { data: data.to_owned().into(), mode, owner: None };
        files.iter().map(|(path, data, mode)| ((*path).to_owned(), file(data, *mode))).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_links_through_one_link() {
        let root = tempfile::tempdir().unwrap();
        let here = root.path();
        let first = payload(&[("a", "1", 0o644), ("b/c", "2", 0o400)]);
        assert!(write(here, &first, at(0), |_| Ok(())).unwrap());
        assert_eq!(names(here), ["..1970_01_01_00_00_00.0", "..data", "a", "b"]);
        assert_eq!(fs::read_link(here.join("..data")).unwrap(), Path::new("..1970_01_01_00_00_00.0"));
        assert_eq!(fs::read_link(here.join("b")).unwrap(), Path::new("..data/b"));
        assert_eq!(fs::read_to_string(here.join("b/c")).unwrap(), "2");
        assert_eq!(fs::metadata(here.join("b/c")).unwrap().permissions().mode() & 0o777, 0o400);

        assert!(!write(here, &first, at(1), |_| Ok(())).unwrap(), "the same files are not written again");
        assert_eq!(names(here)[0], "..1970_01_01_00_00_00.0");

        let second = payload(&[("a", "one", 0o644), ("d", "4", 0o644)]);
        assert!(write(here, &second, at(2), |_| Ok(())).unwrap());
        assert_eq!(names(here), ["..1970_01_01_00_00_02.0", "..data", "a", "d"]);
        assert_eq!(fs::read_to_string(here.join("a")).unwrap(), "one");

        assert!(write(here, &Payload::new(), at(3), |_| Ok(())).unwrap());
        assert_eq!(names(here), ["..1970_01_01_00_00_03.0", "..data"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_files() {
        let root = tempfile::tempdir().unwrap();
        let here = root.path();
        write(here, &payload(&[("a", "1", 0o644)]), at(0), |_| Ok(())).unwrap();
        let failed = write(here, &payload(&[("a", "2", 0o644)]), at(1), |path| {
            Err(io::Error::other("no")).at("change owner of", path)
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(here.join("a")).unwrap(), "1");
        assert_eq!(names(here), ["..1970_01_01_00_00_00.0", "..data", "a"]);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for (path, is_good) in [
            ("a", true),
            ("a/b", true),
            (".hidden", true),
            ("a/..b", true),
            ("", false),
            ("/a", false),
            ("../a", false),
            ("a/../b", false),
            ("..a", false),
        ] {
            assert_eq!(check_path(path).is_ok(), is_good, "{path}");
        }
    }
}
