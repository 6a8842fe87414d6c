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

/// The attempt that a file in a container's directory of logs belongs to: `3.log`, or `3.log.20260101-000000.gz`.
#[must_use]
pub fn attempt_of(file: &str) -> Option<u32> {
    let (attempt, rest) = file.split_once(".log")?;
    // Numbers that nobody gave.
    attempt.parse().ok().filter(|attempt| (rest.is_empty() || rest.starts_with('.')) && *attempt < u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_logs_tell_their_attempt() {
        for (file, want) in [
            ("0.log", Some(0)),
            ("12.log", Some(12)),
            ("3.log.20260101-000000.gz", Some(3)),
            ("3.logs", None),
            ("x.log", None),
            ("4294967295.log", None),
            ("log", None),
        ] {
            assert_eq!(attempt_of(file), want, "{file}");
        }
    }
}
