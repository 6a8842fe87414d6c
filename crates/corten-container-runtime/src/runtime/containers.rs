//! Containers: create, start, stop, remove, change.

use std::{path::PathBuf, time::Duration};

use corten_base::fs;
use corten_cri::{
    CriError,
    api::{self, ContainerEventType, NamespaceMode},
};
use corten_oci::{Cgroup, cgroup::Hierarchies, spec::LinuxResources};
use rustix::mount::MountAttrFlags;

use super::{Container, ContainerRuntime, Told, nothing_to_undo, sandboxes, unknown};
use crate::{
    blocking,
    format::{ContainerRecord, Encoded, SandboxRecord, VERSION},
    images::{
        snapshot,
        store::{Image, ImageConfig},
    },
    shim::protocol::{self, Answer, CreateRequest, Request, Volume, VolumeAccess, VolumePropagation},
    spec,
};

const SIGKILL: i32 = 9;
/// How long a container may outlive SIGKILL, in the kernel or because its shim does not tell. Upstream: containerd's
/// `killContainerTimeout`.
const KILL_PATIENCE: Duration = Duration::from_secs(120);

fn name(sandbox: &str, config: &api::ContainerConfig) -> String {
    let metadata = config.metadata.clone().unwrap_or_default();
    format!("{}_{}_{sandbox}", metadata.name, metadata.attempt)
}

/// The name under which the kubelet compares images.
fn image_ref(image: &Image) -> String {
    image.digests.first().cloned().unwrap_or_else(|| image.id.to_string())
}

impl ContainerRuntime {
    pub(super) async fn make_container(&self, mut request: api::CreateContainerRequest) -> Result<String, CriError> {
        let sandbox = self.sandbox_id(&request.pod_sandbox_id)?;
        request.pod_sandbox_id.clone_from(&sandbox);
        let undo = |runtime: Self, id: String| async move { runtime.remove_container_in_turn(&id).await };
        self.alone(&sandbox, |runtime| async move { runtime.make_container_in_turn(request).await }, undo).await
    }

    async fn make_container_in_turn(&self, request: api::CreateContainerRequest) -> Result<String, CriError> {
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        if !sandbox.ready {
            return Err(CriError::failed_precondition(format!("sandbox {:?} is not ready", sandbox.id)));
        }
        let config = request.config.filter(|config| config.metadata.is_some());
        let config = config.ok_or_else(|| CriError::invalid_argument("container config must include metadata"))?;
        let name = name(&sandbox.id, &config);
        let _reserved = self.reserve(name.clone(), |state| {
            state.containers.values().any(|known| self::name(&known.record.sandbox, &known.record.config.0) == name)
        })?;
        let wanted = config.image.as_ref().map(|image| image.image.clone()).unwrap_or_default();
        let (image, _needed) = self
            .find_and_keep(&wanted)
            .ok_or_else(|| CriError::not_found(format!("failed to resolve image {wanted:?}: not found")))?;
        let (images, copy) = (self.inner.images.clone(), image.clone());
        let image_config = self.blocking(move || images.config(&copy)).await?;
        let id = self.new_id();
        let log_path = match (&sandbox.config.0.log_directory, &config.log_path) {
            (directory, path) if !directory.is_empty() && !path.is_empty() => {
                PathBuf::from(directory).join(path).display().to_string()
            }
            _ => String::new(),
        };
        let resources = config.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
        let record = ContainerRecord {
            version: VERSION,
            sandbox: sandbox.id.clone(),
            resources: Encoded(resources),
            image: image.id.clone(),
            image_ref: image_ref(&image),
            created_at: self.now(),
            log_path,
            cgroup: format!("{}/{id}", sandbox.cgroup.trim_end_matches('/')),
            stop_signal: spec::stop_signal(&config, &image_config),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            started_at: 0,
            config: Encoded(config),
            id: id.clone(),
        };
        match self.build_container(record.clone(), &sandbox, &image, image_config).await {
            Ok(record) => {
                let container = Container { record, state: None, told: Told::Created };
                self.inner.state.lock().containers.insert(id.clone(), container);
                self.refresh(&id).await?;
                self.send(&id, &sandbox.id, ContainerEventType::ContainerCreatedEvent);
                Ok(id)
            }
            Err(error) => {
                self.clear(&record).await?;
                Err(error)
            }
        }
    }

