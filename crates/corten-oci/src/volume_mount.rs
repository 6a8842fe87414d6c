//! Volumes: mounts of the host put into a container between create and start.
//!
//! They stay out of the bundle because libcontainer ignores the propagation of single mounts and cannot map owners. Instead the
//! shim clones the source's mount tree, sets read-only, propagation and mapping on the detached clone, and a child that has
//! joined the container's mount namespace attaches it. The target is resolved inside the container's root, so links of the
//! image lead nowhere else; a mount point that is missing is made.

use std::{
    collections::VecDeque,
    ffi::{CString, OsString},
    fs::File,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag},
    sched::CloneFlags,
    sys::{stat::Mode, wait::waitpid},
    unistd::{ForkResult, fork},
};

use crate::{
    error::{During as _, SystemError},
    sys,
};

/// The file system of processes; nothing may be mounted into it. (`linux/magic.h`)
const PROC_MAGIC: i64 = 0x9fa0;

/// Which mounts of the other side a volume shows. Named as the API's `mountPropagation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// Neither side sees later mounts of the other (`None` in the API).
    #[default]
    Private,
    /// The container sees later mounts of the host.
    HostToContainer,
    /// Both see them.
    Bidirectional,
}

/// Whether the container may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// It may.
    #[default]
    ReadWrite,
    /// Not to the volume itself; mounts below it keep their own rule.
    ReadOnly,
    /// Not to anything below it either.
    RecursiveReadOnly,
}

/// One volume of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeMount {
    /// A directory or file of the host.
    pub source: PathBuf,
    /// Where the container sees it; absolute.
    pub target: PathBuf,
    /// Whether the container may write.
    pub access: Access,
    /// Which later mounts travel.
    pub propagation: Propagation,
    /// Whether the owners of files are shown through the container's user namespace.
    pub id_mapped: bool,
    /// Ignore set-user-id bits.
    pub no_suid: bool,
    /// Ignore device files.
    pub no_dev: bool,
    /// Refuse to execute files.
    pub no_exec: bool,
}

/// A volume that could not be mounted.
#[derive(Debug, thiserror::Error)]
#[error("mount volume {} on {}: {step}", mount.source.display(), mount.target.display())]
pub struct VolumeMountError {
    /// Which.
    pub mount: Box<VolumeMount>,
    /// What was tried.
    pub step: &'static str,
    /// What the kernel said.
    #[source]
    pub source: Errno,
}

impl VolumeMount {
    fn failed(&self, step: &'static str) -> impl FnOnce(Errno) -> VolumeMountError + '_ {
        move |source| VolumeMountError { mount: Box::new(self.clone()), step, source }
    }
}

/// What the child was doing, as a number for the pipe.
static STEPS: &[&str] =
    &["join mount namespace", "make mount point", "open mount point", "attach", "refuse to mount into /proc"];
const JOIN: u8 = 0;
const MAKE: u8 = 1;
const OPEN: u8 = 2;
const ATTACH: u8 = 3;
const REFUSE: u8 = 4;

/// A clone that is ready to be attached.
struct Prepared<'a> {
    mount: &'a VolumeMount,
    tree: OwnedFd,
    is_directory: bool,
}

