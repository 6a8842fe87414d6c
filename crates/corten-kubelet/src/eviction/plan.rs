//! Whether a pod uses more than it may, and the words that say so. Pure.

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{Container, Pod, Volume},
    quantity::Quantity as ApiQuantity,
};
use corten_apimachinery::quantity::Quantity;

use crate::{containers::resources, status::conditions::is_sidecar};

const STORAGE: &str = "ephemeral-storage";

/// What a pod may use of the disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Limits {
    /// Empty directories with a limit.
    volumes: Vec<(String, ApiQuantity)>,
    /// The containers' limits together; `None` if none has one.
    pod_bytes: Option<i64>,
    containers: Vec<(String, ApiQuantity)>,
}

/// What a pod uses, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Empty directories on disk.
    pub(super) volumes: BTreeMap<String, u64>,
    /// What each container has written to its own file system.
    pub(super) layers: BTreeMap<String, u64>,
    /// And to its log.
    pub(super) logs: BTreeMap<String, u64>,
    /// The kubelet's own files for the pod.
    pub(super) others: u64,
}

/// The pod's empty directories that are on disk.
pub(super) fn empty_dirs(pod: &Pod) -> impl Iterator<Item = &str> {
    volumes(pod).filter(|volume| is_on_disk(volume)).map(|volume| volume.name.as_str())
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

/// Memory and huge pages are bounded by their mounts.
fn is_on_disk(volume: &Volume) -> bool {
    volume.empty_dir.as_ref().is_some_and(|source| source.medium.as_deref().unwrap_or_default().is_empty())
}

impl Limits {
    pub(super) fn of(pod: &Pod) -> Self {
        let limited = |volume: &Volume| {
            let limit = volume.empty_dir.as_ref()?.size_limit.clone()?;
            (is_on_disk(volume) && resources::units(&limit) > 0).then(|| (volume.name.clone(), limit))
        };
        let ordinary = pod.spec.iter().flat_map(|spec| &spec.containers);
        let of = |container: &Container| Some((container.name.clone(), limit(container)?));
        Self {
            volumes: volumes(pod).filter_map(limited).collect(),
            pod_bytes: pod_limit(pod),
            containers: ordinary.filter_map(of).filter(|(_, limit)| resources::units(limit) > 0).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.volumes.is_empty() && !self.has_storage()
    }

    /// Whether containers are to be measured.
    pub(super) fn has_storage(&self) -> bool {
        self.pod_bytes.is_some() || !self.containers.is_empty()
    }
}

fn limit(container: &Container) -> Option<ApiQuantity> {
    container.resources.as_ref()?.limits.as_ref()?.get(STORAGE).cloned()
}

/// What containers may use together: the ordinary ones and the sidecars, or the largest moment of the initialisation.
/// Source: `PodLimits`.
fn pod_limit(pod: &Pod) -> Option<i64> {
    let spec = pod.spec.as_ref()?;
    let bytes = |container: &Container| limit(container).map(|limit| bytes(&limit));
    let (mut sidecars, mut peak) = (None::<i64>, None::<i64>);
    for init in spec.init_containers.iter().flatten() {
        let own = bytes(init);
        let at_once = if own.is_none() && sidecars.is_none() {
            None
        } else {
            Some(own.unwrap_or(0).saturating_add(sidecars.unwrap_or(0)))
        };
        if is_sidecar(init) {
            sidecars = at_once;
        }
        peak = peak.max(at_once);
    }
    let ordinary = spec.containers.iter().filter_map(bytes).reduce(i64::saturating_add);
    let together = match (ordinary, sidecars) {
        (None, None) => None,
        (ordinary, sidecars) => Some(ordinary.unwrap_or(0).saturating_add(sidecars.unwrap_or(0))),
    };
    together.max(peak)
}

fn bytes(quantity: &ApiQuantity) -> i64 {
    i64::try_from(resources::units(quantity)).unwrap_or(i64::MAX)
}

/// The message of the eviction, if the pod uses more than it may.
pub(super) fn violation(limits: &Limits, usage: &Usage) -> Option<String> {
    for (name, limit) in &limits.volumes {
        if usage.volumes.get(name).is_some_and(|used| *used > resources::units(limit)) {
            let limit = canonical(limit);
            return Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit {limit:?}. "));
        }
    }
    let parts = usage.volumes.values().chain(usage.layers.values()).chain(usage.logs.values());
    let total = parts.sum::<u64>() + usage.others;
    if let Some(limit) = limits.pod_bytes.filter(|limit| i64::try_from(total).unwrap_or(i64::MAX) > *limit) {
        let limit = Quantity::new(limit, corten_apimachinery::quantity::Format::BinarySi);
        return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
    }
    limits.containers.iter().find_map(|(name, limit)| {
        let of = |list: &BTreeMap<String, u64>| list.get(name).copied().unwrap_or(0);
        let used = of(&usage.layers) + of(&usage.logs);
        let limit_text = canonical(limit);
        (used > resources::units(limit))
            .then(|| format!("Container {name} exceeded its local ephemeral storage limit {limit_text:?}. "))
    })
}

fn canonical(quantity: &ApiQuantity) -> String {
    quantity.0.parse::<Quantity>().map_or_else(|_| quantity.0.clone(), |quantity| quantity.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, usage: &Usage, want: Option<&str>) {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(violation(&Limits::of(&pod), usage).as_deref(), want);
    }

    fn used(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter().map(|(name, mib)| (name.to_string(), mib << 20)).collect()
    }

    #[test]
    fn an_empty_directory_may_be_full_and_not_more() {
        let spec = json!({"containers": [{"name": "c"}], "volumes": [
            {"name": "e", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "free", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ]});
        let full = Usage { volumes: used(&[("e", 1), ("free", 500), ("memory", 5)]), ..Usage::default() };
        check(spec.clone(), &full, None);
        let over = Usage { volumes: used(&[("e", 5)]), ..Usage::default() };
        check(spec, &over, Some("Usage of EmptyDir volume \"e\" exceeds the limit \"1Mi\". "));
    }

    #[test]
    fn containers_are_bounded_alone_and_together() {
        let limited = |name: &str, limit: &str| json!({"name": name, "resources": {"limits": {STORAGE: limit}}});
        let spec = json!({"containers": [limited("a", "10Mi"), limited("b", "20Mi")]});
        let of = |a, b, volume| Usage {
            layers: used(&[("a", a), ("b", b)]),
            logs: used(&[("a", 1)]),
            volumes: used(&[("e", volume)]),
            others: 0,
        };
        check(spec.clone(), &of(9, 20, 0), None);
        check(spec.clone(), &of(10, 1, 0), Some("Container a exceeded its local ephemeral storage limit \"10Mi\". "));
        check(
            spec,
            &of(1, 1, 40),
            Some("Pod ephemeral local storage usage exceeds the total limit of containers 30Mi. "),
        );
        // One limit is enough to bound the pod, as upstream sums them.
        let spec = json!({"containers": [limited("a", "10Mi"), {"name": "b"}]});
        check(
            spec,
            &of(1, 50, 0),
            Some("Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "),
        );
        check(json!({"containers": [{"name": "a"}]}), &of(500, 500, 500), None);
    }
}
