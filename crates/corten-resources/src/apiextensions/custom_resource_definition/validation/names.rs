//! The names of a resource: plural, singular, kind, kind of lists, short names, categories.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::is_dns1035_label,
};

use crate::report::Report;

/// The names that a definition must have, besides what names must be like.
pub(super) fn check_required(names: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["plural", "singular", "kind", "listKind"] {
        errors.require(&path.child(field), names.str_at(&[field]).unwrap_or_default());
    }
}

/// What names must be like that are there.
pub(super) fn check(names: &Value, path: &Path, errors: &mut ErrorList) {
    let text = |field: &str| names.str_at(&[field]).unwrap_or_default();
    for field in ["plural", "singular"] {
        if !text(field).is_empty() {
            label(text(field), &path.child(field), errors);
        }
    }
    for field in ["kind", "listKind"] {
        let reasons = is_dns1035_label(&text(field).to_lowercase());
        if !text(field).is_empty() && !reasons.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", reasons.join(","));
            errors.invalid(&path.child(field), text(field), detail);
        }
    }
    labels(names, "shortNames", path, errors);
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        errors.invalid(&path.child("listKind"), text("listKind"), "kind and listKind may not be the same");
    }
    labels(names, "categories", path, errors);
}

fn labels(names: &Value, field: &str, path: &Path, errors: &mut ErrorList) {
    for (index, name) in names.items_at(&[field]).iter().enumerate() {
        label(name.as_str().unwrap_or_default(), &path.child(field).index(index), errors);
    }
}

/// A label of DNS; all reasons why it is none in one error.
pub(super) fn label(text: &str, path: &Path, errors: &mut ErrorList) {
    let reasons = is_dns1035_label(text);
    if !reasons.is_empty() {
        errors.invalid(path, text, reasons.join(","));
    }
}