    async fn build_container(
        &self,
        mut record: ContainerRecord,
        sandbox: &SandboxRecord,
        image: &Image,
        image_config: ImageConfig,
    ) -> Result<ContainerRecord, CriError> {
        let (kept, live) = (self.kept_container(&record), self.live_container(&record));
        let rootfs = live.join("rootfs");
        let lowers = self.inner.images.snapshots.lowers(&image.chain);
        let (upper, work, target) = (kept.join("upper"), kept.join("work"), rootfs.clone());
        self.blocking(move || -> Result<(), crate::images::ImageError> {
            for directory in [&upper, &work, &target] {
                fs::create_dir_all(directory)?;
            }
            // The container's own mount is a copy of this one: its set-user-id programs and devices are to work. What keeps
            // the machine's users from them are the directories above, which are closed to them.
            snapshot::mount_overlay(&lowers, &upper, &work, &target, MountAttrFlags::empty())
        })
        .await?;
        let namespaces = self.namespaces(&record, sandbox).await?;
        let mut volumes = self.own_volumes(&record, sandbox);
        let hostname = if sandboxes::has_own_network(&sandbox.config.0) {
            sandbox.config.0.hostname.clone()
        } else {
            nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let (cgroup, config, bundle) = (record.cgroup.clone(), record.config.0.clone(), live.clone());
        let prepared = blocking::run(&self.inner.tasks, "bundle", move || -> Result<spec::User, CriError> {
            let user = spec::user(&config, &image_config, &rootfs)?;
            let document = spec::spec(&spec::Parts {
                config: &config,
                image: &image_config,
                user: user.clone(),
                rootfs: &rootfs,
                cgroup: &cgroup,
                namespaces,
                hostname: &hostname,
                bounding: spec::bounding_set().map_err(|error| unknown(&error))?,
            })?;
            volumes.extend(spec::volumes(&config)?);
            for (name, value) in [("config.json", &document), ("process.json", &document["process"])] {
                protocol::write_json(&bundle.join(name), value).map_err(|error| unknown(&error))?;
            }
            protocol::write_json(&bundle.join("volumes.json"), &volumes).map_err(|error| unknown(&error))?;
            Ok(user)
        });
        let user = prepared.await.map_err(|panicked| unknown(&panicked))??;
        (record.uid, record.gid, record.groups) = (user.uid, user.gid, user.groups);
        let (path, written) = (kept.join("container.json"), record.clone());
        self.blocking(move || protocol::write_json(&path, &written)).await?;
        let config = &record.config.0;
        let create = CreateRequest {
            id: record.id.clone(),
            bundle: live.clone(),
            volumes: live.join("volumes.json"),
            directory: live,
            log: (!record.log_path.is_empty()).then(|| record.log_path.clone().into()),
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            terminal: config.tty,
        };
        self.shim(&record.sandbox).ask(Request::Create(create)).await?;
        Ok(record)
    }

    async fn namespaces(
        &self,
        record: &ContainerRecord,
        sandbox: &SandboxRecord,
    ) -> Result<Vec<(&'static str, Option<PathBuf>)>, CriError> {
        let live = self.live(&sandbox.id);
        let mut namespaces = vec![("mount", None), ("cgroup", None)];
        if sandboxes::has_own_network(&sandbox.config.0) {
            namespaces.extend([("network", Some(live.join("net"))), ("uts", Some(live.join("uts")))]);
        }
        if sandboxes::has_own_ipc(&sandbox.config.0) {
            namespaces.push(("ipc", Some(live.join("ipc"))));
        }
        let own = spec::security(&record.config.0).namespace_options;
        let options = own.unwrap_or_else(|| sandboxes::options(&sandbox.config.0));
        let of = |pid: i32| Some(PathBuf::from(format!("/proc/{pid}/ns/pid")));
        match options.pid() {
            NamespaceMode::Container => namespaces.push(("pid", None)),
            NamespaceMode::Node => {}
            NamespaceMode::Pod => match self.shim(&sandbox.id).ask(Request::PidNamespace).await? {
                Answer::Pid { pid } => namespaces.push(("pid", of(pid))),
                answer => return Err(CriError::unknown(format!("unexpected answer of the shim: {answer:?}"))),
            },
            NamespaceMode::Target => {
                let target = self.container(&options.target_id)?;
                if target.record.sandbox != sandbox.id || target.phase() != api::ContainerState::ContainerRunning {
                    let text = format!("target container {:?} is not running in this sandbox", options.target_id);
                    return Err(CriError::failed_precondition(text));
                }
                namespaces.push(("pid", of(target.state.map_or(0, |state| state.pid))));
            }
        }
        Ok(namespaces)
    }

    /// What every container of a pod has: shared memory, name resolution, the host's name.
    fn own_volumes(&self, record: &ContainerRecord, sandbox: &SandboxRecord) -> Vec<Volume> {
        let live = self.live(&sandbox.id);
        let read_only = spec::security(&record.config.0).readonly_rootfs;
        let shm = if sandboxes::has_own_ipc(&sandbox.config.0) { live.join("shm") } else { PathBuf::from("/dev/shm") };
        let mut wanted = vec![(shm, "/dev/shm", true), (live.join("resolv.conf"), "/etc/resolv.conf", false)];
        let name = live.join("hostname");
        let name = if sandboxes::has_own_network(&sandbox.config.0) { name } else { PathBuf::from("/etc/hostname") };
        wanted.push((name, "/etc/hostname", false));
        let is_given = |target: &str| record.config.0.mounts.iter().any(|mount| mount.container_path == target);
        wanted.retain(|(source, target, _)| source.exists() && !is_given(target));
        let volume = |(source, target, writable): (PathBuf, &str, bool)| Volume {
            source,
            target: target.into(),
            access: if read_only && !writable { VolumeAccess::ReadOnly } else { VolumeAccess::ReadWrite },
            propagation: VolumePropagation::Private,
            no_exec: writable,
        };
        wanted.into_iter().map(volume).collect()
    }

    pub(super) async fn start(&self, id: &str) -> Result<(), CriError> {
        let record = self.container(id)?.record;
        let (sandbox, id) = (record.sandbox, record.id);
        self.alone(&sandbox, |runtime| async move { runtime.start_in_turn(&id).await }, nothing_to_undo).await
    }

    async fn start_in_turn(&self, id: &str) -> Result<(), CriError> {
        let container = self.container(id)?;
        let record = container.record;
        if container.state.as_ref().is_some_and(|state| state.started_at.is_some() || state.exit.is_some()) {
            let text = format!("container {:?} is in {:?} state", record.id, "not created");
            return Err(CriError::failed_precondition(text));
        }
        let started = self.shim(&record.sandbox).ask(Request::Start { id: record.id.clone() }).await;
        self.refresh(&record.id).await?;
        started?;
        let (started_at, id) = (self.container(&record.id)?.started_at(), record.id);
        self.change_container(&id, |record| record.started_at = started_at).await
    }

    pub(super) async fn stop(&self, id: &str, timeout: i64) -> Result<(), CriError> {
        let container = match self.container(id) {
            Ok(container) => container,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        // A start under way is waited for; the stop itself may take as long as the container likes, and so others go on.
        drop(self.turn(&container.record.sandbox).lock().await);
        let container = match self.container(&container.record.id) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        if container.phase() != api::ContainerState::ContainerRunning {
            return Ok(());
        }
        let (id, sandbox) = (container.record.id.clone(), container.record.sandbox.clone());
        let mut ended = self.inner.ended.subscribe();
        // A shim that died ends its containers, of which the runtime tells.
        let sandbox = &sandbox;
        let kill = |request| async move {
            match self.ask_to_end(sandbox, request, self.inner.config.shim_patience).await {
                Err(error) if error.code == corten_cri::Code::Unavailable => Ok(()),
                asked => asked.map(drop),
            }
        };
        if let Some(grace) = u64::try_from(timeout).ok().filter(|grace| *grace > 0) {
            let signal = container.record.stop_signal;
            match kill(Request::Kill { id: id.clone(), signal, all: false }).await {
                Ok(()) => {
                    let over = self.wait(&id, &mut ended);
                    if corten_base::timeout(&*self.inner.clock, Duration::from_secs(grace), over).await.is_ok() {
                        return Ok(());
                    }
                }
                // Who cannot be asked to end is ended.
                Err(err) => tracing::warn!(container = id, signal, %err, "Could not ask a container to end"),
            }
        }
        kill(Request::Kill { id: id.clone(), signal: SIGKILL, all: true }).await?;
        let over = self.wait(&id, &mut ended);
        corten_base::timeout(&*self.inner.clock, KILL_PATIENCE, over).await.map_err(|_| {
            let text = format!(
                "an error occurs during waiting for container {id:?} to be killed: wait container {id:?}: context deadline \
                 exceeded"
            );
            CriError::new(corten_cri::Code::DeadlineExceeded, text)
        })
    }

    /// Waits until a container has ended or gone.
    async fn wait(&self, id: &str, ended: &mut tokio::sync::watch::Receiver<u64>) {
        loop {
            ended.mark_unchanged();
            let is_over = self.inner.state.lock().containers.get(id).is_none_or(|found| found.exit().is_some());
            // The sender lives as long as the runtime.
            if is_over || ended.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) async fn remove_container(&self, id: &str) -> Result<(), CriError> {
        let record = match self.container(id) {
            Ok(container) => container.record,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let (sandbox, id) = (record.sandbox, record.id);
        self.alone(&sandbox, |runtime| async move { runtime.remove_container_in_turn(&id).await }, nothing_to_undo)
            .await
    }

    pub(super) async fn remove_container_in_turn(&self, id: &str) -> Result<(), CriError> {
        let container = match self.container(id) {
            Ok(container) => container,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let record = container.record;
        let delete = Request::Delete { id: record.id.clone() };
        match self.ask_to_end(&record.sandbox, delete, self.inner.config.shim_patience).await {
            Ok(_) => self.refresh(&record.id).await?,
            Err(error) if error.code == corten_cri::Code::NotFound => {}
            // The shim has ended, and not with the container: who else would sweep finds no container any more.
            Err(error) if error.code == corten_cri::Code::Unavailable => self.sweep(&record).await?,
            Err(error) => return Err(error),
        }
        self.clear(&record).await?;
        self.inner.state.lock().containers.remove(&record.id);
        self.send(&record.id, &record.sandbox, ContainerEventType::ContainerDeletedEvent);
        Ok(())
    }

    /// Ends what is left of a container whose shim has gone. What is gone, too, is no error.
    pub(super) async fn sweep(&self, record: &ContainerRecord) -> Result<(), CriError> {
        let state_root = self.live(&record.sandbox).join("oci");
        let (id, cgroup) = (record.id.clone(), record.cgroup.clone());
        self.blocking(move || corten_oci::container::sweep(&state_root, &id, cgroup.as_ref())).await
    }

    /// Removes a container's root file system and directories.
    async fn clear(&self, record: &ContainerRecord) -> Result<(), CriError> {
        let (kept, live) = (self.kept_container(record), self.live_container(record));
        self.blocking(move || -> Result<(), crate::images::ImageError> {
            snapshot::unmount(&live.join("rootfs"))?;
            fs::remove_dir_all(&live)?;
            Ok(fs::remove_dir_all(&kept)?)
        })
        .await
    }

    pub(super) async fn update(&self, id: &str, change: api::LinuxContainerResources) -> Result<(), CriError> {
        let record = self.container(id)?.record;
        let (sandbox, id) = (record.sandbox, record.id);
        let work = |runtime: Self| async move { runtime.update_in_turn(&id, change).await };
        self.alone(&sandbox, work, nothing_to_undo).await
    }

    async fn update_in_turn(&self, id: &str, change: api::LinuxContainerResources) -> Result<(), CriError> {
        let container = self.container(id)?;
        let record = container.record;
        if container.state.as_ref().is_none_or(|state| state.exit.is_some()) {
            return Err(CriError::failed_precondition(format!("container {:?} is not running", record.id)));
        }
        let value = spec::linux_resources(&change);
        let resources: LinuxResources =
            serde_json::from_value(value).map_err(|error| CriError::invalid_argument(error.to_string()))?;
        let cgroup = PathBuf::from(&record.cgroup);
        self.blocking(move || Cgroup::new(Hierarchies::detect()?, &cgroup).update(&resources)).await?;
        self.change_container(&record.id, |record| merge(&mut record.resources.0, change)).await
    }

    /// Changes a container's record, on disk first.
    async fn change_container(&self, id: &str, change: impl FnOnce(&mut ContainerRecord)) -> Result<(), CriError> {
        let mut record = self.container(id)?.record;
        change(&mut record);
        let (path, written) = (self.kept_container(&record).join("container.json"), record.clone());
        self.blocking(move || protocol::write_json(&path, &written)).await?;
        if let Some(known) = self.inner.state.lock().containers.get_mut(&record.id) {
            known.record = record;
        }
        Ok(())
    }

    /// The numbers of a container's control group.
    pub(super) async fn usage(&self, cgroup: &str) -> Result<corten_oci::CgroupStats, CriError> {
        let cgroup = PathBuf::from(cgroup);
        self.blocking(move || Cgroup::new(Hierarchies::detect()?, &cgroup).stats()).await
    }
}

/// What an update does not name stays.
fn merge(known: &mut api::LinuxContainerResources, change: api::LinuxContainerResources) {
    let number = |known: &mut i64, change: i64| {
        if change != 0 {
            *known = change;
        }
    };
    number(&mut known.cpu_period, change.cpu_period);
    number(&mut known.cpu_quota, change.cpu_quota);
    number(&mut known.cpu_shares, change.cpu_shares);
    number(&mut known.memory_limit_in_bytes, change.memory_limit_in_bytes);
    number(&mut known.memory_swap_limit_in_bytes, change.memory_swap_limit_in_bytes);
    number(&mut known.oom_score_adj, change.oom_score_adj);
    for (known, change) in [(&mut known.cpuset_cpus, change.cpuset_cpus), (&mut known.cpuset_mems, change.cpuset_mems)]
    {
        if !change.is_empty() {
            *known = change;
        }
    }
    known.unified.extend(change.unified);
}
