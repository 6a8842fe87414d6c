//! `RuntimeService`: pods and containers.

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    api::{
        AttachRequest, AttachResponse, CheckpointContainerRequest, CheckpointContainerResponse, ContainerEventResponse,
        ContainerStatsRequest, ContainerStatsResponse, ContainerStatusRequest, ContainerStatusResponse,
        CreateContainerRequest, CreateContainerResponse, ExecRequest, ExecResponse, ExecSyncRequest, ExecSyncResponse,
        GetEventsRequest, ListContainerStatsRequest, ListContainerStatsResponse, ListContainersRequest,
        ListContainersResponse, ListMetricDescriptorsRequest, ListMetricDescriptorsResponse,
        ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse, ListPodSandboxRequest, ListPodSandboxResponse,
        ListPodSandboxStatsRequest, ListPodSandboxStatsResponse, PodSandboxStatsRequest, PodSandboxStatsResponse,
        PodSandboxStatusRequest, PodSandboxStatusResponse, PortForwardRequest, PortForwardResponse,
        RemoveContainerRequest, RemoveContainerResponse, RemovePodSandboxRequest, RemovePodSandboxResponse,
        ReopenContainerLogRequest, ReopenContainerLogResponse, RunPodSandboxRequest, RunPodSandboxResponse,
        RuntimeConfigRequest, RuntimeConfigResponse, StartContainerRequest, StartContainerResponse, StatusRequest,
        StatusResponse, StopContainerRequest, StopContainerResponse, StopPodSandboxRequest, StopPodSandboxResponse,
        UpdateContainerResourcesRequest, UpdateContainerResourcesResponse, UpdatePodSandboxResourcesRequest,
        UpdatePodSandboxResourcesResponse, UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse, VersionRequest,
        VersionResponse,
    },
    error::CriError,
};

/// The events of a runtime, in order. It ends when the runtime stops; an `Err` is its last item.
///
/// A subscriber that falls too far behind is ended with `ResourceExhausted`, and lists anew.
pub type EventStream = BoxStream<'static, Result<ContainerEventResponse, CriError>>;

