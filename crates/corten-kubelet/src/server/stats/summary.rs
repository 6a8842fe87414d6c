//! A reading as `/stats/summary` shows it.
//!
//! Upstream: k8s.io/kubelet/pkg/apis/stats/v1alpha1 (v1.35).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Disk, PodUsage, Reading, Usage};

/// The summary.
pub(super) fn of(reading: &Reading) -> Value {
    let time = seconds(reading.now);
    let mut node = Map::new();
    node.insert("nodeName".to_owned(), reading.node.clone().into());
    put(&mut node, "startTime", reading.machine.started.map(seconds));
    usage(&mut node, &reading.machine.usage, &time);
    put(&mut node, "fs", reading.disk.as_ref().map(|found| disk(found, &time)));
    put(&mut node, "runtime", reading.image_disk.as_ref().map(|found| json!({"imageFs": disk(found, &time)})));
    if let (Some(max), Some(now)) = (reading.machine.processes_max, reading.machine.processes) {
        node.insert("rlimit".to_owned(), json!({"time": time, "maxpid": max, "curproc": now}));
    }
    let pods: Vec<Value> = reading.pods.iter().map(|found| pod(found, &time)).collect();
    json!({"node": node, "pods": pods})
}

fn pod(found: &PodUsage, time: &str) -> Value {
    let metadata = &found.pod.metadata;
    let mut pod = Map::new();
    let reference = json!({"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid});
    pod.insert("podRef".to_owned(), reference);
    let started = found.pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    put(&mut pod, "startTime", started.map(|time| seconds(time.0)));
    let containers = found.containers.iter().map(|container| {
        let mut shown = Map::new();
        shown.insert("name".to_owned(), container.name.clone().into());
        put(&mut shown, "startTime", container.started.map(seconds));
        usage(&mut shown, &container.usage, time);
        Value::Object(shown)
    });
    pod.insert("containers".to_owned(), containers.collect());
    usage(&mut pod, &found.total, time);
    put(&mut pod, "process_stats", found.processes.map(|count| json!({"process_count": count})));
    Value::Object(pod)
}

fn usage(owner: &mut Map<String, Value>, usage: &Usage, time: &str) {
    let mut cpu = Map::new();
    cpu.insert("time".to_owned(), time.into());
    put(&mut cpu, "usageNanoCores", usage.cpu_nano_cores);
    put(&mut cpu, "usageCoreNanoSeconds", usage.cpu_nano_seconds);
    owner.insert("cpu".to_owned(), cpu.into());
    let mut memory = Map::new();
    memory.insert("time".to_owned(), time.into());
    put(&mut memory, "availableBytes", usage.available_bytes);
    put(&mut memory, "usageBytes", usage.usage_bytes);
    put(&mut memory, "workingSetBytes", usage.working_set_bytes);
    put(&mut memory, "rssBytes", usage.rss_bytes);
    put(&mut memory, "pageFaults", usage.page_faults);
    put(&mut memory, "majorPageFaults", usage.major_page_faults);
    owner.insert("memory".to_owned(), memory.into());
}

fn disk(disk: &Disk, time: &str) -> Value {
    json!({
        "time": time, "availableBytes": disk.available_bytes, "capacityBytes": disk.capacity_bytes,
        "usedBytes": disk.used_bytes, "inodesFree": disk.inodes_free, "inodes": disk.inodes,
        "inodesUsed": disk.inodes_used,
    })
}

fn put<T: Into<Value>>(owner: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        owner.insert(key.to_owned(), value.into());
    }
}

/// A time as API objects have it: to the second.
fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).map_or_else(|_| time.to_string(), |time| time.to_string())
}
