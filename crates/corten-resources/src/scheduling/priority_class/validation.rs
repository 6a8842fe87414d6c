//! Rules of priority classes.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
};

use crate::report::Report;

/// Users stay below the classes of the system.
const USER_MAX: i64 = 1_000_000_000;
/// The classes that the API server makes: (name, value).
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

pub(super) fn create(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, value) = (object.name(), object.i64_at(&["value"]).unwrap_or_default());
    if name.starts_with("system-") {
        if let Err(error) = known_system_class(object, name, value) {
            let detail =
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {error}");
            errors.forbidden(&Path::new("metadata").child("name"), detail);
        }
    } else if value > USER_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {USER_MAX}");
        errors.forbidden(&Path::new("value"), detail);
    }
    if let Some(policy) = object.str_at(&["preemptionPolicy"]) {
        errors.require_one_of(&Path::new("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
    errors
}

fn known_system_class(object: &Value, name: &str, value: i64) -> Result<(), String> {
    let Some((_, want)) = SYSTEM.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *want {
        return Err(format!("value of {name} PriorityClass must be {want}"));
    }
    if object.bool_at(&["globalDefault"]) == Some(true) {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}

pub(super) fn update(object: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if object.i64_at(&["value"]).unwrap_or_default() != old.i64_at(&["value"]).unwrap_or_default() {
        errors.forbidden(&Path::new("value"), "may not be changed in an update.");
    }
    let field = "preemptionPolicy";
    errors.immutable(&Path::new(field), object.get(field), old.get(field));
    errors
}
