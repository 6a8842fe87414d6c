//! Where a pod's files are below the kubelet's root. Upstream: pkg/kubelet/kubelet_getters.go (v1.35).

use std::path::{Path, PathBuf};

/// Paths of pods below one root.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Paths below `root`, `/var/lib/kubelet` upstream.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// All pods.
    #[must_use]
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// One pod. UIDs come from the API server, which has checked them; one that leads elsewhere is a programmer's error.
    #[must_use]
    pub fn pod(&self, uid: &str) -> PathBuf {
        assert!(is_one_name(uid), "a pod's UID is the name of a directory, not {uid:?}");
        self.pods().join(uid)
    }

    /// A volume of a plugin: `volumes/kubernetes.io~empty-dir/<name>`.
    #[must_use]
    pub fn volume(&self, uid: &str, plugin: &str, volume: &str) -> PathBuf {
        self.pod(uid).join("volumes").join(plugin.replace('/', "~")).join(volume)
    }

    /// What a plugin notes about a volume.
    #[must_use]
    pub fn plugin(&self, uid: &str, plugin: &str, volume: &str) -> PathBuf {
        self.pod(uid).join("plugins").join(plugin.replace('/', "~")).join(volume)
    }

    /// A part of a volume that is mounted by itself.
    #[must_use]
    pub fn sub_path(&self, uid: &str, volume: &str, container: &str, index: usize) -> PathBuf {
        self.pod(uid).join("volume-subpaths").join(volume).join(container).join(index.to_string())
    }

    /// The directory of a container, for its termination messages.
    #[must_use]
    pub fn container(&self, uid: &str, container: &str) -> PathBuf {
        self.pod(uid).join("containers").join(container)
    }

    /// The pod's `/etc/hosts`.
    #[must_use]
    pub fn etc_hosts(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// Where seccomp profiles of the node are.
    #[must_use]
    pub fn seccomp(&self) -> PathBuf {
        self.root.join("seccomp")
    }
}

/// Whether `text` names exactly one entry of a directory.
pub(crate) fn is_one_name(text: &str) -> bool {
    !text.is_empty() && !matches!(text, "." | "..") && !text.contains(['/', '\0'])
}
