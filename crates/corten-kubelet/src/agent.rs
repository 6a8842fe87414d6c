//! The kubelet put together: the core with everything that it acts through, the node object and the server.
//!
//! Flow: `build` reads the machine and binds the server's socket, so that what cannot work fails now; `run` starts the parts
//! and returns when all have ended. Containers go on without it.

use std::{net::SocketAddr, sync::Arc};

use corten_base::{ErrorChain, Secret, SharedClock, SharedRng, Shutdown, TaskSet, fs};
use corten_client::{
    Client,
    events::{EventWriter, Recorder},
};
use corten_component_base::serving::ServerCertificate;
use corten_cri::Cri;
use tokio::sync::mpsc;

use crate::{
    Config, Deps, Kubelet,
    api_objects::ApiObjects,
    cgroups::CgroupManager,
    containers::{Specs, SpecsParts, field_ref::NodeFacts, resources::NodeLimits},
    hooks::HookRunner,
    images::ImageManager,
    node::{
        Node,
        machine::{Machine, MachineError},
        status,
    },
    pleg::PlegHealth,
    pod_workers::sysctls::Allowlist,
    prober::ProbeManager,
    server::{self, Server, ServerError, access::Delegated},
    volumes::{self, Layout, SystemMounter, VolumeManager},
};

/// How many probe results wait for the pod workers; a prober that is faster waits.
const PROBE_RESULTS: usize = 256;

/// What a kubelet is built from.
#[derive(Clone)]
pub struct Parts {
    /// Its configuration.
    pub config: Config,
    /// What runs containers.
    pub cri: Cri,
    /// The API, under the identity `system:node:<name>`.
    pub client: Client,
    /// The certificate to serve with, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: Secret,
    /// The authorities of those who may ask the server, PEM.
    pub client_authorities: String,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
}

