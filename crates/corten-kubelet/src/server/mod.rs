//! The kubelet's server: exec, attach, port forwarding, logs, pods, health.
//!
//! Flow: TLS -> `access` (who, and whether they may) -> `route` -> one handler per path -> `Pods` and CRI.
//! Invariant: nothing is answered to a stranger but `Unauthorized`; every connection and every stream is a task of the server,
//! which ends with it.
//! Upstream: pkg/kubelet/server (v1.35).

pub mod access;
mod answer;
mod commands;
mod configz;
mod files;
pub mod healthz;
mod idle;
mod logs;
mod ports;
mod proxy;
mod query;
mod stats;

use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use corten_api::core::v1::{ContainerState, PodStatus};
use corten_base::{Secret, SharedClock, Shutdown, TaskSet};
use corten_component_base::serving::{
    BadCertificate, ClientCertificate, Connection, Limits, OwnTask, Place, ServerCertificate, TlsListener,
    server_config,
};
use corten_cri::Cri;
use http::{Method, Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};

use crate::interfaces::Pods;
use access::{Access, Credentials};
use answer::{Answer, json, json_indented, text};
use commands::Verb;

/// Where the machine's logs are.
const LOGS: &str = "/var/log";

/// Connections, streams among them: each stream takes a handful of descriptors, and a node runs hundreds of pods, not
/// thousands. Requests on an HTTP/2 connection: upstream's `MaxConcurrentStreams`.
const LIMITS: Limits =
    Limits { name: "kubelet", connections: 2_048, streams_per_connection: 250, drain: Duration::from_secs(2) };

/// How long a client may take to open its streams. Upstream: `DefaultStreamCreationTimeout`.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take to close its side of a connection that is over.
const LINGER: Duration = Duration::from_secs(5);

/// What the server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Upstream: `address` and `port`, 0.0.0.0:10250.
    pub address: SocketAddr,
    /// The certificate to serve with, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: Secret,
    /// The authorities of clients' certificates, PEM; empty: none are accepted. Upstream: `authentication.x509.clientCAFile`.
    pub client_authorities: String,
}

/// What the server asks.
#[derive(Clone)]
pub struct Parts {
    /// The pods of the node.
    pub pods: Arc<dyn Pods>,
    /// The container runtime.
    pub cri: Cri,
    /// The kubelet's configuration.
    pub config: Arc<crate::config::Config>,
    /// Who may do what.
    pub access: Arc<dyn Access>,
    /// The time.
    pub clock: SharedClock,
    /// What has come of probes, for `/metrics/probes`.
    pub probe_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the pods' synchronization goes on, for `/healthz/syncloop`.
    pub is_syncing: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Why the server cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The certificate, its key or the clients' authorities are unusable.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
}

/// A server with its socket.
pub struct Server {
    listener: TlsListener,
    certificate: ServerCertificate,
    shared: Shared,
}

/// What all requests share.
#[derive(Clone)]
struct Shared {
    parts: Parts,
    /// Connections, and what goes on in those that were handed over.
    tasks: TaskSet,
    /// The connection's place: held by whatever goes on in it.
    #[expect(dead_code, reason = "held until its last clone goes, never asked")]
    place: Option<Place>,
    shutdown: Shutdown,
}

impl Server {
    /// Binds the socket, so that a taken address is an error now and not later.
    pub async fn bind(config: &Config, parts: Parts, shutdown: Shutdown) -> Result<Self, ServerError> {
        let certificate = ServerCertificate::new(&config.certificate, &config.key)?;
        let tls = server_config(certificate.clone(), ClientCertificate::SignedBy(&config.client_authorities))?;
        let address = config.address;
        let listener =
            TlsListener::bind(address, tls).await.map_err(|source| ServerError::Listen { address, source })?;
        let shared = Shared { parts, tasks: TaskSet::new("kubelet-server"), place: None, shutdown };
        Ok(Self { listener, certificate, shared })
    }

    /// The certificate, to be exchanged while the server runs.
    #[must_use]
    pub fn certificate(&self) -> ServerCertificate {
        self.certificate.clone()
    }

    /// The address that is listened on: with the port that the system chose if none was asked for.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown, then lets what runs finish for a moment.
    pub async fn run(self) {
        let Self { listener, shared, .. } = self;
        let Shared { parts, tasks, shutdown, .. } = shared.clone();
        let serve = move |connection: Connection| {
            let Connection { certificates, place, .. } = connection;
            let (shared, leaf) = (Shared { place: Some(place), ..shared.clone() }, certificates.into_iter().next());
            service_fn(move |request| {
                let (shared, leaf) = (shared.clone(), leaf.clone());
                async move {
                    // Logs and commands of many containers may come over one connection.
                    OwnTask::default().await;
                    Ok::<_, Infallible>(serve(&shared, leaf, request).await)
                }
            })
        };
        listener.run(LIMITS, parts.clock, tasks, shutdown, serve).await;
    }
}

async fn serve(
    shared: &Shared,
    certificate: Option<rustls::pki_types::CertificateDer<'static>>,
    request: Request<Incoming>,
) -> Response<Answer> {
    let credentials = Credentials::new(certificate, request.headers());
    match shared.parts.access.allow(&credentials, request.method(), request.uri().path()).await {
        Ok(()) => route(shared, request).await,
        Err(refusal) => text(refusal.code, refusal.message),
    }
}

