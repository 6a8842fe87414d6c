//! `corten down` and `corten delete`: the end of a cluster, whether its process still runs or was killed.

use std::{os::fd::OwnedFd, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_base::{SystemClock, SystemRng};
use ipnet::{IpNet, Ipv4Net};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::common::{Root, runtime, say};
use crate::{
    config::{DEFAULT_SERVICE_CIDR, Places},
    control::{self, Answer, Request},
    instance::{Claim, Instance, Running},
    kubeconfig, preflight,
    record::Record,
    sweep,
};

/// How long a process may take to end after it was asked to, by a command or by SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options of `corten down`.
#[derive(Debug, Args)]
pub(crate) struct DownOptions {
    #[command(flatten)]
    root: Root,
    /// The range of services' addresses, where the record of what the cluster was made with is lost.
    #[arg(long, env = "CORTEN_SERVICE_CIDR", value_name = "CIDR")]
    service_cidr: Option<Ipv4Net>,
}

/// Options of `corten delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteOptions {
    #[command(flatten)]
    down: DownOptions,
}

/// Stops the cluster.
pub(crate) fn down(options: &DownOptions) -> anyhow::Result<ExitCode> {
    preflight::require_root("down", "it removes network interfaces, packet rules, mounts and control groups")?;
    let places = options.root.places()?;
    if !places.root.exists() {
        say(&format!("no cluster at {}", places.root.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let _instance = stop(&places, options.service_cidr)?;
    say("the cluster is stopped; its data stays");
    Ok(ExitCode::SUCCESS)
}

/// Stops the cluster and removes its data.
pub(crate) fn delete(options: &DeleteOptions) -> anyhow::Result<ExitCode> {
    preflight::require_root("delete", "it removes network interfaces, packet rules, mounts and control groups")?;
    let places = options.down.root.places()?;
    if !places.root.exists() {
        say(&format!("no cluster at {}", places.root.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let _instance = stop(&places, options.down.service_cidr)?;
    // Before the records of pods go: the directory of logs may be shared with others.
    let (logs, complaint) = runtime()?.block_on(sweep::logs_of_pods(&places, &SystemClock::shared()))?;
    if let Some(complaint) = complaint {
        say(&complaint);
    }
    sweep::remove_logs(&logs, &places.pod_logs(), &places.log_links())?;
    sweep::remove_data(&places)?;
    say(&format!("the cluster at {} is deleted", places.root.display()));
    Ok(ExitCode::SUCCESS)
}

/// Ends the running process, if there is one, and removes what a cluster has put into the machine.
fn stop(places: &Places, service_cidr: Option<Ipv4Net>) -> anyhow::Result<Instance> {
    let instance = match Instance::claim(places)? {
        Claim::Ours(instance) => {
            end_without_lock(places)?;
            instance
        }
        Claim::Running(running) => end(running, places)?,
    };
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let done = runtime()?.block_on(sweep::sweep(places, service_range(places, service_cidr), &clock, &rng))?;
    done.iter().for_each(|line| say(line));
    forget_context(places);
    Ok(instance)
}

/// Takes the context out of the user's kubeconfig. A file that cannot be changed is said and holds up nothing: it is not the
/// cluster's.
fn forget_context(places: &Places) {
    let changed = kubeconfig::find().and_then(|file| match file {
        Some(file) => file.remove(&places.name),
        None => Ok(()),
    });
    if let Err(error) = changed {
        say(&format!("The kubeconfig was not changed: {error:#}"));
    }
}

/// The cluster's range of services: what its record says, or else the flag, or else the default.
fn service_range(places: &Places, flag: Option<Ipv4Net>) -> IpNet {
    let recorded = Record::read(&places.record()).unwrap_or_else(|error| {
        // The cluster goes whatever became of its files.
        say(&format!("The record of the cluster was not used: {error:#}"));
        None
    });
    recorded.map(|record| record.service_cidr).or(flag).unwrap_or(DEFAULT_SERVICE_CIDR).into()
}

/// Ends a process that runs although nobody holds the lock: somebody has removed its file.
fn end_without_lock(places: &Places) -> anyhow::Result<()> {
    let Some(Answer::Status(report)) = control::ask(&places.control_socket(), Request::Status)? else { return Ok(()) };
    let number = i32::try_from(report.pid).ok().and_then(Pid::from_raw).context("the running process has a number")?;
    let process = pidfd_open(number, PidfdFlags::empty()).context("hold the running process")?;
    control::ask(&places.control_socket(), Request::Stop)?;
    end_asked(&process, number.as_raw_nonzero().get())?;
    say(&format!("stopped corten (pid {}), whose lock file was gone", report.pid));
    Ok(())
}

fn end(running: Running, places: &Places) -> anyhow::Result<Instance> {
    let asked = control::ask(&places.control_socket(), Request::Stop);
    let pid = running.pid;
    match (asked, pid) {
        (Ok(Some(_)), Some(pid)) => {
            if let Some(process) = hold(pid)? {
                end_asked(&process, pid)?;
            }
        }
        // It answers, so that it is far enough to write its number in a moment.
        (Ok(Some(_)), None) => {}
        (_, pid) => {
            let pid = pid.context("a process holds the lock and has not written its number: try again")?;
            if let Some(process) = hold(pid)? {
                terminate(&process, pid)?;
            }
        }
    }
    let instance = running.wait(places)?;
    say(&format!("stopped corten{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()));
    Ok(instance)
}

/// A handle on a process; nothing if it has ended.
fn hold(pid: i32) -> anyhow::Result<Option<OwnedFd>> {
    let Some(raw) = Pid::from_raw(pid) else { bail!("{pid} is no process's number") };
    match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(process)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("look for process {pid}")),
    }
}

/// Waits for a process that has taken the command to end. One that hangs is ended like one that has no ear for commands.
fn end_asked(process: &OwnedFd, pid: i32) -> anyhow::Result<()> {
    if ends(process, pid)? {
        return Ok(());
    }
    say(&format!(
        "corten (pid {pid}) has not ended {} s after it was asked to: it is sent signals",
        PATIENCE.as_secs()
    ));
    terminate(process, pid)
}

/// Whether a process ends while we have patience.
fn ends(process: &OwnedFd, pid: i32) -> anyhow::Result<bool> {
    let timeout = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout));
    Ok(ended.with_context(|| format!("wait for process {pid}"))? > 0)
}

/// Asks a process that has no ear for commands to end, and kills it when it does not.
fn terminate(process: &OwnedFd, pid: i32) -> anyhow::Result<()> {
    for one in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(process, one) {
            Ok(()) => {}
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("end process {pid}")),
        }
        if ends(process, pid)? {
            return Ok(());
        }
    }
    bail!("process {pid} does not end")
}
