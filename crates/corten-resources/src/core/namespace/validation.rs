//! Rules of namespaces.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    validation::is_qualified_name,
};

use crate::report::Report;

/// The finalizers in `spec` are qualified names, and standard ones if they have no domain. `at` says where an error of the
/// nth one is reported.
pub(super) fn finalizers(object: &Value, at: impl Fn(&Path, usize) -> Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("finalizers");
    for (index, name) in object.items_at(&["spec", "finalizers"]).iter().filter_map(Value::as_str).enumerate() {
        let path = at(&path, index);
        errors.invalids(&path, name, is_qualified_name(name));
        if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
            errors.invalid(&path, name, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
    errors
}

/// The phase says whether deletion has begun.
pub(super) fn phase(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (phase, path) = (object.str_at(&["status", "phase"]).unwrap_or_default(), Path::new("status").child("Phase"));
    if object.deletion_timestamp().is_none() && phase != "Active" {
        errors.invalid(&path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
    if object.deletion_timestamp().is_some() && phase != "Terminating" {
        errors.invalid(&path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
    }
    errors
}
