//! Puts together what gives pods their surroundings on a node: objects, volumes, configurations, control groups.

use std::sync::Arc;

use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::{Client, events::Recorder};
use corten_oci::cgroup::CgroupError;

use super::{
    field_ref::NodeFacts,
    resources::{NodeLimits, bytes_of, quantity},
    specs::{Specs, SpecsParts},
};
use crate::{
    Config,
    api_objects::ApiObjects,
    cgroups::CgroupManager,
    node::{machine::Machine, status},
    volumes::{Layout, Mounter, Parts, SystemMounter, VolumeManager},
};

/// The parts of a kubelet that these folders implement.
#[derive(Debug)]
pub struct OnNode {
    /// `Volumes`.
    pub volumes: Arc<VolumeManager>,
    /// `ContainerSpecs`.
    pub specs: Arc<Specs>,
    /// `PodCgroups`.
    pub cgroups: Arc<CgroupManager>,
    /// What pods refer to.
    pub objects: Arc<ApiObjects>,
}

/// What they need from outside.
#[derive(Debug, Clone)]
pub struct Access {
    /// The API, under the identity of the node.
    pub client: Client,
    /// Events.
    pub recorder: Recorder,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
}

/// Builds them; their tasks (watches, refreshing of volumes) belong to `tasks` and end with `shutdown`.
///
/// Blocks for reading one file of procfs. Errors: no control groups are mounted.
pub fn build(
    config: &Arc<Config>,
    machine: &Machine,
    access: Access,
    tasks: &TaskSet,
    shutdown: &Shutdown,
) -> Result<OnNode, CgroupError> {
    let Access { client, recorder, clock, rng } = access;
    let objects =
        ApiObjects::new(client, Arc::clone(&clock), Arc::clone(&rng), tasks.clone(), shutdown.clone());
    let allocatable = status::allocatable(config, machine);
    let node = Arc::new(NodeFacts {
        name: config.node_name.clone(),
        ips: config.node_ips.clone(),
        allocatable_cpu_millis: quantity(Some(&allocatable), "cpu").map_or(0, |cpu| cpu.millis()),
        allocatable_memory_bytes: bytes_of(Some(&allocatable), "memory").unwrap_or(0),
        allocatable_storage_bytes: bytes_of(Some(&allocatable), "ephemeral-storage").unwrap_or(0),
    });
    let limits = NodeLimits {
        memory_bytes: machine.memory_bytes,
        cpu_quota: config.cpu_cfs_quota,
        unified_cgroups: CgroupManager::is_unified()?,
    };
    let layout = Layout::new(&config.root);
    let mounter: Arc<dyn Mounter> = Arc::new(SystemMounter);
    let volumes = VolumeManager::new(Parts {
        layout: layout.clone(),
        objects: Arc::clone(&objects),
        node: Arc::clone(&node),
        mounter: Arc::clone(&mounter),
        recorder: recorder.clone(),
        clock,
    });
    tasks.spawn("volumes", Arc::clone(&volumes).run(shutdown.clone()));
    let cgroups = CgroupManager::new(&config.cgroup_root, limits, i64::from(machine.cpus) * 1_000);
    let specs = Specs::new(SpecsParts {
        config: Arc::clone(config),
        layout,
        objects: Arc::clone(&objects),
        node,
        limits,
        mounter,
        recorder,
        rng,
    });
    Ok(OnNode { volumes, specs, cgroups, objects })
}
