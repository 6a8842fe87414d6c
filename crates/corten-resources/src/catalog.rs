//! The built-in resources, by group as discovery lists them and by name within a group.

use corten_apimachinery::resource::ResourceDefinition;

use crate::{
    apps, authentication, authorization, certificates, coordination, core, discovery, events, node, rbac, scheduling,
    storage,
};

// order matters: discovery lists groups in it.

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
    &authentication::self_subject_review::RESOURCE,
    &authentication::token_review::RESOURCE,
    &authorization::local_subject_access_review::RESOURCE,
    &authorization::self_subject_access_review::RESOURCE,
    &authorization::self_subject_rules_review::RESOURCE,
    &authorization::subject_access_review::RESOURCE,
    &certificates::certificate_signing_request::RESOURCE,
    &coordination::lease::RESOURCE,
    &discovery::endpoint_slice::RESOURCE,
    &events::event::RESOURCE,
    &node::runtime_class::RESOURCE,
    &rbac::cluster_role_binding::RESOURCE,
    &rbac::cluster_role::RESOURCE,
    &rbac::role_binding::RESOURCE,
    &rbac::role::RESOURCE,
    &scheduling::priority_class::RESOURCE,
    &storage::storage_class::RESOURCE,
];

#[cfg(test)]
mod tests;
