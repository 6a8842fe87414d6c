//! Amounts of resources, and what a pod asks for.
//!
//! Upstream: k8s.io/component-helpers/resource (PodRequests) and pkg/scheduler/util (non-zero requests), v1.35.

use corten_apimachinery::{quantity::Quantity, value::Str};
use smallvec::SmallVec;

use super::{
    FactsError,
    wire::{Container, PodSpec, QuantityText, ResourceList},
};

/// What scoring assumes for a container without a CPU request, in thousandths of a core.
pub const DEFAULT_CPU_MILLIS: i64 = 100;

/// What scoring assumes for a container without a memory request.
pub const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts of the resources that scheduling counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_millis: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage_bytes: i64,
    /// How many pods a node takes; zero in requests.
    pub pods: i64,
    /// Extended resources, huge pages and the like, sorted by name.
    pub scalars: SmallVec<[(Str, i64); 1]>,
}

impl Resources {
    /// The amount of a resource by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu_millis,
            "memory" => self.memory_bytes,
            "ephemeral-storage" => self.ephemeral_storage_bytes,
            "pods" => self.pods,
            _ => self.scalars.iter().find(|(key, _)| key == name).map_or(0, |(_, amount)| *amount),
        }
    }

    fn set(&mut self, name: &str, amount: i64) {
        match name {
            "cpu" => self.cpu_millis = amount,
            "memory" => self.memory_bytes = amount,
            "ephemeral-storage" => self.ephemeral_storage_bytes = amount,
            "pods" => self.pods = amount,
            _ => match self.scalars.binary_search_by(|(key, _)| key.as_str().cmp(name)) {
                Ok(at) => self.scalars[at].1 = amount,
                Err(at) => self.scalars.insert(at, (name.into(), amount)),
            },
        }
    }

    /// Adds `sign` times `other`; limited to what fits.
    pub fn add(&mut self, other: &Self, sign: i64) {
        let plus = |a: i64, b: i64| a.saturating_add(b.saturating_mul(sign));
        self.cpu_millis = plus(self.cpu_millis, other.cpu_millis);
        self.memory_bytes = plus(self.memory_bytes, other.memory_bytes);
        self.ephemeral_storage_bytes = plus(self.ephemeral_storage_bytes, other.ephemeral_storage_bytes);
        for (name, amount) in &other.scalars {
            self.set(name, plus(self.get(name), *amount));
        }
    }

    /// Raises every amount to at least that of `other`.
    fn raise_to(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.max(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.ephemeral_storage_bytes = self.ephemeral_storage_bytes.max(other.ephemeral_storage_bytes);
        for (name, amount) in &other.scalars {
            self.set(name, self.get(name).max(*amount));
        }
    }

    /// Reads a resource list; names that scheduling does not count are left out.
    pub(super) fn read(list: &ResourceList) -> Result<Self, FactsError> {
        let mut resources = Self::default();
        for (name, text) in list {
            if is_counted(name) {
                resources.set(name, amount(name, text)?);
            }
        }
        Ok(resources)
    }
}

/// Whether scheduling counts a resource: the native ones, and those in a domain.
fn is_counted(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods")
        || name.contains('/')
        || name.starts_with("hugepages-")
        || name.starts_with("attachable-volumes-")
}

fn amount(name: &Str, text: &QuantityText) -> Result<i64, FactsError> {
    let quantity: Quantity = match text {
        QuantityText::Text(text) => text.parse(),
        QuantityText::Int(number) => number.to_string().parse(),
        QuantityText::Float(number) => number.to_string().parse(),
    }
    .map_err(|source| FactsError::Quantity { resource: name.clone(), source })?;
    Ok(if name == "cpu" { quantity.millis() } else { quantity.units() })
}

/// What a pod asks for.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// As written.
    pub(super) exact: Resources,
    /// With assumed amounts where a container states none.
    pub(super) non_zero: Resources,
}

/// Adds up a pod's requests: containers and sidecars run together, init containers one after the other beside the
/// sidecars started before them, and the overhead comes on top. Amounts of the pod itself replace those of containers.
pub(super) fn requests(spec: &PodSpec) -> Result<Requests, FactsError> {
    let (mut exact, mut non_zero) = (total(spec, Resources::default())?, total(spec, assumed())?);
    let overhead = Resources::read(&spec.overhead)?;
    for (name, text) in &spec.resources.requests {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            exact.set(name, amount(name, text)?);
            non_zero.set(name, amount(name, text)?);
        }
    }
    exact.add(&overhead, 1);
    non_zero.add(&overhead, 1);
    Ok(Requests { exact, non_zero })
}

fn assumed() -> Resources {
    Resources { cpu_millis: DEFAULT_CPU_MILLIS, memory_bytes: DEFAULT_MEMORY_BYTES, ..Resources::default() }
}

fn total(spec: &PodSpec, missing: Resources) -> Result<Resources, FactsError> {
    let request = |container: &Container| {
        let mut amounts = Resources::read(&container.resources.requests)?;
        let has = |name: &str| container.resources.requests.keys().any(|key| key == name);
        if !has("cpu") {
            amounts.cpu_millis = missing.cpu_millis;
        }
        if !has("memory") {
            amounts.memory_bytes = missing.memory_bytes;
        }
        Ok::<_, FactsError>(amounts)
    };
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&request(container)?, 1);
    }
    let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
    for container in &spec.init_containers {
        let amounts = request(container)?;
        if container.restart_policy == "Always" {
            sidecars.add(&amounts, 1);
            starting.raise_to(&sidecars);
        } else {
            let mut together = sidecars.clone();
            together.add(&amounts, 1);
            starting.raise_to(&together);
        }
    }
    running.add(&sidecars, 1);
    running.raise_to(&starting);
    Ok(running)
}
