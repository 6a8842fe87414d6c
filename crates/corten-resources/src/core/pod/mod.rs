//! Pods.
//!
//! Upstream: pkg/registry/core/pod, pkg/apis/core/validation, pkg/api/pod (v1.35).

mod apparmor;
mod claims;
mod container_status;
mod defaults;
mod qos;
mod resize;
mod restarts;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::{
    Str,
    resource::{ResourceDefinition, SelectableField, Verb, Version},
};

use crate::kind::{GET_PATCH_UPDATE, custom, object, selectable, standard, status};

const CREATE_GET: &[Verb] = &[Verb::Create, Verb::Get];
const PROXY: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["po"],
    categories: &["all"],
    subresources: &[
        custom("attach", ("", "", "PodAttachOptions"), CREATE_GET),
        custom("binding", ("", "", "Binding"), Verb::CREATE_ONLY),
        object("ephemeralcontainers", &strategy::EphemeralContainers, GET_PATCH_UPDATE),
        custom("eviction", ("policy", "v1", "Eviction"), Verb::CREATE_ONLY),
        custom("exec", ("", "", "PodExecOptions"), CREATE_GET),
        custom("log", ("", "", "Pod"), &[Verb::Get]),
        custom("portforward", ("", "", "PodPortForwardOptions"), CREATE_GET),
        custom("proxy", ("", "", "PodProxyOptions"), PROXY),
        object("resize", &strategy::Resize, GET_PATCH_UPDATE),
        status(&strategy::Status),
    ],
    selectable_fields: &[
        selectable!("spec.nodeName", "spec", "nodeName"),
        selectable!("spec.restartPolicy", "spec", "restartPolicy"),
        selectable!("spec.schedulerName", "spec", "schedulerName"),
        selectable!("spec.serviceAccountName", "spec", "serviceAccountName"),
        SelectableField::new("spec.hostNetwork", |pod| {
            let host_network = pod.bool_at(&["spec", "hostNetwork"]) == Some(true);
            Str::const_new(if host_network { "true" } else { "false" })
        }),
        selectable!("status.phase", "status", "phase"),
        selectable!("status.podIP", "status", "podIP"),
        selectable!("status.nominatedNodeName", "status", "nominatedNodeName"),
        // Upstream takes these two, too: the second is not among the fields it compares with, so that it is always empty.
        selectable!("spec.host", "spec", "nodeName"),
        SelectableField::new("status.podIPs", |_| Str::default()),
    ],
    ..standard(
        "",
        "Pod",
        ("pod", "pods"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Pod", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod recent_tests;
#[cfg(test)]
mod tests;
