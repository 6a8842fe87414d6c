//! Implements `ContainerSpecs`: reads what configurations depend on, makes the kubelet's own files, and puts all together.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use corten_api::core::v1::{HostAlias, Pod};
use corten_base::{
    ErrorChain, SharedRng,
    fs::{Context as _, FsError},
};
use corten_client::events::{EventType, ObjectRef, Recorder};
use corten_cri::api;

use super::{
    environment::{self, Sources},
    etc_hosts,
    expansion::Room,
    field_ref::NodeFacts,
    hash, hostname, labels, log_paths,
    mounts::{self, WantedMount},
    resources::{self, NodeLimits},
    sandbox, security,
};
use crate::{
    Config,
    api_objects::ApiObjects,
    dns_config::{DnsPolicy, NodeDns, PodDns, PodDnsConfig, ResolvConf, Subject, pod_dns},
    interfaces::{ContainerRef, ContainerRequest, ContainerSpecs, Failure, SharedPod},
    pod_ref::{full_name, pod_ref},
    volumes::{Layout, Mounter, blocking, sub_path},
};

/// The reason of failures of a container's configuration. Source: `ErrCreateContainerConfig`.
const CONFIG_ERROR: &str = "CreateContainerConfigError";
/// The reason of failures of a sandbox's configuration. Source: `ErrConfigPodSandbox`.
const SANDBOX_ERROR: &str = "ConfigPodSandboxError";
/// Where a container leaves its last words if it says nothing else.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";
/// Everybody may write there, whoever the container runs as.
const TERMINATION_MESSAGE_MODE: u32 = 0o666;

/// What configurations are made from.
#[derive(Debug, Clone)]
pub struct SpecsParts {
    /// The kubelet's configuration.
    pub config: Arc<Config>,
    /// Where pods are on this node.
    pub layout: Layout,
    /// What pods refer to.
    pub objects: Arc<ApiObjects>,
    /// What pods may ask about the node.
    pub node: Arc<NodeFacts>,
    /// The node's memory and control groups.
    pub limits: NodeLimits,
    /// For parts of volumes.
    pub mounter: Arc<dyn Mounter>,
    /// For warnings about name resolution.
    pub recorder: Recorder,
    /// For names of files.
    pub rng: SharedRng,
}

/// Forms configurations.
#[derive(Debug)]
pub struct Specs {
    parts: SpecsParts,
}

