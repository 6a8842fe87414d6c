//! How much of the disk a directory takes: what `FilesystemUsage.used_bytes` means, for runtimes and kubelets alike.
//!
//! Upstream: pkg/volume/util/fs `DiskUsage` (v1.35): blocks and not lengths, hard links once, nothing of other devices.

use std::{collections::BTreeSet, fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// `stat` counts blocks of this many bytes, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

/// The bytes that `path` and all below it take; 0 if it is not there. What vanishes meanwhile is not counted. Blocks.
///
/// Errors: a directory that cannot be read.
pub fn disk_usage(path: &Path) -> io::Result<u64> {
    let Some(root) = found(fs::symlink_metadata(path))? else { return Ok(0) };
    let (mut total, mut linked) = (0, BTreeSet::new());
    let mut left = vec![(path.to_owned(), root.clone())];
    while let Some((path, metadata)) = left.pop() {
        if metadata.dev() != root.dev()
            || (metadata.nlink() > 1 && !metadata.is_dir() && !linked.insert(metadata.ino()))
        {
            continue;
        }
        total += metadata.blocks() * BLOCK_BYTES;
        if !metadata.is_dir() {
            continue;
        }
        let Some(entries) = found(fs::read_dir(&path))? else { continue };
        for entry in entries {
            let entry = entry?;
            // The entry itself, not what a link leads to.
            if let Some(metadata) = found(entry.metadata())? {
                left.push((entry.path(), metadata));
            }
        }
    }
    Ok(total)
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
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
}
