//! Horizontal pod autoscalers.
//!
//! Version v2 is stored and checked. Version v1 knows of CPU alone; what it cannot say is in annotations there.
//! Upstream: pkg/registry/autoscaling/horizontalpodautoscaler, pkg/apis/autoscaling (v1.35).

mod conversion;
mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "autoscaling",
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscaler", "horizontalpodautoscalers"),
        &[
            Version::hub("v2", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", defaults::v2),
            Version::like_hub("v1", "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", defaults::v1)
                .converted(conversion::to_hub, conversion::from_hub),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
