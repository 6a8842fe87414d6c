//! How much room a driver has for volumes of a class in a part of the cluster.
//!
//! Upstream: pkg/registry/storage/csistoragecapacity, pkg/apis/storage (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "storage.k8s.io",
    "CSIStorageCapacity",
    ("csistoragecapacity", "csistoragecapacities"),
    &[Version::hub("v1", "io.k8s.api.storage.v1.CSIStorageCapacity", defaulting::none)],
    &strategy::Main,
    &table::TABLE,
);

#[cfg(test)]
mod tests;
