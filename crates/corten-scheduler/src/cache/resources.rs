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
pub struct Amounts<A> {
    /// CPU in thousandths of a core.
    pub cpu_millis: A,
    /// Memory in bytes.
    pub memory_bytes: A,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage_bytes: A,
    /// How many pods a node takes; zero in requests.
    pub pods: A,
    /// Extended resources, huge pages and the like, sorted by name.
    pub scalars: SmallVec<[(Str, A); 1]>,
}

/// What one pod asks for, or one node has.
pub type Resources = Amounts<i64>;

/// What the pods of a node ask for together. 128 bits hold the requests of more pods than there can be, so that a pod
/// that goes takes off exactly what it brought, whatever it asked for.
pub type Sums = Amounts<i128>;

impl<A: Copy + Default> Amounts<A> {
    /// The amount of a resource by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> A {
        match name {
            "cpu" => self.cpu_millis,
            "memory" => self.memory_bytes,
            "ephemeral-storage" => self.ephemeral_storage_bytes,
            "pods" => self.pods,
            _ => self.scalar(name).map_or(A::default(), |at| self.scalars[at].1),
        }
    }

    fn scalar(&self, name: &str) -> Result<usize, usize> {
        self.scalars.binary_search_by(|(key, _)| key.as_str().cmp(name))
    }

    fn set(&mut self, name: &str, amount: A) {
        match name {
            "cpu" => self.cpu_millis = amount,
            "memory" => self.memory_bytes = amount,
            "ephemeral-storage" => self.ephemeral_storage_bytes = amount,
            "pods" => self.pods = amount,
            _ => match self.scalar(name) {
                Ok(at) => self.scalars[at].1 = amount,
                Err(at) => self.scalars.insert(at, (name.into(), amount)),
            },
        }
    }

    /// Replaces every amount by what `combined` makes of it and of that of `other`; but not the number of pods, which no
    /// pod asks for.
    fn combine<B: Copy>(&mut self, other: &Amounts<B>, combined: impl Fn(A, B) -> A) {
        self.cpu_millis = combined(self.cpu_millis, other.cpu_millis);
        self.memory_bytes = combined(self.memory_bytes, other.memory_bytes);
        self.ephemeral_storage_bytes = combined(self.ephemeral_storage_bytes, other.ephemeral_storage_bytes);
        // Names that are missing here come at the end and are sorted in once: a pod may name tens of thousands.
        let known = self.scalars.len();
        for (name, amount) in &other.scalars {
            match self.scalars[..known].binary_search_by(|(key, _)| key.cmp(name)) {
                Ok(at) => self.scalars[at].1 = combined(self.scalars[at].1, *amount),
                Err(_) => self.scalars.push((name.clone(), combined(A::default(), *amount))),
            }
        }
        if self.scalars.len() > known {
            self.scalars.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
    }
}

impl Resources {
    /// Adds `other`; limited to what fits.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// What is left without `other`; limited to what fits.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        self.combine(other, i64::saturating_sub);
        self
    }

    /// Raises every amount to at least that of `other`.
    fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
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

impl Sums {
    /// Counts one more.
    pub fn add(&mut self, requests: &Resources) {
        self.combine(requests, |sum, amount| sum + i128::from(amount));
    }

    /// Takes off what was added once.
    pub fn take_off(&mut self, requests: &Resources) {
        self.combine(requests, |sum, amount| sum - i128::from(amount));
        // Otherwise the node would remember every name that ever was asked for.
        self.scalars.retain(|(_, sum)| *sum != 0);
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
    let containers = spec.containers.iter().map(Wanted::read).collect::<Result<Containers, _>>()?;
    let init_containers = spec.init_containers.iter().map(Wanted::read).collect::<Result<Containers, _>>()?;
    let total = |missing| total(&containers, &init_containers, missing);
    let (mut exact, mut non_zero) = (total(&Resources::default()), total(&assumed()));
    let overhead = Resources::read(&spec.overhead)?;
    for (name, text) in &spec.resources.requests {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            exact.set(name, amount(name, text)?);
            non_zero.set(name, amount(name, text)?);
        }
    }
    exact.add(&overhead);
    non_zero.add(&overhead);
    Ok(Requests { exact, non_zero })
}

fn assumed() -> Resources {
    Resources { cpu_millis: DEFAULT_CPU_MILLIS, memory_bytes: DEFAULT_MEMORY_BYTES, ..Resources::default() }
}

/// What a container asks for.
struct Wanted {
    amounts: Resources,
    has_cpu: bool,
    has_memory: bool,
    is_sidecar: bool,
}

type Containers = SmallVec<[Wanted; 1]>;

impl Wanted {
    fn read(container: &Container) -> Result<Self, FactsError> {
        let requests = &container.resources.requests;
        Ok(Self {
            amounts: Resources::read(requests)?,
            has_cpu: requests.contains_key("cpu"),
            has_memory: requests.contains_key("memory"),
            is_sidecar: container.restart_policy == "Always",
        })
    }

    fn or(&self, missing: &Resources) -> Resources {
        let mut amounts = self.amounts.clone();
        if !self.has_cpu {
            amounts.cpu_millis = missing.cpu_millis;
        }
        if !self.has_memory {
            amounts.memory_bytes = missing.memory_bytes;
        }
        amounts
    }
}

fn total(containers: &Containers, init_containers: &Containers, missing: &Resources) -> Resources {
    let mut running = Resources::default();
    for container in containers {
        running.add(&container.or(missing));
    }
    let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
    for container in init_containers {
        let amounts = container.or(missing);
        if container.is_sidecar {
            sidecars.add(&amounts);
            starting.raise_to(&sidecars);
        } else {
            let mut together = sidecars.clone();
            together.add(&amounts);
            starting.raise_to(&together);
        }
    }
    running.add(&sidecars);
    running.raise_to(&starting);
    running
}
