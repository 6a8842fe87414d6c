//! What the strategies of many resources do to objects.

use corten_apimachinery::{Value, meta::ObjectMeta, value::semantically_equal};

/// Makes the field at `path` what it was in `old`, also if it was not there.
pub(crate) fn keep(object: &mut Value, old: &Value, path: &[&str]) {
    match old.at(path) {
        Some(value) => object.set(path, value.clone()),
        None => {
            object.unset(path);
        }
    }
}

/// `metav1.ResetObjectMetaForStatus`: a status endpoint changes no labels, annotations, finalizers or owners.
pub(crate) fn keep_metadata(object: &mut Value, old: &Value) {
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
    ] {
        keep(object, old, &["metadata", field]);
    }
}

/// Starts counting generations.
pub(crate) fn first_generation(object: &mut Value) {
    object.set_meta("generation", 1_i64);
}

/// Counts a new generation if one of these fields means something else than before, and keeps the old one otherwise.
pub(crate) fn next_generation(object: &mut Value, old: &Value, fields: &[&[&str]]) {
    let changed = fields.iter().any(|field| !semantically_equal(object.at(field), old.at(field)));
    object.set_meta("generation", old.generation() + i64::from(changed));
}
