//! Takes out of the machine what a cluster has put there: containers, DNS, packet rules, bridge, control groups, mounts.
//!
//! Works from the places alone, so that it is the same after a clean end and after a kill. Every step is done whatever
//! became of the others; what is not there is done already. The caller holds the instance's lock.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use corten_base::{
    SharedClock, SharedRng, Shutdown, TaskSet, fs,
    mounts::{self, Mount},
};
use corten_container_runtime::ContainerRuntime;
use corten_cri::api;
use corten_net::{
    netlink::Rtnl,
    netns::Netns,
    nftables::{Nftables, Transaction},
};
use corten_oci::cgroup::{Cgroup, Hierarchies};
use corten_proxy::{
    backend::{
        Backend as _,
        userspace::{UserspaceBackend, UserspaceConfig},
    },
    names::IpFamily,
};
use corten_storage::{
    kv::{KvEngine as _, ListRequest},
    object::KeySpace,
};
use corten_storage_sqlite::SqliteEngine;
use futures::future;
use ipnet::IpNet;

use crate::{
    node::{dns_process, settings},
    places::Places,
};

/// How long containers have to end by themselves. Upstream: a pod's default grace period is 30 s, docker's 10 s; this is
/// the end of the machine's cluster, which its owner waits for.
const GRACE_SECONDS: i64 = 2;

/// Stops and removes everything but data; gives what was done, a line each.
///
/// Errors: what could not be removed, all of it.
pub(crate) async fn sweep(
    places: &Places,
    service_cidr: IpNet,
    clock: &SharedClock,
    rng: &SharedRng,
) -> anyhow::Result<Vec<String>> {
    let mut sweep = Sweep::default();
    // Side by side: each waits for processes to end by themselves.
    let (containers, dns) = future::join(stop_containers(places, clock, rng), dns_process::stop(places, clock)).await;
    sweep.note("containers", containers);
    sweep.note("DNS", dns.map(|stopped| stopped.then(|| "stopped DNS".to_owned())));
    sweep.note("services", clean_userspace_proxy(service_cidr, clock).map(|()| None));
    // Before the rules that guard what the settings open.
    sweep.note(
        "kernel settings",
        Netns::current().map_err(Into::into).and_then(|host| settings::put_back(places, &host)),
    );
    sweep.note("packet rules", remove_tables(places));
    sweep.note("bridge", remove_bridge(places));
    sweep.note("mounts", unmount_below(&[&places.root, &places.run]));
    let left = mounts_left(&places.run);
    sweep.note("control groups", remove_cgroups(places));
    // What is mounted there still leads into containers' files.
    sweep.note("run time state", left.and_then(|()| remove_run_directory(places)).map(|()| None));
    if sweep.failures.is_empty() { Ok(sweep.done) } else { bail!(sweep.failures.join("; ")) }
}

/// Removes what a reboot would end. Nothing may be mounted there.
pub(crate) fn remove_run_directory(places: &Places) -> anyhow::Result<()> {
    Ok(fs::remove_dir_all(&places.run)?)
}

#[derive(Debug, Default)]
struct Sweep {
    done: Vec<String>,
    failures: Vec<String>,
}

impl Sweep {
    fn note(&mut self, what: &str, outcome: anyhow::Result<Option<String>>) {
        match outcome {
            Ok(done) => self.done.extend(done),
            Err(error) => self.failures.push(format!("could not remove {what}: {error:#}")),
        }
    }
}

