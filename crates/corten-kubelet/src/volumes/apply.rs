//! Makes a volume what its plan says, and removes what a pod has left. All of it blocks.
//!
//! Invariant: every step may be repeated; nothing is removed through a mount.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use corten_base::{
    ErrorChain,
    fs::{Context as _, FsError},
};
use jiff::Timestamp;

use super::{
    atomic_writer, host_path,
    layout::Layout,
    mounter::{self, Mounter},
    ownership,
    plugin::{Medium, Plan},
};
use crate::interfaces::MountedVolume;

/// Which volume of which pod.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) layout: Layout,
    pub(super) pod_uid: String,
    pub(super) plugin: &'static str,
    pub(super) volume: String,
}

/// Why a volume is not what it should be, in the words of `FailedMount`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ApplyError(String);

impl From<FsError> for ApplyError {
    fn from(error: FsError) -> Self {
        Self(ErrorChain(&error).to_string())
    }
}

/// What makes a pod's directory.
pub(super) fn make_pod_directories(layout: &Layout, uid: &str) -> Result<(), FsError> {
    let pod = layout.pod(uid);
    for path in [pod.clone(), pod.join("volumes"), pod.join("plugins")] {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&path).at("create directory", &path)?;
    }
    Ok(())
}

/// Carries out `plan`.
pub(super) fn apply(
    place: &Place,
    plan: &Plan,
    mounter: &dyn Mounter,
    now: Timestamp,
) -> Result<MountedVolume, ApplyError> {
    let directory = place.layout.volume(&place.pod_uid, place.plugin, &place.volume);
    match plan {
        Plan::EmptyDir { medium, fs_group } => {
            empty_directory(place, &directory, *medium, *fs_group, mounter)?;
            Ok(MountedVolume { host_path: directory, read_only: false })
        }
        Plan::Files { payload, in_memory, fs_group } => {
            let medium = if *in_memory { Medium::Memory(None) } else { Medium::Disk };
            // The group comes with the files, read-only.
            empty_directory(place, &directory, medium, None, mounter)?;
            let own = |_: &Path| fs_group.map_or(Ok(()), |group| ownership::give(&directory, group, true));
            atomic_writer::write(&directory, payload, now, own).map_err(|error| ApplyError(error.to_string()))?;
            Ok(MountedVolume { host_path: directory, read_only: true })
        }
        Plan::HostPath { path, kind, read_only } => {
            host_path::check(path, kind).map_err(ApplyError)?;
            Ok(MountedVolume { host_path: path.clone(), read_only: *read_only })
        }
        Plan::Local { path, volume, fs_group, on_root_mismatch, read_only } => {
            let directory = place.layout.volume(&place.pod_uid, place.plugin, volume);
            local(path, &directory, mounter)?;
            if let Some(group) = *fs_group
                && !*read_only
                && !(*on_root_mismatch && ownership::is_given(&directory, group, false)?)
            {
                ownership::give(&directory, group, false)?;
            }
            Ok(MountedVolume { host_path: directory, read_only: *read_only })
        }
    }
}

/// The mark is written when all is done; without it, all is done again.
fn empty_directory(
    place: &Place,
    directory: &Path,
    medium: Medium,
    fs_group: Option<u32>,
    mounter: &dyn Mounter,
) -> Result<(), ApplyError> {
    let mark = place.layout.plugin(&place.pod_uid, "kubernetes.io/empty-dir", &place.volume).join("ready");
    let is_mounted = || mounter::is_mounted(mounter, directory).at("find mounts of", directory);
    let is_ready = mark.exists() && directory.is_dir();
    match medium {
        Medium::Disk if is_ready => return Ok(()),
        Medium::Memory(_) | Medium::HugePages(_) if is_ready && is_mounted()? => return Ok(()),
        _ => {}
    }
    corten_base::fs::create_dir_all(directory)?;
    match medium {
        Medium::Disk => {}
        _ if is_mounted()? => {}
        Medium::Memory(size) => mounter.mount_memory(directory, size).at("mount tmpfs at", directory)?,
        Medium::HugePages(size) => {
            mounter.mount_huge_pages(directory, size).at("mount huge pages at", directory)?;
        }
    }
    let mode = if matches!(medium, Medium::Memory(_)) { 0o1777 } else { 0o777 };
    fs::set_permissions(directory, fs::Permissions::from_mode(mode)).at("set mode of", directory)?;
    if let Some(group) = fs_group {
        ownership::give(directory, group, false)?;
    }
    if let Some(parent) = mark.parent() {
        corten_base::fs::create_dir_all(parent)?;
    }
    corten_base::fs::write(&mark, b"")?;
    Ok(())
}

fn local(path: &Path, directory: &Path, mounter: &dyn Mounter) -> Result<(), ApplyError> {
    if !path.exists() {
        return Err(ApplyError(format!("path {:?} does not exist", path.display().to_string())));
    }
    corten_base::fs::create_dir_all(directory)?;
    if !mounter::is_mounted(mounter, directory).at("find mounts of", directory)? {
        mounter.bind(path, directory).at("bind to", directory)?;
    }
    Ok(())
}

/// Unmounts and removes everything of a pod.
pub(super) fn remove(layout: &Layout, uid: &str, mounter: &dyn Mounter) -> Result<(), FsError> {
    let directory = layout.pod(uid);
    for point in mounts_of(mounter, &directory)? {
        mounter.unmount(&point).at("unmount", &point)?;
    }
    if let Some(left) = mounts_of(mounter, &directory)?.first() {
        let error = std::io::Error::other("something is still mounted here");
        return Err(error).at("remove", left);
    }
    corten_base::fs::remove_dir_all(&directory)
}

fn mounts_of(mounter: &dyn Mounter, directory: &Path) -> Result<Vec<PathBuf>, FsError> {
    mounter::below(mounter, directory).at("find mounts of", directory)
}

/// The pods that have a directory.
pub(super) fn pods(layout: &Layout) -> Result<Vec<String>, FsError> {
    let directory = layout.pods();
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", &directory)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.push(entry.at("list", &directory)?.file_name().to_string_lossy().into_owned());
    }
    found.sort();
    Ok(found)
}