impl Specs {
    /// Forms configurations from these parts.
    #[must_use]
    pub fn new(parts: SpecsParts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    async fn resolv_conf(&self, pod: &Pod) -> Result<ResolvConf, String> {
        let config = &self.parts.config;
        let path = config.resolv_conf.clone();
        let of_node = if path.as_os_str().is_empty() {
            None
        } else {
            let text = blocking(move || corten_base::fs::read_to_string(&path)).await;
            let text = text.map_err(|error| ErrorChain(&error).to_string())?;
            Some(ResolvConf::parse(&text).map_err(|error| error.to_string())?)
        };
        let spec = pod.spec.clone().unwrap_or_default();
        let own = spec.dns_config.map(|own| PodDnsConfig {
            nameservers: own.nameservers.unwrap_or_default(),
            searches: own.searches.unwrap_or_default(),
            options: own
                .options
                .unwrap_or_default()
                .into_iter()
                .map(|option| (option.name.unwrap_or_default(), option.value))
                .collect(),
        });
        let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
        let (formed, events) = pod_dns(
            &NodeDns {
                cluster_dns: &config.cluster_dns,
                cluster_domain: &config.cluster_domain,
                node_ips: &config.node_ips,
                resolv_conf: of_node.as_ref(),
            },
            &PodDns {
                namespace: pod.metadata.namespace.as_deref().unwrap_or_default(),
                display: &full_name(pod),
                policy: DnsPolicy::parse(policy).unwrap_or(DnsPolicy::ClusterFirst),
                host_network: spec.host_network == Some(true),
                config: own.as_ref(),
            },
        );
        for event in events {
            let subject = match event.subject {
                Subject::Pod => pod_ref(pod),
                Subject::Node => self.node_reference(),
            };
            self.parts.recorder.event(&subject, EventType::Warning, event.reason, event.message);
        }
        Ok(formed)
    }

    fn node_reference(&self) -> ObjectRef {
        let name = self.parts.config.node_name.as_str();
        // Upstream's events about a node carry its name where the UID belongs.
        ObjectRef { kind: "Node".into(), name: name.into(), uid: name.into(), ..ObjectRef::default() }
    }

    async fn mounts(
        &self,
        request: &ContainerRequest<'_>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Vec<api::Mount>, String> {
        let container = Arc::clone(&request.container.spec);
        let wanted = mounts::wanted(&container, request.volumes, variables)?;
        let has = |path: &str| wanted.iter().any(|one| one.mount.container_path == path);
        let (own_hosts, own_message) = (has(mounts::ETC_HOSTS), container.termination_message_path.clone());
        let uid = request.pod.metadata.uid.clone().unwrap_or_default();
        let (layout, mounter, name) =
            (self.parts.layout.clone(), Arc::clone(&self.parts.mounter), container.name.clone());
        let mut all = {
            let (layout, uid) = (layout.clone(), uid.clone());
            blocking(move || {
                let mounted = wanted.into_iter().map(|one| with_sub_path(one, &layout, &uid, &name, &*mounter));
                mounted.collect::<Result<Vec<_>, _>>()
            })
            .await?
        };
        if !own_hosts && !request.pod_ips.is_empty() {
            let path = layout.etc_hosts(&uid);
            let text = self.hosts(request.pod, request.pod_ips).await?;
            let target = path.clone();
            let written = blocking(move || write_hosts(&target, &text)).await;
            written.map_err(|error| ErrorChain(&error).to_string())?;
            all.push(mounts::file(&path, mounts::ETC_HOSTS));
        }
        let message_path = own_message.unwrap_or_else(|| TERMINATION_MESSAGE_PATH.to_owned());
        if !message_path.is_empty() {
            // A name of its own for every start: the words of the one before stay readable.
            let suffix = self.parts.rng.uuid()[..8].to_owned();
            let file = layout.container(&uid, &container.name).join(suffix);
            let target = file.clone();
            let made = blocking(move || make_message_file(&target)).await;
            made.map_err(|error| ErrorChain(&error).to_string())?;
            all.push(mounts::file(&file, &message_path));
        }
        Ok(all)
    }

    async fn hosts(&self, pod: &Pod, ips: &[IpAddr]) -> Result<String, String> {
        let spec = pod.spec.clone().unwrap_or_default();
        let aliases: Vec<HostAlias> = spec.host_aliases.unwrap_or_default();
        if spec.host_network == Some(true) {
            let text = blocking(|| corten_base::fs::read_to_string(Path::new(mounts::ETC_HOSTS))).await;
            let text = text.map_err(|error| ErrorChain(&error).to_string())?;
            return Ok(etc_hosts::of_node(&text, &aliases));
        }
        let (name, domain) = hostname::name_and_domain(pod, &self.parts.config.cluster_domain)?;
        Ok(etc_hosts::own(ips, &name, &domain, &aliases))
    }

    async fn form(&self, request: ContainerRequest<'_>) -> Result<api::ContainerConfig, String> {
        let (pod, container) = (request.pod, request.container);
        let spec = &container.spec;
        let parts = &self.parts;
        let sources =
            Sources { objects: &parts.objects, node: &parts.node, pod_ips: request.pod_ips, volumes: request.volumes };
        let security = security::container(
            pod,
            container,
            security::Surroundings {
                image: request.image,
                seccomp: &parts.layout.seccomp(),
                target_id: request.target_id,
            },
        )?;
        let variables = environment::variables(pod, spec, sources).await?;
        let mounts = self.mounts(&request, &variables).await?;
        let log_directory = log_paths::pod_directory(&parts.config.pod_logs, pod).join(&spec.name);
        make_directory(log_directory).await?;
        let mut room = Room::default();
        let signal = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
        Ok(api::ContainerConfig {
            metadata: Some(api::ContainerMetadata { name: spec.name.clone(), attempt: request.attempt }),
            image: Some(api::ImageSpec {
                image: request.image.id.clone(),
                user_specified_image: spec.image.clone().unwrap_or_default(),
                ..api::ImageSpec::default()
            }),
            command: environment::expand_words(spec.command.as_deref(), &variables, &mut room)?,
            args: environment::expand_words(spec.args.as_deref(), &variables, &mut room)?,
            working_dir: spec.working_dir.clone().unwrap_or_default(),
            envs: environment::as_key_values(&variables),
            mounts,
            labels: labels::of_container(pod, container),
            annotations: labels::container_annotations(pod, container, self.hash(container), request.attempt),
            log_path: log_paths::container_log(&spec.name, request.attempt).display().to_string(),
            stdin: spec.stdin == Some(true),
            stdin_once: spec.stdin_once == Some(true),
            tty: spec.tty == Some(true),
            linux: Some(api::LinuxContainerConfig {
                resources: Some(resources::of_container(pod, container, parts.limits)),
                security_context: Some(security),
            }),
            stop_signal: signal.and_then(api::Signal::from_str_name).unwrap_or_default().into(),
            ..api::ContainerConfig::default()
        })
    }
}

#[async_trait]
impl ContainerSpecs for Specs {
    async fn sandbox(&self, pod: &SharedPod, attempt: u32) -> Result<api::PodSandboxConfig, Failure> {
        let failed = |error: String| Failure::new(SANDBOX_ERROR, error);
        let resolv_conf = self.resolv_conf(pod).await.map_err(failed)?;
        let config = &self.parts.config;
        let log_directory = log_paths::pod_directory(&config.pod_logs, pod);
        make_directory(log_directory.clone()).await.map_err(failed)?;
        let surroundings = sandbox::Surroundings {
            cluster_domain: &config.cluster_domain,
            cgroup_root: &config.cgroup_root,
            log_directory: log_directory.display().to_string(),
            resolv_conf,
            resources: resources::of_pod(pod, self.parts.limits),
        };
        sandbox::form(pod, attempt, surroundings).map_err(failed)
    }

