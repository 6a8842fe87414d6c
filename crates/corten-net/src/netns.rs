//! Network namespaces: create, pin to a path, enter with a closure, remove.
//!
//! A namespace lives as long as something refers to it: a thread in it, an open descriptor, or a bind mount of its file
//! ("pinned"). A pinned namespace has no thread in it; it is made by a thread that lives only for that. No function
//! here changes the namespace of the calling thread.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt as _,
    },
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
};

use corten_base::fs::{Context as _, FsError};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{FsType, fstatfs},
};

use crate::netlink::{self, LinkChange, Rtnl};

/// The calling thread's own namespace. `/proc/self` would be the main thread's.
const OWN: &str = "/proc/thread-self/ns/net";
const LOOPBACK: &str = "lo";
/// `NSFS_MAGIC` of Linux `include/uapi/linux/magic.h`: the file system of namespace files.
const NSFS: FsType = FsType(0x6e73_6673);

/// Why a namespace could not be made, entered or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// The path leads to something that is not a network namespace.
    #[error("{} is not a network namespace", path.display())]
    NotANamespace {
        /// The path.
        path: PathBuf,
    },
    /// A namespace is already pinned there.
    #[error("a network namespace is already pinned at {}", path.display())]
    AlreadyPinned {
        /// The path.
        path: PathBuf,
    },
    /// A system call was refused.
    #[error("{action} network namespace{}", path.as_ref().map(|p| format!(" {}", p.display())).unwrap_or_default())]
    System {
        /// `create`, `enter`, `pin`, `unpin`.
        action: &'static str,
        /// The path, if the operation has one.
        path: Option<PathBuf>,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The thread that does the work could not be started.
    #[error("start thread")]
    Thread {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The loopback interface could not be brought up.
    #[error("bring up loopback interface")]
    Loopback {
        /// Why.
        #[source]
        source: Box<netlink::Error>,
    },
}

/// An open network namespace. It stays alive at least as long as this value.
#[derive(Debug)]
pub struct Netns {
    file: File,
}

impl AsRawFd for Netns {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Netns {
    /// The namespace of the calling thread.
    pub fn current() -> Result<Self, NetnsError> {
        Self::open(Path::new(OWN))
    }

    /// The namespace whose file (`/run/netns/x`, `/proc/PID/ns/net`) is at `path`.
    ///
    /// Errors: [`NetnsError::NotANamespace`] if the file is something else, such as the empty file that is left when a
    /// pin was lost in a restart of the machine.
    pub fn open(path: &Path) -> Result<Self, NetnsError> {
        let file = File::open(path).at("open", path)?;
        if is_nsfs(&file).at("stat", path)? {
            Ok(Self { file })
        } else {
            Err(NetnsError::NotANamespace { path: path.to_owned() })
        }
    }

    /// A fresh namespace that lives as long as the value. Its loopback interface is down.
    pub fn create() -> Result<Self, NetnsError> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(system("create", None))?;
            Self::current()
        })?
    }

    /// Makes a fresh namespace and pins it to `path`, whose parent must exist. Its loopback interface is down.
    ///
    /// An empty file left at `path` by a crash is reused. On error nothing is left behind.
    /// Errors: [`NetnsError::AlreadyPinned`] if `path` is a namespace.
    pub fn create_pinned(path: &Path) -> Result<Self, NetnsError> {
        match Self::open(path) {
            Ok(_) => return Err(NetnsError::AlreadyPinned { path: path.to_owned() }),
            Err(NetnsError::NotANamespace { .. }) => {}
            Err(NetnsError::File(e)) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
        drop(fs::OpenOptions::new().create(true).append(true).open(path).at("create", path)?);
        let pinned = on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(system("create", Some(path)))?;
            mount(Some(Path::new(OWN)), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(system("pin", Some(path)))?;
            Self::current()
        })
        .and_then(|result| result);
        if pinned.is_err() {
            fs::remove_file(path).at("remove", path)?;
        }
        pinned
    }

    /// Removes the pin at `path`; returns whether there was one. The namespace itself goes when its last user goes.
    pub fn remove_pinned(path: &Path) -> Result<bool, NetnsError> {
        match umount2(path, MntFlags::MNT_DETACH) {
            // EINVAL: the file is there but nothing is mounted on it.
            Ok(()) | Err(nix::Error::EINVAL) => {}
            Err(nix::Error::ENOENT) => return Ok(false),
            Err(e) => return Err(system("unpin", Some(path))(e)),
        }
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e).at("remove", path)?,
        }
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for it. Sockets that it opens belong to the
    /// namespace for good.
    ///
    /// A panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        on_own_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(system("enter", None))?;
            Ok(work())
        })?
    }

    /// Brings the loopback interface up, which gives it 127.0.0.1 and ::1.
    pub fn bring_up_loopback(&self) -> Result<(), NetnsError> {
        let up = || {
            let rtnl = Rtnl::open_in(self)?;
            let link = rtnl.expect_link(LOOPBACK)?;
            rtnl.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })
        };
        up().map_err(|source| NetnsError::Loopback { source: Box::new(source) })
    }

    /// Whether both are the same namespace.
    pub fn is_same(&self, other: &Self) -> Result<bool, NetnsError> {
        let stat = |file: &File| file.metadata().at("stat", Path::new("network namespace"));
        let (a, b) = (stat(&self.file)?, stat(&other.file)?);
        Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
    }
}

fn is_nsfs(file: &File) -> io::Result<bool> {
    Ok(fstatfs(file)?.filesystem_type() == NSFS)
}

fn system(action: &'static str, path: Option<&Path>) -> impl Fn(nix::Error) -> NetnsError {
    move |e| NetnsError::System { action, path: path.map(Path::to_owned), source: e.into() }
}

/// Runs `work` on a thread that ends with it, so that a changed namespace never leaks into a thread that others use.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|source| NetnsError::Thread { source })?;
        handle.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}
