//! Rules of cluster roles.

use corten_api::rbac::v1::ClusterRole;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::{
    core::pod_spec::validation::label_selector,
    rbac::rules,
    report::{Report, with_view},
    view::{each, list},
};

pub(super) fn role(role: &Value) -> ErrorList {
    with_view(role, |role: &ClusterRole, errors| {
        rules::validate(&role.rules, false, errors);
        let Some(aggregation) = &role.aggregation_rule else { return };
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        if list(&aggregation.cluster_role_selectors).is_empty() {
            errors.required(&path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (at, selector) in each(&aggregation.cluster_role_selectors, &path) {
            label_selector(Some(selector), &at, errors);
        }
    })
}