    async fn container(&self, request: ContainerRequest<'_>) -> Result<api::ContainerConfig, Failure> {
        self.form(request).await.map_err(|error| Failure::new(CONFIG_ERROR, error))
    }

    fn resources(&self, pod: &Pod, container: &ContainerRef) -> Option<api::LinuxContainerResources> {
        Some(resources::of_container(pod, container, self.parts.limits))
    }

    fn hash(&self, container: &ContainerRef) -> String {
        hash::of_container(&container.spec)
    }
}

fn with_sub_path(
    wanted: WantedMount,
    layout: &Layout,
    uid: &str,
    container: &str,
    mounter: &dyn Mounter,
) -> Result<api::Mount, String> {
    let mut mount = wanted.mount;
    if let Some(path) = wanted.sub_path {
        let target = layout.sub_path(uid, &wanted.volume, container, wanted.index);
        sub_path::prepare(Path::new(&mount.host_path), &path, &target, mounter).map_err(|error| {
            let volume = &wanted.volume;
            // The cause may tell of the node's files; it is for the node's operator alone.
            tracing::warn!(uid, container, volume, err = %error, "Could not prepare subPath of container");
            format!("failed to prepare subPath for volumeMount {volume:?} of container {container:?}")
        })?;
        mount.host_path = target.display().to_string();
    }
    Ok(mount)
}

/// In place: containers that run have this very file.
fn write_hosts(path: &PathBuf, text: &str) -> Result<(), FsError> {
    corten_base::fs::write(path, text.as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).at("set mode of", path)
}

fn make_message_file(path: &PathBuf) -> Result<(), FsError> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(parent).at("create directory", parent)?;
    }
    corten_base::fs::write(path, b"")?;
    fs::set_permissions(path, fs::Permissions::from_mode(TERMINATION_MESSAGE_MODE)).at("set mode of", path)
}

async fn make_directory(path: PathBuf) -> Result<(), String> {
    let made =
        blocking(move || fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).at("create directory", &path));
    made.await.map_err(|error| ErrorChain(&error).to_string())
}

#[cfg(test)]
mod tests;
