//! What the kubelet's server asks about pods.

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::{
    core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus},
    meta::v1::ObjectMeta,
};
use corten_cri::api::{self, ContainerStatusRequest};

use crate::{
    interfaces::{Failure, LogFile, NO_CONTAINER, Pods, SharedPod},
    pleg::records::{PodRuntimeStatus, is_running, name_of},
    pod_workers::{Context, Table},
};

/// A view of the table, the statuses and the runtime.
pub(crate) struct PodsView {
    context: Arc<Context>,
    table: Arc<Table>,
}

impl PodsView {
    /// A view.
    #[must_use]
    pub(crate) fn new(context: Arc<Context>, table: Arc<Table>) -> Self {
        Self { context, table }
    }

    fn with_status(&self, pod: SharedPod) -> SharedPod {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        match self.context.status.get(uid) {
            Some(status) => Arc::new(Pod { status: Some(status), ..Pod::clone(&pod) }),
            None => pod,
        }
    }

    fn find(&self, namespace: &str, name: &str) -> Result<SharedPod, Failure> {
        self.get(namespace, name)
            .ok_or_else(|| Failure::new("NotFound", format!("pod \"{name}\" not found in namespace \"{namespace}\"")))
    }
}

/// A pod as far as the runtime knows it. Upstream: `ToAPIPod` of pkg/kubelet/container (v1.35).
fn as_runtime_has_it(pod: &PodRuntimeStatus) -> Pod {
    let container = |record: &Arc<api::ContainerStatus>| Container {
        name: name_of(record).to_owned(),
        image: record.image.as_ref().map(|image| image.image.clone()),
        ..Container::default()
    };
    Pod {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec { containers: pod.running().map(container).collect(), ..PodSpec::default() }),
        status: Some(PodStatus::default()),
    }
}

/// The container that a log is asked of: its id without the runtime's name, and whether it runs.
fn log_container(pod: &str, status: &PodStatus, container: &str, previous: bool) -> Result<String, String> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let found = lists.into_iter().flatten().flatten().find(|status| status.name == container);
    let Some(found) = found else { return Err(format!("container \"{container}\" in pod \"{pod}\" is not available")) };
    let id = id_of(found, pod, previous)?;
    Ok(id.rsplit_once("://").map_or(id.as_str(), |(_, id)| id).to_owned())
}

fn id_of(status: &ContainerStatus, pod: &str, previous: bool) -> Result<String, String> {
    let name = &status.name;
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref().and_then(|last| last.terminated.clone());
    let last_id = last.as_ref().and_then(|last| last.container_id.clone()).filter(|id| !id.is_empty());
    let ended = || format!("container \"{name}\" in pod \"{pod}\" is terminated");
    if previous {
        return last_id.ok_or_else(|| format!("previous terminated container \"{name}\" in pod \"{pod}\" not found"));
    }
    if state.running.is_some() {
        return status.container_id.clone().ok_or_else(ended);
    }
    if let Some(terminated) = state.terminated {
        return terminated.container_id.filter(|id| !id.is_empty()).or(last_id).ok_or_else(ended);
    }
    if last.is_some() {
        return last_id.ok_or_else(ended);
    }
    let waits = |why: &str| format!("container \"{name}\" in pod \"{pod}\" is waiting to start{why}");
    Err(match state.waiting.and_then(|waiting| waiting.reason).as_deref() {
        Some("ErrImagePull") => waits(": image can't be pulled"),
        Some("ImagePullBackOff") => waits(": trying and failing to pull image"),
        Some(reason) => waits(&format!(": {reason}")),
        None => waits(" - no logs yet"),
    })
}

#[async_trait]
impl Pods for PodsView {
    fn list(&self) -> Vec<SharedPod> {
        self.table.pods().into_iter().map(|pod| self.with_status(pod)).collect()
    }

    fn running(&self) -> Vec<SharedPod> {
        let cache = &self.context.cache;
        let pods = cache.uids().into_iter().map(|uid| cache.get(&uid));
        let pods = pods.filter(|pod| pod.active_sandbox().is_some() || pod.running().next().is_some());
        pods.map(|pod| Arc::new(as_runtime_has_it(&pod))).collect()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<SharedPod> {
        let has_name = |pod: &SharedPod| {
            pod.metadata.namespace.as_deref() == Some(namespace) && pod.metadata.name.as_deref() == Some(name)
        };
        // A pod that was made anew stands beside the one that still ends: the newer one is meant.
        let mut found: Vec<_> = self.table.pods().into_iter().filter(has_name).collect();
        found.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
        found.pop().map(|pod| self.with_status(pod))
    }

    async fn running_container(&self, namespace: &str, name: &str, container: &str) -> Result<String, Failure> {
        let pod = self.find(namespace, name)?;
        let runtime = self.context.cache.get(pod.metadata.uid.as_deref().unwrap_or_default());
        let only = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map(|container| container.name.clone());
        let wanted = if container.is_empty() { only.unwrap_or_default() } else { container.to_owned() };
        let found = runtime.containers().map(|(_, record)| record).find(|record| name_of(record) == wanted);
        let none = || Failure::new(NO_CONTAINER, format!("container not found (\"{wanted}\")"));
        let id = found.filter(|record| is_running(record)).map(|record| record.id.clone()).ok_or_else(none)?;
        // It may have ended since: the runtime knows before the cache does, and upstream asks the runtime alone.
        let request = ContainerStatusRequest { container_id: id.clone(), verbose: false };
        match self.context.cri.runtime.container_status(request).await {
            Ok(answer) if answer.status.as_ref().is_some_and(is_running) => Ok(id),
            Ok(_) => Err(none()),
            Err(error) if error.is_not_found() => Err(none()),
            Err(error) => Err(Failure::new("InternalError", error.to_string())),
        }
    }

    async fn sandbox(&self, namespace: &str, name: &str) -> Result<String, Failure> {
        let pod = self.find(namespace, name)?;
        let runtime = self.context.cache.get(pod.metadata.uid.as_deref().unwrap_or_default());
        let sandbox = runtime.active_sandbox().map(|sandbox| sandbox.status.id.clone());
        sandbox.ok_or_else(|| Failure::new("NotFound", format!("failed to find sandboxID for pod \"{name}\"")))
    }

    async fn log_path(&self, namespace: &str, name: &str, container: &str, previous: bool) -> Result<LogFile, Failure> {
        let pod = self
            .get(namespace, name)
            .ok_or_else(|| Failure::new("NotFound", format!("pod \"{name}\" cannot be found - no logs available")))?;
        let status = pod.status.clone().unwrap_or_default();
        let id = log_container(name, &status, container, previous).map_err(|text| Failure::new("BadRequest", text))?;
        let request = ContainerStatusRequest { container_id: id.clone(), verbose: false };
        let found = self.context.cri.runtime.container_status(request).await;
        let record = found.ok().and_then(|answer| answer.status).ok_or_else(|| {
            Failure::new("NotFound", format!("failed to get container status \"{id}\": container not found"))
        })?;
        let is_running = is_running(&record);
        Ok(LogFile { path: record.log_path.into(), container_id: id, is_running })
    }
}
