//! The short-lived process that calls libcontainer.
//!
//! libcontainer leaves descriptors and zombies behind when a creation fails, changes its caller, and lets the new init
//! inherit all descriptors. So each container is made by a fork of the shim that has closed everything of the shim's and exits:
//! with `as_sibling` the new init is the shim's own child. Two more processes have to be reaped: the creator and libcontainer's
//! intermediate process. Both are in the creator's process group, which init leaves by `setsid`; so the shim can reap them
//! without touching the exit status of any container.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    rc::Rc,
};

use libcontainer::{
    container::builder::ContainerBuilder,
    oci_spec::runtime::Spec,
    syscall::syscall::SyscallType,
    workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill, killpg},
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{ForkResult, Pid, fork, setpgid},
};

use crate::{
    channel::Channel,
    error::{During as _, Stage, SystemError, chain, exit_code},
    last_stage::LastStage,
    stdio, sys, terminal,
};

/// Longer reports are cut; one packet carries them.
const REPORT_LIMIT_BYTES: usize = 16 << 10;
const CREATED: u8 = 0;
const FAILED: u8 = 1;

/// What to create.
pub(crate) struct Request<'a> {
    pub(crate) id: &'a str,
    /// The derived bundle.
    pub(crate) bundle: &'a Path,
    /// Where libcontainer keeps its state.
    pub(crate) root: &'a Path,
    /// Where it writes init's number as soon as it knows it.
    pub(crate) pid_file: PathBuf,
    pub(crate) stage: Rc<LastStage>,
    /// The process's end.
    pub(crate) channel: Channel,
}

/// Why there is no container.
#[derive(Debug)]
pub(crate) enum Failure {
    System(SystemError),
    /// libcontainer's words, with all causes.
    Runtime(String),
}

impl From<SystemError> for Failure {
    fn from(error: SystemError) -> Self {
        Self::System(error)
    }
}

/// Makes the container; returns the number of its init, a child of the calling process that waits for its start.
pub(crate) fn create(request: Request<'_>) -> Result<libc::pid_t, Failure> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .during("make socket pair for the creator")?;
    // SAFETY: the process has one thread; the child ends by _exit.
    let creator = match unsafe { fork() }.during("fork creator")? {
        ForkResult::Child => run_creator(&request, &theirs),
        ForkResult::Parent { child } => child,
    };
    drop(theirs);
    // Both sides do this, whoever comes first: EACCES and ESRCH mean that the child was.
    let _ = setpgid(creator, creator);
    let outcome = wait_for_report(&ours, creator);
    if outcome.is_err() {
        let _ = killpg(creator, Signal::SIGKILL);
    }
    reap_group(creator)?;
    if outcome.is_err() {
        reap_init(&request.pid_file);
    }
    outcome
}

/// Waits for the creator's packet, or for its silent end.
fn wait_for_report(socket: &OwnedFd, creator: Pid) -> Result<libc::pid_t, Failure> {
    let pidfd = sys::pidfd_open(creator.as_raw()).during("open creator")?;
    loop {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => Err(errno).during("wait for creator")?,
        }
    }
    let mut packet = vec![0_u8; REPORT_LIMIT_BYTES];
    let length = match recv(socket.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT) {
        Ok(0) | Err(Errno::EAGAIN | Errno::ECONNRESET) => {
            return Err(Failure::Runtime("creator ended without a report".to_owned()));
        }
        other => other.during("receive creator's report")?,
    };
    match packet.get(..length) {
        Some([CREATED, pid @ ..]) if pid.len() == 4 => {
            Ok(libc::pid_t::from_ne_bytes(pid.try_into().expect("four bytes")))
        }
        Some([_, text @ ..]) => Err(Failure::Runtime(String::from_utf8_lossy(text).into_owned())),
        _ => Err(Failure::Runtime("creator sent nonsense".to_owned())),
    }
}

/// Reaps the creator and what is in its group.
fn reap_group(creator: Pid) -> Result<(), SystemError> {
    loop {
        match waitpid(Pid::from_raw(-creator.as_raw()), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => break,
            Err(errno) => return Err(errno).during("reap creator"),
        }
    }
    // It died before it had a group of its own.
    match waitpid(creator, Some(WaitPidFlag::WNOHANG)) {
        Ok(_) | Err(Errno::ECHILD) => Ok(()),
        Err(errno) => Err(errno).during("reap creator"),
    }
}

