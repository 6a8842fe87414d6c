//! Gives a volume to a pod's `fsGroup`: the group may read and write, and new files belong to it.
//!
//! Upstream: pkg/volume/volume_linux.go (v1.35), with its modes.

use std::{
    fs::{self, File, Metadata},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use corten_base::fs::{Context as _, FsError};
use nix::{
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2},
    unistd::{Gid, fchownat},
};

const READ_WRITE: u32 = 0o660;
const READ_ONLY: u32 = 0o440;
const EXECUTE: u32 = 0o110;
const SETGID: u32 = 0o2000;

/// Gives `root` and all below it to `group`. Does not follow links. Blocks.
///
/// Other pods may write to the volume meanwhile. What is changed is therefore what was opened below the volume without a
/// link (`openat2`), by its descriptor: nobody can put a link to a file of the node in its place.
pub(super) fn give(root: &Path, group: u32, read_only: bool) -> Result<(), FsError> {
    let top = File::open(root).at("open", root)?;
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let shown = root.join(&path);
        let opened = match open(&top, &path) {
            // Somebody has removed it.
            Err(nix::Error::ENOENT) => continue,
            opened => opened.map_err(io::Error::from).at("open", &shown)?,
        };
        let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        let owned = fchownat(opened.as_fd(), "", None, Some(Gid::from_raw(group)), AtFlags::AT_EMPTY_PATH);
        owned.map_err(io::Error::from).at("change group of", &shown)?;
        let opened = File::from(opened);
        let metadata: Metadata = opened.metadata().at("stat", &shown)?;
        if metadata.file_type().is_symlink() {
            continue;
        }
        let mode = metadata.permissions().mode() & 0o7777 | mask(metadata.is_dir(), read_only);
        fs::set_permissions(&by_descriptor, fs::Permissions::from_mode(mode)).at("set mode of", &shown)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&by_descriptor).at("list", &shown)? {
                left.push(path.join(entry.at("list", &shown)?.file_name()));
            }
        }
    }
    Ok(())
}

/// Opens what is at `path` below `root`, also a link itself; fails if a link is on the way there.
fn open(root: &File, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(root, if path.as_os_str().is_empty() { Path::new(".") } else { path }, how)
}

/// Whether `root` itself belongs to `group` already: `fsGroupChangePolicy: OnRootMismatch` looks no further. Blocks.
pub(super) fn is_given(root: &Path, group: u32, read_only: bool) -> Result<bool, FsError> {
    let metadata = fs::metadata(root).at("stat", root)?;
    let wanted = mask(true, read_only);
    Ok(metadata.gid() == group && metadata.permissions().mode() & wanted == wanted)
}

fn mask(is_directory: bool, read_only: bool) -> u32 {
    let access = if read_only { READ_ONLY } else { READ_WRITE };
    if is_directory { access | EXECUTE | SETGID } else { access }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_group_may_use_what_it_is_given() {
        let root = tempfile::tempdir().unwrap();
        let (here, outside) = (root.path().join("v"), root.path().join("outside"));
        fs::create_dir_all(here.join("d")).unwrap();
        for (path, bits) in [(here.join("d/f"), 0o600), (outside.clone(), 0o600)] {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        }
        symlink(&outside, here.join("link")).unwrap();
        symlink(root.path(), here.join("up")).unwrap();
        // The own group can always be given, root or not.
        let group = nix::unistd::getegid().as_raw();
        give(&here, group, true).unwrap();
        assert_eq!(mode(&here.join("d/f")), 0o640);
        assert_eq!(mode(&here.join("d")) & SETGID, SETGID);
        give(&here, group, false).unwrap();
        assert_eq!(mode(&here.join("d/f")), 0o660);
        assert_eq!(mode(&outside), 0o600, "links are not followed");
        // As if somebody had put the link there after its name was read as that of a directory.
        let top = File::open(&here).unwrap();
        assert_eq!(open(&top, Path::new("up/outside")).unwrap_err(), nix::Error::ELOOP);
        assert!(open(&top, Path::new("up")).is_ok(), "the link itself can be given away");
        assert!(is_given(&here, group, false).unwrap());
        assert!(!is_given(&here, group + 1, false).unwrap());
    }
}
