//! Pods: run, stop, remove.

use std::{path::PathBuf, time::Duration};

use corten_base::fs;
use corten_cri::{
    CriError,
    api::{self, ContainerEventType, NamespaceMode},
};
use corten_net::{
    cni::invoke::{Attachment, InvokeError},
    netns::Netns,
};
use corten_oci::{Cgroup, cgroup::Hierarchies};

use super::{ContainerRuntime, nothing_to_undo, unknown};
use crate::{
    format::{self, Encoded, SandboxRecord, VERSION},
    namespaces::{self, Wanted},
    network,
    shim::{
        client::{ANSWER_PATIENCE, ShimClient},
        protocol,
        protocol::Request,
    },
};

/// How long the pod network has for one pod: with what else there is to do, a sandbox is made or given up within the four
/// minutes that kubelets wait for it.
const NETWORK_PATIENCE: Duration = Duration::from_secs(120);

/// The namespaces that a pod asks for.
pub(super) fn options(config: &api::PodSandboxConfig) -> api::NamespaceOption {
    let context = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    context.and_then(|context| context.namespace_options.clone()).unwrap_or_default()
}

pub(super) fn has_own_network(config: &api::PodSandboxConfig) -> bool {
    options(config).network() != NamespaceMode::Node
}

pub(super) fn has_own_ipc(config: &api::PodSandboxConfig) -> bool {
    options(config).ipc() != NamespaceMode::Node
}

fn name(config: &api::PodSandboxConfig) -> String {
    let metadata = config.metadata.clone().unwrap_or_default();
    format!("{}_{}_{}_{}", metadata.name, metadata.namespace, metadata.uid, metadata.attempt)
}

fn resolv_conf(dns: &api::DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
}

impl ContainerRuntime {
    pub(super) async fn run_sandbox(&self, request: api::RunPodSandboxRequest) -> Result<String, CriError> {
        if !request.runtime_handler.is_empty() {
            let text = format!("no runtime for {:?} is configured", request.runtime_handler);
            return Err(CriError::not_found(text));
        }
        let config = request.config.filter(|config| config.metadata.is_some());
        let config = config.ok_or_else(|| CriError::invalid_argument("sandbox config must include metadata"))?;
        let id = self.new_id();
        let made = id.clone();
        let undo = |runtime: Self, id: String| async move { runtime.remove_sandbox_in_turn(&id).await };
        self.alone(&id, move |runtime| async move { runtime.run_sandbox_in_turn(made, config).await }, undo).await
    }

    async fn run_sandbox_in_turn(&self, id: String, config: api::PodSandboxConfig) -> Result<String, CriError> {
        let name = name(&config);
        let _reserved = self.reserve(name.clone(), |state| {
            state.sandboxes.values().any(|sandbox| self::name(&sandbox.config.0) == name)
        })?;
        let parent = config.linux.as_ref().map(|linux| linux.cgroup_parent.clone()).unwrap_or_default();
        let record = SandboxRecord {
            version: VERSION,
            cgroup: if parent.is_empty() { format!("/{}/{id}", self.inner.config.cgroup_root) } else { parent },
            id: id.clone(),
            config: Encoded(config),
            created_at: self.now(),
            ready: false,
            ips: Vec::new(),
        };
        // Written before anything is made: after a crash the next runtime finds what to remove.
        let (kept, live, written) = (self.kept(&id), self.live(&id), record.clone());
        self.blocking(move || {
            fs::create_dir_all(&kept)?;
            fs::create_dir_all(&live)?;
            protocol::write_json(&kept.join("sandbox.json"), &written)
        })
        .await?;
        match self.build(record.clone()).await {
            Ok(record) => {
                self.inner.state.lock().sandboxes.insert(id.clone(), record);
                match self.subscribe(&id, ANSWER_PATIENCE).await {
                    Ok(call) => self.listen(&id, Some(call)),
                    Err(error) => {
                        // The shim ended at once. What nobody learns the name of must not stay.
                        self.remove_sandbox_in_turn(&id).await?;
                        return Err(error);
                    }
                }
                self.send(&id, &id, ContainerEventType::ContainerCreatedEvent);
                self.send(&id, &id, ContainerEventType::ContainerStartedEvent);
                Ok(id)
            }
            Err(error) => {
                let undone = async {
                    self.unbuild(&record, self.inner.config.shim_patience).await?;
                    self.forget(&record).await
                };
                let undone = undone.await;
                let mut state = self.inner.state.lock();
                if let Err(left) = undone {
                    // It stays known, as one that is not ready: whoever removes those will try this one again.
                    tracing::warn!(sandbox = %id, err = %left, "Could not undo a sandbox that failed");
                    state.sandboxes.insert(id, record);
                } else {
                    state.turns.remove(&id);
                }
                Err(error)
            }
        }
    }

