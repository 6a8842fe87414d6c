//! The objects that benchmarks fill a server with: as large, and as different from one another, as a cluster's are.

use bytes::Bytes;
use serde_json::{Value, json};

/// How many values each label and annotation takes over all objects.
const SPREAD: usize = 30;

/// The namespace of all pods and config maps.
pub(crate) const NAMESPACE: &str = "/api/v1/namespaces/default";

/// Pod `number`: 2.2 KB of JSON once it has its defaults and managed fields, as the budgets assume.
pub(crate) fn pod(name: &str, number: usize) -> Bytes {
    let group = number % SPREAD;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": format!("app-{group}"), "tier": format!("tier-{}", number / SPREAD % SPREAD)},
            "annotations": {"example.com/owner": format!("team-{group}")},
        },
        "spec": {
            "containers": [{
                "name": "main", "image": format!("registry.example.com/team-{group}/application:1.2.3"),
                "ports": [{"containerPort": 8080}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            }],
            // Nobody's: what the scheduler does with pods is another benchmark's matter.
            "schedulerName": "none",
        },
    });
    pod.to_string().into()
}

/// A config map with this text, which selectors find by `labels`.
pub(crate) fn config_map(name: &str, labels: &Value, text: &str) -> Bytes {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"key": text}});
    map.to_string().into()
}

/// The name of node `number`.
pub(crate) fn node_name(number: usize) -> String {
    format!("node-{number:04}")
}

/// Node `number`, ready, as a kubelet would register it and report of it: about 5 KB.
pub(crate) fn node(number: usize) -> Bytes {
    let name = node_name(number);
    let zone = format!("zone-{}", number % 3);
    let size =
        json!({"cpu": "16", "memory": "65536Mi", "pods": "110", "ephemeral-storage": "200Gi", "hugepages-2Mi": "0"});
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": format!("kubelet: {reason}"),
            "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let image = |image: usize| {
        json!({"names": [format!("registry.example.com/team-{}/application:1.{image}.3", (number + image) % SPREAD)],
            "sizeBytes": 50_000_000 + image})
    };
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "region",
                "node.kubernetes.io/instance-type": format!("size-{}", number % SPREAD)},
            "annotations": {"node.alpha.kubernetes.io/ttl": "0", "example.com/rack": format!("rack-{}", number % SPREAD)},
        },
        "spec": {"providerID": format!("example:///{zone}/{name}")},
        "status": {
            "capacity": size, "allocatable": size,
            "addresses": [{"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": format!("10.1.{}.{}", number / 250, number % 250 + 1)}],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                condition("Ready", "True", "KubeletReady")],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10_250}},
            "images": (0..15).map(image).collect::<Vec<_>>(),
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "osImage": "Linux", "kernelVersion": "6.18.0",
                "kubeletVersion": "v1.35.0", "kubeProxyVersion": "", "containerRuntimeVersion": "corten://1",
                "bootID": "", "machineID": "", "systemUUID": ""},
        },
    });
    node.to_string().into()
}

/// The lease by which node `number` says that it lives.
pub(crate) fn lease(number: usize) -> Bytes {
    let name = node_name(number);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renew_time(0)},
    });
    lease.to_string().into()
}

/// The patch of a lease that says so again, each time another.
pub(crate) fn renewal(count: usize) -> Bytes {
    json!({"spec": {"renewTime": renew_time(count)}}).to_string().into()
}

fn renew_time(count: usize) -> String {
    format!("2026-01-01T{:02}:{:02}:{:02}.000000Z", count / 3_600 % 24, count / 60 % 60, count % 60)
}
