//! Rules of bindings of mutating admission policies.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::admissionregistration::{binding, rule};

pub(super) fn binding(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec").child("matchResources"));
    let spec = object.get("spec").unwrap_or(&null);
    let mut errors = ErrorList::new();
    binding::validate(spec, &mut errors);
    let rules = spec.items_at(&["matchResources", "resourceRules"]);
    rule::mutable_operations(rules, &path.child("resourceRules").child("operations"), &mut errors);
    errors
}
