//! What the parts of the kubelet are to each other: the pod worker acts through these traits and nothing else.
//!
//! Flow: worker -> `Volumes`, `ContainerSpecs`, `Images`, `Hooks` -> CRI; `Prober` -> results -> worker; server -> `Pods`.
//! Invariant: every call is idempotent: a worker that starts anew makes the same calls again.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_api::core::v1::{Container, EphemeralContainer, Pod, Probe};
use corten_cri::api;

/// A pod as its source gives it: shared by everything that looks at it, never changed.
pub type SharedPod = Arc<Pod>;

/// The three lists of containers in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerKind {
    /// `spec.initContainers`, sidecars among them.
    Init,
    /// `spec.containers`.
    Ordinary,
    /// `spec.ephemeralContainers`.
    Ephemeral,
}

/// One container of a pod's spec. Ephemeral ones are shown in the shape of the others.
#[derive(Debug, Clone)]
pub struct ContainerRef {
    /// Which list it is from.
    pub kind: ContainerKind,
    /// Its spec.
    pub spec: Arc<Container>,
    /// `targetContainerName` of an ephemeral container.
    pub target: Option<String>,
}

impl ContainerRef {
    /// Whether it is an init container that keeps running: `restartPolicy: Always`.
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        self.kind == ContainerKind::Init && self.spec.restart_policy.as_deref() == Some("Always")
    }

    /// Whether its resources may change while it runs.
    #[must_use]
    pub fn is_resizable(&self) -> bool {
        self.kind == ContainerKind::Ordinary || self.is_sidecar()
    }

    /// The path that events about it carry: `spec.containers{web}`.
    #[must_use]
    pub fn field_path(&self) -> String {
        let list = match self.kind {
            ContainerKind::Init => "initContainers",
            ContainerKind::Ordinary => "containers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        };
        format!("spec.{list}{{{}}}", self.spec.name)
    }
}

/// All containers of a pod: init, ordinary, ephemeral, each in the order of the spec.
#[must_use]
pub fn containers_of(pod: &Pod) -> Vec<ContainerRef> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let of = |kind, list: &[Container]| -> Vec<ContainerRef> {
        list.iter().map(|spec| ContainerRef { kind, spec: Arc::new(spec.clone()), target: None }).collect()
    };
    let mut all = of(ContainerKind::Init, spec.init_containers.as_deref().unwrap_or_default());
    all.extend(of(ContainerKind::Ordinary, &spec.containers));
    all.extend(spec.ephemeral_containers.iter().flatten().map(|ephemeral| ContainerRef {
        kind: ContainerKind::Ephemeral,
        spec: Arc::new(as_container(ephemeral)),
        target: ephemeral.target_container_name.clone().filter(|name| !name.is_empty()),
    }));
    all
}

/// An ephemeral container has the fields of a container and one more.
fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let it = ephemeral.clone();
    Container {
        args: it.args,
        command: it.command,
        env: it.env,
        env_from: it.env_from,
        image: it.image,
        image_pull_policy: it.image_pull_policy,
        lifecycle: it.lifecycle,
        liveness_probe: it.liveness_probe,
        name: it.name,
        ports: it.ports,
        readiness_probe: it.readiness_probe,
        resize_policy: it.resize_policy,
        resources: it.resources,
        restart_policy: it.restart_policy,
        restart_policy_rules: it.restart_policy_rules,
        security_context: it.security_context,
        startup_probe: it.startup_probe,
        stdin: it.stdin,
        stdin_once: it.stdin_once,
        termination_message_path: it.termination_message_path,
        termination_message_policy: it.termination_message_policy,
        tty: it.tty,
        volume_devices: it.volume_devices,
        volume_mounts: it.volume_mounts,
        working_dir: it.working_dir,
    }
}

/// Why a step towards a running container failed, in the words that the container's status and the pod's events show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// The reason of the waiting state: `ErrImagePull`, `CreateContainerConfigError`, ...
    pub reason: String,
    /// The message of the waiting state.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

/// The volumes of a pod that are mounted on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountedVolumes {
    /// By the volume's name in the pod.
    pub by_name: BTreeMap<String, MountedVolume>,
}

/// One volume on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedVolume {
    /// Where its content is.
    pub host_path: PathBuf,
    /// Whether nobody may write to it, whatever the container's mount says.
    pub read_only: bool,
}

