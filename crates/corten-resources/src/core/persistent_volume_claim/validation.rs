//! Rules of claims.

use corten_api::{
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec},
    quantity::Quantity as ViewQuantity,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    quantity::Quantity,
    resource::Context,
    validation::{is_dns1123_label, is_qualified_name},
    value::semantically_equal,
};

use crate::{
    core::pod_spec::validation::{
        ExpressionValues, NOT_POSITIVE, label_selector, label_selector_with, resource_quantity,
    },
    internal_form,
    quantity::Amount,
    report::{Report, with_view},
    rules::keep,
    tree::present,
    view::{list, or_default, text},
};

/// How a volume can be mounted.
pub(crate) const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// What a volume is to its user.
pub(crate) const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
/// How claims named their class before there was a field for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn create(claim: &Value) -> ErrorList {
    check(claim, Stored::default())
}

fn check(claim: &Value, stored: Stored) -> ErrorList {
    with_view(claim, |claim: &PersistentVolumeClaim, errors| {
        spec_with(&or_default(&claim.spec), stored, &Path::new("spec"), errors);
    })
}

/// What rules that came late do not ask of the claims that there were before them.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    /// The values of its selector are no label values.
    has_odd_selector: bool,
    /// It names a group, which was not looked at.
    has_group: bool,
}

/// The rules of a claim's spec, which a pod's generic ephemeral volume has too.
pub(crate) fn spec(spec: &PersistentVolumeClaimSpec, path: &Path, errors: &mut ErrorList) {
    spec_with(spec, Stored::default(), path, errors);
}

fn spec_with(spec: &PersistentVolumeClaimSpec, stored: Stored, path: &Path, errors: &mut ErrorList) {
    let at = |field: &str| path.child(field);
    let modes = list(&spec.access_modes);
    if modes.is_empty() {
        errors.required(&at("accessModes"), "at least 1 access mode is required");
    }
    let values = if stored.has_odd_selector { ExpressionValues::Any } else { ExpressionValues::Checked };
    label_selector_with(spec.selector.as_ref(), values, &at("selector"), errors);
    access_modes(modes, &at("accessModes"), errors);
    let storage = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let storage_at = at("resources").key("storage");
    match storage {
        None => errors.required(&storage_at, ""),
        Some(size) if !Quantity::of(size).is_positive() => {
            errors.invalid(&storage_at, size.0.as_str(), NOT_POSITIVE);
        }
        Some(size) => resource_quantity("storage", size, &storage_at, errors),
    }
    let class_name = |field: &str, name: &Option<String>, errors: &mut ErrorList| {
        if !text(name).is_empty() {
            errors.object_name(&at(field), text(name));
        }
    };
    class_name("storageClassName", &spec.storage_class_name, errors);
    if let Some(mode) = &spec.volume_mode {
        errors.one_of(&at("volumeMode"), mode, VOLUME_MODES);
    }
    data_sources(spec, stored, path, errors);
    class_name("volumeAttributesClassName", &spec.volume_attributes_class_name, errors);
}