async fn route(shared: &Shared, request: Request<Incoming>) -> Response<Answer> {
    let path = request.uri().path().to_owned();
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is = |methods: &[Method]| methods.contains(request.method());
    let connects = [Method::GET, Method::POST];
    match *segments.as_slice() {
        // With the pod's UID or without: a name that was used again is told apart by the API server, which resolved it.
        ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] if is(&connects) => {
            commands::begin(shared, Verb::Exec, [namespace, pod, container], request).await
        }
        ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] if is(&connects) => {
            commands::begin(shared, Verb::Attach, [namespace, pod, container], request).await
        }
        ["portForward", namespace, pod] | ["portForward", namespace, pod, _] if is(&connects) => {
            ports::forward(shared, namespace, pod, request).await
        }
        ["run", namespace, pod, container] | ["run", namespace, pod, _, container] if is(&[Method::POST]) => {
            commands::run(shared, namespace, pod, container, &request).await
        }
        ["containerLogs", namespace, pod, container] if is(&[Method::GET]) => {
            logs::handle(shared, namespace, pod, container, &request).await
        }
        ["pods"] if is(&[Method::GET]) => pod_list(&shared.parts.pods.list()),
        ["runningpods"] if is(&[Method::GET]) => pod_list(&shared.parts.pods.running()),
        ["healthz"] | ["healthz", "ping" | "log"] if is(&[Method::GET]) => text(StatusCode::OK, "ok"),
        ["healthz", "syncloop"] if is(&[Method::GET]) => {
            if (shared.parts.is_syncing)() {
                text(StatusCode::OK, "ok")
            } else {
                text(StatusCode::INTERNAL_SERVER_ERROR, "sync Loop took longer than expected\n")
            }
        }
        ["configz"] if is(&[Method::GET]) => json_indented(&configz::of(&shared.parts.config)),
        ["logs", ..] if is(&[Method::GET]) => {
            let rest = segments.get(1..).unwrap_or_default().join("/");
            let end = if path.ends_with('/') && !rest.is_empty() { "/" } else { "" };
            let has_slash = path.ends_with('/') || !rest.is_empty();
            files::handle(Path::new(LOGS), &format!("{}{rest}{end}", if has_slash { "/" } else { "" })).await
        }
        ["stats", "summary"] if is(&[Method::GET, Method::POST]) => {
            let only = query::Query::of(&request).find("only_cpu_and_memory") == Some("true");
            stats::summary(shared, only).await
        }
        ["metrics"] if is(&[Method::GET]) => metrics(shared),
        ["metrics", "resource"] if is(&[Method::GET]) => stats::resource_metrics(shared).await,
        ["metrics", "probes"] if is(&[Method::GET]) => {
            answer::with_type(StatusCode::OK, stats::METRICS_TYPE, (shared.parts.probe_metrics)())
        }
        ["metrics", "cadvisor"] if is(&[Method::GET]) => stats::container_metrics(shared).await,
        ["metrics" | "stats", _, ..] if is(&[Method::GET]) => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        [
            "exec" | "attach" | "portForward" | "run" | "containerLogs" | "pods" | "runningpods" | "healthz"
            | "metrics" | "stats" | "logs" | "configz",
            ..,
        ] => text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"),
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn is_running(pod: &crate::interfaces::SharedPod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.flat_map(|status| &status.state).any(|state| state.running.is_some())
}

fn pod_list(pods: &[crate::interfaces::SharedPod]) -> Response<Answer> {
    let items: Result<Vec<_>, _> = pods.iter().map(|pod| serde_json::to_value(&**pod)).collect();
    let items = match items {
        Ok(items) => items,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    json(&serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}

/// The numbers that dashboards look for first.
fn metrics(shared: &Shared) -> Response<Answer> {
    let pods = shared.parts.pods.list();
    let running = pods.iter().filter(|pod| is_running(pod)).count();
    let (mut created, mut working, mut exited) = (0, 0, 0);
    for state in pods.iter().filter_map(|pod| pod.status.as_ref()).flat_map(states) {
        match (&state.running, &state.terminated) {
            (Some(_), _) => working += 1,
            (None, Some(_)) => exited += 1,
            (None, None) => created += 1,
        }
    }
    let node = &shared.parts.config.node_name;
    let body = format!(
        "# HELP kubelet_desired_pods [ALPHA] The number of pods the kubelet is being instructed to run.\n\
         # TYPE kubelet_desired_pods gauge\nkubelet_desired_pods {}\n\
         # HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n\
         # TYPE kubelet_node_name gauge\nkubelet_node_name{{node=\"{node}\"}} 1\n\
         # HELP kubelet_running_containers [ALPHA] Number of containers currently running\n\
         # TYPE kubelet_running_containers gauge\n\
         kubelet_running_containers{{container_state=\"created\"}} {created}\n\
         kubelet_running_containers{{container_state=\"exited\"}} {exited}\n\
         kubelet_running_containers{{container_state=\"running\"}} {working}\n\
         # HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n\
         # TYPE kubelet_running_pods gauge\nkubelet_running_pods {running}\n",
        pods.len()
    );
    answer::with_type(StatusCode::OK, stats::METRICS_TYPE, body)
}

/// What the containers of a pod are doing, those that have been made.
fn states(status: &PodStatus) -> impl Iterator<Item = &ContainerState> {
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    let made = lists.into_iter().flatten().flatten().filter(|status| status.container_id.is_some());
    made.filter_map(|status| status.state.as_ref())
}

#[cfg(test)]
mod tests;