    async fn build(&self, mut record: SandboxRecord) -> Result<SandboxRecord, CriError> {
        let config = record.config.0.clone();
        let live = self.live(&record.id);
        let (own_network, own_ipc) = (has_own_network(&config), has_own_ipc(&config));
        let linux = config.linux.clone().unwrap_or_default();
        let (directory, hostname) = (live.clone(), config.hostname.clone());
        let dns = config.dns_config.clone();
        self.blocking(move || -> std::io::Result<()> {
            let net = directory.join("net");
            if own_network {
                let netns = Netns::create_pinned(&net).map_err(std::io::Error::other)?;
                netns.bring_up_loopback().map_err(std::io::Error::other)?;
            }
            namespaces::make(&Wanted {
                net: own_network.then_some(net),
                ipc: own_ipc.then(|| directory.join("ipc")),
                uts: own_network.then(|| directory.join("uts")),
                hostname: hostname.clone(),
                sysctls: linux.sysctls.into_iter().collect(),
            })?;
            if own_ipc {
                namespaces::mount_shm(&directory.join("shm"))?;
            }
            let text = match dns {
                Some(dns) => resolv_conf(&dns),
                None => std::fs::read_to_string("/etc/resolv.conf")?,
            };
            std::fs::write(directory.join("resolv.conf"), text)?;
            if own_network {
                std::fs::write(directory.join("hostname"), format!("{hostname}\n"))?;
            }
            Ok(())
        })
        .await?;
        if own_network {
            let list = self.network().await?;
            let attachment = self.attachment(&record);
            let result = self.while_patient(self.inner.invoker.add(&list, &attachment)).await?;
            record.ips = result.ips.iter().map(|ip| ip.address.addr().to_string()).collect();
        }
        ShimClient::start(&self.inner.config, &live, &self.shim_socket(&record.id)).map_err(|error| unknown(&error))?;
        record.ready = true;
        let (path, written) = (self.kept(&record.id).join("sandbox.json"), record.clone());
        self.blocking(move || protocol::write_json(&path, &written)).await?;
        Ok(record)
    }

    pub(super) async fn network(&self) -> Result<corten_net::cni::NetworkConfigList, CriError> {
        let (config, cidrs) = (self.inner.config.clone(), self.inner.pod_cidrs.lock().clone());
        let found = self.blocking(move || Ok::<_, std::convert::Infallible>(network::network(&config, &cidrs))).await?;
        found.map_err(CriError::unknown)
    }

    /// Waits for the pod network, whose plugins may be anybody's programs; one that takes too long is ended.
    async fn while_patient<T>(&self, work: impl Future<Output = Result<T, InvokeError>>) -> Result<T, CriError> {
        match corten_base::timeout(&*self.inner.clock, NETWORK_PATIENCE, work).await {
            Ok(done) => done.map_err(|error| unknown(&error)),
            Err(elapsed) => Err(CriError::new(corten_cri::Code::DeadlineExceeded, format!("pod network: {elapsed}"))),
        }
    }

