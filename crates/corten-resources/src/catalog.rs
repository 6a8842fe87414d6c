//! The built-in resources, by group as discovery lists them and by name within a group.

use corten_apimachinery::resource::ResourceDefinition;

use crate::{coordination, core, events, scheduling};

// order matters: discovery lists groups in it.

/// Every built-in resource.
pub static RESOURCES: &[&ResourceDefinition] = &[
    &core::config_map::RESOURCE,
    &core::event::RESOURCE,
    &core::namespace::RESOURCE,
    &core::persistent_volume_claim::RESOURCE,
    &core::pod::RESOURCE,
    &core::secret::RESOURCE,
    &core::service_account::RESOURCE,
    &coordination::lease::RESOURCE,
    &events::event::RESOURCE,
    &scheduling::priority_class::RESOURCE,
];

#[cfg(test)]
mod tests;