/// Every mode is known, and the one for a single pod stands alone.
pub(crate) fn access_modes(modes: &[String], path: &Path, errors: &mut ErrorList) {
    for mode in modes {
        errors.one_of(path, mode, ACCESS_MODES);
    }
    let single = |mode: &String| mode == "ReadWriteOncePod";
    let other = |mode: &String| !single(mode) && ACCESS_MODES.contains(&mode.as_str());
    if modes.iter().any(single) && modes.iter().any(other) {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

fn data_sources(spec: &PersistentVolumeClaimSpec, stored: Stored, path: &Path, errors: &mut ErrorList) {
    let check = |at: &Path, name: &str, kind: &str, group: &str, errors: &mut ErrorList| {
        errors.require(&at.child("name"), name);
        errors.require(&at.child("kind"), kind);
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            errors.invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
        }
        if !group.is_empty() && !stored.has_group {
            errors.object_name(&at.child("apiGroup"), group);
        }
    };
    if let Some(source) = &spec.data_source {
        let at = path.child("dataSource");
        check(&at, &source.name, &source.kind, text(&source.api_group), errors);
    }
    if let Some(source) = &spec.data_source_ref {
        let at = path.child("dataSourceRef");
        check(&at, &source.name, &source.kind, text(&source.api_group), errors);
        let namespace = text(&source.namespace);
        if !namespace.is_empty() {
            errors.invalids(&at.child("namespace"), namespace, is_dns1123_label(namespace));
        }
    }
    let (Some(old), Some(new)) = (&spec.data_source, &spec.data_source_ref) else { return };
    // Upstream shows a path here, of which nothing can be seen.
    let unseen = Value::object;
    if !text(&new.namespace).is_empty() {
        errors.invalid(path, unseen(), "may not be specified when dataSourceRef.namespace is specified");
    } else if (&old.api_group, &old.kind, &old.name) != (&new.api_group, &new.kind, &new.name) {
        errors.invalid(path, unseen(), "must match dataSourceRef");
    }
}

pub(super) fn update(cx: &Context<'_>, claim: &Value, old: &Value) -> ErrorList {
    let has_odd_selector = present(old, &["spec", "selector"]).is_some_and(|selector| {
        !with_view(selector, |view, errors| label_selector(Some(view), &Path::new("selector"), errors)).is_empty()
    });
    let has_group =
        ["dataSource", "dataSourceRef"].iter().any(|field| present(old, &["spec", field, "apiGroup"]).is_some());
    let mut errors = check(claim, Stored { has_odd_selector, has_group });
    let mut munged = claim.clone();
    let mut was = old.clone();
    if old.str_at(&["spec", "volumeName"]).unwrap_or_default().is_empty() {
        keep(&mut was, claim, &["spec", "volumeName"]);
    }
    let (new_annotation, old_annotation) = (claim.annotation(CLASS_ANNOTATION), old.annotation(CLASS_ANNOTATION));
    let class = |claim: &Value| claim.str_at(&["spec", "storageClassName"]).map(ToOwned::to_owned);
    let (new_class, old_class) = (class(claim), class(old));
    let from_annotation = old_annotation.is_some()
        && old_class.is_none()
        && new_class.as_deref() == old_annotation
        && (new_annotation.is_none() || new_annotation == old_annotation);
    if from_annotation {
        munged.unset(&["spec", "storageClassName"]);
    } else {
        if new_annotation.unwrap_or_default() != old_annotation.unwrap_or_default() {
            let path = Path::new("metadata").child("annotations").child(CLASS_ANNOTATION);
            errors.invalid(&path, new_annotation.unwrap_or_default(), "field is immutable");
        }
        // A class may be filled in where there was none.
        if old_class.is_none()
            && new_class.is_some()
            && (old_annotation.is_none() || old_annotation == new_class.as_deref())
        {
            munged.unset(&["spec", "storageClassName"]);
        }
    }
    let storage = ["spec", "resources", "requests", "storage"];
    if claim.str_at(&["status", "phase"]) == Some("Bound") {
        keep(&mut munged, old, &storage);
        keep(&mut munged, old, &["spec", "volumeAttributesClassName"]);
    }
    if !semantically_equal(munged.get("spec"), was.get("spec")) {
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims\n{}",
            internal_form::core_difference("PersistentVolumeClaimSpec", was.get("spec"), munged.get("spec"))
        );
        errors.forbidden(&Path::new("spec"), detail);
    }
    let size = |claim: &Value, path: &[&str]| claim.str_at(path).and_then(Quantity::parse).unwrap_or_default();
    if size(claim, &storage) < size(old, &storage)
        && size(claim, &storage) <= size(old, &["status", "capacity", "storage"])
    {
        let path = storage[1..].iter().fold(Path::new("spec"), |path, field| path.child(field));
        errors.forbidden(&path, "field can not be less than status.capacity");
    }
    let mode = ["spec", "volumeMode"];
    errors.immutable(&Path::new("volumeMode"), claim.at(&mode), old.at(&mode));
    let attributes = |claim: &Value| claim.str_at(&["spec", "volumeAttributesClassName"]).map(ToOwned::to_owned);
    let (was, now) = (attributes(old), attributes(claim));
    if was != now {
        let path = Path::new("spec").child("volumeAttributesClassName");
        if !cx.features.is_enabled("VolumeAttributesClass") {
            errors.forbidden(&path, "update is forbidden when the VolumeAttributesClass feature gate is disabled");
        }
        let to = match now.as_deref() {
            None => "nil",
            Some("") => "empty string",
            Some(_) => return errors,
        };
        // Without a class that its volume has, a claim can give up the one that it asked for.
        if present(old, &["status", "currentVolumeAttributesClassName"]).is_some() {
            let detail = format!("update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil");
            errors.forbidden(&path, detail);
        }
    }
    errors
}

/// How far the growth of a claim can be.
const RESIZE_STATUSES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// The name of what grows: storage, or what somebody else calls so. Says whether it is good.
fn growing(name: &str, path: &Path, errors: &mut ErrorList) -> bool {
    let messages = is_qualified_name(name);
    let is_native = name.split_once('/').is_none_or(|(domain, _)| domain.ends_with("kubernetes.io"));
    let is_known = !is_native || name == "storage";
    if !messages.is_empty() {
        errors.invalids(path, name, messages);
        return false;
    }
    if !is_known {
        errors.push(Error::not_supported(path, name, &["storage"]));
    }
    is_known
}

pub(super) fn status(claim: &Value) -> ErrorList {
    with_view(claim, |claim: &PersistentVolumeClaim, errors| {
        if claim.spec.as_ref().is_none_or(|spec| list(&spec.access_modes).is_empty()) {
            errors.required(&Path::new("Spec").child("accessModes"), "");
        }
        let Some(status) = &claim.status else { return };
        let path = Path::new("status");
        let amount = |at: &Path, amount: &ViewQuantity, errors: &mut ErrorList| {
            let units = Quantity::of(amount).units();
            if units < 0 {
                errors.invalid(at, units, "must be a valid resource quantity");
            }
            units >= 0
        };
        for (name, size) in status.capacity.iter().flatten() {
            amount(&path.child("capacity").key(name), size, errors);
        }
        let at = path.child("allocatedResourceStatuses");
        for (name, state) in status.allocated_resource_statuses.iter().flatten() {
            growing(name, &at, errors);
            if !RESIZE_STATUSES.contains(&state.as_str()) {
                errors.push(Error::not_supported(&at, name.as_str(), RESIZE_STATUSES));
            }
        }
        let at = path.child("allocatedResources");
        for (name, size) in status.allocated_resources.iter().flatten() {
            if growing(name, &at, errors) && amount(&at.key(name), size, errors) {
                resource_quantity("storage", size, &at.key(name), errors);
            }
        }
    })
}
