//! The built-in resources, by group as discovery lists them and by name within a group.

use corten_apimachinery::resource::ResourceDefinition;

use crate::{apps, coordination, core, discovery, events, scheduling};

// order matters: discovery lists groups in it.

/// Every built-in resource.
pub static RESOURCES: &[&ResourceDefinition] = &[
    &core::config_map::RESOURCE,
    &core::endpoints::RESOURCE,
    &core::event::RESOURCE,
    &core::namespace::RESOURCE,
    &core::node::RESOURCE,
    &core::persistent_volume_claim::RESOURCE,
    &core::pod::RESOURCE,
    &core::replication_controller::RESOURCE,
    &core::secret::RESOURCE,
    &core::service_account::RESOURCE,
    &core::service::RESOURCE,
    &apps::controller_revision::RESOURCE,
    &apps::deployment::RESOURCE,
    &apps::replica_set::RESOURCE,
    &coordination::lease::RESOURCE,
    &discovery::endpoint_slice::RESOURCE,
    &events::event::RESOURCE,
    &scheduling::priority_class::RESOURCE,
];

#[cfg(test)]
mod tests;