async fn stop_containers(places: &Places, clock: &SharedClock, rng: &SharedRng) -> anyhow::Result<Option<String>> {
    if !places.containers().exists() {
        return Ok(None);
    }
    let (end, shutdown) = Shutdown::new();
    let executable = std::env::current_exe().context("find this program's file")?;
    let host = Netns::current().context("open the network namespace")?;
    let config = places.container_runtime(executable);
    let runtime = ContainerRuntime::open(config, host, clock.clone(), rng.clone(), shutdown).await?;
    let cri = runtime.cri().runtime;
    let running = api::ContainerStateValue { state: api::ContainerState::ContainerRunning as i32 };
    let filter = api::ContainerFilter { state: Some(running), ..api::ContainerFilter::default() };
    let containers = cri.list_containers(api::ListContainersRequest { filter: Some(filter) }).await?.containers;
    let stops = containers.iter().map(|container| {
        cri.stop_container(api::StopContainerRequest { container_id: container.id.clone(), timeout: GRACE_SECONDS })
    });
    for stopped in future::join_all(stops).await {
        if let Err(error) = stopped {
            // Removing its pod kills it.
            tracing::warn!(err = %error, "Could not stop a container");
        }
    }
    let ready = api::PodSandboxStateValue { state: api::PodSandboxState::SandboxReady as i32 };
    let filter = api::PodSandboxFilter { state: Some(ready), ..api::PodSandboxFilter::default() };
    let sandboxes = cri.list_pod_sandbox(api::ListPodSandboxRequest { filter: Some(filter) }).await?.items.len();
    // How containers ended is data: the next start shows it, and their logs.
    let stopped = runtime.stop_all().await;
    end.request();
    runtime.join().await.context("close the container runtime")?;
    stopped?;
    Ok((sandboxes > 0).then(|| counted("stopped", sandboxes, "pod", "pods")))
}

/// What the proxy without nftables leaves on the loopback interface.
fn clean_userspace_proxy(service_cidr: IpNet, clock: &SharedClock) -> anyhow::Result<()> {
    let config =
        UserspaceConfig { families: vec![IpFamily::V4], cluster_cidrs: Vec::new(), service_cidrs: vec![service_cidr] };
    UserspaceBackend::open(config, clock.clone())?.clean_up()?;
    Ok(())
}

/// Every table of packet rules that bears the cluster's name.
fn remove_tables(places: &Places) -> anyhow::Result<Option<String>> {
    let nftables = Nftables::open().context("talk to nftables")?;
    if !nftables.is_supported().context("ask the kernel for nftables")? {
        return Ok(None);
    }
    let ours = [format!("{}-cni", places.name), places.proxy_table()];
    let mut tables = nftables.tables().context("list tables")?;
    tables.retain(|table| ours.contains(&table.name));
    if tables.is_empty() {
        return Ok(None);
    }
    let mut transaction = Transaction::new();
    for table in &tables {
        transaction.delete_table(table);
    }
    nftables.commit(&transaction).context("delete tables")?;
    Ok(Some(counted("removed", tables.len(), "table of packet rules", "tables of packet rules")))
}

fn remove_bridge(places: &Places) -> anyhow::Result<Option<String>> {
    let (rtnl, name) = (Rtnl::open().context("talk to the kernel's network")?, places.bridge());
    let Some(link) = rtnl.link_by_name(&name).context("look for the bridge")? else { return Ok(None) };
    rtnl.delete_link(link.index).with_context(|| format!("delete {name}"))?;
    Ok(Some(format!("removed the bridge {name}")))
}

fn remove_cgroups(places: &Places) -> anyhow::Result<Option<String>> {
    let hierarchies = Hierarchies::detect().context("find the control groups")?;
    let group = Cgroup::new(hierarchies, &Path::new("/").join(&places.name));
    let was_there = group.directories().iter().any(|directory| directory.exists());
    group.remove().context("remove the control groups")?;
    Ok(was_there.then(|| "removed the control groups".to_owned()))
}

/// Unmounts what is mounted below the directories, the last first.
fn unmount_below(directories: &[&Path]) -> anyhow::Result<Option<String>> {
    let (points, mut failures) = (mount_points_below(mounts::read()?, directories), Vec::new());
    for point in &points {
        // Detached at once, so that a program which still looks at a file does not keep the rest.
        match nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH | nix::mount::MntFlags::UMOUNT_NOFOLLOW) {
            // Gone with the mount above it.
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
            Err(error) => failures.push(format!("unmount {}: {error}", point.display())),
        }
    }
    if !failures.is_empty() {
        bail!(failures.join("; "));
    }
    Ok((!points.is_empty()).then(|| counted("unmounted", points.len(), "directory", "directories")))
}

/// Errors: something is mounted below the directory.
fn mounts_left(directory: &Path) -> anyhow::Result<()> {
    match mount_points_below(mounts::read()?, &[directory]).first() {
        Some(point) => bail!("{} is still mounted", point.display()),
        None => Ok(()),
    }
}

/// The last one mounted is the first.
fn mount_points_below(mounts: Vec<Mount>, directories: &[&Path]) -> Vec<PathBuf> {
    let points = mounts.into_iter().rev().map(|mount| mount.point);
    // The directory itself may be somebody's mount: only what is below it is ours.
    points.filter(|point| directories.iter().any(|one| point.starts_with(one) && point != one)).collect()
}

