//! Gives a volume to a pod's `fsGroup`: the group may read and write, and new files belong to it.
//!
//! Upstream: pkg/volume/volume_linux.go (v1.35), with its modes.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown},
    path::Path,
};

use corten_base::fs::{Context as _, FsError};

const READ_WRITE: u32 = 0o660;
const READ_ONLY: u32 = 0o440;
const EXECUTE: u32 = 0o110;
const SETGID: u32 = 0o2000;

/// Gives `root` and all below it to `group`. Does not follow links. Blocks.
pub(super) fn give(root: &Path, group: u32, read_only: bool) -> Result<(), FsError> {
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).at("stat", &path)?;
        lchown(&path, None, Some(group)).at("change group of", &path)?;
        if metadata.file_type().is_symlink() {
            continue;
        }
        let mode = metadata.permissions().mode() & 0o7777 | mask(metadata.is_dir(), read_only);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).at("set mode of", &path)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).at("list", &path)? {
                left.push(entry.at("list", &path)?.path());
            }
        }
    }
    Ok(())
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
        // The own group can always be given, root or not.
        let group = nix::unistd::getegid().as_raw();
        give(&here, group, true).unwrap();
        assert_eq!(mode(&here.join("d/f")), 0o640);
        assert_eq!(mode(&here.join("d")) & SETGID, SETGID);
        give(&here, group, false).unwrap();
        assert_eq!(mode(&here.join("d/f")), 0o660);
        assert_eq!(mode(&outside), 0o600, "links are not followed");
        assert!(is_given(&here, group, false).unwrap());
        assert!(!is_given(&here, group + 1, false).unwrap());
    }
}
