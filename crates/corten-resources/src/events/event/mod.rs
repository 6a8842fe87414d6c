//! The events of the core group in the form of `events.k8s.io`.
//!
//! Upstream: pkg/apis/events/v1/conversion.go (v1.35).

mod conversion;

use corten_apimachinery::resource::{ResourceDefinition, SelectableField, Version};

use crate::{
    core, defaulting,
    kind::{selectable, standard},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ev"],
    stored_as: Some(&core::event::RESOURCE),
    // Read from the stored form, so by the paths of the core group.
    selectable_fields: &[
        selectable!("regarding.kind", "involvedObject", "kind"),
        selectable!("regarding.namespace", "involvedObject", "namespace"),
        selectable!("regarding.name", "involvedObject", "name"),
        selectable!("regarding.uid", "involvedObject", "uid"),
        selectable!("regarding.apiVersion", "involvedObject", "apiVersion"),
        selectable!("regarding.resourceVersion", "involvedObject", "resourceVersion"),
        selectable!("regarding.fieldPath", "involvedObject", "fieldPath"),
        selectable!("reason", "reason"),
        selectable!("reportingController", "reportingComponent"),
        SelectableField::new("source", core::event::source),
        selectable!("type", "type"),
    ],
    expires: true,
    ..standard(
        "events.k8s.io",
        "Event",
        ("event", "events"),
        &[Version::like_hub("v1", "io.k8s.api.events.v1.Event", defaulting::none)
            .converted(conversion::to_core, conversion::from_core)],
        &core::event::Strict,
        &core::event::TABLE,
    )
};

#[cfg(test)]
mod tests;