/// Ends the init of a failed creation, if it came into being. It is our child and not reaped, so the number is still its own.
fn reap_init(pid_file: &Path) {
    let Some(pid) = std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()) else { return };
    let pid = Pid::from_raw(pid);
    if let Ok(nix::sys::wait::WaitStatus::StillAlive) = waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        let _ = kill(pid, Signal::SIGKILL);
        while waitpid(pid, None) == Err(Errno::EINTR) {}
    }
}

/// The life of the creator.
fn run_creator(request: &Request<'_>, socket: &OwnedFd) -> ! {
    let report = match prepare(request, socket) {
        Ok(()) => std::panic::catch_unwind(AssertUnwindSafe(|| build(request)))
            .unwrap_or_else(|_| Err("libcontainer panicked".to_owned())),
        Err(errno) => Err(format!("prepare creator: {errno}")),
    };
    let (packet, code) = match report {
        Ok(pid) => ([&[CREATED][..], &pid.to_ne_bytes()].concat(), 0),
        Err(text) => ([&[FAILED][..], text.as_bytes()].concat(), 1),
    };
    // Nobody is left to tell when this fails: the shim sees that we are gone.
    let _ = nix::unistd::write(socket, &packet[..packet.len().min(REPORT_LIMIT_BYTES)]);
    sys::exit_now(code);
}

fn prepare(request: &Request<'_>, socket: &OwnedFd) -> Result<(), Errno> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    stdio::detach()?;
    // SAFETY: of all objects that own descriptors this process uses only the two below from now on.
    unsafe { sys::close_all_but(&[0, 1, 2, socket.as_raw_fd(), request.channel.as_raw_fd()]) }
}

fn build(request: &Request<'_>) -> Result<libc::pid_t, String> {
    let held = Held {
        channel: Rc::new(request.channel.as_fd().try_clone_to_owned().map_err(|e| e.to_string())?.into()),
        stage: Rc::clone(&request.stage),
    };
    let container = ContainerBuilder::new(request.id.to_owned(), SyscallType::default())
        .with_root_path(request.root)
        .and_then(|builder| builder.with_pid_file(Some(request.pid_file.clone())))
        .map(|builder| builder.with_executor(held))
        .and_then(|builder| {
            builder.as_init(request.bundle).with_systemd(false).with_detach(true).as_sibling(true).build()
        })
        .map_err(|error| chain(&error))?;
    container.pid().map(|pid| pid.as_raw()).ok_or_else(|| "libcontainer knows no init".to_owned())
}

/// In the container's init: waits for the shim's word, then becomes the program.
#[derive(Clone)]
struct Held {
    channel: Rc<Channel>,
    stage: Rc<LastStage>,
}

impl Executor for Held {
    fn exec(&self, _spec: &Spec) -> Result<(), ExecutorError> {
        let (stage, errno) = self.run();
        self.channel.send_failure(stage, errno);
        sys::exit_now(exit_code(stage, errno));
    }

    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        // Whether the program can be executed is for execve to say, with the container's user and capabilities.
        Ok(())
    }

    fn setup_envs(&self, _envs: std::collections::HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // execve gets its own environment.
        Ok(())
    }
}

impl Held {
    fn run(&self) -> (Stage, Errno) {
        let go = match self.channel.receive_go() {
            Ok(go) => go,
            Err(errno) => return (Stage::Handshake, errno),
        };
        if let Some(terminal) = &go.terminal
            && let Err(errno) = terminal::show_as_console(terminal)
        {
            return (Stage::Terminal, errno);
        }
        if let Err(failure) = stdio::install(&go) {
            return failure;
        }
        make_working_directory(self.stage.cwd());
        self.stage.run()
    }
}

/// Makes the working directory in case the image has none, as the originals do; chdir tells if that was not possible.
fn make_working_directory(cwd: &std::ffi::CStr) {
    use std::os::unix::ffi::OsStrExt as _;
    let _ = std::fs::create_dir_all(std::ffi::OsStr::from_bytes(cwd.to_bytes()));
}
