//! The few mounts that volumes need, behind a trait: tests do without the right to mount.

use std::{
    io,
    path::{Path, PathBuf},
};

use corten_base::mounts;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounts and unmounts. All calls block.
pub trait Mounter: std::fmt::Debug + Send + Sync + 'static {
    /// Mounts a file system in memory, of at most `size_bytes`, or of half of the memory.
    fn mount_memory(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()>;

    /// Mounts a file system of huge pages.
    fn mount_huge_pages(&self, target: &Path, page_size_bytes: u64) -> io::Result<()>;

    /// Shows `source` at `target`, with what is mounted below it.
    fn bind(&self, source: &Path, target: &Path) -> io::Result<()>;

    /// Removes the uppermost mount at `target`.
    fn unmount(&self, target: &Path) -> io::Result<()>;

    /// All mount points, in the order in which they were mounted.
    fn mount_points(&self) -> io::Result<Vec<PathBuf>>;
}

/// The kernel's mounts, in the mount namespace of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemMounter;

impl Mounter for SystemMounter {
    fn mount_memory(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()> {
        let size = size_bytes.map(|bytes| format!("size={bytes}"));
        let try_with = |more: Option<&str>| {
            let options: Vec<&str> = size.as_deref().into_iter().chain(more).collect();
            mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::empty(), Some(options.join(",").as_str()))
        };
        // Kernels before 6.4 do not know the option; what is secret may then reach the swap.
        match try_with(Some("noswap")) {
            Err(nix::Error::EINVAL) => try_with(None)?,
            other => other?,
        }
        Ok(())
    }

    fn mount_huge_pages(&self, target: &Path, page_size_bytes: u64) -> io::Result<()> {
        let size = format!("pagesize={page_size_bytes}");
        mount(Some("nodev"), target, Some("hugetlbfs"), MsFlags::empty(), Some(size.as_str()))?;
        Ok(())
    }

    fn bind(&self, source: &Path, target: &Path) -> io::Result<()> {
        mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
        Ok(())
    }

    fn unmount(&self, target: &Path) -> io::Result<()> {
        match umount2(target, MntFlags::UMOUNT_NOFOLLOW) {
            // The file is open somewhere, as in a process that was told to end: it goes with its last user.
            Err(nix::Error::EBUSY) => umount2(target, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH)?,
            other => other?,
        }
        Ok(())
    }

    fn mount_points(&self) -> io::Result<Vec<PathBuf>> {
        let mounts = mounts::read().map_err(io::Error::other)?;
        Ok(mounts.into_iter().map(|mount| mount.point).collect())
    }
}

/// The mount points at or below `directory`, the last one mounted first. Blocks.
pub(super) fn below(mounter: &dyn Mounter, directory: &Path) -> io::Result<Vec<PathBuf>> {
    // The kernel shows real paths.
    let directory = match directory.canonicalize() {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = mounter.mount_points()?;
    found.retain(|point| point.starts_with(&directory));
    found.reverse();
    Ok(found)
}

/// Whether something is mounted exactly here. Blocks.
pub(super) fn is_mounted(mounter: &dyn Mounter, target: &Path) -> io::Result<bool> {
    let Ok(target) = target.canonicalize() else { return Ok(false) };
    Ok(mounter.mount_points()?.contains(&target))
}

#[cfg(test)]
pub(crate) mod fake {
    //! Mounts that are only remembered.

    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct FakeMounter {
        pub(crate) points: Mutex<Vec<PathBuf>>,
        pub(crate) sizes: Mutex<Vec<Option<u64>>>,
        /// Held by a test, mounting waits for it.
        pub(crate) gate: Mutex<()>,
    }

    impl Mounter for FakeMounter {
        fn mount_memory(&self, target: &Path, size_bytes: Option<u64>) -> io::Result<()> {
            self.sizes.lock().push(size_bytes);
            let _open = self.gate.lock();
            self.points.lock().push(target.canonicalize()?);
            Ok(())
        }

        fn mount_huge_pages(&self, target: &Path, page_size_bytes: u64) -> io::Result<()> {
            self.mount_memory(target, Some(page_size_bytes))
        }

        fn bind(&self, _: &Path, target: &Path) -> io::Result<()> {
            self.points.lock().push(target.canonicalize()?);
            Ok(())
        }

        fn unmount(&self, target: &Path) -> io::Result<()> {
            let mut points = self.points.lock();
            let at = points.iter().rposition(|point| point == target);
            points.remove(at.ok_or(io::ErrorKind::InvalidInput)?);
            Ok(())
        }

        fn mount_points(&self) -> io::Result<Vec<PathBuf>> {
            Ok(self.points.lock().clone())
        }
    }
}
