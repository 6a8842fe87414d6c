//! Defaults of bindings of mutating admission policies that only the first version has.

use corten_apimachinery::Value;

use crate::{
    admissionregistration::binding,
    defaulting::{fill_absent, within},
};

/// Without its parameters a policy refuses. Later versions want to be told.
pub(super) fn v1alpha1(object: &mut Value) {
    binding::defaults(object);
    within(object, &["spec", "paramRef"], |reference| fill_absent(reference, "parameterNotFoundAction", "Deny"));
}
