//! The rules of metadata that all kinds share.
//!
//! Upstream: k8s.io/apimachinery/pkg/api/validation/objectmeta.go (v1.35).

use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    meta::ObjectMeta as _,
    resource::Strategy,
    value::Value,
};

/// The rules for the metadata of a new object.
pub(super) fn validate(object: &Value, namespaced: bool, strategy: &dyn Strategy, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let generate_name = object.generate_name();
    if !generate_name.is_empty() {
        let broken = strategy.validate_name(generate_name, true);
        errors.extend(broken.into_iter().map(|why| Error::invalid(&path.child("generateName"), generate_name, why)));
    }
    let name = object.name();
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), "name or generateName is required"));
    } else {
        let broken = strategy.validate_name(name, false);
        errors.extend(broken.into_iter().map(|why| Error::invalid(&path.child("name"), name, why)));
    }
    if namespaced {
        if object.namespace().is_empty() {
            errors.push(Error::required(&path.child("namespace"), ""));
        }
    } else if !object.namespace().is_empty() {
        errors.push(Error::forbidden(&path.child("namespace"), "not allowed on this type"));
    }
    errors
}

/// The rules for a change of metadata.
pub(super) fn validate_update(object: &Value, old: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (object.at(&["metadata", field]), old.at(&["metadata", field]));
        if new != old {
            errors.push(Error::invalid(&path.child(field), new.cloned().unwrap_or_default(), "field is immutable"));
        }
    }
    errors
}
