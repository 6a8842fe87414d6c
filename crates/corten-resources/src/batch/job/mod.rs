//! Jobs.
//!
//! Upstream: pkg/registry/batch/job, pkg/apis/batch (v1.35).

mod defaults;
mod pod_labels;
mod strategy;
mod table;
mod validation;
mod warnings;

use corten_apimachinery::{
    Value,
    resource::{ResourceDefinition, SelectableField, Version},
    value::format_str,
};

pub(super) use validation::common as validate_common;
pub(super) use warnings::spec as spec_warnings;

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["all"],
    subresources: &[status(&strategy::STATUS)],
    selectable_fields: &[SelectableField::new("status.successful", |job| {
        format_str!("{}", job.i64_at(&["status", "succeeded"]).unwrap_or_default())
    })],
    ..standard(
        "batch",
        "Job",
        ("job", "jobs"),
        &[Version::hub("v1", "io.k8s.api.batch.v1.Job", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

/// Whether the status of a job has a condition, and it is so.
fn is_true(job: &Value, condition: &str) -> bool {
    job.items_at(&["status", "conditions"])
        .iter()
        .any(|found| found.str_at(&["type"]) == Some(condition) && found.str_at(&["status"]) == Some("True"))
}

#[cfg(test)]
mod tests;
