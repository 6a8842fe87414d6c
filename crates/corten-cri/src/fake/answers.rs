//! The fake's records in the shapes that answers have.

use std::collections::BTreeMap;

use super::state::{Container, Sandbox};
use crate::{api, api::UInt64Value};

pub(super) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

pub(super) fn list_item(container: &Container) -> api::Container {
    let status = container.status.clone();
    api::Container {
        id: status.id,
        pod_sandbox_id: container.sandbox_id.clone(),
        metadata: status.metadata,
        image: status.image,
        image_ref: status.image_ref,
        state: status.state,
        created_at: status.created_at,
        labels: status.labels,
        annotations: status.annotations,
        image_id: status.image_id,
    }
}

pub(super) fn container_stats(container: &Container, timestamp: i64) -> api::ContainerStats {
    let (status, usage) = (&container.status, container.usage);
    let number = |value| Some(UInt64Value { value });
    api::ContainerStats {
        attributes: Some(api::ContainerAttributes {
            id: status.id.clone(),
            metadata: status.metadata.clone(),
            labels: status.labels.clone(),
            annotations: status.annotations.clone(),
        }),
        cpu: Some(api::CpuUsage {
            timestamp,
            usage_core_nano_seconds: number(usage.cpu_nanos),
            usage_nano_cores: number(usage.cpu_nano_cores),
            psi: None,
        }),
        memory: Some(api::MemoryUsage {
            timestamp,
            working_set_bytes: number(usage.memory_working_set_bytes),
            usage_bytes: number(usage.memory_working_set_bytes),
            ..api::MemoryUsage::default()
        }),
        writable_layer: Some(api::FilesystemUsage {
            timestamp,
            fs_id: Some(api::FilesystemIdentifier { mountpoint: "/var/lib/fake/images".to_owned() }),
            used_bytes: number(usage.writable_layer_bytes),
            inodes_used: number(usage.writable_layer_inodes),
        }),
        swap: None,
        io: None,
    }
}

pub(super) fn sandbox_stats(
    sandbox: &Sandbox,
    containers: Vec<api::ContainerStats>,
    timestamp: i64,
) -> api::PodSandboxStats {
    let status = &sandbox.status;
    let sum = |value: fn(&api::ContainerStats) -> Option<UInt64Value>| {
        Some(UInt64Value { value: containers.iter().filter_map(value).map(|value| value.value).sum() })
    };
    api::PodSandboxStats {
        attributes: Some(api::PodSandboxAttributes {
            id: status.id.clone(),
            metadata: status.metadata.clone(),
            labels: status.labels.clone(),
            annotations: status.annotations.clone(),
        }),
        linux: Some(api::LinuxPodSandboxStats {
            cpu: Some(api::CpuUsage {
                timestamp,
                usage_core_nano_seconds: sum(|stats| stats.cpu.as_ref()?.usage_core_nano_seconds),
                usage_nano_cores: sum(|stats| stats.cpu.as_ref()?.usage_nano_cores),
                psi: None,
            }),
            memory: Some(api::MemoryUsage {
                timestamp,
                working_set_bytes: sum(|stats| stats.memory.as_ref()?.working_set_bytes),
                ..api::MemoryUsage::default()
            }),
            process: Some(api::ProcessUsage {
                timestamp,
                process_count: Some(UInt64Value { value: containers.len() as u64 }),
            }),
            containers,
            ..api::LinuxPodSandboxStats::default()
        }),
    }
}

/// Takes over what an update names.
pub(super) fn merge(into: &mut api::LinuxContainerResources, from: api::LinuxContainerResources) {
    let number = |into: &mut i64, from: i64| {
        if from != 0 {
            *into = from;
        }
    };
    number(&mut into.cpu_period, from.cpu_period);
    number(&mut into.cpu_quota, from.cpu_quota);
    number(&mut into.cpu_shares, from.cpu_shares);
    number(&mut into.memory_limit_in_bytes, from.memory_limit_in_bytes);
    number(&mut into.memory_swap_limit_in_bytes, from.memory_swap_limit_in_bytes);
    number(&mut into.oom_score_adj, from.oom_score_adj);
    if !from.cpuset_cpus.is_empty() {
        into.cpuset_cpus = from.cpuset_cpus;
    }
    if !from.cpuset_mems.is_empty() {
        into.cpuset_mems = from.cpuset_mems;
    }
    if !from.hugepage_limits.is_empty() {
        into.hugepage_limits = from.hugepage_limits;
    }
    into.unified.extend(from.unified);
}
