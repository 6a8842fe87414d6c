//! A /dev of the sandbox's own: what is done to its files is done to no file of the machine, and disks are not in it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::mounts::{NONE, create_folder};

/// What every process may count on: name, major and minor number. Source: the kernel's list of devices.
const STANDARD: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// What some containers and programs ask a machine for, and only some machines have.
const OPTIONAL: [&str; 3] = ["fuse", "kmsg", "net/tun"];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Covers the machine's /dev.
pub(super) fn mount_dev() -> anyhow::Result<()> {
    let dev = Path::new("/dev");
    let optional: Vec<(&str, u64, u32)> = OPTIONAL
        .iter()
        .filter_map(|name| {
            let found = fs::symlink_metadata(dev.join(name)).ok()?;
            found.file_type().is_char_device().then(|| (*name, found.rdev(), found.mode() & 0o777))
        })
        .collect();
    let has_queues = dev.join("mqueue").is_dir();
    // Devices are what it is for: no MS_NODEV.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), dev, Some("tmpfs"), flags, Some("mode=755")).context("mount an own /dev")?;
    for (name, major, minor) in STANDARD {
        make(&dev.join(name), makedev(major, minor), 0o666)?;
    }
    for (name, device, mode) in optional {
        make(&dev.join(name), device, mode)?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).with_context(|| format!("link /dev/{name}"))?;
    }
    let quiet = flags | MsFlags::MS_NODEV;
    // Each mount of it is a set of terminals of its own.
    mount_in("pts", "devpts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some("newinstance,ptmxmode=0666,mode=620"))?;
    mount_in("shm", "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777"))?;
    if has_queues {
        mount_in("mqueue", "mqueue", quiet, NONE)?;
    }
    Ok(())
}

fn make(path: &Path, device: u64, mode: u32) -> anyhow::Result<()> {
    create_folder(path.parent().context("a device has a folder")?)?;
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(mode), device)
        .with_context(|| format!("make {}", path.display()))?;
    // Whatever mask the caller has.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set mode of {}", path.display()))
}

fn mount_in(name: &str, kind: &str, flags: MsFlags, options: Option<&str>) -> anyhow::Result<()> {
    let place = Path::new("/dev").join(name);
    create_folder(&place)?;
    mount(Some(kind), &place, Some(kind), flags, options).with_context(|| format!("mount {}", place.display()))
}
