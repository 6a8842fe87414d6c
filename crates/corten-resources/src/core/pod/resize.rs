//! Changing the resources of a pod's containers while they run.

use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    resource::Context,
    value::{Map, semantically_equal},
};

use super::{qos, validation};
use crate::{
    report::Report,
    rules::{keep, keep_metadata},
};

/// The resources of the pod as a whole, and the gate behind which they may change.
const POD_LEVEL: &[&str] = &["spec", "resources"];
const POD_LEVEL_GATE: &str = "InPlacePodLevelResourcesVerticalScaling";

/// What a resize may set on a container.
const RESIZABLE: [&str; 2] = ["resources", "resizePolicy"];

/// Takes only resources and resize policies from `pod`. Containers that were added, removed or renamed stay as sent, so that
/// validation refuses them.
pub(super) fn keep_all_but_resources(features: &Features, pod: &mut Value, old: &Value) {
    let count = |pod: &Value, list: &str| pod.items_at(&["spec", list]).len();
    if ["containers", "initContainers"].iter().any(|list| count(pod, list) != count(old, list)) {
        return;
    }
    let merged = ["containers", "initContainers"].map(|list| merge(pod, old, list));
    let of_pod = pod.at(POD_LEVEL).cloned();
    keep(pod, old, &["spec"]);
    if features.is_enabled(POD_LEVEL_GATE) {
        match of_pod {
            Some(resources) => pod.set(POD_LEVEL, resources),
            None => {
                pod.unset(POD_LEVEL);
            }
        }
    }
    keep(pod, old, &["status"]);
    keep_metadata(pod, old);
    for (list, containers) in ["containers", "initContainers"].into_iter().zip(merged) {
        if !containers.is_empty() {
            pod.set(&["spec", list], containers);
        }
    }
}

fn merge(pod: &Value, old: &Value, list: &str) -> Vec<Value> {
    let (new, old) = (pod.items_at(&["spec", list]), old.items_at(&["spec", list]));
    if new.iter().zip(old).any(|(new, old)| new.get("name") != old.get("name")) {
        return new.to_vec();
    }
    new.iter()
        .zip(old)
        .map(|(new, old)| {
            let mut container = old.clone();
            RESIZABLE.iter().for_each(|field| keep(&mut container, new, &[field]));
            container
        })
        .collect()
}

pub(super) fn validate(cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
    // Upstream names no field, which is shown like this.
    let nowhere = Path::new("[]");
    let whole = |detail: &str| ErrorList::from(Error::forbidden(&nowhere, detail));
    if old.annotation("kubernetes.io/config.mirror").is_some() {
        return whole("static pods cannot be resized");
    }
    if old.str_at(&["spec", "os", "name"]) == Some("windows") {
        return whole("windows pods cannot be resized");
    }
    let mut errors = validation::metadata_and_spec(cx, pod, old);
    let spec = Path::new("spec");
    let old_class = old.str_at(&["status", "qosClass"]).filter(|class| !class.is_empty());
    let old_class = old_class.unwrap_or_else(|| old.get("spec").map_or("BestEffort", qos::class));
    if pod.get("spec").map(qos::class) != Some(old_class) {
        errors.invalid(&spec, old_class, "Pod QOS Class may not change as a result of resizing");
    }
    let running =
        old.items_at(&["status", "containerStatuses"]).iter().find(|status| status.at(&["state", "running"]).is_some());
    if running.is_some_and(|status| status.get("resources").is_none()) {
        errors.forbidden(&spec, "Pod running on node without support for resize");
    }
    let has_pod_level = |pod: &Value| {
        ["requests", "limits"].iter().any(|list| !semantically_equal(pod.at(&["spec", "resources", list]), None))
    };
    let mut is_of_pod = false;
    if has_pod_level(pod) || has_pod_level(old) {
        if !cx.features.is_enabled(POD_LEVEL_GATE) {
            let detail = "resize of pods with pod-level resources is forbidden when \
                          InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled";
            errors.forbidden(&nowhere, detail);
            return errors;
        }
        is_of_pod = true;
        pod_level(pod, old, &mut errors);
    }
    let others = other_containers(pod, old, &spec);
    if !others.is_empty() {
        // All further rules compare containers in their order.
        errors.extend(others);
        return errors;
    }
    let pairs = |list: &'static str| pod.items_at(&["spec", list]).iter().zip(old.items_at(&["spec", list]));
    let is_sidecar = |container: &Value| container.str_at(&["restartPolicy"]) == Some("Always");
    for list in ["initContainers", "containers"] {
        let resizable = pairs(list).enumerate().filter(|(_, (_, old))| list == "containers" || is_sidecar(old));
        for (index, (new, old)) in resizable {
            container(new, old, &spec.child(list).index(index).child("resources"), &mut errors);
        }
    }
    for (new, old) in pairs("containers") {
        if !differs_in_compute_only(new, old) {
            errors.forbidden(&spec, "only cpu and memory resources are mutable");
        }
    }
    for (new, old) in pairs("initContainers") {
        if !is_sidecar(new) {
            if !semantically_equal(Some(new), Some(old)) {
                errors.forbidden(&spec, "resources for non-sidecar init containers are immutable");
            }
        } else if !differs_in_compute_only(new, old) {
            errors.forbidden(&spec, "only cpu and memory resources for sidecar containers are mutable");
        }
    }
    if errors.is_empty() && !differs_in_containers_only(pod, old, is_of_pod) {
        errors.forbidden(&spec, "only cpu and memory resources are mutable");
    }
    errors
}