/// Mounts the volumes into the container of the held process `init`, in order.
///
/// Must be called by a process with one thread. Nothing is left on failure but mounts inside the container.
pub(crate) fn mount_all(init: libc::pid_t, mounts: &[VolumeMount]) -> Result<(), VolumeMountError> {
    let Some(first) = mounts.first() else { return Ok(()) };
    let namespace =
        |kind: &str| File::open(format!("/proc/{init}/ns/{kind}")).map_err(|error| crate::error::errno(&error));
    let mount_namespace = namespace("mnt").map_err(first.failed("open mount namespace"))?;
    let user_namespace = namespace("user").map_err(first.failed("open user namespace"))?;
    let prepared: Vec<Prepared<'_>> =
        mounts.iter().map(|mount| prepare(mount, user_namespace.as_fd())).collect::<Result<_, _>>()?;

    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(first.failed("make pipe"))?;
    // SAFETY: the process has one thread; the child ends by _exit.
    match unsafe { fork() }.map_err(first.failed("fork"))? {
        ForkResult::Child => {
            let failure = attach_all(&mount_namespace, &prepared).err();
            if let Some((index, step, errno)) = failure {
                let mut message = [0_u8; 9];
                message[..4].copy_from_slice(&index.to_ne_bytes());
                message[4..8].copy_from_slice(&(errno as i32).to_ne_bytes());
                message[8] = step;
                // Nobody is left to tell when this fails: the exit code remains.
                let _ = nix::unistd::write(&write, &message);
            }
            sys::exit_now(i32::from(failure.is_some()));
        }
        ForkResult::Parent { child } => {
            drop(write);
            let mut message = [0_u8; 9];
            let length =
                sys::retry(|| nix::unistd::read(&read, &mut message)).map_err(first.failed("read from child"))?;
            let status = sys::retry(|| waitpid(child, None)).map_err(first.failed("wait for child"))?;
            if length == message.len() {
                let index = u32::from_ne_bytes(message[..4].try_into().expect("four bytes"));
                let errno = Errno::from_raw(i32::from_ne_bytes(message[4..8].try_into().expect("four bytes")));
                let step = STEPS.get(usize::from(message[8])).copied().unwrap_or("mount");
                return Err(mounts[index as usize].failed(step)(errno));
            }
            if status != nix::sys::wait::WaitStatus::Exited(child, 0) {
                return Err(first.failed("child was killed")(Errno::EINTR));
            }
            Ok(())
        }
    }
}

/// Clones the source and sets everything that can be set from outside.
fn prepare<'a>(mount: &'a VolumeMount, user_namespace: BorrowedFd<'_>) -> Result<Prepared<'a>, VolumeMountError> {
    let source =
        CString::new(mount.source.as_os_str().as_bytes()).map_err(|_| mount.failed("open source")(Errno::EINVAL))?;
    let tree = sys::clone_tree(AT_FDCWD, &source, true).map_err(mount.failed("clone mount of source"))?;
    let stat = nix::sys::stat::fstat(&tree).map_err(mount.failed("stat source"))?;
    let set = |attr: sys::MountAttr, recursive, step| {
        sys::mount_setattr(tree.as_fd(), &attr, recursive).map_err(mount.failed(step))
    };

    let propagation = match mount.propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::HostToContainer => libc::MS_SLAVE,
        Propagation::Bidirectional => libc::MS_SHARED,
    };
    set(sys::MountAttr { propagation, ..Default::default() }, true, "set propagation")?;
    if mount.id_mapped {
        use std::os::fd::AsRawFd as _;
        let userns_fd = u64::from(user_namespace.as_raw_fd().cast_unsigned());
        let attr = sys::MountAttr { set: sys::MOUNT_ATTR_IDMAP, userns_fd, ..Default::default() };
        set(attr, true, "map owners")?;
    }
    let flags = [
        (mount.no_suid, sys::MOUNT_ATTR_NOSUID),
        (mount.no_dev, sys::MOUNT_ATTR_NODEV),
        (mount.no_exec, sys::MOUNT_ATTR_NOEXEC),
        (mount.access == Access::ReadOnly, sys::MOUNT_ATTR_RDONLY),
    ];
    let own = flags.into_iter().filter(|(wanted, _)| *wanted).fold(0, |flags, (_, flag)| flags | flag);
    if own != 0 {
        set(sys::MountAttr { set: own, ..Default::default() }, false, "set mount options")?;
    }
    if mount.access == Access::RecursiveReadOnly {
        let attr = sys::MountAttr { set: sys::MOUNT_ATTR_RDONLY, ..Default::default() };
        set(attr, true, "make read-only with all below")?;
    }
    Ok(Prepared { mount, tree, is_directory: stat.st_mode & libc::S_IFMT == libc::S_IFDIR })
}

