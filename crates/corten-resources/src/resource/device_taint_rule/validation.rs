//! Rules of device taint rules.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use crate::{
    conditions,
    resource::rules::{
        lists::present,
        names::{driver_name, label, pool_name},
        taints,
    },
};

const CONDITIONS_MAX: usize = 8;

/// The rules of one name.
type Check = fn(&str, &Path, &mut ErrorList);

/// Every rule that a rule breaks.
pub(super) fn validate(rule: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let empty = Value::object();
    let spec = rule.get("spec").unwrap_or(&empty);
    if let Some(selector) = present(spec, "deviceSelector") {
        let at = path.child("deviceSelector");
        let fields: [(&str, Check); 3] = [("driver", driver_name), ("pool", pool_name), ("device", label)];
        for (field, check) in fields {
            if let Some(name) = selector.str_at(&[field]) {
                check(name, &at.child(field), &mut errors);
            }
        }
    }
    let taint = |rule| Value::at(rule, &["spec", "taint"]);
    taints::taint(taint(rule).unwrap_or(&empty), old.and_then(taint), &path.child("taint"), &mut errors);
    errors
}

/// Every rule that the status of a rule breaks.
pub(super) fn status(rule: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (list, at) = (rule.items_at(&["status", "conditions"]), Path::new("status").child("conditions"));
    conditions::validate(list, &at, &mut errors);
    if list.len() > CONDITIONS_MAX {
        errors.push(Error::too_many(&at, list.len(), CONDITIONS_MAX));
    }
    errors
}
