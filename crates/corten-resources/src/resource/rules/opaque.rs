//! Configuration and data that only a driver understands.

use corten_apimachinery::{
    Value,
    codec::json,
    field::{Error, ErrorList, Path},
};

use super::{
    lists::{present, text},
    names,
};
use crate::report::Report;

/// How large parameters and data may be.
pub(crate) const MAX_BYTES: usize = 10 * 1_024;

/// A driver's configuration, `opaque` of the object at `path`. The parameters of a stored one may be larger.
pub(crate) fn configuration(config: &Value, is_stored: bool, path: &Path, errors: &mut ErrorList) {
    let at = path.child("opaque");
    let Some(opaque) = present(config, "opaque") else {
        errors.required(&at, "");
        return;
    };
    names::driver_name(text(opaque, "driver"), &at.child("driver"), errors);
    any_object(present(opaque, "parameters"), is_stored, &at.child("parameters"), errors);
}

/// An object of any kind.
pub(crate) fn any_object(object: Option<&Value>, is_stored: bool, path: &Path, errors: &mut ErrorList) {
    let Some(object) = object else {
        errors.required(path, "");
        return;
    };
    if !is_stored && json::encode(object, None).len() > MAX_BYTES {
        errors.push(Error::too_long(path, MAX_BYTES));
    } else if object.as_object().is_none() {
        errors.invalid(path, "<value omitted>", "must be a valid JSON object");
    }
}
