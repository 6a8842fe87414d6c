//! Rules of daemon sets.

use corten_api::apps::v1::{DaemonSet, DaemonSetSpec, RollingUpdateDaemonSet};
use corten_api::intstr::IntOrString;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::Context,
};

use super::generation;
use crate::{
    core::pod_spec::{
        template,
        validation::label_selector,
        workload::{
            TEMPLATE, amount, is_empty, takes, validate_at_most_all, validate_collisions, validate_counts,
            validate_endless, validate_int_or_percent, validate_same_selector, validate_selected,
        },
    },
    internal_form,
    report::{Report, twice, with_view},
    view::{int_or_string, or_default, text},
};

pub(super) fn create(cx: &Context<'_>, set: &Value) -> ErrorList {
    check(cx, set, None)
}

fn check(cx: &Context<'_>, set: &Value, old: Option<&Value>) -> ErrorList {
    with_view(set, |view: &DaemonSet, errors| {
        generation::validate(set, errors);
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        let selector_at = path.child("selector");
        label_selector(Some(&spec.selector), &selector_at, errors);
        validate_selected(&spec.template, |labels| takes(set, &spec.selector, labels), set, errors);
        let shown = set.at(&["spec", "selector"]).filter(|selector| !selector.is_null());
        if let Some(shown) = shown.filter(|_| is_empty(&spec.selector)) {
            errors.invalid(&selector_at, shown.clone(), "empty selector is invalid for daemonset");
        }
        let stored = old.and_then(|old| old.at(&TEMPLATE));
        template::validate(cx, &spec.template, stored, &path.child("template"), errors);
        validate_endless(&spec.template, "DaemonSet", errors);
        errors.non_negative(&path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default().into());
        update_strategy(set, &spec, &path.child("updateStrategy"), errors);
        if let Some(limit) = spec.revision_history_limit {
            errors.non_negative(&path.child("revisionHistoryLimit"), limit.into());
        }
    })
}

pub(super) fn update(cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
    let mut errors = twice(check(cx, set, Some(old)));
    validate_same_selector(set, old, &mut errors);
    errors
}

fn update_strategy(set: &Value, spec: &DaemonSetSpec, path: &Path, errors: &mut ErrorList) {
    let strategy = or_default(&spec.update_strategy);
    let update_at = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.required(&update_at, ""),
        ("RollingUpdate", Some(update)) => rolling_update(update, &update_at, errors),
        _ => {
            let shown = || {
                let name = "io.k8s.api.apps.v1.DaemonSetUpdateStrategy";
                internal_form::pointer(name, set.at(&["spec", "updateStrategy"]))
            };
            errors
                .push_with(|| Error::not_supported(path, Value::Null, &["RollingUpdate", "OnDelete"]).showing(shown()));
        }
    }
}

fn rolling_update(update: &RollingUpdateDaemonSet, path: &Path, errors: &mut ErrorList) {
    let zero = IntOrString::Int(0);
    let unavailable = update.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = update.max_surge.as_ref().unwrap_or(&zero);
    let (unavailable_at, surge_at) = (path.child("maxUnavailable"), path.child("maxSurge"));
    validate_int_or_percent(unavailable, &unavailable_at, errors);
    validate_int_or_percent(surge, &surge_at, errors);
    validate_at_most_all(unavailable, &unavailable_at, errors);
    validate_at_most_all(surge, &surge_at, errors);
    // A new pod comes before or after the old one goes, not both.
    match (amount(unavailable) != 0, amount(surge) != 0) {
        (true, true) => {
            errors.invalid(&surge_at, int_or_string(surge), "may not be set when maxUnavailable is non-zero");
        }
        (false, false) => errors.required(&unavailable_at, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

pub(super) fn status(set: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_counts(
        set.get("status"),
        &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ],
        &[],
    );
    validate_collisions(set, old, &mut errors);
    errors
}
