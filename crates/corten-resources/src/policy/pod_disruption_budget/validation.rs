//! Rules of pod disruption budgets.

use corten_api::{
    intstr::IntOrString,
    policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
};
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::{
    conditions,
    core::pod_spec::{
        validation::label_selector_update,
        workload::{percent, validate_int_or_percent},
    },
    report::{Report, with_view},
    view::int_or_string,
};

pub(super) fn validate(budget: &Value, old: Option<&Value>) -> ErrorList {
    with_view(&without_status(budget), |view: &PodDisruptionBudget, errors| {
        let Some(spec) = &view.spec else { return };
        let path = Path::new("spec");
        if spec.min_available.is_some() && spec.max_unavailable.is_some() {
            let name = "io.k8s.api.policy.v1.PodDisruptionBudgetSpec";
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.invalid_struct(&path, name, budget.get("spec"), detail);
        }
        number_or_share(spec.min_available.as_ref(), &path.child("minAvailable"), errors);
        number_or_share(spec.max_unavailable.as_ref(), &path.child("maxUnavailable"), errors);
        let old_selector = old.and_then(|old| old.at(&["spec", "selector"]));
        label_selector_update(spec.selector.as_ref(), old_selector, &path.child("selector"), errors);
        policy(spec, &path, errors);
    })
}

/// A budget without its status, which has rules of its own and may lack what its struct demands.
fn without_status(budget: &Value) -> Value {
    let mut budget = budget.clone();
    budget.unset(&["status"]);
    budget
}

fn number_or_share(value: Option<&IntOrString>, path: &Path, errors: &mut ErrorList) {
    let Some(value) = value else { return };
    validate_int_or_percent(value, path, errors);
    if percent(value).is_some_and(|percent| percent > 100) {
        errors.invalid(path, int_or_string(value), "must not be greater than 100%");
    }
}

fn policy(spec: &PodDisruptionBudgetSpec, path: &Path, errors: &mut ErrorList) {
    if let Some(policy) = &spec.unhealthy_pod_eviction_policy {
        errors.one_of(&path.child("unhealthyPodEvictionPolicy"), policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

pub(super) fn status(budget: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    conditions::validate(budget.items_at(&["status", "conditions"]), &path.child("conditions"), &mut errors);
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        errors.non_negative(&path.child(field), budget.i64_at(&["status", field]).unwrap_or_default());
    }
    errors
}
