//! The links under which log collectors find the logs of containers: `<pod>_<namespace>_<container>-<id>.log`.
//!
//! Invariant: a link is made when its container has started and goes with its log; what a crash left is swept at start.
//! Upstream: pkg/kubelet/kuberuntime/legacy.go and `/var/log/containers` (v1.35).

use std::{
    io,
    path::{Path, PathBuf},
};

use corten_api::core::v1::Pod;
use tracing::warn;

use crate::{config::Config, containers::log_paths};

/// The longest name that file systems take. Upstream: `ext4MaxFileNameLen`.
const FILE_NAME_MAX: usize = 255;
const SUFFIX: &str = ".log";

/// The link of one container.
fn path(config: &Config, namespace: &str, pod: &str, container: &str, id: &str) -> PathBuf {
    let mut name = format!("{pod}_{namespace}_{container}-{id}");
    // Names and ids are ASCII.
    name.truncate(FILE_NAME_MAX - SUFFIX.len());
    config.container_logs().join(name + SUFFIX)
}

fn of_pod(config: &Config, pod: &Pod, container: &str, id: &str) -> PathBuf {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    path(config, &text(&pod.metadata.namespace), &text(&pod.metadata.name), container, id)
}

/// Links a container's log. A failure is logged: the container runs without.
pub(super) async fn link(config: &Config, pod: &Pod, container: &str, attempt: u32, id: &str) {
    let log = log_paths::pod_directory(&config.pod_logs, pod).join(log_paths::container_log(container, attempt));
    let link = of_pod(config, pod, container, id);
    let made = async {
        // A runtime without log files has nothing to link.
        if !tokio::fs::try_exists(&log).await? {
            return Ok(());
        }
        tokio::fs::create_dir_all(config.container_logs()).await?;
        match tokio::fs::symlink(&log, &link).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    };
    if let Err(err) = made.await {
        warn!(path = %link.display(), %err, "Could not link log");
    }
}

/// Removes the link of a container that is removed.
pub(super) async fn unlink(config: &Config, pod: &Pod, container: &str, id: &str) {
    remove(&of_pod(config, pod, container, id)).await;
}

/// Removes the links that lead to logs of `config`'s pods which are gone.
pub async fn sweep(config: &Config) {
    let directory = config.container_logs();
    let mut entries = match tokio::fs::read_dir(&directory).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(err) => return warn!(path = %directory.display(), %err, "Could not list links to logs"),
    };
    loop {
        match entries.next_entry().await {
            Ok(Some(entry)) => {
                let link = entry.path();
                // What is no link is somebody else's, and so are links to somewhere else.
                let Ok(target) = tokio::fs::read_link(&link).await else { continue };
                let is_gone = matches!(tokio::fs::try_exists(&target).await, Ok(false));
                if target.starts_with(&config.pod_logs) && is_gone {
                    remove(&link).await;
                }
            }
            Ok(None) => return,
            Err(err) => return warn!(path = %directory.display(), %err, "Could not list links to logs"),
        }
    }
}

async fn remove(link: &Path) {
    match tokio::fs::remove_file(link).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(err) => warn!(path = %link.display(), %err, "Could not remove link to log"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn links_come_and_go_with_their_logs() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = crate::config::tests::config();
        config.pod_logs = directory.path().join("pods");
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}})).unwrap();
        let log = config.pod_logs.join("n_p_u/c/0.log");
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        std::fs::write(&log, "said\n").unwrap();
        link(&config, &pod, "c", 0, "id0").await;
        link(&config, &pod, "c", 0, "id0").await;
        // It has no log.
        link(&config, &pod, "d", 0, "id1").await;
        let links = directory.path().join("containers");
        assert_eq!(names(&links), ["p_n_c-id0.log"]);
        assert_eq!(std::fs::read_to_string(links.join("p_n_c-id0.log")).unwrap(), "said\n");
        unlink(&config, &pod, "c", "id0").await;
        assert_eq!(names(&links), Vec::<String>::new());

        link(&config, &pod, "c", 0, "id2").await;
        std::os::unix::fs::symlink("/nowhere/else", links.join("other.log")).unwrap();
        sweep(&config).await;
        assert_eq!(names(&links), ["other.log", "p_n_c-id2.log"]);
        std::fs::remove_file(&log).unwrap();
        sweep(&config).await;
        assert_eq!(names(&links), ["other.log"]);
    }

    #[test]
    fn names_are_cut_where_file_systems_end() {
        let config = crate::config::tests::config();
        let link = path(&config, "n", &"p".repeat(253), "c", "id");
        assert_eq!(link.file_name().unwrap().len(), FILE_NAME_MAX);
    }
}