/// Brings a pod's volumes onto the node and takes them away.
///
/// The implementation reports `FailedMount` itself, retries by the worker's next call, and refreshes what comes from the
/// API (config maps, secrets, tokens) on its own while the pod lives.
#[async_trait]
pub trait Volumes: Send + Sync + 'static {
    /// Makes the pod's directories and mounts every volume; what is there already stays. Errors: the message that upstream
    /// shows in `FailedMount`. Cancellation: safe, the next call goes on.
    async fn set_up(&self, pod: &SharedPod) -> Result<MountedVolumes, Failure>;

    /// Takes note of a changed pod: volumes that show its labels and annotations follow. Pods not set up are ignored.
    fn update(&self, _pod: &SharedPod) {}

    /// Unmounts and removes everything of a pod that has ended; unknown pods are done already.
    async fn tear_down(&self, pod_uid: &str) -> Result<(), Failure>;

    /// The pods (UIDs) that have something on this node: what a start after a crash must clean up.
    async fn pods_on_node(&self) -> Result<Vec<String>, Failure>;
}

/// The control groups of pods: what bounds all containers of one pod together.
#[async_trait]
pub trait PodCgroups: Send + Sync + 'static {
    /// Makes the pod's group, with the groups above it, and sets its limits; what is there stays. The sandbox needs it.
    async fn ensure(&self, pod: &SharedPod) -> Result<(), Failure>;

    /// Sets those limits of the pod's group that are higher than what it has: before its containers get more.
    async fn raise(&self, pod: &SharedPod) -> Result<(), Failure> {
        self.ensure(pod).await
    }

    /// Kills what still runs in the pod's group and removes it; unknown pods are done already.
    async fn remove(&self, pod_uid: &str) -> Result<(), Failure>;

    /// The pods (UIDs) that have a group: what a start after a crash must clean up.
    async fn pods(&self) -> Result<Vec<String>, Failure>;
}

/// What is needed to form the configuration of one container.
#[derive(Debug, Clone, Copy)]
pub struct ContainerRequest<'a> {
    /// The pod.
    pub pod: &'a SharedPod,
    /// The container.
    pub container: &'a ContainerRef,
    /// How often it was started before: the restart count that its labels carry.
    pub attempt: u32,
    /// The image, as the runtime names it.
    pub image: &'a ImageRef,
    /// The pod's volumes.
    pub volumes: &'a MountedVolumes,
    /// The pod's addresses, the primary one first.
    pub pod_ips: &'a [IpAddr],
    /// The id of the container whose processes an ephemeral container wants to see.
    pub target_id: Option<&'a str>,
}

/// Forms CRI configurations from pods: names, labels, environment, mounts, security, resources, files such as `/etc/hosts`.
#[async_trait]
pub trait ContainerSpecs: Send + Sync + 'static {
    /// The sandbox of `pod`, its log directory made. Labels and annotations are upstream's (`io.kubernetes.pod.uid`, ...).
    async fn sandbox(&self, pod: &SharedPod, attempt: u32) -> Result<api::PodSandboxConfig, Failure>;

    /// One container; reads config maps, secrets and services. Errors: `CreateContainerConfigError` and its kin.
    async fn container(&self, request: ContainerRequest<'_>) -> Result<api::ContainerConfig, Failure>;

    /// The limits that a container of the pod has; `None` if its containers have none that could change while they run.
    fn resources(&self, _pod: &Pod, _container: &ContainerRef) -> Option<api::LinuxContainerResources> {
        None
    }

    /// The hash of a container's spec, as the annotation `io.kubernetes.container.hash` carries it: a change means a restart.
    fn hash(&self, container: &ContainerRef) -> String;
}

/// An image that is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// What to give to the runtime: its id.
    pub id: String,
    /// What `containerStatuses[].imageID` shows.
    pub repo_digest: String,
    /// The user that the image asks for: `uid` or name; for `runAsNonRoot`.
    pub uid: Option<i64>,
    /// Its name, if it asks for one by name.
    pub username: String,
}

