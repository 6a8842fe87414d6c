//! Rules of roles.

use corten_api::rbac::v1::Role;
use corten_apimachinery::{Value, field::ErrorList};

use crate::{rbac::rules, report::with_view};

pub(super) fn role(role: &Value) -> ErrorList {
    with_view(role, |role: &Role, errors| rules::validate(&role.rules, true, errors))
}
