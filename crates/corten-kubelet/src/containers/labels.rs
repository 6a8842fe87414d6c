//! Labels and annotations of sandboxes and containers, by which they are found again.
//!
//! Upstream: pkg/kubelet/types/labels.go, pkg/kubelet/kuberuntime/labels.go (v1.35).

use std::collections::BTreeMap;

use corten_api::core::v1::Pod;

use crate::interfaces::ContainerRef;

/// The pod's name.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// The pod's namespace.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// The pod's UID.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// The container's name.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// The hash of the container's spec.
pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
/// How often it was started before.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Where it leaves its last words.
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Whether its log may speak for it.
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// `deletionGracePeriodSeconds` of the pod.
pub const DELETION_GRACE_PERIOD: &str = "io.kubernetes.pod.deletionGracePeriod";
/// `terminationGracePeriodSeconds` of the pod.
pub const TERMINATION_GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";
/// Its `lifecycle.preStop`, in JSON.
pub const PRE_STOP_HANDLER: &str = "io.kubernetes.container.preStopHandler";
/// Its ports, in JSON.
pub const PORTS: &str = "io.kubernetes.container.ports";

/// The labels of a pod's sandbox: its own, and its identity.
#[must_use]
pub fn of_sandbox(pod: &Pod) -> BTreeMap<String, String> {
    let own = pod.metadata.labels.iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
    own.chain(identity(pod)).collect()
}

/// The labels of a container.
#[must_use]
pub fn of_container(pod: &Pod, container: &ContainerRef) -> BTreeMap<String, String> {
    identity(pod).chain([(CONTAINER_NAME.to_owned(), container.spec.name.clone())]).collect()
}

fn identity(pod: &Pod) -> impl Iterator<Item = (String, String)> {
    let metadata = pod.metadata.clone();
    [(POD_NAME, metadata.name), (POD_NAMESPACE, metadata.namespace), (POD_UID, metadata.uid)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.unwrap_or_default()))
}

/// The annotations of a sandbox: the pod's.
#[must_use]
pub fn sandbox_annotations(pod: &Pod) -> BTreeMap<String, String> {
    pod.metadata.annotations.iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The annotations of a container: what a kubelet that starts anew has to know of it without the pod.
#[must_use]
pub fn container_annotations(
    pod: &Pod,
    container: &ContainerRef,
    hash: String,
    attempt: u32,
) -> BTreeMap<String, String> {
    let spec = &container.spec;
    let mut annotations = BTreeMap::from([
        (CONTAINER_HASH.to_owned(), hash),
        (RESTART_COUNT.to_owned(), attempt.to_string()),
        (TERMINATION_MESSAGE_PATH.to_owned(), spec.termination_message_path.clone().unwrap_or_default()),
        (TERMINATION_MESSAGE_POLICY.to_owned(), spec.termination_message_policy.clone().unwrap_or_default()),
    ]);
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value);
        }
    };
    set(DELETION_GRACE_PERIOD, pod.metadata.deletion_grace_period_seconds.map(|seconds| seconds.to_string()));
    let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    set(TERMINATION_GRACE_PERIOD, grace.map(|seconds| seconds.to_string()));
    // Structs of the API always serialize.
    let pre_stop = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    set(PRE_STOP_HANDLER, pre_stop.and_then(|handler| serde_json::to_string(handler).ok()));
    let ports = spec.ports.as_ref().filter(|ports| !ports.is_empty());
    set(PORTS, ports.and_then(|ports| serde_json::to_string(ports).ok()));
    annotations
}
