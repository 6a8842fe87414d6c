//! How much of the disk a directory takes: what `FilesystemUsage.used_bytes` means, for runtimes and kubelets alike.
//!
//! Upstream: pkg/volume/util/fs `DiskUsage` (v1.35): blocks and not lengths, hard links once, nothing of other devices.
//! What is remembered are names of directories and numbers of files with several links; containers make as many files as they
//! like.

use std::{collections::BTreeSet, ffi::OsString, io, path::Path};

use corten_base::fs::Descent;
use rustix::{
    fs::{FileType, Stat},
    io::Errno,
};

/// `stat` counts blocks of this many bytes, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

struct Sum {
    device: u64,
    blocks: u64,
    /// Files with several links that were counted.
    linked: BTreeSet<u64>,
}

/// The bytes that `path` and all below it take; 0 if it is not there. What vanishes or is moved meanwhile is not counted. Blocks.
///
/// Errors: a directory that cannot be read.
pub fn disk_usage(path: &Path) -> io::Result<u64> {
    let root = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(0),
        root => root?,
    };
    let mut sum = Sum { device: root.st_dev, blocks: 0, linked: BTreeSet::new() };
    sum.count(&root);
    let begin = || Ok::<_, io::Error>(if is_directory(&root) { Descent::at(path)? } else { None });
    let Some(mut walk) = begin()? else { return Ok(sum.bytes()) };
    // Of each directory on the way down, those in it that were not entered yet.
    let mut directories = vec![sum.count_entries(&walk)?];
    while let Some(left) = directories.last_mut() {
        if let Some(name) = left.pop() {
            if walk.down(&name)? {
                directories.push(sum.count_entries(&walk)?);
            }
            continue;
        }
        if walk.is_at_top() {
            break;
        }
        directories.pop();
        if !walk.up()? {
            // Somebody moved it: how to go on from here is not known, but the top is where it was.
            let Some(again) = begin()? else { break };
            walk = again;
            directories.truncate(1);
        }
    }
    Ok(sum.bytes())
}

impl Sum {
    fn bytes(&self) -> u64 {
        self.blocks * BLOCK_BYTES
    }

    fn count(&mut self, entry: &Stat) {
        self.blocks += u64::try_from(entry.st_blocks).unwrap_or_default();
    }

    /// Counts what is in the directory where `walk` is. Returns the directories in it.
    fn count_entries(&mut self, walk: &Descent) -> io::Result<Vec<OsString>> {
        let mut directories = Vec::new();
        walk.for_each(|name, entry| {
            if entry.st_dev != self.device {
                return Ok(());
            }
            if is_directory(entry) {
                directories.push(name.to_owned());
            } else if entry.st_nlink > 1 && !self.linked.insert(entry.st_ino) {
                return Ok(());
            }
            self.count(entry);
            Ok(())
        })?;
        Ok(directories)
    }
}

fn is_directory(entry: &Stat) -> bool {
    FileType::from_raw_mode(entry.st_mode).is_dir()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, Mode, OFlags};

    use super::*;

    #[test]
    fn hard_links_count_once_and_what_links_lead_to_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().join("d");
        fs::create_dir(&here).unwrap();
        let empty = disk_usage(&here).unwrap();
        fs::write(here.join("a"), vec![1; 1 << 20]).unwrap();
        let one = disk_usage(&here).unwrap();
        assert!(one >= empty + (1 << 20), "{one} after {empty}");
        fs::hard_link(here.join("a"), here.join("b")).unwrap();
        fs::write(directory.path().join("far"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("../far", here.join("c")).unwrap();
        assert!(disk_usage(&here).unwrap() < one + (64 << 10));
        assert_eq!(disk_usage(&here.join("missing")).unwrap(), 0);
    }

    /// Paths end at 4,096 bytes, and an error here let a container take what it liked.
    #[test]
    fn depth_has_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("d");
        fs::create_dir(&top).unwrap();
        let one = disk_usage(&top).unwrap();
        let open = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut directory = rustix::fs::openat(CWD, &top, open, Mode::empty()).unwrap();
        let name = "d".repeat(200);
        for _ in 0..50 {
            rustix::fs::mkdirat(&directory, &*name, Mode::RWXU).unwrap();
            directory = rustix::fs::openat(&directory, &*name, open, Mode::empty()).unwrap();
        }
        assert_eq!(disk_usage(&top).unwrap(), 51 * one);
        corten_base::fs::remove_dir_all(folder.path()).unwrap();
    }
}
