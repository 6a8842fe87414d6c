//! The built-in resources, by group as discovery lists them and by name within a group.

use corten_apimachinery::resource::ResourceDefinition;

use crate::{
    apps, authentication, authorization, certificates, coordination, core, discovery, events, node, rbac, scheduling,
    storage,
};

/// The groups in the order of discovery, by which clients choose a group where a kind is in several.
///
/// Upstream: `apiVersionPriorities` in pkg/controlplane/apiserver/aggregator.go (v1.35).
pub static GROUPS: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "storagemigration.k8s.io",
];

// order matters: by group as in `GROUPS`, then by name.

/// Every built-in resource.
pub static RESOURCES: &[&ResourceDefinition] = &[
    &core::binding::RESOURCE,
    &core::component_status::RESOURCE,
    &core::config_map::RESOURCE,
    &core::endpoints::RESOURCE,
    &core::event::RESOURCE,
    &core::namespace::RESOURCE,
    &core::node::RESOURCE,
    &core::persistent_volume_claim::RESOURCE,
    &core::persistent_volume::RESOURCE,
    &core::pod::RESOURCE,
    &core::pod_template::RESOURCE,
    &core::replication_controller::RESOURCE,
    &core::secret::RESOURCE,
    &core::service_account::RESOURCE,
    &core::service::RESOURCE,
    &apps::controller_revision::RESOURCE,
    &apps::deployment::RESOURCE,
    &apps::replica_set::RESOURCE,
    &events::event::RESOURCE,
    &authentication::self_subject_review::RESOURCE,
    &authentication::token_review::RESOURCE,
    &authorization::local_subject_access_review::RESOURCE,
    &authorization::self_subject_access_review::RESOURCE,
    &authorization::self_subject_rules_review::RESOURCE,
    &authorization::subject_access_review::RESOURCE,
    &certificates::certificate_signing_request::RESOURCE,
    &rbac::cluster_role_binding::RESOURCE,
    &rbac::cluster_role::RESOURCE,
    &rbac::role_binding::RESOURCE,
    &rbac::role::RESOURCE,
    &storage::storage_class::RESOURCE,
    &scheduling::priority_class::RESOURCE,
    &coordination::lease::RESOURCE,
    &node::runtime_class::RESOURCE,
    &discovery::endpoint_slice::RESOURCE,
];

#[cfg(test)]
mod tests;
