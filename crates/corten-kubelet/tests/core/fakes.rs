//! The kubelet's other parts, as small as they can be.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use corten_api::core::v1::Pod;
use corten_cri::{Cri, api};
use corten_kubelet::{
    containers::resources::{NodeLimits, of_container},
    interfaces::{
        ContainerKind, ContainerRef, ContainerRequest, ContainerSpecs, Failure, Hooks, ImageRef, Images,
        MountedVolumes, PodCgroups, ProbeKind, ProbeTarget, Prober, SharedPod, Volumes,
    },
    pleg::records::POD_UID,
    pod_workers::actions::annotations,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

fn uid(pod: &SharedPod) -> String {
    pod.metadata.uid.clone().unwrap()
}

/// Volumes and control groups that exist by name only.
#[derive(Default)]
pub(crate) struct Holdings {
    pub(crate) volumes: Mutex<BTreeSet<String>>,
    pub(crate) cgroups: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Volumes for Holdings {
    async fn set_up(&self, pod: &SharedPod) -> Result<MountedVolumes, Failure> {
        self.volumes.lock().insert(uid(pod));
        Ok(MountedVolumes::default())
    }

    async fn tear_down(&self, pod_uid: &str) -> Result<(), Failure> {
        self.volumes.lock().remove(pod_uid);
        Ok(())
    }

    async fn pods_on_node(&self) -> Result<Vec<String>, Failure> {
        Ok(self.volumes.lock().iter().cloned().collect())
    }
}

#[async_trait]
impl PodCgroups for Holdings {
    async fn ensure(&self, pod: &SharedPod) -> Result<(), Failure> {
        self.cgroups.lock().insert(uid(pod));
        Ok(())
    }

    async fn remove(&self, pod_uid: &str) -> Result<(), Failure> {
        self.cgroups.lock().remove(pod_uid);
        Ok(())
    }

    async fn pods(&self) -> Result<Vec<String>, Failure> {
        Ok(self.cgroups.lock().iter().cloned().collect())
    }
}

/// Configurations with nothing in them but names.
pub(crate) struct Specs;

#[async_trait]
impl ContainerSpecs for Specs {
    async fn sandbox(&self, pod: &SharedPod, attempt: u32) -> Result<api::PodSandboxConfig, Failure> {
        let spec = pod.spec.as_ref().unwrap();
        let network = if spec.host_network == Some(true) { api::NamespaceMode::Node } else { api::NamespaceMode::Pod };
        let options = api::NamespaceOption { network: network as i32, ..api::NamespaceOption::default() };
        let security = api::LinuxSandboxSecurityContext {
            namespace_options: Some(options),
            ..api::LinuxSandboxSecurityContext::default()
        };
        let linux =
            api::LinuxPodSandboxConfig { security_context: Some(security), ..api::LinuxPodSandboxConfig::default() };
        Ok(api::PodSandboxConfig {
            metadata: Some(api::PodSandboxMetadata {
                name: pod.metadata.name.clone().unwrap(),
                namespace: pod.metadata.namespace.clone().unwrap(),
                uid: uid(pod),
                attempt,
            }),
            labels: [(POD_UID.to_owned(), uid(pod))].into(),
            linux: Some(linux),
            ..api::PodSandboxConfig::default()
        })
    }

    async fn container(&self, request: ContainerRequest<'_>) -> Result<api::ContainerConfig, Failure> {
        let spec = &request.container.spec;
        if spec.env_from.is_some() {
            return Err(Failure::new("CreateContainerConfigError", "configmap \"none\" not found"));
        }
        let image = api::ImageSpec {
            image: request.image.id.clone(),
            user_specified_image: spec.image.clone().unwrap(),
            ..api::ImageSpec::default()
        };
        let linux = api::LinuxContainerConfig {
            resources: self.resources(request.pod, request.container),
            ..api::LinuxContainerConfig::default()
        };
        Ok(api::ContainerConfig {
            linux: Some(linux),
            metadata: Some(api::ContainerMetadata { name: spec.name.clone(), attempt: request.attempt }),
            image: Some(image),
            labels: [(POD_UID.to_owned(), uid(request.pod))].into(),
            annotations: annotations(request.attempt, &self.hash(request.container)),
            ..api::ContainerConfig::default()
        })
    }

    fn resources(&self, pod: &Pod, container: &ContainerRef) -> Option<api::LinuxContainerResources> {
        let node = NodeLimits { memory_bytes: 8 << 30, cpu_quota: true, unified_cgroups: false };
        Some(of_container(pod, container, node))
    }

    fn hash(&self, container: &ContainerRef) -> String {
        container.spec.image.clone().unwrap_or_default()
    }
}

/// Pulls whatever is not present.
pub(crate) struct Pulls(pub(crate) Cri);

#[async_trait]
impl Images for Pulls {
    async fn ensure(
        &self,
        _pod: &SharedPod,
        container: &ContainerRef,
        sandbox: &api::PodSandboxConfig,
    ) -> Result<ImageRef, Failure> {
        let image = Some(api::ImageSpec {
            image: container.spec.image.clone().unwrap_or_default(),
            ..api::ImageSpec::default()
        });
        let status = api::ImageStatusRequest { image: image.clone(), verbose: false };
        let present = self.0.images.image_status(status).await.unwrap().image;
        let id = match present {
            Some(image) => image.id,
            None => {
                let pull = api::PullImageRequest { image, sandbox_config: Some(sandbox.clone()), ..Default::default() };
                let pulled = self.0.images.pull_image(pull).await;
                pulled.map_err(|error| Failure::new("ErrImagePull", error.to_string()))?.image_ref
            }
        };
        Ok(ImageRef { repo_digest: id.clone(), id, uid: None, username: String::new() })
    }

    fn forget(&self, _pod_uid: &str) {}
}

/// Hooks that say when they are called.
#[derive(Default)]
pub(crate) struct HookCalls {
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) post_start_fails: Mutex<bool>,
    /// While there is one, hooks go on when it is notified.
    pub(crate) post_start_waits: Mutex<Option<Arc<Notify>>>,
}

#[async_trait]
impl Hooks for HookCalls {
    async fn post_start(
        &self,
        _pod: &SharedPod,
        container: &ContainerRef,
        _container_id: &str,
        _pod_ip: Option<IpAddr>,
    ) -> Result<(), Failure> {
        self.calls.lock().push(format!("post_start {}", container.spec.name));
        let waits = self.post_start_waits.lock().clone();
        if let Some(waits) = waits {
            waits.notified().await;
        }
        if *self.post_start_fails.lock() { Err(Failure::new("PostStartHookError", "no")) } else { Ok(()) }
    }

    async fn pre_stop(
        &self,
        _pod: &SharedPod,
        container: &ContainerRef,
        _container_id: &str,
        _pod_ip: Option<IpAddr>,
        grace: Duration,
    ) {
        self.calls.lock().push(format!("pre_stop {} {}", container.spec.name, grace.as_secs()));
    }
}

/// Probes whose results the test sets.
#[derive(Default)]
pub(crate) struct Probes {
    pub(crate) results: Mutex<BTreeMap<(String, ProbeKind), bool>>,
    pub(crate) observed: Mutex<BTreeMap<String, Vec<String>>>,
    /// The containers whose startup is not asked about, by id.
    pub(crate) started: Mutex<BTreeSet<String>>,
}

impl Prober for Probes {
    fn observe(&self, pod: &SharedPod, _pod_ip: Option<IpAddr>, running: Vec<ProbeTarget>) {
        let names = running.iter().map(|target| target.container.spec.name.clone()).collect();
        assert!(running.iter().all(|target| target.container.kind != ContainerKind::Ephemeral));
        let started = running.iter().filter(|target| target.has_started);
        self.started.lock().extend(started.map(|target| target.container_id.clone()));
        self.observed.lock().insert(uid(pod), names);
    }

    fn forget(&self, pod_uid: &str) {
        self.observed.lock().remove(pod_uid);
    }

    fn result(&self, container_id: &str, kind: ProbeKind) -> Option<bool> {
        self.results.lock().get(&(container_id.to_owned(), kind)).copied()
    }
}

/// All of them.
pub(crate) struct Fakes {
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) hooks: Arc<HookCalls>,
    pub(crate) probes: Arc<Probes>,
}
