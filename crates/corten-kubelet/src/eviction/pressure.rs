//! What is scarce on the node, and which pod goes for it. Pure.
//!
//! Upstream: pkg/kubelet/eviction/{helpers,defaults_linux}.go (v1.35), with the hard thresholds that are its defaults.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use corten_api::core::v1::Pod;
use corten_apimachinery::quantity::{Format, Quantity};

use crate::{containers::resources, node::status::Pressure, pod_workers::admission};

/// How long a pressure is shown after it was last seen. Upstream: `evictionPressureTransitionPeriod`.
const TRANSITION: Duration = Duration::from_secs(300);
/// `memory.available<100Mi`.
const MEMORY_MIN_BYTES: u64 = 100 << 20;

/// How much of something there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) available: u64,
    pub(super) capacity: u64,
}

/// What was measured on the node; what could not be measured is `None` and never scarce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signals {
    pub(super) memory: Option<Amount>,
    pub(super) node_disk: Option<Amount>,
    pub(super) node_inodes: Option<Amount>,
    pub(super) image_disk: Option<Amount>,
    pub(super) image_inodes: Option<Amount>,
}

/// What pods are ended for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Memory,
    Disk,
    Inodes,
}

impl Resource {
    /// As messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "ephemeral-storage",
            Self::Inodes => "inodes",
        }
    }
}

/// Something is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) resource: Resource,
    /// The least that there should be.
    pub(super) threshold: u64,
    pub(super) available: u64,
}

/// The worst shortage: memory before everything else.
pub(super) fn shortage(signals: &Signals) -> Option<Shortage> {
    let percent = |amount: Option<Amount>, percent| amount.map(|amount| (amount, amount.capacity / 100 * percent));
    let checks = [
        (Resource::Memory, signals.memory.map(|amount| (amount, MEMORY_MIN_BYTES))),
        (Resource::Disk, percent(signals.node_disk, 10)),
        (Resource::Disk, percent(signals.image_disk, 15)),
        (Resource::Inodes, percent(signals.node_inodes, 5)),
        (Resource::Inodes, percent(signals.image_inodes, 5)),
    ];
    checks.into_iter().find_map(|(resource, check)| {
        // A file system that does not count, such as one without inodes, has a capacity of 0.
        let (Amount { available, .. }, threshold) = check.filter(|(amount, _)| amount.capacity > 0)?;
        (available < threshold).then_some(Shortage { resource, threshold, available })
    })
}

/// Since when each pressure was last seen, by the monotonic clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    memory: Option<Duration>,
    disk: Option<Duration>,
}

impl Seen {
    /// Takes note of what was measured at `now`, and gives what the node shows.
    pub(super) fn update(&mut self, signals: &Signals, now: Duration) -> Pressure {
        let only_disk = Signals { memory: None, ..*signals };
        let only_memory = Signals { memory: signals.memory, ..Signals::default() };
        if shortage(&only_memory).is_some() {
            self.memory = Some(now);
        }
        if shortage(&only_disk).is_some() {
            self.disk = Some(now);
        }
        let lasts = |seen: Option<Duration>| seen.is_some_and(|seen| now.saturating_sub(seen) < TRANSITION);
        // Upstream has no default threshold for process ids.
        Pressure { memory: lasts(self.memory), disk: lasts(self.disk), pids: false }
    }
}

/// A pod that may go, with what each of its containers uses of what is scarce, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) pod: &'a Pod,
    pub(super) usage: BTreeMap<String, u64>,
}

/// Which one goes first: those that use more than they asked for, then the less important, then those that use the most
/// beyond what they asked for.
pub(super) fn first<'a, 'b>(candidates: &'b [Candidate<'a>], resource: Resource) -> Option<&'b Candidate<'a>> {
    candidates.iter().min_by_key(|candidate| {
        let used = candidate.usage.values().sum::<u64>();
        let asked = match resource {
            // In thousandths.
            Resource::Memory | Resource::Disk => {
                let requests = admission::requests(candidate.pod);
                u64::try_from(requests.get(resource.name()).copied().unwrap_or(0) / 1_000).unwrap_or(0)
            }
            Resource::Inodes => 0,
        };
        let priority = candidate.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
        let beyond = i128::from(used) - i128::from(asked);
        (Reverse(used > asked), priority, Reverse(beyond))
    })
}

fn shown(bytes: u64) -> Quantity {
    Quantity::new(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi)
}

