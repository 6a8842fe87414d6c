//! Terminals: a pair of the container's own devpts, opened from outside.
//!
//! The shim opens `dev/pts/ptmx` below the root of the container's init and asks the kernel for the peer. No path of the
//! container is followed through links, no console socket is needed, and the pair belongs to the container's devpts, so that
//! `tty` inside prints a name that exists.

use std::{
    ffi::CStr,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use nix::{errno::Errno, unistd};

use crate::{
    error::{During as _, SystemError},
    sys,
};

/// The devices of unix98 terminals. (`linux/magic.h`)
const DEVPTS_MAGIC: i64 = 0x1cd1;
/// The group that owns terminals, on every distribution.
const TTY_GROUP: u32 = 5;

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalSize {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
}

/// The shim's side of a terminal: read it for output, write it for input.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Changes the size; the programs on it get SIGWINCH.
    pub fn resize(&self, size: TerminalSize) -> Result<(), SystemError> {
        let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads one winsize, which outlives the call.
        Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(&size)) })
            .map(drop)
            .during("resize terminal")
    }

    /// The descriptor.
    #[must_use]
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// The descriptor, for good.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// Opens a pair in the container of process `init`: our side, and the program's.
pub(crate) fn open(
    init: libc::pid_t,
    size: TerminalSize,
    owner: u32,
    group: impl Fn(u32) -> u32,
) -> Result<(Terminal, OwnedFd), SystemError> {
    let path = format!("/proc/{init}/root");
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    let root =
        nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty()).during("open root of container")?;
    let (ours, theirs) = open_pair(&root).during("open terminal in the container's /dev/pts")?;
    let terminal = Terminal(ours);
    terminal.resize(size)?;
    unistd::fchown(&theirs, Some(owner.into()), Some(group(TTY_GROUP).into())).during("give terminal to its user")?;
    Ok((terminal, theirs))
}

fn open_pair(root: &OwnedFd) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    let ours = sys::openat2(root.as_fd(), c"dev/pts/ptmx", flags, 0, resolve)?;
    if sys::file_system(ours.as_fd())? != DEVPTS_MAGIC {
        // An image put something else there.
        return Err(Errno::ENOTTY);
    }
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int, which outlives the call.
    Errno::result(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, std::ptr::from_ref(&unlock)) })?;
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor.
    let theirs = Errno::result(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags | libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just made it for us.
    Ok((ours, unsafe { OwnedFd::from_raw_fd(theirs) }))
}

/// In the container's init, still privileged: shows the terminal as /dev/console too.
///
/// A root file system without a writable /dev goes without.
pub(crate) fn show_as_console(terminal: &OwnedFd) -> Result<(), Errno> {
    const CONSOLE: &CStr = c"dev/console";
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    let root = nix::fcntl::open("/", flags, nix::sys::stat::Mode::empty())?;
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    match sys::openat2(
        root.as_fd(),
        CONSOLE,
        libc::O_CREAT | libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY,
        0o620,
        resolve,
    ) {
        // EEXIST and device errors mean that something is there, which is all a mount needs.
        Ok(_) | Err(Errno::ENXIO | Errno::ENODEV | Errno::EACCES | Errno::EPERM | Errno::EIO) => {}
        Err(Errno::ENOENT | Errno::EROFS | Errno::ENOTDIR) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    let target = sys::openat2(root.as_fd(), CONSOLE, libc::O_PATH, 0, resolve)?;
    let tree = sys::clone_tree(terminal.as_fd(), c"", false)?;
    sys::move_mount(tree.as_fd(), target.as_fd())
}
