//! Pods and nodes for tests, from the JSON that matters.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cache::{NodeFacts, PodInfo, Snapshot};

/// A pod in `default` of this name and spec; its labels and more are given by `merge`d metadata.
pub(crate) fn pod_with(name: &str, labels: Value, spec: Value) -> Arc<PodInfo> {
    let metadata = json!({"name": name, "namespace": "default", "uid": format!("uid-{name}"), "labels": labels});
    let pod = json!({"metadata": metadata, "spec": spec});
    Arc::new(PodInfo::from_json(&pod.to_string().into()).unwrap())
}

/// A pod without labels.
pub(crate) fn pod(name: &str, spec: Value) -> Arc<PodInfo> {
    pod_with(name, json!({}), spec)
}

/// A pod that asks for CPU.
pub(crate) fn pod_of_cpu(name: &str, cpu: &str) -> Arc<PodInfo> {
    pod(name, json!({"containers": [{"resources": {"requests": {"cpu": cpu}}}]}))
}

/// A node with 4 cores, 8 GiB and room for 10 pods, its labels, and further fields of its spec.
pub(crate) fn node_with(name: &str, labels: Value, spec: Value) -> NodeFacts {
    let node = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
    });
    NodeFacts::from_json(&node.to_string().into()).unwrap()
}

/// A plain node with its host name as label.
pub(crate) fn node(name: &str) -> NodeFacts {
    node_with(name, json!({"kubernetes.io/hostname": name}), json!({}))
}

/// A snapshot of nodes and of pods on them.
pub(crate) fn snapshot(nodes: &[NodeFacts], pods: &[(&str, Arc<PodInfo>)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        snapshot.set_node(node.clone());
    }
    for (node, pod) in pods {
        snapshot.set_pod(Arc::new(pod.on_node(node)));
    }
    snapshot
}