/// In the child: joins the container and attaches. Errors: which mount, which step, why.
fn attach_all(namespace: &File, prepared: &[Prepared<'_>]) -> Result<(), (u32, u8, Errno)> {
    // The root and working directory of the child become those of the namespace: the container's root.
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWNS).map_err(|errno| (0, JOIN, errno))?;
    let root = open_directory(Path::new("/")).map_err(|errno| (0, JOIN, errno))?;
    for (index, volume) in (0..).zip(prepared) {
        let kind = if volume.is_directory { Kind::Directory } else { Kind::File };
        ensure_mount_point(root.as_fd(), &volume.mount.target, kind).map_err(|errno| (index, MAKE, errno))?;
        let target = open_inside(root.as_fd(), &volume.mount.target).map_err(|errno| (index, OPEN, errno))?;
        let file_system = sys::file_system(target.as_fd()).map_err(|errno| (index, OPEN, errno))?;
        if file_system == PROC_MAGIC {
            return Err((index, REFUSE, Errno::EPERM));
        }
        sys::move_mount(volume.tree.as_fd(), target.as_fd()).map_err(|errno| (index, ATTACH, errno))?;
    }
    Ok(())
}

/// What a mount point has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// Makes missing mount points in a root file system that no container uses yet, where it can be written even if the
/// container will see it read-only. Targets below other mounts are left to [`mount_all`].
pub(crate) fn ensure_in_rootfs(rootfs: &Path, target: &Path, kind: Kind) -> Result<(), SystemError> {
    let root = open_directory(rootfs).during(format!("open root file system {}", rootfs.display()))?;
    match ensure_mount_point(root.as_fd(), target, kind) {
        // A root file system that cannot be written may have all it needs; if not, the mount says so.
        Ok(()) | Err(Errno::EROFS | Errno::EACCES | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno).during(format!("make mount point {} in {}", target.display(), rootfs.display())),
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn open_inside(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    sys::openat2(root, &path, libc::O_PATH, 0, sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS)
}

/// Makes what is missing on the way to `target`, never leaving `root`. Links of the image are followed inside it, also those
/// that lead to something that has yet to be made.
fn ensure_mount_point(root: BorrowedFd<'_>, target: &Path, kind: Kind) -> Result<(), Errno> {
    if target.components().any(|component| component == Component::ParentDir) {
        return Err(Errno::EINVAL);
    }
    let mut walked = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = names(target);
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        let parent = open_inside(root, &walked)?;
        let step = walked.join(&name);
        match open_inside(root, &step) {
            Ok(_) => {}
            // Under a link that leads nowhere yet: go where it leads.
            Err(Errno::ENOENT) if let Ok(link) = nix::fcntl::readlinkat(&parent, name.as_os_str()) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                let link = PathBuf::from(link);
                if link.is_absolute() {
                    walked = PathBuf::from("/");
                }
                for name in names(&link).into_iter().rev() {
                    rest.push_front(name);
                }
                continue;
            }
            Err(Errno::ENOENT) => {
                let made = if rest.is_empty() && kind == Kind::File {
                    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    nix::fcntl::openat(&parent, name.as_os_str(), flags, Mode::from_bits_truncate(0o644)).map(drop)
                } else {
                    nix::sys::stat::mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o755))
                };
                match made {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        }
        walked = step;
    }
    open_inside(root, &walked).map(drop)
}

/// As many as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// The names of a path, with the steps upwards of a link: the kernel resolves those, and stops at the root.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_made_inside_the_root_only() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("../../..", root.join("up")).unwrap();
        ensure_in_rootfs(&root, Path::new("/a/b"), Kind::Directory).unwrap();
        ensure_in_rootfs(&root, Path::new("/a/b/file"), Kind::File).unwrap();
        ensure_in_rootfs(&root, Path::new("/up/c"), Kind::Directory).unwrap();
        assert!(root.join("a/b").is_dir() && root.join("a/b/file").is_file());
        assert!(root.join("c").is_dir(), "a link that climbs ends at the root");
        std::os::unix::fs::symlink("/../../not/yet", root.join("dangling")).unwrap();
        ensure_in_rootfs(&root, Path::new("/dangling/d"), Kind::Directory).unwrap();
        assert!(root.join("not/yet/d").is_dir());
        std::os::unix::fs::symlink("round", root.join("round")).unwrap();
        assert!(ensure_in_rootfs(&root, Path::new("/round/d"), Kind::Directory).is_err());
        assert!(ensure_in_rootfs(&root, Path::new("/a/../../x"), Kind::Directory).is_err());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
