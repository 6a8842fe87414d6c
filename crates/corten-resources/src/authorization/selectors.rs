//! Rules of the selectors in access reviews: what of a collection somebody wants to see.
//!
//! Upstream: `validateResourceAttributes` in pkg/apis/authorization/validation/validation.go (v1.35).

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::{is_label_value, is_qualified_name},
};

use crate::{
    report::Report,
    tree::{each_at, present, text_at, texts_at},
};

/// The selectors of `attributes` at `path`.
pub(super) fn validate(attributes: &Value, path: &Path, errors: &mut ErrorList) {
    for (field, is_of_labels) in [("fieldSelector", false), ("labelSelector", true)] {
        if let Some(selector) = present(attributes, &[field]) {
            one(selector, is_of_labels, &path.child(field), errors);
        }
    }
}

fn one(selector: &Value, is_of_labels: bool, path: &Path, errors: &mut ErrorList) {
    let raw = text_at(selector, &["rawSelector"]);
    match (raw.is_empty(), selector.items_at(&["requirements"]).is_empty()) {
        (false, false) => {
            errors.invalid(&path.child("rawSelector"), raw, "may not specified at the same time as requirements");
        }
        (true, true) => {
            let detail = format!("when {path} is specified, requirements or rawSelector is required");
            errors.required(&path.child("requirements"), &detail);
        }
        _ => {}
    }
    for (at, requirement) in each_at(selector, "requirements", path) {
        let key = text_at(requirement, &["key"]);
        if !is_of_labels && key.is_empty() {
            errors.required(&at.child("key"), "must be specified");
        }
        let (values, values_at) = (texts_at(requirement, &["values"]), at.child("values"));
        // Operators that are not known are newer clients'.
        match (text_at(requirement, &["operator"]), values.is_empty()) {
            ("In" | "NotIn", true) => {
                errors.required(&values_at, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            ("Exists" | "DoesNotExist", false) => {
                errors.forbidden(&values_at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            _ => {}
        }
        if is_of_labels {
            errors.invalids(&at.child("key"), key, is_qualified_name(key));
            for (index, value) in values.into_iter().enumerate() {
                errors.invalids(&values_at.index(index), value, is_label_value(value));
            }
        }
    }
}
