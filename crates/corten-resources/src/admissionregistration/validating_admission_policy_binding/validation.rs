//! Rules of bindings of validating admission policies.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use crate::{
    admissionregistration::binding,
    report::Report,
    tree::texts_at,
    view::{Seen, texts},
};

/// What a failed validation leads to, sorted as upstream's message shows them.
const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

pub(super) fn binding(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&null);
    let mut errors = ErrorList::new();
    binding::validate(spec, &mut errors);
    actions(&texts_at(spec, &["validationActions"]), &path.child("validationActions"), &mut errors);
    errors
}

fn actions(actions: &[&str], path: &Path, errors: &mut ErrorList) {
    let mut seen = Seen::default();
    for (index, action) in actions.iter().enumerate() {
        errors.one_of(&path.index(index), action, ACTIONS);
        if !seen.is_new(*action) {
            errors.push_with(|| Error::duplicate(&path.index(index), *action));
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                      response and headers serves no purpose)";
        errors.invalid(path, texts(actions), detail);
    }
    if actions.is_empty() {
        errors.required(path, "at least one validation action is required");
    }
}
