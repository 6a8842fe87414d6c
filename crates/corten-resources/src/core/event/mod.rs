//! Events. Stored in this form; `events.k8s.io` shows the same objects in its own.
//!
//! Upstream: pkg/registry/core/event, pkg/apis/core/validation/events.go (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::{
    Str, Value,
    resource::{ResourceDefinition, SelectableField, Version},
};

use crate::{
    defaulting,
    kind::{selectable, standard},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ev"],
    selectable_fields: &[
        selectable!("involvedObject.kind", "involvedObject", "kind"),
        selectable!("involvedObject.namespace", "involvedObject", "namespace"),
        selectable!("involvedObject.name", "involvedObject", "name"),
        selectable!("involvedObject.uid", "involvedObject", "uid"),
        selectable!("involvedObject.apiVersion", "involvedObject", "apiVersion"),
        selectable!("involvedObject.resourceVersion", "involvedObject", "resourceVersion"),
        selectable!("involvedObject.fieldPath", "involvedObject", "fieldPath"),
        selectable!("reason", "reason"),
        selectable!("reportingComponent", "reportingComponent"),
        SelectableField::new("source", source),
        selectable!("type", "type"),
    ],
    expires: true,
    ..standard(
        "",
        "Event",
        ("event", "events"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Event", defaulting::none)],
        &strategy::Main,
        &table::TABLE,
    )
};

/// Who reported the event, in whichever of both fields says so.
pub(crate) fn source(event: &Value) -> Str {
    let text = |path: &[&str]| event.str_at(path).filter(|text| !text.is_empty());
    text(&["source", "component"]).or_else(|| text(&["reportingComponent"])).unwrap_or_default().into()
}

pub(crate) use strategy::Strict;
pub(crate) use table::TABLE;

#[cfg(test)]
mod tests;
