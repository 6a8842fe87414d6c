//! A pod's namespaces that no process keeps alive: made by a thread of their own, pinned by bind mounts.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
};

use corten_base::mounts;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

/// What to make, in the pod's run directory.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The pod's network namespace, for its sysctls.
    pub(crate) net: Option<PathBuf>,
    /// Where to pin an IPC namespace.
    pub(crate) ipc: Option<PathBuf>,
    /// Where to pin a UTS namespace.
    pub(crate) uts: Option<PathBuf>,
    /// The name in it.
    pub(crate) hostname: String,
    /// `net.ipv4.ip_forward` -> `1`; of the namespaces above only.
    pub(crate) sysctls: Vec<(String, String)>,
}

/// Makes and pins them. Blocks.
pub(crate) fn make(wanted: &Wanted) -> io::Result<()> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("namespaces".to_owned()).spawn_scoped(scope, || on_thread(wanted))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The thread's namespaces end with it, but for what was pinned.
fn on_thread(wanted: &Wanted) -> io::Result<()> {
    if let Some(net) = &wanted.net {
        setns(File::open(net)?, CloneFlags::CLONE_NEWNET)?;
    }
    for (path, flag, name) in
        [(&wanted.ipc, CloneFlags::CLONE_NEWIPC, "ipc"), (&wanted.uts, CloneFlags::CLONE_NEWUTS, "uts")]
    {
        if let Some(path) = path {
            unshare(flag)?;
            File::create(path)?;
            let own = PathBuf::from("/proc/thread-self/ns").join(name);
            mount(Some(&own), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        }
    }
    if wanted.uts.is_some() {
        nix::unistd::sethostname(&wanted.hostname)?;
    }
    for (name, value) in &wanted.sysctls {
        let is_ours = if name.starts_with("net.") {
            wanted.net.is_some()
        } else if name.starts_with("kernel.shm")
            || name.starts_with("kernel.msg")
            || name.starts_with("fs.mqueue.")
            || name == "kernel.sem"
        {
            wanted.ipc.is_some()
        } else if name == "kernel.hostname" || name == "kernel.domainname" {
            wanted.uts.is_some()
        } else {
            false
        };
        if !is_ours || name.contains("..") {
            let text = format!("sysctl {name:?} is not in a separate kernel namespace");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        OpenOptions::new().write(true).open(&path)?.write_all(value.as_bytes())?;
    }
    Ok(())
}

/// Removes a pin; none is fine. Blocks.
pub(crate) fn unpin(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Mounts the pod's shared memory. Blocks.
pub(crate) fn mount_shm(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("shm"), path, Some("tmpfs"), flags, Some("mode=1777,size=65536k"))?;
    Ok(())
}

/// Unmounts it; not mounted is fine. Blocks.
pub(crate) fn unmount_shm(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Unmounts everything at and below `directory`, the latest mount first. Blocks.
pub(crate) fn unmount_below(directory: &Path) -> io::Result<()> {
    let mounts = mounts::read().map_err(io::Error::other)?;
    for target in mounts.into_iter().rev().map(|mount| mount.point).filter(|target| target.starts_with(directory)) {
        match umount2(&target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Gone with the one that it was on.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