    fn attachment(&self, record: &SandboxRecord) -> Attachment {
        let metadata = record.config.0.metadata.clone().unwrap_or_default();
        let args = [
            ("IgnoreUnknown", "1".to_owned()),
            ("K8S_POD_NAMESPACE", metadata.namespace),
            ("K8S_POD_NAME", metadata.name),
            ("K8S_POD_INFRA_CONTAINER_ID", record.id.clone()),
            ("K8S_POD_UID", metadata.uid),
        ];
        Attachment {
            container_id: record.id.clone(),
            netns: Some(self.live(&record.id).join("net")),
            interface: "eth0".to_owned(),
            args: args.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            capabilities: network::port_mappings(&record.config.0.port_mappings),
        }
    }

    /// Ends everything of a pod that lives in the kernel; its shim has `patience` to answer. May be repeated.
    async fn unbuild(&self, record: &SandboxRecord, patience: Duration) -> Result<(), CriError> {
        let id = record.id.clone();
        // A shim that has gone has ended, or never began.
        let shut_down = self.ask_to_end(&id, Request::Shutdown, patience).await;
        if let Err(error) = shut_down.as_ref()
            && error.code != corten_cri::Code::Unavailable
        {
            return Err(error.clone());
        }
        self.shim_ended(&id).await;
        if has_own_network(&record.config.0) {
            match self.network().await {
                Ok(list) => {
                    let attachment = self.attachment(record);
                    self.while_patient(self.inner.invoker.delete(&list, &attachment)).await?;
                }
                // Without a network nothing was attached.
                Err(error) => tracing::debug!(sandbox = %id, err = %error, "Found no network to leave"),
            }
        }
        let (live, socket, cgroup) = (self.live(&id), self.shim_socket(&id), PathBuf::from(&record.cgroup));
        let is_ours = record.cgroup == format!("/{}/{id}", self.inner.config.cgroup_root);
        self.blocking(move || -> std::io::Result<()> {
            Netns::remove_pinned(&live.join("net")).map_err(std::io::Error::other)?;
            namespaces::unpin(&live.join("ipc"))?;
            namespaces::unpin(&live.join("uts"))?;
            namespaces::unmount_shm(&live.join("shm"))?;
            fs::remove_file(&socket).map_err(std::io::Error::other)?;
            if is_ours {
                let hierarchies = Hierarchies::detect().map_err(std::io::Error::other)?;
                Cgroup::new(hierarchies, &cgroup).remove().map_err(std::io::Error::other)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn stop_sandbox(&self, id: &str) -> Result<(), CriError> {
        let id = match self.sandbox_id(id) {
            Ok(id) => id,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let stopped = id.clone();
        self.alone(&id, |runtime| async move { runtime.stop_sandbox_in_turn(&stopped).await }, nothing_to_undo).await
    }

    pub(super) async fn stop_sandbox_in_turn(&self, id: &str) -> Result<(), CriError> {
        let record = match self.sandbox(id) {
            Ok(record) => record,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        self.unbuild(&record, self.inner.config.shim_patience).await?;
        if record.ready {
            self.change_sandbox(&record.id, |record| {
                record.ready = false;
                record.ips.clear();
            })
            .await?;
            self.send(&record.id, &record.id, ContainerEventType::ContainerStoppedEvent);
        }
        Ok(())
    }

    pub(super) async fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        let id = match self.sandbox_id(id) {
            Ok(id) => id,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let removed = id.clone();
        self.alone(&id, |runtime| async move { runtime.remove_sandbox_in_turn(&removed).await }, nothing_to_undo).await
    }

    async fn remove_sandbox_in_turn(&self, id: &str) -> Result<(), CriError> {
        let record = match self.sandbox(id) {
            Ok(record) => record,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        self.stop_sandbox_in_turn(&record.id).await?;
        for container in self.containers_of(&record.id) {
            self.remove_container_in_turn(&container.id).await?;
        }
        self.forget(&record).await?;
        {
            let mut state = self.inner.state.lock();
            state.sandboxes.remove(&record.id);
            state.turns.remove(&record.id);
        }
        self.send(&record.id, &record.id, ContainerEventType::ContainerDeletedEvent);
        Ok(())
    }

    /// Clears away a pod of an earlier runtime whose records are broken, by its id alone; its shim has `patience` to answer.
    ///
    /// Errors: something is left; the next runtime tries again.
    pub(super) async fn set_aside(&self, id: &str, patience: Duration) -> Result<(), CriError> {
        {
            let mut state = self.inner.state.lock();
            state.sandboxes.remove(id);
            state.containers.retain(|_, container| container.record.sandbox != id);
        }
        let live = self.live(id);
        // Nothing is known of it: what a sandbox may have, this one is taken to have.
        let network = if live.join("net").exists() { NamespaceMode::Pod } else { NamespaceMode::Node };
        let options = api::NamespaceOption { network: network as i32, ..api::NamespaceOption::default() };
        let context = api::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        let linux = api::LinuxPodSandboxConfig { security_context: Some(context), ..Default::default() };
        let record = SandboxRecord {
            version: VERSION,
            id: id.to_owned(),
            config: Encoded(api::PodSandboxConfig { linux: Some(linux), ..Default::default() }),
            created_at: 0,
            ready: false,
            ips: Vec::new(),
            cgroup: format!("/{}/{id}", self.inner.config.cgroup_root),
        };
        self.unbuild(&record, patience).await?;
        self.forget(&record).await
    }

    /// Ends what is left of a stopped pod's containers, also of those that were not completed and that nobody knows.
    pub(super) async fn sweep_bundles(&self, record: &SandboxRecord) -> Result<(), CriError> {
        let (live, cgroup) = (self.live(&record.id), PathBuf::from(&record.cgroup));
        self.blocking(move || -> std::io::Result<()> {
            for id in names(&live.join("containers"))? {
                let group = cgroup_of(&live.join("containers").join(&id)).unwrap_or_else(|| cgroup.join(&id));
                let swept = corten_oci::container::sweep(&live.join("oci"), &id, &group);
                swept.map_err(std::io::Error::other)?;
            }
            Ok(())
        })
        .await
    }

    /// Removes a pod's directories, the record last, with whatever of containers is in them that were not completed.
    async fn forget(&self, record: &SandboxRecord) -> Result<(), CriError> {
        self.sweep_bundles(record).await?;
        let (kept, live) = (self.kept(&record.id), self.live(&record.id));
        self.blocking(move || -> std::io::Result<()> {
            namespaces::unmount_below(&live)?;
            fs::remove_dir_all(&live).map_err(std::io::Error::other)?;
            fs::remove_dir_all(&kept).map_err(std::io::Error::other)
        })
        .await
    }
}

/// The control group of a container, as its bundle says; `None` if the bundle was not completed.
fn cgroup_of(bundle: &std::path::Path) -> Option<PathBuf> {
    let document: serde_json::Value = format::read(&bundle.join("config.json")).ok()??;
    Some(PathBuf::from(document["linux"]["cgroupsPath"].as_str()?))
}

/// The directories in a directory; none, if there is none.
pub(super) fn names(directory: &std::path::Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_keeps_the_order() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let dns = api::DnsConfig {
            servers: owned(&["10.0.0.10", "1.1.1.1"]),
            searches: owned(&["a", "b"]),
            options: owned(&["ndots:5"]),
        };
        assert_eq!(resolv_conf(&dns), "search a b\nnameserver 10.0.0.10\nnameserver 1.1.1.1\noptions ndots:5\n");
        assert_eq!(resolv_conf(&api::DnsConfig::default()), "");
    }
}
