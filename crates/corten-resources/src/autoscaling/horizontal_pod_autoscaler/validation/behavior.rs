//! Rules of how fast an autoscaler goes up and down.

use corten_api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};
use corten_apimachinery::{
    field::{ErrorList, Path},
    quantity::Quantity,
};

use crate::{
    core::pod_spec::validation::NOT_POSITIVE,
    quantity::Amount,
    report::{NEGATIVE, Report},
    view::{each, list},
};

/// Half an hour.
const PERIOD_SECONDS_MAX: i32 = 1_800;
/// An hour.
const WINDOW_SECONDS_MAX: i32 = 3_600;

/// The rules of `behavior` at `path`.
pub(super) fn check(behavior: &HorizontalPodAutoscalerBehavior, path: &Path, errors: &mut ErrorList) {
    for (field, direction) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
        if let Some(direction) = direction {
            rules(direction, &path.child(field), errors);
        }
    }
}

fn rules(rules: &HPAScalingRules, path: &Path, errors: &mut ErrorList) {
    if let Some(window) = rules.stabilization_window_seconds {
        let at = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.invalid(&at, window, "must be greater than or equal to zero");
        }
        if window > WINDOW_SECONDS_MAX {
            errors.invalid(&at, window, format!("must be less than or equal to {WINDOW_SECONDS_MAX}"));
        }
    }
    if let Some(select) = &rules.select_policy {
        errors.one_of(&path.child("selectPolicy"), select, &["Disabled", "Max", "Min"]);
    }
    let policies_at = path.child("policies");
    if list(&rules.policies).is_empty() {
        errors.required(&policies_at, "must specify at least one Policy");
    }
    for (at, one) in each(&rules.policies, &policies_at) {
        policy(one, &at, errors);
    }
    if let Some(tolerance) = rules.tolerance.as_ref().filter(|tolerance| Quantity::of(tolerance).is_negative()) {
        errors.invalid(&path.child("tolerance"), tolerance.0.as_str(), NEGATIVE);
    }
}

fn policy(policy: &HPAScalingPolicy, path: &Path, errors: &mut ErrorList) {
    errors.one_of(&path.child("type"), &policy.type_, &["Percent", "Pods"]);
    if policy.value <= 0 {
        errors.invalid(&path.child("value"), policy.value, NOT_POSITIVE);
    }
    let (period_at, period) = (path.child("periodSeconds"), policy.period_seconds);
    if period <= 0 {
        errors.invalid(&period_at, period, NOT_POSITIVE);
    }
    if period > PERIOD_SECONDS_MAX {
        errors.invalid(&period_at, period, format!("must be less than or equal to {PERIOD_SECONDS_MAX}"));
    }
}
