//! The places in a root file system where something is mounted.

use std::{collections::BTreeMap, path::Path};

use super::error::CreateError;
use crate::{
    bundle::Bundle,
    volume_mount::{self, Kind, VolumeMount},
};

/// What a mount point for `source` has to be: sockets and devices are mounted on files, too. A source that does not exist is
/// found when it is mounted.
fn mount_point_for(source: &Path) -> Kind {
    match source.metadata() {
        Ok(found) if !found.is_dir() => Kind::File,
        _ => Kind::Directory,
    }
}

/// Makes the mount points of volumes, and the working directory, in the root file system itself: the container may see it
/// read-only. What lies below another mount can only be made there, later.
pub(super) fn make_mount_points(bundle: &Bundle, volumes: &[VolumeMount]) -> Result<(), CreateError> {
    let mounts = bundle.spec().mounts().iter().flatten().map(|mount| mount.destination().as_path());
    let covered: Vec<&Path> = mounts
        .chain(volumes.iter().map(|volume| volume.target.as_path()))
        .filter(|path| *path != Path::new("/"))
        .collect();
    let is_below_mount = |target: &Path| covered.iter().any(|mount| target != *mount && target.starts_with(mount));
    let mut wanted: BTreeMap<&Path, Kind> = BTreeMap::new();
    wanted.insert(bundle.process().cwd(), Kind::Directory);
    for volume in volumes {
        wanted.insert(&volume.target, mount_point_for(&volume.source));
    }
    let spec_mounts: Vec<&Path> =
        bundle.spec().mounts().iter().flatten().map(|mount| mount.destination().as_path()).collect();
    for (target, kind) in wanted {
        if !is_below_mount(target) && !spec_mounts.contains(&target) {
            volume_mount::ensure_in_rootfs(bundle.rootfs(), target, kind)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket or a device could not be mounted: the mount point was made as a directory.
    #[test]
    fn only_directories_are_mounted_on_directories() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, file) = (directory.path().join("s"), directory.path().join("f"));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(mount_point_for(directory.path()), Kind::Directory);
        for source in [&*socket, &*file, Path::new("/dev/null")] {
            assert_eq!(mount_point_for(source), Kind::File, "{}", source.display());
        }
    }
}
