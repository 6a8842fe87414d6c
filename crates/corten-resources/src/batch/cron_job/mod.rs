//! Cron jobs.
//!
//! Upstream: pkg/registry/batch/cronjob, pkg/apis/batch (v1.35).

mod defaults;
pub mod schedule;
mod strategy;
mod table;
mod time_zone;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["cj"],
    categories: &["all"],
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "batch",
        "CronJob",
        ("cronjob", "cronjobs"),
        &[Version::hub("v1", "io.k8s.api.batch.v1.CronJob", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
