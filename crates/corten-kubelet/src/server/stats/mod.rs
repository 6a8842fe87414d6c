//! What the node, its pods and their containers use now: one reading, shown as a summary or as metrics.
//!
//! Flow: CRI stats of sandboxes, procfs, statvfs -> `Reading` -> `summary` | `metrics`.
//! Invariant: what nobody has counted is left out: an absent number is not a zero.
//! Upstream: pkg/kubelet/server/stats, pkg/kubelet/metrics/collectors/resource_metrics.go (v1.35).

mod disk;
mod machine;
mod metrics;
mod summary;

use std::{collections::HashMap, sync::Arc};

use corten_base::ErrorChain;
use corten_cri::{CriError, api};
use http::{Response, StatusCode};
use jiff::Timestamp;

use super::{
    Shared,
    answer::{Answer, json_indented, text, with_type},
};
use crate::{cgroups, interfaces::SharedPod, node::machine::Machine};
use disk::Disk;
use machine::MachineUsage;

/// The media type of metrics as text.
pub(super) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label under which the runtime knows a pod's UID.
const POD_UID: &str = "io.kubernetes.pod.uid";

/// What is used, all at one time.
#[derive(Debug)]
struct Reading {
    node: String,
    now: Timestamp,
    machine: MachineUsage,
    /// The disk that pods' directories are on, and the one with images.
    disk: Option<Disk>,
    image_disk: Option<Disk>,
    pods: Vec<PodUsage>,
}

/// What one pod uses.
#[derive(Debug)]
struct PodUsage {
    pod: SharedPod,
    /// Its control group.
    cgroup: String,
    total: Usage,
    processes: Option<u64>,
    containers: Vec<ContainerUsage>,
}

/// What one container uses.
#[derive(Debug)]
struct ContainerUsage {
    name: String,
    /// The runtime's name for it.
    id: String,
    image: String,
    started: Option<Timestamp>,
    usage: Usage,
}

/// Processor time and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    cpu_nano_seconds: Option<u64>,
    cpu_nano_cores: Option<u64>,
    available_bytes: Option<u64>,
    usage_bytes: Option<u64>,
    working_set_bytes: Option<u64>,
    rss_bytes: Option<u64>,
    page_faults: Option<u64>,
    major_page_faults: Option<u64>,
}

/// `/stats/summary`.
pub(super) async fn summary(shared: &Shared, only_cpu_and_memory: bool) -> Response<Answer> {
    match read(shared, !only_cpu_and_memory).await {
        Ok(reading) => json_indented(&summary::of(&reading)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to list pod stats: {error}")),
    }
}

/// `/metrics/resource`: what autoscalers read.
pub(super) async fn resource_metrics(shared: &Shared) -> Response<Answer> {
    let reading = read(shared, false).await;
    if let Err(error) = &reading {
        tracing::warn!(err = %error, "Could not read resource usage");
    }
    with_type(StatusCode::OK, METRICS_TYPE, metrics::resource(reading.as_ref().ok()))
}

/// `/metrics/cadvisor`: what dashboards read.
pub(super) async fn container_metrics(shared: &Shared) -> Response<Answer> {
    match read(shared, false).await {
        Ok(reading) => {
            let machine = Machine::read(&shared.parts.config.root);
            if let Err(error) = &machine {
                tracing::warn!(err = %ErrorChain(error), "Could not read machine");
            }
            with_type(StatusCode::OK, METRICS_TYPE, metrics::containers(&reading, machine.as_ref().ok()))
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to list pod stats: {error}")),
    }
}

async fn read(shared: &Shared, with_disks: bool) -> Result<Reading, CriError> {
    let parts = &shared.parts;
    let answer = parts.cri.runtime.list_pod_sandbox_stats(api::ListPodSandboxStatsRequest::default()).await?;
    let (disk, image_disk) = match with_disks {
        true => {
            let images = parts.cri.images.image_fs_info(api::ImageFsInfoRequest::default()).await?;
            (Disk::read(&parts.config.root), images.image_filesystems.first().and_then(Disk::of_images))
        }
        false => (None, None),
    };
    Ok(Reading {
        node: parts.config.node_name.clone(),
        now: parts.clock.now(),
        machine: MachineUsage::read(),
        disk,
        image_disk,
        pods: pods(&parts.config.cgroup_root, &parts.pods.list(), &answer.stats),
    })
}

/// Brings pods and what the runtime has counted together. Sandboxes of pods that are gone are left out.
fn pods(cgroup_root: &str, pods: &[SharedPod], stats: &[api::PodSandboxStats]) -> Vec<PodUsage> {
    let uid = |stats: &api::PodSandboxStats| stats.attributes.as_ref()?.labels.get(POD_UID).cloned();
    let by_uid: HashMap<String, &api::PodSandboxStats> =
        stats.iter().filter_map(|stats| Some((uid(stats)?, stats))).collect();
    let usage = |pod: &SharedPod| {
        let linux = by_uid.get(pod.metadata.uid.as_deref()?)?.linux.as_ref()?;
        Some(PodUsage {
            pod: Arc::clone(pod),
            cgroup: cgroups::pod_path(cgroup_root, pod),
            total: Usage::of(linux.cpu.as_ref(), linux.memory.as_ref()),
            processes: linux.process.as_ref().and_then(|process| number(process.process_count.as_ref())),
            containers: linux.containers.iter().filter_map(|stats| container(pod, stats)).collect(),
        })
    };
    pods.iter().filter_map(usage).collect()
}

fn container(pod: &SharedPod, stats: &api::ContainerStats) -> Option<ContainerUsage> {
    let attributes = stats.attributes.as_ref()?;
    let name = &attributes.metadata.as_ref()?.name;
    let status = pod.status.as_ref().and_then(|status| {
        let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        lists.into_iter().flatten().flatten().find(|status| status.name == *name)
    });
    let running = status.and_then(|status| status.state.as_ref()?.running.as_ref());
    Some(ContainerUsage {
        name: name.clone(),
        id: attributes.id.clone(),
        image: status.map(|status| status.image.clone()).unwrap_or_default(),
        started: running.and_then(|running| running.started_at.as_ref()).map(|time| time.0),
        usage: Usage::of(stats.cpu.as_ref(), stats.memory.as_ref()),
    })
}

fn number(value: Option<&api::UInt64Value>) -> Option<u64> {
    value.map(|value| value.value)
}

impl Usage {
    fn of(cpu: Option<&api::CpuUsage>, memory: Option<&api::MemoryUsage>) -> Self {
        let of_cpu = |get: fn(&api::CpuUsage) -> &Option<api::UInt64Value>| number(get(cpu?).as_ref());
        let of_memory = |get: fn(&api::MemoryUsage) -> &Option<api::UInt64Value>| number(get(memory?).as_ref());
        Self {
            cpu_nano_seconds: of_cpu(|cpu| &cpu.usage_core_nano_seconds),
            cpu_nano_cores: of_cpu(|cpu| &cpu.usage_nano_cores),
            available_bytes: of_memory(|memory| &memory.available_bytes),
            usage_bytes: of_memory(|memory| &memory.usage_bytes),
            working_set_bytes: of_memory(|memory| &memory.working_set_bytes),
            rss_bytes: of_memory(|memory| &memory.rss_bytes),
            page_faults: of_memory(|memory| &memory.page_faults),
            major_page_faults: of_memory(|memory| &memory.major_page_faults),
        }
    }
}

#[cfg(test)]
mod tests;
