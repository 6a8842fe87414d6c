//! The standard streams of a container's process.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::{errno::Errno, unistd};

use crate::{channel::Go, error::Stage, sys, terminal::TerminalSize};

/// What a process reads from and writes to.
#[derive(Debug)]
pub enum Stdio {
    /// Pipes, files or sockets; what is missing becomes the container's /dev/null.
    Streams {
        /// Standard input.
        stdin: Option<OwnedFd>,
        /// Standard output.
        stdout: Option<OwnedFd>,
        /// Standard error.
        stderr: Option<OwnedFd>,
    },
    /// A new terminal of the container; the shim gets its other side.
    Terminal(TerminalSize),
}

impl Stdio {
    /// /dev/null for all three.
    #[must_use]
    pub fn null() -> Self {
        Self::Streams { stdin: None, stdout: None, stderr: None }
    }
}

/// Gives a pipe to the user of the process, so that it can open `/proc/self/fd/1` again. Other files keep their owner:
/// they exist outside the container too.
pub(crate) fn give_pipe_to(stream: &impl AsFd, uid: u32, gid: u32) -> Result<(), Errno> {
    let stat = nix::sys::stat::fstat(stream)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFIFO || stat.st_uid == uid {
        return Ok(());
    }
    unistd::fchown(stream, Some(uid.into()), Some(gid.into()))
}

/// In the process: puts the received streams at 0, 1 and 2. It must be a session leader if there is a terminal.
pub(crate) fn install(go: &Go) -> Result<(), (Stage, Errno)> {
    if let Some(terminal) = &go.terminal {
        // SAFETY: TIOCSCTTY takes a number: 0, do not steal the terminal of another session.
        Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) })
            .map_err(|errno| (Stage::Terminal, errno))?;
        for target in 0..=2 {
            put(terminal, target).map_err(|errno| (Stage::Stdio, errno))?;
        }
        return Ok(());
    }
    for (target, stream) in (0..).zip(&go.streams) {
        match stream {
            Some(stream) => put(stream, target),
            None => put_null(target),
        }
        .map_err(|errno| (Stage::Stdio, errno))?;
    }
    Ok(())
}

/// Puts a descriptor, which is close-on-exec, at a number where it is not. The source lies above 2.
fn put(stream: &OwnedFd, target: i32) -> Result<(), Errno> {
    // SAFETY: plain numbers; the standard streams of this process belong to nobody else.
    Errno::result(unsafe { libc::dup2(stream.as_raw_fd(), target) }).map(drop)
}

/// The container's own null device, if it has a real one; otherwise what is there stays: the null device of the host.
fn put_null(target: i32) -> Result<(), Errno> {
    let root =
        nix::fcntl::open("/", nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    let Ok(null) =
        sys::openat2(root.as_fd(), c"dev/null", libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY, 0, resolve)
    else {
        return Ok(());
    };
    let stat = nix::sys::stat::fstat(&null)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(1, 3) {
        put(&null, target)
    } else {
        Ok(())
    }
}

/// In a fresh fork: the host's null device at 0, 1 and 2, so that nothing of the shim's is there.
pub(crate) fn detach() -> Result<(), Errno> {
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    for target in 0..=2 {
        if null.as_raw_fd() != target {
            put(&null, target)?;
        }
    }
    if null.as_raw_fd() <= 2 {
        // It is one of the three now.
        std::mem::forget(null);
    }
    Ok(())
}
