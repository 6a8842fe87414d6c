//! `cargo xtask sandbox -- CMD...`: a machine of its own for one command, of which nothing stays behind.
//!
//! ```text
//! supervisor (caller's namespaces)        init (PID 1 of the sandbox)           CMD
//!   makes cgroups and networks      -->     joins them, mounts, starts CMD  -->   runs
//!   waits, passes signals on        <--     ends with CMD's exit code       <--   ends
//!   sweeps the cgroups
//! ```
//!
//! When init ends, for whatever reason, the kernel kills every process of the sandbox; when the supervisor is killed,
//! init dies with it. Mounts and network namespaces go with the last process, so that only the cgroups need sweeping.
//!
//! Inside: `eth0` is 10.99.0.2/24, the default route leads to 10.99.0.1 in network namespace /run/netns/outside, which
//! also has 192.0.2.1 to stand for the rest of the world; /run/netns/neighbour is another host, 10.99.0.3. Enter them
//! with `nsenter --net=PATH`, which, unlike `ip netns exec`, leaves /sys alone. The root is shared for mount propagation;
//! /run is empty; /var/lib/corten and /var/log/pods are empty, or the folders `lib` and `log` of `--root`; /dev has what every
//! program needs and none of the machine's disks; `HOME` and `KUBECONFIG` lead below /run, whatever the caller's are.

mod cgroups;
mod devices;
mod init;
mod mounts;
mod netlink;
mod network;

use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};

use anyhow::{Context, bail};
use clap::Args;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, geteuid};

use self::cgroups::Cgroups;
use self::network::Network;

#[derive(Args)]
pub(crate) struct Options {
    /// Keep data of /var/lib/corten and /var/log/pods in this folder, for the next sandbox to find.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Set inside: where the supervisor left what init needs.
    #[arg(long, hide = true)]
    init: Option<String>,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Signals that reach a sandbox from outside, and the one that says a child has ended.
const SIGNALS: [Signal; 5] = [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

/// Runs the command and returns its exit code; 128 and the number of the signal that killed it, as a shell does.
///
/// Errors: the caller is not root, or the sandbox could not be made. What was made by then is swept.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(seam) = &options.init {
        return init::run(seam, options);
    }
    if !geteuid().is_root() {
        bail!(
            "a sandbox needs namespaces and cgroups, which only root may make; call it with `sudo -E env \"PATH=$PATH\"`"
        );
    }
    let cgroups = Cgroups::create()?;
    let status = supervise(options, &cgroups);
    // Also when something failed: the processes are gone by now, and what they left is in these cgroups.
    let swept = cgroups.sweep();
    let code = exit_code(status?);
    swept?;
    Ok(ExitCode::from(code))
}

fn supervise(options: &Options, cgroups: &Cgroups) -> anyhow::Result<ExitStatus> {
    let network = Network::create()?;
    let signals = block_signals()?;
    unshare(CloneFlags::CLONE_NEWPID).context("make a PID namespace")?;
    let seam = init::Seam {
        supervisor: std::process::id(),
        inside: network.inside.as_raw_fd(),
        outside: network.outside.as_raw_fd(),
        neighbour: network.neighbour.as_raw_fd(),
        cgroup: cgroups.name().to_owned(),
    };
    let mut command = Command::new("/proc/self/exe");
    command.args(["sandbox", "--init", &seam.to_string()]);
    if let Some(root) = &options.root {
        command.arg("--root").arg(std::path::absolute(root).context("resolve --root")?);
    }
    let mut init = command.arg("--").args(&options.command).spawn().context("start the sandbox's init process")?;
    let waited = wait(&mut init, &signals);
    // Not ended yet after an error: the whole sandbox goes with its init.
    if waited.is_err() {
        let _ = init.kill();
        let _ = init.wait();
    }
    waited
}

/// Waits for a child, passing on what asks it to end; who asks twice gets it killed.
fn wait(child: &mut Child, signals: &SigSet) -> anyhow::Result<ExitStatus> {
    let mut asked = false;
    let on_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    loop {
        match signals.wait().context("wait for signals")? {
            Signal::SIGCHLD => {
                if let Some(status) = child.try_wait().context("wait for the sandbox")? {
                    return Ok(status);
                }
            }
            _ if asked => child.kill().context("kill the sandbox")?,
            // The terminal has sent it to every process of the foreground group already.
            Signal::SIGINT | Signal::SIGQUIT if on_terminal => asked = true,
            signal => {
                asked = true;
                kill(pid_of(child), signal).context("pass a signal on")?;
            }
        }
    }
}

fn block_signals() -> anyhow::Result<SigSet> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block().context("block signals")?;
    Ok(signals)
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("Linux process ids fit 22 bits"))
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
