//! Rules of storage classes.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::storage::v1::StorageClass;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
    value::semantically_equal,
};

use crate::{
    report::{Report, with_view},
    storage::class::{parameters, provisioner},
    view::{Seen, each, list, text},
};

pub(super) fn create(object: &Value) -> ErrorList {
    with_view(object, |class: &StorageClass, errors| {
        provisioner(&class.provisioner, &Path::new("provisioner"), errors);
        let map = object.get("parameters").and_then(Value::as_object);
        parameters(map, &Path::new("parameters"), errors);
        let policy = text(&class.reclaim_policy);
        if !policy.is_empty() {
            errors.one_of(&Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
        }
        let modes = &["Immediate", "WaitForFirstConsumer"];
        let mode_at = Path::new("volumeBindingMode");
        match &class.volume_binding_mode {
            None => errors.required(&mode_at, ""),
            // Also an empty one, which no default replaces.
            Some(mode) => errors.one_of(&mode_at, mode, modes),
        }
        let mut terms: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
        for (at, term) in each(&class.allowed_topologies, &Path::new("allowedTopologies")) {
            let term_at = at.child("matchLabelExpressions");
            let mut values_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            let mut keys = Seen::default();
            for (at, rule) in each(&term.match_label_expressions, &term_at) {
                if rule.values.is_empty() {
                    errors.required(&at.child("values"), "");
                }
                let mut values = Seen::default();
                for (index, value) in rule.values.iter().enumerate().filter(|(_, value)| !values.is_new(*value)) {
                    errors.push(Error::duplicate(&at.child("values").index(index), value.as_str()));
                }
                errors.invalids(&at.child("key"), &rule.key, is_qualified_name(&rule.key));
                if !keys.is_new(&rule.key) {
                    errors.push(Error::duplicate(&at.child("key"), rule.key.as_str()));
                }
                values_of.insert(&rule.key, rule.values.iter().map(String::as_str).collect());
            }
            // Once for each equal term before it; upstream begins with as many that say nothing as there are terms.
            let unsaid = if values_of.is_empty() { list(&class.allowed_topologies).len() } else { 0 };
            let equal = terms.iter().filter(|term| **term == values_of).count();
            for _ in 0..unsaid + equal {
                errors.push_with(|| Error::duplicate(&term_at, ""));
            }
            terms.push(values_of);
        }
    })
}

pub(super) fn update(class: &Value, old: &Value) -> ErrorList {
    let mut errors = create(class);
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if !semantically_equal(class.get(field), old.get(field)) {
            errors.forbidden(&Path::new(field), format!("updates to {field} are forbidden."));
        }
    }
    let mode = "volumeBindingMode";
    errors.immutable(&Path::new(mode), class.get(mode), old.get(mode));
    errors
}
