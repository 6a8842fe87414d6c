//! Mounts of a part of a volume (`subPath`), which the pod's own processes may have filled with links.
//!
//! The path is opened below the volume by the kernel (`openat2`, `RESOLVE_BENEATH`), so that no link leads out of it, and
//! what was opened is bound by its descriptor: nobody can exchange it in between.
//! Upstream: pkg/volume/util/subpath (v1.35), which walks by hand and thereby also takes absolute links into the volume.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Component, Path},
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{Mode, fchmod, mkdirat},
};

use super::mounter::{self, Mounter};

/// The most that is read of a file with variables: the kernel takes no larger environment from anybody.
const ENV_FILE_BYTES_MAX: u64 = 2 << 20;

/// Binds `sub_path` of the volume at `volume` to `target`, making it a directory if it is absent. Blocks.
///
/// What was bound there before goes: containers that have it keep it.
pub(crate) fn prepare(volume: &Path, sub_path: &str, target: &Path, mounter: &dyn Mounter) -> io::Result<()> {
    let root = File::open(volume)?;
    let opened = match open(&root, Path::new(sub_path)) {
        Err(nix::Error::ENOENT) => make(&root, Path::new(sub_path))?,
        other => other?,
    };
    let descriptor = format!("/proc/self/fd/{}", opened.as_raw_fd());
    while mounter::is_mounted(mounter, target)? {
        mounter.unmount(&target.canonicalize()?)?;
    }
    if fs::metadata(&descriptor)?.is_dir() {
        if target.is_file() {
            fs::remove_file(target)?;
        }
        fs::create_dir_all(target)?;
    } else {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        if target.is_dir() {
            fs::remove_dir(target)?;
        }
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(target)?;
    }
    mounter.bind(Path::new(&descriptor), target)
}

/// Reads a file of the volume at `volume`. Links are followed as if the volume were the root. Blocks.
pub(crate) fn read(volume: &Path, path: &str) -> io::Result<String> {
    let root = File::open(volume)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut text = String::new();
    let file = File::from(openat2(&root, Path::new(path), how)?);
    file.take(ENV_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn open(root: &File, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    openat2(root, path, how)
}

/// Makes the missing directories of `path` with the mode of the volume itself, and opens the last.
fn make(root: &File, path: &Path) -> nix::Result<OwnedFd> {
    use std::os::unix::fs::PermissionsExt as _;
    let bits = root.metadata().map_err(|error| errno(&error))?.permissions().mode() & 0o7777;
    let mode = Mode::from_bits_truncate(bits);
    let mut current = open(root, Path::new("."))?;
    let mut walked = std::path::PathBuf::new();
    for part in path.components() {
        let Component::Normal(name) = part else { return Err(nix::Error::EINVAL) };
        walked.push(name);
        current = match open(root, &walked) {
            Err(nix::Error::ENOENT) => {
                mkdirat(&current, name, mode)?;
                let made = open(root, &walked)?;
                let readable = OpenHow::new()
                    .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
                    .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
                // The umask has cut the mode.
                if let Ok(directory) = openat2(&current, name, readable) {
                    fchmod(&directory, mode)?;
                }
                made
            }
            other => other?,
        };
    }
    Ok(current)
}

fn errno(error: &io::Error) -> nix::Error {
    error.raw_os_error().map_or(nix::Error::EIO, nix::Error::from_raw)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{super::mounter::fake::FakeMounter, *};

    #[test]
    fn a_link_does_not_lead_out_of_the_volume() {
        let root = tempfile::tempdir().unwrap();
        let (volume, target) = (root.path().join("v"), root.path().join("t"));
        fs::create_dir_all(volume.join("inside")).unwrap();
        fs::write(root.path().join("secret"), "").unwrap();
        symlink("inside", volume.join("good")).unwrap();
        symlink("../secret", volume.join("bad")).unwrap();
        symlink("/etc", volume.join("worse")).unwrap();
        let mounter = FakeMounter::default();
        for (path, is_good) in [
            ("inside", true),
            ("good", true),
            ("new/er", true),
            ("", true),
            ("bad", false),
            ("worse", false),
            ("worse/passwd", false),
            ("../secret", false),
            ("good/../../secret", false),
        ] {
            let outcome = prepare(&volume, path, &target, &mounter);
            assert_eq!(outcome.is_ok(), is_good, "{path}: {outcome:?}");
        }
        assert!(volume.join("new/er").is_dir());
        assert_eq!(mounter.points.lock().len(), 1, "the mount before went");
    }
}
