//! The admission plugins of a cluster: `catalog` lists them in order.

pub mod catalog;

mod admin_access;
mod certificate_requests;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod namespace_lifecycle;
mod node_restriction;
mod pod_topology_labels;
mod policy_params;
mod priority;
mod runtime_class;
mod service_account;
mod signers;
mod storage_object_in_use;
mod taint_nodes_by_condition;
mod tolerations;
mod volume_claim_resize;
mod wait;

use std::cmp::Reverse;

use corten_apimachinery::{meta::ObjectMeta as _, status::Status, value::Value};
use corten_apiserver::admission::{Attributes, Operation};

/// The refusal of a request, with its reason.
fn forbidden(attributes: &Attributes<'_>, why: impl std::fmt::Display) -> Status {
    Status::forbidden(&attributes.resource.group_resource(), &attributes.name, why)
}

/// Whether a request is about a pod itself.
fn is_pod(resource: &corten_apimachinery::gvk::GroupVersionResource, subresource: &str) -> bool {
    resource.group.is_empty() && resource.resource == "pods" && subresource.is_empty()
}

/// Of several defaults the one that counts: the newest, and of those of the same age the first by name.
fn newest_by_name<'v>(defaults: impl Iterator<Item = &'v Value>) -> Option<&'v Value> {
    let age = |class: &&Value| {
        // Times of objects are all written alike, so that their order is that of their texts.
        let created = class.str_at(&["metadata", "creationTimestamp"]).unwrap_or_default().to_owned();
        (Reverse(created), class.name().to_owned())
    };
    defaults.min_by_key(age)
}

fn is_create(operation: Operation) -> bool {
    operation == Operation::Create
}

/// The annotation of a pod that stands for one that a node has started by itself.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
/// The names of fields that hold a pod's containers.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

fn texts<'a>(items: &'a [Value], key: &'a str) -> impl Iterator<Item = &'a str> {
    items.iter().filter_map(move |item| item.str_at(&[key]))
}

#[cfg(test)]
mod tests;
