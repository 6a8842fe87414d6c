//! Waiting for processes by handle: no number is ever reused under a handle.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid},
};

use crate::{
    error::{During as _, SystemError},
    sys,
};

/// A process of a container: init or an exec.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: libc::pid_t,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl ExitStatus {
    /// One number, as shells and Kubernetes have it: the code, or 128 and the signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl ProcessHandle {
    /// Opens a handle; sure to mean the right process only while nobody can have reaped it.
    pub(crate) fn open(pid: libc::pid_t) -> Result<Self, SystemError> {
        Ok(Self { pid, pidfd: sys::pidfd_open(pid).during(format!("open process {pid}"))? })
    }

    /// Its number, in the shim's PID namespace.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Readable when the process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// A second handle on the same process.
    pub(crate) fn duplicate(&self) -> Result<Self, SystemError> {
        let pidfd = self.pidfd.try_clone().during("duplicate process handle")?;
        Ok(Self { pid: self.pid, pidfd })
    }

    /// Sends a signal; one that has ended is no error.
    pub fn signal(&self, signal: i32) -> Result<(), SystemError> {
        match sys::pidfd_send_signal(self.pidfd(), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno).during(format!("send signal {signal} to process {}", self.pid)),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> Result<bool, SystemError> {
        wait_for_end(self.pidfd(), Duration::ZERO)
    }

    /// Whether nobody waits for it any more: its status was taken, or it never was our child.
    pub(crate) fn is_reaped(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::PIDFd(self.pidfd()), flags) == Err(Errno::ECHILD)
    }

    /// Waits until it has ended and takes its status. `None`: somebody else has taken it, or it is not our child.
    pub fn wait(&self) -> Result<Option<ExitStatus>, SystemError> {
        loop {
            return match waitid(Id::PIDFd(self.pidfd()), WaitPidFlag::WEXITED) {
                Ok(WaitStatus::Exited(_, code)) => Ok(Some(ExitStatus::Code(code))),
                Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(ExitStatus::Signal(signal as i32))),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => Ok(None),
                Err(errno) => Err(errno).during(format!("wait for process {}", self.pid)),
            };
        }
    }
}

/// Waits for the end of a process, without reaping it. `false`: still alive after `patience`.
pub(crate) fn wait_for_end(pidfd: BorrowedFd<'_>, patience: Duration) -> Result<bool, SystemError> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    loop {
        let mut fds = [PollFd::new(pidfd, PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).during("wait for process"),
        }
    }
}
