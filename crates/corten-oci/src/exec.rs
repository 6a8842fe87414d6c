//! A further process in a running container.
//!
//! The shim forks C1; C1 joins init's namespaces through init's process handle and makes C2 as its own sibling, so that C2 is
//! in the PID namespace and a child of the shim; C1 tells C2's number and ends. C2 waits for the word to go on while the shim
//! puts it into the control groups (before the fork it could fail at the limit of processes), sets its limits and its score,
//! and opens its terminal. Then the last stage is the same as init's, filter included.

use std::{
    fs,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
    rc::Rc,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sched::CloneFlags,
    sys::wait::waitpid,
    unistd::{ForkResult, Pid, fork},
};

use crate::{
    channel::{self, Channel},
    error::{During as _, Stage, SystemError, exit_code},
    last_stage::LastStage,
    stdio, sys,
};

/// A forked process that waits for the word to go on.
pub(crate) struct Waiting {
    pub(crate) pid: libc::pid_t,
    pub(crate) channel: Channel,
}

/// Why there is none.
pub(crate) enum Failure {
    System(SystemError),
    /// A step inside the container failed.
    Stage(Stage, Errno),
}

impl From<SystemError> for Failure {
    fn from(error: SystemError) -> Self {
        Self::System(error)
    }
}

/// The namespaces of a process by the names of their files.
static NAMESPACES: &[(&str, CloneFlags)] = &[
    ("user", CloneFlags::CLONE_NEWUSER),
    ("mnt", CloneFlags::CLONE_NEWNS),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("net", CloneFlags::CLONE_NEWNET),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
];

/// Forks a process into the namespaces of `init`.
pub(crate) fn fork_into(init: libc::pid_t, pidfd: BorrowedFd<'_>, stage: &Rc<LastStage>) -> Result<Waiting, Failure> {
    let namespaces = foreign_namespaces(init)?;
    let (ours, theirs) = channel::pair().during("make channel for exec")?;
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).during("make pipe for exec")?;
    // SAFETY: the process has one thread; the child ends by _exit, and so does the copy it makes of itself.
    let first = match unsafe { fork() }.during("fork for exec")? {
        ForkResult::Child => {
            let message = match join(pidfd, namespaces, &theirs, &write, stage) {
                Ok(pid) => encode(0, pid),
                Err((stage, errno)) => encode(stage as u8, errno as i32),
            };
            // Nobody is left to tell when this fails: the shim sees the end of the pipe.
            let _ = nix::unistd::write(&write, &message);
            sys::exit_now(0);
        }
        ForkResult::Parent { child } => child,
    };
    drop(write);
    let mut message = [0_u8; 5];
    let length = sys::retry(|| nix::unistd::read(&read, &mut message)).during("read from exec")?;
    sys::retry(|| waitpid(first, None)).during("reap first process of exec")?;
    let number = i32::from_ne_bytes(message[1..].try_into().expect("four bytes"));
    match (length, message[0]) {
        (5, 0) => Ok(Waiting { pid: number, channel: ours }),
        (5, stage) => {
            let stage = Stage::from_number(stage).unwrap_or(Stage::Fork);
            Err(Failure::Stage(stage, Errno::from_raw(number)))
        }
        // Killed from outside.
        _ => Err(Failure::Stage(Stage::Fork, Errno::EINTR)),
    }
}

/// Which namespaces of `init` are not ours. Joining a user namespace that one is in is an error.
fn foreign_namespaces(init: libc::pid_t) -> Result<CloneFlags, SystemError> {
    let mut flags = CloneFlags::empty();
    for (name, flag) in NAMESPACES {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{name}"));
        let theirs = of(&init.to_string()).during(format!("read {name} namespace of process {init}"))?;
        if of("self").during(format!("read own {name} namespace"))? != theirs {
            flags |= *flag;
        }
    }
    Ok(flags)
}

/// C1: returns the number of C2.
fn join(
    pidfd: BorrowedFd<'_>,
    namespaces: CloneFlags,
    channel: &Channel,
    report: &OwnedFd,
    stage: &Rc<LastStage>,
) -> Result<libc::pid_t, (Stage, Errno)> {
    let at = |stage: Stage| move |errno: Errno| (stage, errno);
    stdio::detach().map_err(at(Stage::Stdio))?;
    let keep = [0, 1, 2, pidfd.as_raw_fd(), channel.as_raw_fd(), report.as_raw_fd()];
    // SAFETY: of all objects that own descriptors this process and its copy use only these from now on.
    unsafe { sys::close_all_but(&keep) }.map_err(at(Stage::Stdio))?;
    // Before entering: processes of the container must not trace a process that still holds the shim's memory.
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map_err(at(Stage::Namespaces))?;
    nix::sched::setns(pidfd, namespaces).map_err(at(Stage::Namespaces))?;
    if namespaces.contains(CloneFlags::CLONE_NEWUSER) {
        become_root_inside().map_err(at(Stage::Namespaces))?;
    }
    // SAFETY: this process has one thread; the copy ends by execve or _exit.
    match unsafe { sys::fork_sibling() }.map_err(at(Stage::Fork))? {
        Some(pid) => Ok(pid),
        None => {
            let (stage, errno) = become_program(channel, stage);
            channel.send_failure(stage, errno);
            sys::exit_now(exit_code(stage, errno));
        }
    }
}

/// In a user namespace just joined: root of it, instead of nobody.
fn become_root_inside() -> Result<(), Errno> {
    // SAFETY: no groups, no pointer.
    match Errno::result(unsafe { libc::setgroups(0, std::ptr::null()) }) {
        // The namespace forbids it.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno),
    }
    nix::unistd::setresgid(0.into(), 0.into(), 0.into())?;
    nix::unistd::setresuid(0.into(), 0.into(), 0.into())?;
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
}

/// C2.
fn become_program(channel: &Channel, stage: &LastStage) -> (Stage, Errno) {
    let go = match channel.receive_go() {
        Ok(go) => go,
        Err(errno) => return (Stage::Handshake, errno),
    };
    if let Err(errno) = nix::unistd::setsid() {
        return (Stage::Terminal, errno);
    }
    if let Err(failure) = stdio::install(&go) {
        return failure;
    }
    if let Err(errno) = sys::close_on_exec_from(3) {
        return (Stage::Stdio, errno);
    }
    stage.run()
}

fn encode(tag: u8, number: i32) -> [u8; 5] {
    let [a, b, c, d] = number.to_ne_bytes();
    [tag, a, b, c, d]
}

/// Kills a process that waits and will never get the word.
pub(crate) fn abandon(pid: libc::pid_t) {
    let pid = Pid::from_raw(pid);
    // It is our child and not reaped: the number is its own.
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    let _ = sys::retry(|| waitpid(pid, None));
}
