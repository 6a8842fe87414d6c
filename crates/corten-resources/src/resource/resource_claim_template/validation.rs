//! Rules of claim templates.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
    validation::{validate_annotations, validate_label_map},
};

use super::strategy::DEVICES;
use crate::{
    report::Report,
    resource::{claim_spec::validation, rules::lists::present},
};

/// What a template's metadata cannot have, in upstream's order, and how it names them.
const NOT_OF_TEMPLATES: [(&str, &str); 13] = [
    ("name", "name"),
    ("generateName", "generateName"),
    ("namespace", "namespace"),
    ("selfLink", "selfLink"),
    ("uid", "uID"),
    ("resourceVersion", "resourceVersion"),
    ("generation", "generation"),
    ("creationTimestamp", "creationTimestamp"),
    ("deletionTimestamp", "deletionTimestamp"),
    ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
    ("ownerReferences", "ownerReferences"),
    ("finalizers", "finalizers"),
    ("managedFields", "managedFields"),
];

pub(super) fn create(cx: &Context<'_>, template: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    metadata(template, &path.child("metadata"), &mut errors);
    let empty = Value::object();
    let devices = template.at(DEVICES).unwrap_or(&empty);
    validation::devices(devices, cx.features, &path.child("spec").child("devices"), &mut errors);
    errors
}

/// Claims get labels and annotations of their template, and nothing else.
fn metadata(template: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(metadata) = template.get("spec").and_then(|spec| present(spec, "metadata")) else { return };
    let map = |field: &str| metadata.get(field).and_then(Value::as_object);
    if let Some(annotations) = map("annotations") {
        errors.extend(validate_annotations(annotations, &path.child("annotations")));
    }
    if let Some(labels) = map("labels") {
        errors.extend(validate_label_map(labels, &path.child("labels")));
    }
    for (field, shown) in NOT_OF_TEMPLATES {
        if present(metadata, field).is_some_and(|value| !is_zero(value)) {
            errors.forbidden(&path.child(shown), "cannot be set");
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Int(number) => *number == 0,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

pub(super) fn update(template: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.immutable_struct(
        &Path::new("spec"),
        "io.k8s.api.resource.v1.ResourceClaimTemplateSpec",
        template.get("spec"),
        old.get("spec"),
    );
    errors
}
