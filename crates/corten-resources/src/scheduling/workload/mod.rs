//! Workloads: groups of pods that are scheduled together.
//!
//! Upstream: pkg/registry/scheduling/workload, pkg/apis/scheduling (v1.35).

mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{as_sent::AsSent, defaulting, kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "scheduling.k8s.io",
    "Workload",
    ("workload", "workloads"),
    &[Version::hub("v1alpha1", "io.k8s.api.scheduling.v1alpha1.Workload", defaulting::none).gated("GenericWorkload")],
    &AsSent { create: validation::create, update: validation::update },
    &show::CREATED_AT,
);

#[cfg(test)]
mod tests;
