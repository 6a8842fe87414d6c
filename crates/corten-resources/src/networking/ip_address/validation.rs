//! Rules of IP addresses.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_subdomain, is_path_segment_name},
    value::semantically_equal,
};

use crate::report::Report;

const PARENT: [&str; 2] = ["spec", "parentRef"];

fn path() -> Path {
    Path::new("spec").child("parentRef")
}

pub(super) fn create(address: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = path();
    let Some(parent) = address.at(&PARENT).filter(|parent| !parent.is_null()) else {
        errors.required(&path, "");
        return errors;
    };
    let text = |field: &str| parent.str_at(&[field]).unwrap_or_default();
    // Services are of the core group, which has no name.
    if !text("group").is_empty() {
        errors.invalids(&path.child("group"), text("group"), is_dns1123_subdomain(text("group")));
    }
    for field in ["resource", "name", "namespace"] {
        let at = path.child(field);
        if field == "namespace" || errors.require(&at, text(field)) {
            errors.invalids(&at, text(field), is_path_segment_name(text(field)));
        }
    }
    errors
}

pub(super) fn update(address: &Value, old: &Value) -> ErrorList {
    let mut errors = create(address);
    if !semantically_equal(address.at(&PARENT), old.at(&PARENT)) {
        errors.push(Error::invalid(&path(), shown(address), "field is immutable"));
    }
    errors
}

/// The parent under the names that upstream's own type has.
fn shown(address: &Value) -> Value {
    let Some(parent) = address.at(&PARENT).filter(|parent| !parent.is_null()) else { return Value::Null };
    let names = [("Group", "group"), ("Resource", "resource"), ("Namespace", "namespace"), ("Name", "name")];
    Value::object_of(names.map(|(shown, field)| (shown, Value::from(parent.str_at(&[field]).unwrap_or_default()))))
}
