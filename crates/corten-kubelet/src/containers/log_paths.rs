//! Where logs are. Upstream: pkg/kubelet/kuberuntime/helpers.go, `BuildPodLogsDirectory` and its kin (v1.35).

use std::path::{Path, PathBuf};

use corten_api::core::v1::Pod;

/// The directory of all logs of a pod: `<namespace>_<name>_<uid>`.
#[must_use]
pub fn pod_directory(pod_logs: &Path, pod: &Pod) -> PathBuf {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    pod_logs.join(format!("{}_{}_{}", text(&metadata.namespace), text(&metadata.name), text(&metadata.uid)))
}

/// The log of one attempt of a container, in the pod's directory: `<container>/<attempt>.log`.
#[must_use]
pub fn container_log(container: &str, attempt: u32) -> PathBuf {
    Path::new(container).join(format!("{attempt}.log"))
}
