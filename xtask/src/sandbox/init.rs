//! PID 1 of a sandbox: enters what the supervisor made, mounts, starts the command and reaps what is orphaned.

use std::fmt;
use std::fs::File;
use std::os::fd::RawFd;
use std::process::{Command, ExitCode};
use std::str::FromStr;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::{Options, block_signals, cgroups, mounts, pid_of};

/// What the supervisor tells init: its own process id, its open network namespaces, and the cgroups' name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seam {
    pub(super) supervisor: u32,
    pub(super) inside: RawFd,
    pub(super) outside: RawFd,
    pub(super) neighbour: RawFd,
    pub(super) cgroup: String,
}

impl Seam {
    /// A file that the supervisor holds open; valid while its view of /proc is mounted.
    pub(super) fn path_of(&self, fd: RawFd) -> String {
        format!("/proc/{}/fd/{fd}", self.supervisor)
    }
}

impl fmt::Display for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { supervisor, inside, outside, neighbour, cgroup } = self;
        write!(f, "{supervisor}:{inside}:{outside}:{neighbour}:{cgroup}")
    }
}

impl FromStr for Seam {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<&str> = text.splitn(5, ':').collect();
        let [supervisor, inside, outside, neighbour, cgroup] = parts.as_slice() else {
            bail!("--init is for the sandbox's own use");
        };
        Ok(Self {
            supervisor: supervisor.parse()?,
            inside: inside.parse()?,
            outside: outside.parse()?,
            neighbour: neighbour.parse()?,
            cgroup: (*cgroup).to_owned(),
        })
    }
}

/// Runs as PID 1 and returns the command's exit code; when it returns, the kernel kills the rest of the sandbox.
pub(super) fn run(seam: &str, options: &Options) -> anyhow::Result<ExitCode> {
    let seam: Seam = seam.parse()?;
    if getpid() != Pid::from_raw(1) {
        bail!("--init is for the sandbox's own use");
    }
    prctl::set_name(c"sandbox-init").context("name this process")?;
    prctl::set_pdeathsig(Signal::SIGKILL).context("ask to die with the supervisor")?;
    let signals = block_signals()?;
    let hierarchies = cgroups::join(&seam.cgroup)?;
    let path = seam.path_of(seam.inside);
    let inside = File::open(&path).with_context(|| format!("open {path}"))?;
    setns(inside, CloneFlags::CLONE_NEWNET).context("enter the sandbox's network namespace")?;
    let namespaces =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP;
    unshare(namespaces).context("make the sandbox's namespaces")?;
    mounts::mount_all(&seam, options.root.as_deref(), &hierarchies)?;
    cgroups::delegate(&hierarchies)?;

    let (program, arguments) = options.command.split_first().context("no command was given")?;
    let mut command = Command::new(program);
    // The caller's own files are not the sandbox's to write.
    command.args(arguments).env("HOME", mounts::HOME).env("KUBECONFIG", mounts::KUBECONFIG);
    // A child inherits the mask of the thread that starts it; the command has to hear the signals that init waits for.
    let spawned = std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            SigSet::empty().thread_set_mask()?;
            command.spawn()
        });
        starter.join().expect("starting a command does not panic")
    });
    let child = match spawned {
        Ok(child) => child,
        // A shell's code for a command that is not found.
        Err(error) => {
            println!("error: start {program}: {error}");
            return Ok(ExitCode::from(127));
        }
    };
    let child = pid_of(&child);
    // While the starter ran, its thread may have swallowed the word that the command has ended already.
    if let Some(code) = reap(child)? {
        return Ok(ExitCode::from(code));
    }
    loop {
        match signals.wait().context("wait for signals")? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(child)? {
                    return Ok(ExitCode::from(code));
                }
            }
            signal => kill(child, signal).context("pass a signal on")?,
        }
    }
}

/// Reaps all that has ended; the command's exit code if it was among them.
fn reap(command: Pid) -> anyhow::Result<Option<u8>> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == command => code = u8::try_from(status).ok().or(Some(1)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                code = u8::try_from(128 + signal as i32).ok().or(Some(1));
            }
            Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return Ok(code),
            Ok(_) => {}
            Err(error) => return Err(error).context("reap"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seam_survives_a_command_line() {
        let seam = Seam { supervisor: 7, inside: 3, outside: 4, neighbour: 5, cgroup: "corten-sandbox-7".to_owned() };
        assert_eq!(seam.to_string().parse::<Seam>().unwrap(), seam);
        assert!("7:3".parse::<Seam>().is_err());
    }
}