/// The directories of logs of this cluster's pods, which `<namespace>_<name>_<uid>` tells from those of other programs: the
/// kubelet keeps a directory for each pod that has not ended, and the store has the others. (The kubelet removes the logs of
/// pods that are deleted.) A store that cannot be read knows none; that is said, because logs may stay then.
pub(crate) async fn logs_of_pods(
    places: &Places,
    clock: &SharedClock,
) -> anyhow::Result<(Vec<PathBuf>, Option<String>)> {
    let logs = places.pod_logs();
    let names = names_in(&logs)?;
    if names.is_empty() {
        return Ok((Vec::new(), None));
    }
    let running = names_in(&places.kubelet().join("pods"))?;
    let (stored, complaint) = match stored_pods(places, clock).await {
        Ok(stored) => (stored, None),
        Err(error) => (Vec::new(), Some(format!("Logs of ended pods may stay in {}: {error:#}", logs.display()))),
    };
    let is_ours = |name: &String| {
        let Some((_, uid)) = name.rsplit_once('_').filter(|(_, uid)| !uid.is_empty()) else { return false };
        running.iter().any(|known| known == uid) || stored.iter().any(|pod| mentions(pod, uid.as_bytes()))
    };
    Ok((names.into_iter().filter(is_ours).map(|name| logs.join(name)).collect(), complaint))
}

/// The pods as the store has them. In every encoding of objects a uid is its text.
async fn stored_pods(places: &Places, clock: &SharedClock) -> anyhow::Result<Vec<Bytes>> {
    if !places.store().exists() {
        return Ok(Vec::new());
    }
    let (tasks, (end, shutdown)) = (TaskSet::new("store"), Shutdown::new());
    let config =
        corten_storage_sqlite::Config { must_exist: true, ..corten_storage_sqlite::Config::new(places.store()) };
    let list = async {
        let engine = SqliteEngine::open(config, clock.clone(), &tasks, &shutdown).await.context("open the store")?;
        let prefix = KeySpace::new("pods").full("");
        let all = ListRequest { prefix, start: Bytes::new(), limit: 0, revision: None };
        engine.list(all).await.context("list pods")
    };
    let listed = list.await;
    end.request();
    tasks.join().await.context("close the store")?;
    Ok(listed?.kvs.into_iter().map(|kv| kv.value).collect())
}

fn mentions(object: &[u8], uid: &[u8]) -> bool {
    object.windows(uid.len()).any(|window| window == uid)
}

/// Removes directories of logs, and the links that lead into them, or below `logs` to what is there no more: the container
/// runtime has removed the logs of its pods already.
pub(crate) fn remove_logs(directories: &[PathBuf], logs: &Path, links: &Path) -> anyhow::Result<()> {
    for name in names_in(links)? {
        let link = links.join(name);
        // Anything else in that directory is somebody else's.
        let Ok(target) = std::fs::read_link(&link) else { continue };
        let leads_nowhere = target.starts_with(logs) && !target.exists();
        if leads_nowhere || directories.iter().any(|directory| target.starts_with(directory)) {
            fs::remove_file(&link)?;
        }
    }
    for directory in directories {
        fs::remove_dir_all(directory)?;
    }
    Ok(())
}

/// The names in a directory; none if it does not exist.
fn names_in(directory: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("list {}", directory.display())),
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<std::io::Result<_>>().with_context(|| format!("list {}", directory.display()))
}

/// Removes the data of a cluster, and the directory if nothing else is in it.
pub(crate) fn remove_data(places: &Places) -> anyhow::Result<()> {
    for path in places.data() {
        let is_directory = path.is_dir() && !path.is_symlink();
        if is_directory { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    match std::fs::remove_dir(&places.root) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            // Somebody else's files, a mount point, or what lies in a directory of somebody else's, stay.
            ErrorKind::DirectoryNotEmpty
            | ErrorKind::NotFound
            | ErrorKind::ResourceBusy
            | ErrorKind::PermissionDenied => Ok(()),
            _ => Err(error).with_context(|| format!("remove {}", places.root.display())),
        },
    }
}

/// What was done to so many things, in words.
fn counted(done: &str, count: usize, one: &str, many: &str) -> String {
    format!("{done} {count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
