//! What a case runs against.

use std::{any::Any, path::PathBuf, sync::Arc};

use corten_base::{SharedClock, SystemRng};

use crate::{ImageService, RuntimeService, Streaming, api};

/// The label that marks what a fixture made, so that it finds it again.
const OWNER: &str = "cri-conformance/owner";

/// An implementation and its surroundings, made anew for every case.
pub struct Fixture {
    /// Pods and containers.
    pub runtime: Arc<dyn RuntimeService>,
    /// Images.
    pub images: Arc<dyn ImageService>,
    /// Streams, where they can be had without a URL.
    pub streaming: Option<Arc<dyn Streaming>>,
    /// Real time, for the deadlines of the suite.
    pub clock: SharedClock,
    /// An empty directory that the runtime sees under the same path: logs and mounts live here. Not removed.
    pub dir: PathBuf,
    /// Where sandboxes' cgroups go, as the kubelet would say it; empty for the runtime's default.
    pub cgroup_parent: String,
    /// The images that cases use.
    pub test_images: TestImages,
    /// What the implementation and the machine can do.
    pub provides: Vec<Need>,
    /// Marks this fixture's pods among those of others.
    pub owner: String,
    /// Kept until the case is over: temporary directories, servers.
    pub keep: Option<Box<dyn Any + Send + Sync>>,
}

/// What a case asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Containers are processes with files.
    Processes,
    /// Sandboxes have a network of their own.
    Network,
    /// Ports of the node lead to containers.
    HostPort,
    /// The node's processes may be seen.
    HostPid,
    /// Privileged containers may have all capabilities.
    Privileged,
    /// System calls can be filtered.
    Seccomp,
    /// `supplemental_groups_policy` and the user in the status (features of the runtime).
    GroupsPolicy,
    /// `stop_signal` of the config.
    StopSignal,
    /// cgroup limits take effect.
    Limits,
    /// The status reports resources.
    Resources,
    /// Usage is reported.
    Stats,
    /// Streams without a URL.
    Streaming,
    /// The run is root and may mount file systems below `Fixture::dir`, where the runtime sees them.
    Mounts,
    /// `GetContainerEvents`.
    Events,
    /// Stopping what does not exist succeeds, as the interface asks (containerd before 2.0 refuses).
    StopUnknown,
    /// The image list heeds its filter (containerd does not).
    ImageFilter,
    /// A registry to pull from.
    Registry,
}

/// The images of a fixture.
#[derive(Debug, Clone)]
pub struct TestImages {
    /// Present: a busybox with `/bin/sh` and the usual applets, no entrypoint, root by default, and the user `tester`
    /// (uid 1001, gid 1002), whom `/etc/group` puts into group 1003 too.
    pub shell: String,
    /// A well-formed name that no registry has.
    pub absent: String,
    /// What can be pulled, with `Need::Registry`. Nobody else uses these images.
    pub pullable: Option<Pullable>,
}

/// Names of one image in a registry.
#[derive(Debug, Clone)]
pub struct Pullable {
    /// `repository:tag`.
    pub tag: String,
    /// Another tag for the same content.
    pub other_tag: String,
    /// `repository@sha256:...` for the same content.
    pub digest: String,
}

impl Fixture {
    /// A name for the owner label that nobody else has.
    #[must_use]
    pub fn unique_owner() -> String {
        SystemRng::shared().uuid()
    }

    /// The labels of everything that this fixture makes.
    pub(super) fn owner_label(&self) -> (String, String) {
        (OWNER.to_owned(), self.owner.clone())
    }

    /// This fixture's sandboxes.
    pub(super) async fn sandboxes(&self, filter: api::PodSandboxFilter) -> Vec<api::PodSandbox> {
        let mut filter = filter;
        filter.label_selector.extend([self.owner_label()]);
        let request = api::ListPodSandboxRequest { filter: Some(filter) };
        self.runtime.list_pod_sandbox(request).await.expect("list sandboxes").items
    }

    /// This fixture's containers.
    pub(super) async fn containers(&self, filter: api::ContainerFilter) -> Vec<api::Container> {
        let mut filter = filter;
        filter.label_selector.extend([self.owner_label()]);
        let request = api::ListContainersRequest { filter: Some(filter) };
        self.runtime.list_containers(request).await.expect("list containers").containers
    }

    /// Removes this fixture's pods.
    pub(super) async fn clean_up(&self) {
        for sandbox in self.sandboxes(api::PodSandboxFilter::default()).await {
            let pod_sandbox_id = sandbox.id.clone();
            self.runtime
                .stop_pod_sandbox(api::StopPodSandboxRequest { pod_sandbox_id })
                .await
                .expect("stop the case's sandbox");
            let request = api::RemovePodSandboxRequest { pod_sandbox_id: sandbox.id };
            self.runtime.remove_pod_sandbox(request).await.expect("remove the case's sandbox");
        }
    }

    /// The streams of the runtime; only for cases that need them.
    pub(super) fn streaming(&self) -> &dyn Streaming {
        self.streaming.as_deref().expect("a fixture that provides Streaming has it")
    }
}