/// Makes images present, one pull per image at a time, with back-off and events in upstream's words.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// Makes the container's image present as its pull policy says. Errors: `ErrImagePull`, `ImagePullBackOff`,
    /// `ErrImageNeverPull`, `InvalidImageName`, `ImageInspectError`.
    async fn ensure(
        &self,
        pod: &SharedPod,
        container: &ContainerRef,
        sandbox: &api::PodSandboxConfig,
    ) -> Result<ImageRef, Failure>;

    /// Forgets the back-offs of a pod that is gone.
    fn forget(&self, pod_uid: &str);
}

/// Runs what a container wants done after its start and before its end.
#[async_trait]
pub trait Hooks: Send + Sync + 'static {
    /// Runs `lifecycle.postStart`, if there is one. Errors: the hook failed; the container is to be killed.
    async fn post_start(
        &self,
        pod: &SharedPod,
        container: &ContainerRef,
        container_id: &str,
        pod_ip: Option<IpAddr>,
    ) -> Result<(), Failure>;

    /// Runs `lifecycle.preStop`, if there is one, for at most `grace`; a failure is reported as an event and ends nothing.
    async fn pre_stop(
        &self,
        pod: &SharedPod,
        container: &ContainerRef,
        container_id: &str,
        pod_ip: Option<IpAddr>,
        grace: Duration,
    );
}

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Holds the other two back until it has succeeded.
    Startup,
    /// Failing, it ends the container.
    Liveness,
    /// Failing, it takes the container out of services.
    Readiness,
}

/// A probe's result has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutcome {
    /// The pod.
    pub pod_uid: String,
    /// The container's name.
    pub container: String,
    /// The container that was probed.
    pub container_id: String,
    /// Which probe.
    pub kind: ProbeKind,
    /// Whether it succeeds now.
    pub success: bool,
    /// The probe's last output, for the event `Killing`.
    pub message: String,
}

/// A container as the prober has to know it.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// The container.
    pub container: ContainerRef,
    /// Its id in the runtime.
    pub container_id: String,
    /// When it was started, Unix time in nanoseconds.
    pub started_at_nanos: i64,
    /// Its startup probe has succeeded before, under another kubelet.
    pub has_started: bool,
}

/// Watches over the containers of pods. Results go to the channel that the prober was built with.
pub trait Prober: Send + Sync + 'static {
    /// Says which containers of a pod run now; probes of all others end. Called with every change.
    fn observe(&self, pod: &SharedPod, pod_ip: Option<IpAddr>, running: Vec<ProbeTarget>);

    /// Forgets a pod. From the moment its deletion begins, only readiness is probed: `observe` sees to that.
    fn forget(&self, pod_uid: &str);

    /// The last result for a container that runs: `None` while there is none. Without such a probe: success.
    fn result(&self, container_id: &str, kind: ProbeKind) -> Option<bool>;
}

/// Whether a container has a probe of this kind.
#[must_use]
pub fn probe_of(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// The reason of the failure to find a container that runs.
pub const NO_CONTAINER: &str = "ContainerNotFound";

/// What the kubelet's server asks about pods.
#[async_trait]
pub trait Pods: Send + Sync + 'static {
    /// All pods of the node, static ones included, with the newest status.
    fn list(&self) -> Vec<SharedPod>;

    /// What the runtime runs, whatever sources say: names of pods, and names and images of containers.
    fn running(&self) -> Vec<SharedPod>;

    /// One pod by namespace and name.
    fn get(&self, namespace: &str, name: &str) -> Option<SharedPod>;

    /// The id of a container that runs; an empty name means the only one. Errors: upstream's text for
    /// commands, with the reason [`NO_CONTAINER`] if the pod is there.
    async fn running_container(&self, namespace: &str, name: &str, container: &str) -> Result<String, Failure>;

    /// The id of the pod's ready sandbox.
    async fn sandbox(&self, namespace: &str, name: &str) -> Result<String, Failure>;

    /// The log file of a container: of the present one, or of the one before. Errors: `NotFound` and `BadRequest` with
    /// upstream's text (`container "c" in pod "p" is waiting to start: ContainerCreating`, ...).
    async fn log_path(&self, namespace: &str, name: &str, container: &str, previous: bool) -> Result<LogFile, Failure>;
}

/// A container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// The container that writes it.
    pub container_id: String,
    /// Whether that still runs: `-f` ends with it.
    pub is_running: bool,
}
