//! Controller revisions: what a controller ran before, to roll back to.
//!
//! Upstream: pkg/registry/apps/controllerrevision, pkg/apis/apps (v1.35).

mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{as_sent::AsSent, defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "apps",
    "ControllerRevision",
    ("controllerrevision", "controllerrevisions"),
    &[Version::hub("v1", "io.k8s.api.apps.v1.ControllerRevision", defaulting::none)],
    &AsSent { create: validation::create, update: validation::update },
    &table::TABLE,
);

#[cfg(test)]
mod tests;
