//! Rules of controller revisions.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::report::Report;

pub(super) fn create(revision: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if revision.get("data").is_none_or(Value::is_null) {
        errors.required(&Path::new("data"), "data is mandatory");
    }
    errors.non_negative(&Path::new("revision"), revision.i64_at(&["revision"]).unwrap_or_default());
    errors
}

pub(super) fn update(revision: &Value, old: &Value) -> ErrorList {
    let mut errors = create(revision);
    errors.immutable(&Path::new("data"), revision.get("data"), old.get("data"));
    errors
}
