//! Rules of cluster role bindings.

use corten_api::rbac::v1::ClusterRoleBinding;
use corten_apimachinery::{Value, field::ErrorList};

use crate::{rbac::binding as bindings, report::with_view};

pub(super) fn binding(binding: &Value) -> ErrorList {
    with_view(binding, |binding: &ClusterRoleBinding, errors| {
        bindings::validate(&binding.role_ref, &binding.subjects, &["ClusterRole"], false, errors);
    })
}
