//! Rules of role bindings.

use corten_api::rbac::v1::RoleBinding;
use corten_apimachinery::{Value, field::ErrorList};

use crate::{rbac::binding as bindings, report::with_view};

pub(super) fn binding(binding: &Value) -> ErrorList {
    with_view(binding, |binding: &RoleBinding, errors| {
        bindings::validate(&binding.role_ref, &binding.subjects, &["Role", "ClusterRole"], true, errors);
    })
}
