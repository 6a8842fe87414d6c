//! Rules that several kinds of the group share.
//!
//! They read the tree and not a typed view: whether a field is set matters to many of them, and a slice can hold some
//! thousand attributes.
//! Upstream: pkg/apis/resource/validation/validation.go (v1.35).

pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod opaque;
pub(crate) mod selectors;
pub(crate) mod taints;

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use self::lists::each_item;
use crate::report::Report;

/// How many conditions a device can wait for, and how many can fail it.
const BINDING_CONDITIONS_MAX: usize = 4;

/// The conditions that binding to a device waits for, and those that fail it.
pub(crate) fn binding_conditions(device: &Value, path: &Path, errors: &mut ErrorList) {
    const NEEDED: &str = "bindingConditions";
    const FAILURE: &str = "bindingFailureConditions";
    let lists = [NEEDED, FAILURE].map(|field| (device.items_at(&[field]), path.child(field)));
    for (conditions, at) in &lists {
        each_item(conditions, BINDING_CONDITIONS_MAX, at, errors, |condition, at, errors| {
            names::label_name(condition.as_str().unwrap_or_default(), at, errors);
        });
    }
    let [(needed, needed_at), (failure, failure_at)] = &lists;
    let mut seen_needed = BTreeSet::new();
    for (index, condition) in needed.iter().filter_map(Value::as_str).enumerate() {
        if !seen_needed.insert(condition) {
            errors.push_with(|| Error::duplicate(&needed_at.index(index), condition));
        }
    }
    let mut seen_failure = BTreeSet::new();
    for (index, condition) in failure.iter().filter_map(Value::as_str).enumerate() {
        let at = failure_at.index(index);
        if !seen_failure.insert(condition) {
            errors.push_with(|| Error::duplicate(&at, condition));
        }
        if seen_needed.contains(condition) {
            errors.invalid(&at, condition, "bindingFailureConditions must not overlap with bindingConditions");
        }
    }
    let shown = |field: &str| device.get(field).cloned().unwrap_or_default();
    if needed.is_empty() && !failure.is_empty() {
        let detail = "bindingConditions are required to use bindingFailureConditions";
        errors.invalid(needed_at, shown(NEEDED), detail);
    }
    if failure.is_empty() && !needed.is_empty() {
        let detail = "bindingFailureConditions are required to use bindingConditions";
        errors.invalid(failure_at, shown(FAILURE), detail);
    }
}
