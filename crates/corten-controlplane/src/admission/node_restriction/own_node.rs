//! A node's own object: what it may write of it, above all which labels.

use std::collections::BTreeSet;

use corten_apimachinery::{
    field::quote,
    meta::ObjectMeta as _,
    value::{Map, Str},
};
use corten_apiserver::admission::{Attributes, Operation};

/// Labels that decide where trusted workloads go.
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// The labels of the project that a kubelet may set on its node.
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
/// The domains under which it may set any.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(super) fn own_node(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let (object, old, quoted) = (&attributes.object, &attributes.old_object, quote(node));
    if attributes.name != node {
        return Err(format!("node {quoted} is not allowed to modify node {}", quote(&attributes.name)));
    }
    let config = object.at(&["spec", "configSource"]).filter(|config| !config.is_null());
    match attributes.operation {
        Operation::Create => {
            if config.is_some() {
                return Err(format!("node {quoted} is not allowed to create pods with a non-nil configSource"));
            }
            let labels = restricted(&changed_keys(object.labels(), None));
            if !labels.is_empty() {
                return Err(format!("node {quoted} is not allowed to set the following labels: {labels}"));
            }
        }
        Operation::Update => {
            if config.is_some() && config != old.at(&["spec", "configSource"]) {
                return Err(format!(
                    "node {quoted} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            if object.items_at(&["spec", "taints"]) != old.items_at(&["spec", "taints"]) {
                return Err(format!("node {quoted} is not allowed to modify taints"));
            }
            // An owner that is not there would have the garbage collector delete the node.
            if object.items_at(&["metadata", "ownerReferences"]) != old.items_at(&["metadata", "ownerReferences"]) {
                return Err(format!("node {quoted} is not allowed to modify ownerReferences"));
            }
            let labels = restricted(&changed_keys(object.labels(), old.labels()));
            if !labels.is_empty() {
                return Err(format!("is not allowed to modify labels: {labels}"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// The keys whose values differ.
pub(super) fn changed_keys(new: Option<&Map>, old: Option<&Map>) -> BTreeSet<Str> {
    let mut changed = BTreeSet::new();
    for (map, other) in [(new, old), (old, new)] {
        for (key, value) in map.into_iter().flat_map(|map| map.iter()) {
            if other.and_then(|other| other.get(key)) != Some(value) {
                changed.insert(Str::from(key));
            }
        }
    }
    changed
}

/// Those labels that a kubelet may not touch, as a list for people.
fn restricted(labels: &BTreeSet<Str>) -> String {
    let restricted: Vec<&str> = labels.iter().map(Str::as_str).filter(|label| is_restricted(label)).collect();
    restricted.join(", ")
}

pub(super) fn is_restricted(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return false };
    let within = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if within(RESTRICTED) {
        return true;
    }
    let is_projects = within("kubernetes.io") || within("k8s.io");
    is_projects && !OWN_LABELS.contains(&label) && !OWN_DOMAINS.iter().any(|domain| within(domain))
}
