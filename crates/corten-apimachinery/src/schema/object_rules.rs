//! All that a schema asks of an object, in upstream's order; rules in CEL come after it.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/registry/customresource/strategy.go (v1.35).

use super::{MetaType, Structural, validate_embedded, validate_lists, validate_value, validate_value_update};
use crate::{
    field::{Error, ErrorList, ErrorType, Path},
    value::Value,
};

/// Every rule of `schema` that a new object breaks. Its own metadata is the caller's.
#[must_use]
pub fn validate_object(object: &Value, schema: &Structural, meta: MetaType<'_>) -> ErrorList {
    let mut errors = validate_value(None, object, schema);
    errors.extend(validate_embedded(&Path::root(), object, schema, false, meta));
    errors.extend(validate_lists(&Path::root(), schema, object));
    errors
}

/// Every rule of `schema` that a changed object breaks and did not break before. Lists are forgiven as a whole: all of them
/// if one was not as its type says.
#[must_use]
pub fn validate_object_update(object: &Value, old: &Value, schema: &Structural, meta: MetaType<'_>) -> ErrorList {
    let mut errors = validate_value_update(None, object, old, schema);
    errors.extend(validate_embedded(&Path::root(), object, schema, false, meta));
    if validate_lists(&Path::root(), schema, old).is_empty() {
        errors.extend(validate_lists(&Path::root(), schema, object));
    }
    errors
}

/// What is said instead of checking rules in CEL, if `errors` show that the object does not have the shape that they are
/// about.
#[must_use]
pub fn rules_not_checked(errors: &[Error]) -> Option<Error> {
    let is_blocking = |error: &Error| {
        matches!(
            error.kind,
            ErrorType::NotSupported
                | ErrorType::Required
                | ErrorType::TooLong
                | ErrorType::TooMany
                | ErrorType::TypeInvalid
        )
    };
    let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                  complete validation";
    // Upstream gives it no path, which it writes like this.
    errors.iter().any(is_blocking).then(|| Error::invalid(&Path::new("<nil>"), Value::Null, detail))
}