/// What the pod's status and event say.
pub(super) fn message(shortage: &Shortage, candidate: &Candidate<'_>) -> String {
    let resource = shortage.resource.name();
    let (threshold, available) = (shown(shortage.threshold), shown(shortage.available));
    let mut text =
        format!("The node was low on resource: {resource}. Threshold quantity: {threshold}, available: {available}. ");
    for container in candidate.pod.spec.iter().flat_map(|spec| &spec.containers) {
        let Some(used) = candidate.usage.get(&container.name) else { continue };
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let asked = requests.and_then(|requests| requests.get(resource));
        if *used > asked.map_or(0, resources::units) {
            let asked = asked.map_or_else(|| "0".to_owned(), |asked| asked.0.clone());
            text.push_str(&format!(
                "Container {} was using {}, request is {asked}, has larger consumption of {resource}. ",
                container.name,
                shown(*used)
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn amount(available: u64, capacity: u64) -> Option<Amount> {
        Some(Amount { available, capacity })
    }

    fn plenty() -> Signals {
        let disk = amount(50 * GIB, 100 * GIB);
        Signals { memory: amount(4 * GIB, 8 * GIB), node_disk: disk, image_disk: disk, ..Signals::default() }
    }

    #[test]
    fn shortages_begin_below_the_thresholds() {
        assert_eq!(shortage(&plenty()), None);
        let none = Signals { node_inodes: amount(0, 0), ..Signals::default() };
        assert_eq!(shortage(&none), None);
        let little = Signals { memory: amount(99 << 20, 8 * GIB), node_disk: amount(0, 100 * GIB), ..plenty() };
        let want = Shortage { resource: Resource::Memory, threshold: 100 << 20, available: 99 << 20 };
        assert_eq!(shortage(&little), Some(want));
        let disk = Signals { image_disk: amount(14 * GIB, 100 * GIB), ..plenty() };
        assert_eq!(shortage(&disk).map(|found| (found.resource, found.threshold)), Some((Resource::Disk, 15 * GIB)));
        let inodes = Signals { node_inodes: amount(4, 100), ..plenty() };
        assert_eq!(shortage(&inodes).map(|found| found.resource), Some(Resource::Inodes));
    }

    #[test]
    fn a_pressure_is_shown_for_five_minutes_after_it_was_seen() {
        let (mut seen, at) = (Seen::default(), Duration::from_secs);
        let little = Signals { memory: amount(1, 8 * GIB), ..plenty() };
        assert_eq!(seen.update(&plenty(), at(0)), Pressure::default());
        assert_eq!(seen.update(&little, at(10)), Pressure { memory: true, ..Pressure::default() });
        assert_eq!(seen.update(&plenty(), at(300)), Pressure { memory: true, ..Pressure::default() });
        assert_eq!(seen.update(&plenty(), at(310)), Pressure::default());
    }

    #[test]
    fn the_greedy_go_before_the_unimportant_before_the_big() {
        let pod = |name: &str, priority: i32, request: &str| -> Pod {
            let resources = json!({"requests": {"memory": request}});
            serde_json::from_value(json!({"metadata": {"name": name},
                "spec": {"priority": priority, "containers": [{"name": "c", "resources": resources}]}}))
            .unwrap()
        };
        let pods =
            [pod("modest", 0, "2Gi"), pod("greedy", 5, "1Gi"), pod("greedier", 5, "1Gi"), pod("vital", 9, "1Mi")];
        let used = [GIB, 2 * GIB, 3 * GIB, 4 * GIB];
        let mut candidates: Vec<Candidate<'_>> = pods
            .iter()
            .zip(used)
            .map(|(pod, used)| Candidate { pod, usage: [("c".to_owned(), used)].into() })
            .collect();
        let mut order = Vec::new();
        while let Some(found) = first(&candidates, Resource::Memory) {
            let name = found.pod.metadata.name.clone().unwrap();
            candidates.retain(|candidate| candidate.pod.metadata.name.as_ref() != Some(&name));
            order.push(name);
        }
        assert_eq!(order, ["greedier", "greedy", "vital", "modest"]);

        let shortage = Shortage { resource: Resource::Memory, threshold: 100 << 20, available: 50 << 20 };
        let greedy = Candidate { pod: &pods[1], usage: [("c".to_owned(), 2 * GIB)].into() };
        assert_eq!(
            message(&shortage, &greedy),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using \
             2Gi, request is 1Gi, has larger consumption of memory. "
        );
    }
}
