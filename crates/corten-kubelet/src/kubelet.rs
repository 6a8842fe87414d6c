//! The kubelet as a whole: what it is built from, and the order in which its parts start.

use std::{sync::Arc, time::Duration};

use corten_base::{ErrorChain, SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::{Client, events::Recorder};
use corten_controller::{RateLimit, WorkQueue};
use corten_cri::{Cri, api::VersionRequest};
use corten_informer::{InformerFactory, reflector::InitialList};
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::{
    allocation::Allocations,
    config::Config,
    eviction::Evictor,
    interfaces::{ContainerSpecs, Hooks, Images, PodCgroups, Pods, ProbeOutcome, Prober, Volumes},
    log_rotation::LogRotator,
    node::Node,
    pleg::{Pleg, RuntimeCache},
    pod_workers::{Change, Context, PodWorkers, RuntimeChanges, Table, route_probes, sysctls::Allowlist},
    pods_view::PodsView,
    sources,
    status::StatusManager,
    volumes::Layout,
};

pub use crate::pleg::PlegHealth;

/// What a kubelet is given.
pub struct Deps {
    /// The container runtime.
    pub cri: Cri,
    /// The API, under the identity `system:node:<name>`.
    pub client: Client,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Configurations of sandboxes and containers.
    pub specs: Arc<dyn ContainerSpecs>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// Hooks.
    pub hooks: Arc<dyn Hooks>,
    /// Probes.
    pub prober: Arc<dyn Prober>,
    /// What the probes find.
    pub probe_results: mpsc::Receiver<ProbeOutcome>,
    /// The kernel parameters that pods may set.
    pub sysctls: Allowlist,
    /// Control groups of pods.
    pub cgroups: Arc<dyn PodCgroups>,
    /// Events; somebody runs its writer.
    pub recorder: Recorder,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
}

/// Before a runtime is asked again who it is: it has answered another question just now.
const VERSION_PAUSE: Duration = Duration::from_secs(1);

/// The kubelet's core, before it runs.
pub struct Kubelet {
    context: Arc<Context>,
    informers: InformerFactory,
    table: Arc<Table>,
    queue: Arc<WorkQueue<Change>>,
    pleg: Pleg,
    pleg_health: Arc<PlegHealth>,
    probe_results: mpsc::Receiver<ProbeOutcome>,
    defended: Option<Node>,
}

impl Kubelet {
    /// Puts the parts together. Nothing runs yet.
    #[must_use]
    pub fn build(config: Config, deps: Deps) -> Self {
        let Deps {
            cri,
            client,
            volumes,
            specs,
            images,
            hooks,
            prober,
            probe_results,
            sysctls,
            cgroups,
            recorder,
            clock,
            rng,
        } = deps;
        let informers = InformerFactory::new(client.clone(), InitialList::List, Arc::clone(&clock), Arc::clone(&rng));
        let cache = RuntimeCache::new(Arc::clone(&cri.runtime));
        let (pleg, pleg_health) =
            Pleg::new(Arc::clone(&cri.runtime), Arc::clone(&cache), Arc::clone(&clock), Arc::clone(&rng));
        let status = StatusManager::new(client.clone(), Arc::clone(&clock));
        let queue = Arc::new(WorkQueue::new("kubelet_pods", RateLimit::per_key(), Arc::clone(&clock)));
        let context = Arc::new(Context {
            allocations: Allocations::new(Layout::new(&config.root)),
            config,
            cri,
            client,
            volumes,
            specs,
            images,
            hooks,
            sysctls,
            prober,
            cgroups,
            recorder,
            clock,
            rng,
            cache,
            status,
            runtime_name: RwLock::default(),
        });
        Self { context, informers, table: Arc::default(), queue, pleg, pleg_health, probe_results, defended: None }
    }

    /// Has the machine measured: `node` shows what is scarce, and pods are ended for it.
    #[must_use]
    pub fn defending(mut self, node: Node) -> Self {
        self.defended = Some(node);
        self
    }

    /// What the server asks about pods.
    #[must_use]
    pub fn pods(&self) -> Arc<dyn Pods> {
        Arc::new(PodsView::new(Arc::clone(&self.context), Arc::clone(&self.table)))
    }

    /// Whether the runtime's view is fresh, for the node's status.
    #[must_use]
    pub fn pleg_health(&self) -> Arc<PlegHealth> {
        Arc::clone(&self.pleg_health)
    }

    /// Runs the node's pods until shutdown is requested. Containers go on: the next start takes them over.
    pub async fn run(self, shutdown: Shutdown) {
        let Self { context, informers, table, queue, pleg, pleg_health, probe_results, defended } = self;
        let tasks = TaskSet::new("kubelet");
        let node_name = context.config.node_name.clone();
        let pods = sources::api::pods(&informers, &node_name);
        let node = sources::api::node(&informers, &node_name);
        pods.add_handler(Arc::new(sources::api::PodChanges(Arc::clone(&queue))));
        let listener = RuntimeChanges { queue: Arc::clone(&queue), table: Arc::clone(&table) };
        context.cache.listen(Arc::new(listener));
        informers.start(&tasks, &shutdown);
        tasks.spawn("pleg", pleg.run(shutdown.clone()));
        tasks.spawn("status", Arc::clone(&context.status).run(shutdown.clone()));
        tasks.spawn("probe results", route_probes(probe_results, Arc::clone(&table), shutdown.clone()));
        let ready = async {
            pleg_health.synced().await;
            // The runtime answers, so it can be asked who it is. Without its name, no container's id could be shown.
            let name = loop {
                match context.cri.runtime.version(VersionRequest::default()).await {
                    Ok(version) => break version.runtime_name,
                    Err(err) => warn!(%err, "Could not ask the container runtime for its name"),
                }
                context.clock.sleep(VERSION_PAUSE).await;
            };
            *context.runtime_name.write() = name;
            pods.synced().await;
            node.synced().await;
            context.allocations.load().await;
        };
        tokio::select! {
            biased;
            () = tasks.guard(shutdown.requested()) => {}
            () = ready => {
                info!(node = node_name, pods = pods.lister().len(), "Started kubelet");
                let evictor = Evictor::new(Arc::clone(&context), Arc::clone(&table), defended.clone());
                tasks.spawn("eviction", evictor.run(shutdown.clone()));
                let (runtime, cache) = (Arc::clone(&context.cri.runtime), Arc::clone(&context.cache));
                let rotator =
                    LogRotator::new(context.config.log_rotation, runtime, cache, Arc::clone(&context.clock));
                tasks.spawn("log rotation", rotator.run(shutdown.clone()));
                let (pods, node) = (pods.lister(), node.lister());
                let workers = PodWorkers { context: Arc::clone(&context), table, queue, pods, node, defended };
                tasks.spawn("pod workers", workers.run(shutdown.clone()));
                tasks.guard(shutdown.requested()).await;
            }
        }
        if let Err(panic) = tasks.join().await {
            error!(err = %ErrorChain(&panic), "Part of the kubelet panicked");
        }
    }
}
