//! How full a file system is.

use std::path::Path;

use corten_cri::api;
use nix::sys::statvfs::statvfs;

/// A file system, and what of it is used by those who are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) available_bytes: u64,
    pub(super) capacity_bytes: u64,
    pub(super) used_bytes: u64,
    pub(super) inodes_free: u64,
    pub(super) inodes: u64,
    pub(super) inodes_used: u64,
}

impl Disk {
    /// The file system that holds `path`; `None` if there is no such path.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let stat = statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
        Some(Self {
            available_bytes: bytes(stat.blocks_available()),
            capacity_bytes: bytes(stat.blocks()),
            used_bytes: bytes(stat.blocks().saturating_sub(stat.blocks_free())),
            inodes_free: stat.files_free(),
            inodes: stat.files(),
            inodes_used: stat.files().saturating_sub(stat.files_free()),
        })
    }

    /// The file system with images: what they use is the runtime's count.
    pub(super) fn of_images(usage: &api::FilesystemUsage) -> Option<Self> {
        let disk = Self::read(Path::new(&usage.fs_id.as_ref()?.mountpoint))?;
        let count = |value: Option<&api::UInt64Value>, otherwise: u64| value.map_or(otherwise, |value| value.value);
        Some(Self {
            used_bytes: count(usage.used_bytes.as_ref(), disk.used_bytes),
            inodes_used: count(usage.inodes_used.as_ref(), disk.inodes_used),
            ..disk
        })
    }
}
