//! `corten down` and `corten delete`: the end of a cluster, whether its process still runs or was killed.

use std::{os::fd::OwnedFd, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_base::{SystemClock, SystemRng};
use ipnet::{IpNet, Ipv4Net};
use nix::unistd::Uid;
use rustix::process::{Signal, pidfd_send_signal};

use super::common::{Root, note, runtime, say};
use crate::{
    config::DEFAULT_SERVICE_CIDR,
    control::{self, Request},
    instance::{Asker, Claim, Instance, Purpose, Running, ends_within, without_lock_file},
    kubeconfig,
    places::Places,
    preflight,
    record::Record,
    rights, sweep,
};

/// Why root is asked for, of everybody but a user who has a control plane of their own.
const NEEDS_ROOT: &str = "it removes network interfaces, packet rules, mounts and control groups";

/// How long a process may take to end after it was asked to, by a command or by SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the lock file is read anew of a process that does not say who it is: each time takes about a second.
const ATTEMPTS_MAX: usize = 30;

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
    let places = options.root.places()?;
    preflight::require_owner(&places, "down", NEEDS_ROOT)?;
    let Some(_instance) = stop(&places, Purpose::Down, options.service_cidr)? else { return Ok(ExitCode::SUCCESS) };
    say("the cluster is stopped; its data stays");
    Ok(ExitCode::SUCCESS)
}

/// Stops the cluster and removes its data.
pub(crate) fn delete(options: &DeleteOptions) -> anyhow::Result<ExitCode> {
    let places = options.down.root.places()?;
    preflight::require_owner(&places, "delete", NEEDS_ROOT)?;
    let stopped = stop(&places, Purpose::Delete, options.down.service_cidr)?;
    let Some(_instance) = stopped else { return Ok(ExitCode::SUCCESS) };
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

/// Ends the running process, if there is one, and removes what a cluster has put into the machine. Nothing, and said, where
/// there is no cluster: what else is in the directory is somebody's.
fn stop(places: &Places, purpose: Purpose, service_cidr: Option<Ipv4Net>) -> anyhow::Result<Option<Instance>> {
    rights::step_down(places)?;
    let Some(instance) = take(places, purpose)? else {
        say(&format!("no cluster at {}", places.root.display()));
        return Ok(None);
    };
    if !Uid::effective().is_root() {
        // A control plane alone, which has put nothing into the machine.
        sweep::remove_run_directory(places)?;
        return Ok(Some(instance));
    }
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let done = runtime()?.block_on(sweep::sweep(places, service_range(places, service_cidr), &clock, &rng))?;
    done.iter().for_each(|line| say(line));
    forget_context(places);
    Ok(Some(instance))
}

/// Takes the places, from the process that serves there if there is one. Nothing if there is no cluster, or another command
/// has removed it.
fn take(places: &Places, purpose: Purpose) -> anyhow::Result<Option<Instance>> {
    let mut ended = None;
    for _ in 0..ATTEMPTS_MAX {
        let Some(claim) = Instance::claim_if_any(places, purpose, Asker::new(&note))? else { return Ok(None) };
        let running = match (claim, ended) {
            (Claim::Ours(instance), None) => {
                end_without_lock(places)?;
                return Ok(Some(instance));
            }
            (Claim::Ours(instance), Some(pid)) => {
                say(&format!("stopped corten (pid {pid})"));
                return Ok(Some(instance));
            }
            // Who was not asked is not waited for: that would be for as long as a cluster runs.
            (Claim::Running(new), Some(pid)) if new.pid() != Some(pid) => bail!(
                "corten (pid {pid}) is stopped, and another start{} took its place at {} meanwhile",
                new.pid().map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
                places.root.display()
            ),
            (Claim::Running(running), _) => running,
        };
        ended = end(&running, places)?.or(ended);
    }
    let lock = places.lock().display().to_string();
    bail!("a process has the lock {lock}, and what that file says of it is not so: `fuser {lock}` finds it")
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
    let Some((pid, process)) = without_lock_file(places, PATIENCE)? else { return Ok(()) };
    control::ask(&places.control_socket(), Request::Stop)?;
    end_asked(&process, pid)?;
    say(&format!("stopped corten (pid {pid}), whose lock file was gone"));
    Ok(())
}

/// Ends a process that serves; gives its number, if it is known.
fn end(running: &Running, places: &Places) -> anyhow::Result<Option<i32>> {
    let process = running.to_end(places, PATIENCE)?;
    let asked = control::ask(&places.control_socket(), Request::Stop);
    match (asked, &process) {
        (Ok(Some(_)), Some((pid, process))) => end_asked(process, *pid)?,
        (_, Some((pid, process))) => terminate(process, *pid)?,
        // It has begun to listen in this very moment, and ends; or it has ended meanwhile; or it has not written its number,
        // and somebody else another. The lock file says more now.
        (_, None) => {}
    }
    Ok(process.map(|(pid, _)| pid))
}

/// Waits for a process that has taken the command to end. One that hangs is ended like one that has no ear for commands.
fn end_asked(process: &OwnedFd, pid: i32) -> anyhow::Result<()> {
    if ends_within(process, PATIENCE)? {
        return Ok(());
    }
    say(&format!(
        "corten (pid {pid}) has not ended {} s after it was asked to: it is sent signals",
        PATIENCE.as_secs()
    ));
    terminate(process, pid)
}

/// Asks a process that has no ear for commands to end, and kills it when it does not.
fn terminate(process: &OwnedFd, pid: i32) -> anyhow::Result<()> {
    for one in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(process, one) {
            Ok(()) => {}
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("end process {pid}")),
        }
        if ends_within(process, PATIENCE)? {
            return Ok(());
        }
    }
    bail!("process {pid} does not end")
}