/// Containers that were added, removed, renamed or moved.
fn other_containers(pod: &Value, old: &Value, spec: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for list in ["containers", "initContainers"] {
        let (new, old) = (pod.items_at(&["spec", list]), old.items_at(&["spec", list]));
        let at = spec.child(list);
        if new.len() != old.len() {
            errors.forbidden(&at, format!("{list} may not be added or removed on resize"));
            continue;
        }
        for (index, _) in new.iter().zip(old).enumerate().filter(|(_, (new, old))| new.get("name") != old.get("name")) {
            let at = at.index(index).child("name");
            errors.forbidden(&at, format!("{list} may not be renamed or reordered on resize"));
        }
    }
    errors
}

/// Requests and limits may change, and memory limits go down too since v1.34, but not go away.
fn container(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    for (list, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
        let had = old.at(&["resources", list]).and_then(Value::as_object);
        let gone = |name: &str| new.at(&["resources", list, name]).is_none();
        if had.is_some_and(|had| had.keys().any(gone)) {
            errors.forbidden(&path.child(list), format!("{what} cannot be removed"));
        }
    }
}

/// Whether two containers are the same apart from cpu and memory.
fn differs_in_compute_only(new: &Value, old: &Value) -> bool {
    let mut munged = new.clone();
    for list in ["requests", "limits"] {
        for name in ["cpu", "memory"] {
            keep(&mut munged, old, &["resources", list, name]);
        }
        let path = ["resources", list];
        if munged.at(&path).and_then(Value::as_object).is_some_and(Map::is_empty) {
            munged.unset(&path);
        }
    }
    // Upstream compares without claims, so that a container with claims is never the same.
    munged.unset(&["resources", "claims"]);
    semantically_equal(Some(&munged), Some(old))
}

/// What the pod as a whole has may change, but not go away; and only cpu and memory may.
fn pod_level(pod: &Value, old: &Value, errors: &mut ErrorList) {
    let at = Path::new("spec").child("resources");
    let (new, was) = (pod.at(POD_LEVEL), old.at(POD_LEVEL));
    if was.is_some() && new.is_none() {
        errors.forbidden(&at, "pod-level resources cannot be removed");
        return;
    }
    for list in ["requests", "limits"] {
        let had = was.and_then(|was| was.get(list)).and_then(Value::as_object);
        let gone = |name: &str| new.is_none_or(|new| new.at(&[list, name]).is_none());
        if had.is_some_and(|had| had.keys().any(gone)) {
            errors.forbidden(&at.child(list), format!("pod-level resource {list} cannot be removed"));
        }
    }
    let mut munged = new.cloned().unwrap_or_else(Value::object);
    let empty = Value::object();
    for list in ["requests", "limits"] {
        for name in ["cpu", "memory"] {
            keep(&mut munged, was.unwrap_or(&empty), &[list, name]);
        }
    }
    if !semantically_equal(Some(&munged), was) {
        errors.forbidden(&Path::new("spec"), "only cpu and memory resources are mutable at pod-level");
    }
}

fn differs_in_containers_only(pod: &Value, old: &Value, is_of_pod: bool) -> bool {
    let mut munged = pod.clone();
    if is_of_pod {
        // Compared above.
        keep(&mut munged, old, POD_LEVEL);
    }
    for list in ["containers", "initContainers"] {
        keep(&mut munged, old, &["spec", list]);
    }
    semantically_equal(munged.get("spec"), old.get("spec"))
}
