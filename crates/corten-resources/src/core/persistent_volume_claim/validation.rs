//! Rules of claims.

use corten_api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    quantity::Quantity,
    value::semantically_equal,
};

use crate::{
    core::pod_spec::validation::{NOT_POSITIVE, label_selector, resource_quantity},
    difference,
    quantity::Amount,
    report::{Report, with_view},
    rules::keep,
    view::{list, or_default, text},
};

/// How a volume can be mounted.
pub(crate) const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// What a volume is to its user.
pub(crate) const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
/// How claims named their class before there was a field for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn create(claim: &Value) -> ErrorList {
    with_view(claim, |claim: &PersistentVolumeClaim, errors| {
        spec(&or_default(&claim.spec), &Path::new("spec"), errors);
    })
}

/// The rules of a claim's spec, which a pod's generic ephemeral volume has too.
pub(crate) fn spec(spec: &PersistentVolumeClaimSpec, path: &Path, errors: &mut ErrorList) {
    let at = |field: &str| path.child(field);
    let modes = list(&spec.access_modes);
    if modes.is_empty() {
        errors.required(&at("accessModes"), "at least 1 access mode is required");
    }
    label_selector(spec.selector.as_ref(), &at("selector"), errors);
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
    for (field, name) in [
        ("storageClassName", &spec.storage_class_name),
        ("volumeAttributesClassName", &spec.volume_attributes_class_name),
    ] {
        if !text(name).is_empty() {
            errors.object_name(&at(field), text(name));
        }
    }
    if let Some(mode) = &spec.volume_mode {
        errors.one_of(&at("volumeMode"), mode, VOLUME_MODES);
    }
    data_sources(spec, path, errors);
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

fn data_sources(spec: &PersistentVolumeClaimSpec, path: &Path, errors: &mut ErrorList) {
    let mut check = |field: &str, name: &str, kind: &str, group: &str| {
        let at = path.child(field);
        errors.require(&at.child("name"), name);
        errors.require(&at.child("kind"), kind);
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            errors.invalid(&at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
        }
    };
    if let Some(source) = &spec.data_source {
        check("dataSource", &source.name, &source.kind, text(&source.api_group));
    }
    if let Some(source) = &spec.data_source_ref {
        check("dataSourceRef", &source.name, &source.kind, text(&source.api_group));
    }
    let (Some(old), Some(new)) = (&spec.data_source, &spec.data_source_ref) else { return };
    if !text(&new.namespace).is_empty() {
        errors.invalid(path, "dataSource", "may not be specified when dataSourceRef.namespace is specified");
    } else if (&old.api_group, &old.kind, &old.name) != (&new.api_group, &new.kind, &new.name) {
        errors.invalid(path, "dataSource", "must match dataSourceRef");
    }
}

pub(super) fn update(claim: &Value, old: &Value) -> ErrorList {
    let mut errors = create(claim);
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
            difference::show(was.get("spec"), munged.get("spec"))
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
    if let (Some(was), now) = (attributes(old), attributes(claim)) {
        let path = Path::new("spec").child("volumeAttributesClassName");
        match now.as_deref() {
            None => errors.forbidden(&path, "update from non-nil value to nil is forbidden"),
            Some("") if !was.is_empty() => {
                errors.forbidden(&path, "update from non-nil value to an empty string is forbidden");
            }
            Some(_) => {}
        }
    }
    errors
}

pub(super) fn status(claim: &Value) -> ErrorList {
    with_view(claim, |claim: &PersistentVolumeClaim, errors| {
        if claim.spec.as_ref().is_none_or(|spec| list(&spec.access_modes).is_empty()) {
            errors.required(&Path::new("Spec").child("accessModes"), "");
        }
        let path = Path::new("status").child("capacity");
        let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
        for (name, amount) in capacity.into_iter().flatten().filter(|(_, amount)| Quantity::of(amount).is_negative()) {
            let shown = amount.0.as_str();
            errors.push(Error::invalid(&path.key(name), shown, "must be a valid resource quantity"));
        }
    })
}