/// What a container runtime does with pods and containers.
///
/// Errors: `NotFound` where an id names nothing (but for the idempotent calls), `InvalidArgument` for a request that
/// can never work, `FailedPrecondition` for one that does not fit the present state, `Unavailable` while the runtime
/// cannot be reached, `Unknown` and `Internal` for everything that went wrong inside.
/// Ids may be abbreviated to a prefix that only one object has.
/// Deadlines come from the caller, who drops the call. Cancellation: a call that is dropped leaves a state that the same
/// call, made again, brings to its end; what had been started is found in the lists.
/// Source: k8s.io/cri-api, pkg/apis/services.go.
#[async_trait]
pub trait RuntimeService: Send + Sync + 'static {
    /// Names the runtime, its version and the version of the interface.
    async fn version(&self, request: VersionRequest) -> Result<VersionResponse, CriError>;

    /// The runtime's conditions, among them `RuntimeReady` and `NetworkReady`, its handlers and features.
    async fn status(&self, request: StatusRequest) -> Result<StatusResponse, CriError>;

    /// What the kubelet must know before it starts anything: the cgroup driver. The same for the life of the runtime.
    async fn runtime_config(&self, request: RuntimeConfigRequest) -> Result<RuntimeConfigResponse, CriError>;

    /// Tells the runtime the node's pod network range.
    async fn update_runtime_config(
        &self,
        request: UpdateRuntimeConfigRequest,
    ) -> Result<UpdateRuntimeConfigResponse, CriError>;

    /// Makes a sandbox and its network; it is ready when the call returns.
    async fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Result<RunPodSandboxResponse, CriError>;

    /// Kills what runs in a sandbox and gives its network back. Idempotent; an unknown id is not an error.
    async fn stop_pod_sandbox(&self, request: StopPodSandboxRequest) -> Result<StopPodSandboxResponse, CriError>;

    /// Removes a sandbox with its containers, stopping them first. Idempotent; an unknown id is not an error.
    async fn remove_pod_sandbox(&self, request: RemovePodSandboxRequest) -> Result<RemovePodSandboxResponse, CriError>;

    /// One sandbox.
    async fn pod_sandbox_status(&self, request: PodSandboxStatusRequest) -> Result<PodSandboxStatusResponse, CriError>;

    /// The sandboxes that match the filter, in no order.
    async fn list_pod_sandbox(&self, request: ListPodSandboxRequest) -> Result<ListPodSandboxResponse, CriError>;

    /// Tells the runtime the pod's new resources after the kubelet changed the pod's cgroup.
    async fn update_pod_sandbox_resources(
        &self,
        request: UpdatePodSandboxResourcesRequest,
    ) -> Result<UpdatePodSandboxResourcesResponse, CriError>;

    /// Makes a container in a ready sandbox, from an image that is present.
    async fn create_container(&self, request: CreateContainerRequest) -> Result<CreateContainerResponse, CriError>;

    /// Starts a created container.
    async fn start_container(&self, request: StartContainerRequest) -> Result<StartContainerResponse, CriError>;

    /// Sends the stop signal, and SIGKILL once `timeout` seconds have passed; returns when the container has ended.
    /// Idempotent; an unknown id is not an error.
    async fn stop_container(&self, request: StopContainerRequest) -> Result<StopContainerResponse, CriError>;

    /// Removes a container, killing it if it runs. Its log stays. Idempotent; an unknown id is not an error.
    async fn remove_container(&self, request: RemoveContainerRequest) -> Result<RemoveContainerResponse, CriError>;

    /// The containers that match the filter, in no order.
    async fn list_containers(&self, request: ListContainersRequest) -> Result<ListContainersResponse, CriError>;

    /// One container; `verbose` adds `info`.
    async fn container_status(&self, request: ContainerStatusRequest) -> Result<ContainerStatusResponse, CriError>;

    /// Changes the limits of a container: all of them or, on an error, none.
    async fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Result<UpdateContainerResourcesResponse, CriError>;

    /// Opens the log anew at its path, after rotation renamed the file. On an error no file was made.
    async fn reopen_container_log(
        &self,
        request: ReopenContainerLogRequest,
    ) -> Result<ReopenContainerLogResponse, CriError>;

    /// Writes a container's state to an archive.
    async fn checkpoint_container(
        &self,
        request: CheckpointContainerRequest,
    ) -> Result<CheckpointContainerResponse, CriError>;

    /// Runs a command in a container and gives its output, each stream cut at `EXEC_SYNC_OUTPUT_BYTES_MAX`.
    ///
    /// Errors: `DeadlineExceeded` once `timeout` seconds have passed; the command is killed then.
    async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse, CriError>;

    /// A URL whose connection becomes the streams of a command.
    async fn exec(&self, request: ExecRequest) -> Result<ExecResponse, CriError>;

    /// A URL whose connection becomes the streams of a running container.
    async fn attach(&self, request: AttachRequest) -> Result<AttachResponse, CriError>;

    /// A URL whose connection carries streams to ports of a sandbox.
    async fn port_forward(&self, request: PortForwardRequest) -> Result<PortForwardResponse, CriError>;

    /// What one container uses.
    async fn container_stats(&self, request: ContainerStatsRequest) -> Result<ContainerStatsResponse, CriError>;

    /// What the running containers that match the filter use.
    async fn list_container_stats(
        &self,
        request: ListContainerStatsRequest,
    ) -> Result<ListContainerStatsResponse, CriError>;

    /// What one sandbox uses, its containers included.
    async fn pod_sandbox_stats(&self, request: PodSandboxStatsRequest) -> Result<PodSandboxStatsResponse, CriError>;

    /// What the ready sandboxes that match the filter use.
    async fn list_pod_sandbox_stats(
        &self,
        request: ListPodSandboxStatsRequest,
    ) -> Result<ListPodSandboxStatsResponse, CriError>;

    /// The metrics that `list_pod_sandbox_metrics` may give; the same for the life of the runtime.
    async fn list_metric_descriptors(
        &self,
        request: ListMetricDescriptorsRequest,
    ) -> Result<ListMetricDescriptorsResponse, CriError>;

    /// cAdvisor's metrics, for runtimes that take its place.
    async fn list_pod_sandbox_metrics(
        &self,
        request: ListPodSandboxMetricsRequest,
    ) -> Result<ListPodSandboxMetricsResponse, CriError>;

    /// Events from now on. The subscription stands when the call returns; dropping the stream ends it.
    async fn get_container_events(&self, request: GetEventsRequest) -> Result<EventStream, CriError>;
}