/// Why a kubelet cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The machine cannot be read.
    #[error("read the machine")]
    Machine(#[from] MachineError),
    /// A directory cannot be made.
    #[error(transparent)]
    Directory(#[from] fs::FsError),
    /// Control groups cannot be used.
    #[error("look at the control groups")]
    Cgroups(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operator allows kernel parameters that pods cannot have.
    #[error("read the allowed sysctls: {0}")]
    Sysctls(String),
    /// The server cannot be built.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server's address cannot be read.
    #[error("read the address of the kubelet's server")]
    Address(#[source] std::io::Error),
}

/// A kubelet ready to run.
pub struct Agent {
    kubelet: Kubelet,
    node: Node,
    server: Server,
    volumes: Arc<VolumeManager>,
    prober: Arc<ProbeManager>,
    events: EventWriter,
    pleg_health: Arc<PlegHealth>,
    healthz: Option<SocketAddr>,
    clock: SharedClock,
    tasks: TaskSet,
}

impl Agent {
    /// Puts everything together and binds the server's socket.
    ///
    /// Errors: the machine, its directories, control groups or the socket cannot be used.
    pub async fn build(parts: Parts, shutdown: &Shutdown) -> Result<Self, AgentError> {
        let Parts { config, cri, client, certificate, key, client_authorities, clock, rng } = parts;
        let cri = cri.with_deadlines(&clock);
        // Secrets are in it.
        fs::create_private_dir(&config.root)?;
        fs::create_dir_all(&config.pod_logs)?;
        let machine = Machine::read(&config.root)?;
        let sysctls =
            Allowlist::new(&machine.kernel_version, &config.allowed_unsafe_sysctls).map_err(AgentError::Sysctls)?;
        let facts = Arc::new(facts(&config, &machine));
        let limits = NodeLimits {
            memory_bytes: machine.memory_bytes,
            cpu_quota: config.cpu_cfs_quota,
            unified_cgroups: CgroupManager::is_unified().map_err(|error| AgentError::Cgroups(error.into()))?,
        };
        let tasks = TaskSet::new("kubelet");
        let (recorder, queue) = Recorder::new("kubelet", config.node_name.as_str(), Arc::clone(&clock));
        let events = EventWriter::new(client.clone(), queue, Arc::clone(&clock), Arc::clone(&rng));
        let objects =
            ApiObjects::new(client.clone(), Arc::clone(&clock), Arc::clone(&rng), tasks.clone(), shutdown.clone());
        let (layout, mounter) = (Layout::new(&config.root), Arc::new(SystemMounter));
        let volumes = VolumeManager::new(volumes::Parts {
            layout: layout.clone(),
            objects: Arc::clone(&objects),
            node: Arc::clone(&facts),
            mounter: mounter.clone(),
            recorder: recorder.clone(),
            clock: Arc::clone(&clock),
        });
        let specs = Specs::new(SpecsParts {
            config: Arc::new(config.clone()),
            layout,
            objects,
            node: facts,
            limits,
            mounter,
            recorder: recorder.clone(),
            rng: Arc::clone(&rng),
        });
        let (outcomes, probe_results) = mpsc::channel(PROBE_RESULTS);
        let prober = Arc::new(ProbeManager::new(
            Arc::clone(&cri.runtime),
            recorder.clone(),
            Arc::clone(&clock),
            Arc::clone(&rng),
            outcomes,
        ));
        let images = ImageManager::new(Arc::clone(&cri.images), client.clone(), recorder.clone(), Arc::clone(&clock));
        let hooks = HookRunner::new(Arc::clone(&cri.runtime), recorder.clone(), Arc::clone(&clock));
        let cgroups = CgroupManager::new(&config.cgroup_root, limits, i64::from(machine.cpus) * 1_000);
        let deps = Deps {
            cri: cri.clone(),
            client: client.clone(),
            volumes: volumes.clone(),
            specs,
            images: Arc::new(images),
            hooks: Arc::new(hooks),
            prober: prober.clone(),
            probe_results,
            sysctls,
            cgroups,
            recorder: recorder.clone(),
            clock: Arc::clone(&clock),
            rng: Arc::clone(&rng),
        };
        let kubelet = Kubelet::build(config.clone(), deps);
        let pleg_health = kubelet.pleg_health();
        let (health, now) = (Arc::clone(&pleg_health), Arc::clone(&clock));
        let server_parts = server::Parts {
            pods: kubelet.pods(),
            cri: cri.clone(),
            config: Arc::new(config.clone()),
            access: Arc::new(Delegated::new(client.clone(), config.node_name.clone(), Arc::clone(&clock))),
            clock: Arc::clone(&clock),
            probe_metrics: {
                let prober = Arc::clone(&prober);
                Arc::new(move || prober.metrics())
            },
            is_syncing: Arc::new(move || health.problem(&*now).is_none()),
        };
        let server_config = server::Config {
            address: SocketAddr::new(config.server_address, config.server_port),
            certificate,
            key,
            client_authorities,
        };
        let server = Server::bind(&server_config, server_parts, shutdown.clone()).await?;
        let port = server.local_addr().map_err(AgentError::Address)?.port();
        let healthz = config.healthz;
        let node = Node::build(config, cri, client, recorder, Arc::clone(&clock), rng, port)?;
        // Before anybody can ask: the first status must not be Ready before the runtime's pods are known.
        node.set_health("pleg", pleg_health.problem(&*clock));
        let kubelet = kubelet.defending(node.clone());
        Ok(Self { kubelet, node, server, volumes, prober, events, pleg_health, healthz, clock, tasks })
    }

    /// The certificate of its server, to be exchanged when it is renewed.
    #[must_use]
    pub fn certificate(&self) -> ServerCertificate {
        self.server.certificate()
    }

    /// The node object, to wait until it is ready.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node.clone()
    }

    /// Runs the node until shutdown is requested, and returns when every part has ended. Containers go on.
    pub async fn run(self, shutdown: Shutdown) {
        let Self { kubelet, node, server, volumes, prober, events, pleg_health, healthz, clock, tasks } = self;
        // Events are told until everybody who tells has ended.
        let (end_events, events_shutdown) = Shutdown::new();
        let writing = TaskSet::new("kubelet-events");
        writing.spawn("events", events.run(events_shutdown));
        let (stop, reported) = (shutdown.clone(), node.clone());
        if let Some(address) = healthz {
            tasks.spawn("healthz", server::healthz::run(address, Arc::clone(&clock), shutdown.clone()));
        }
        tasks.spawn("pleg-health", async move {
            pleg_health.report(&*clock, |problem| reported.set_health("pleg", problem), stop).await;
        });
        let stop = shutdown.clone();
        tasks.spawn("node", async move { log_panic(node.run(stop).await) });
        tasks.spawn("server", server.run());
        tasks.spawn("volumes", Arc::clone(&volumes).run(shutdown.clone()));
        let stop = shutdown.clone();
        let prober = ProbeManager::clone(&prober);
        tasks.spawn("prober", async move { log_panic(prober.run(stop).await) });
        tasks.spawn("pods", kubelet.run(shutdown));
        log_panic(tasks.guard(tasks.join()).await);
        log_panic(volumes.join().await);
        end_events.request();
        log_panic(writing.join().await);
    }
}

fn log_panic(ended: Result<(), corten_base::TaskPanic>) {
    if let Err(panic) = ended {
        tracing::error!(err = %ErrorChain(&panic), "Part of the kubelet panicked");
    }
}

/// What pods may learn about the node by the downward API.
fn facts(config: &Config, machine: &Machine) -> NodeFacts {
    let allocatable = status::allocatable(config, machine);
    let amount =
        |name: &str| -> Option<corten_apimachinery::quantity::Quantity> { allocatable.get(name)?.0.parse().ok() };
    let bytes = |name: &str| amount(name).map_or(0, |quantity| u64::try_from(quantity.units()).unwrap_or(0));
    NodeFacts {
        name: config.node_name.clone(),
        ips: config.node_ips.clone(),
        allocatable_cpu_millis: amount("cpu").map_or(0, |quantity| quantity.millis()),
        allocatable_memory_bytes: bytes("memory"),
        allocatable_storage_bytes: bytes("ephemeral-storage"),
    }
}
