//! Rules of autoscalers, in the form of v2.

mod behavior;
mod metrics;
mod reference;

use corten_api::autoscaling::v2::HorizontalPodAutoscaler;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
};

use self::reference::Group;
use crate::{
    core::pod_spec::workload::validate_counts,
    report::{Report, with_view},
    view::{list, or_default, text},
};

/// The rules of an autoscaler, and of the change from `old` if there is one.
pub(super) fn check(cx: &Context<'_>, autoscaler: &Value, old: Option<&Value>) -> ErrorList {
    with_view(autoscaler, |view: &HorizontalPodAutoscaler, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        let was_zero = old.is_some_and(|old| old.i64_at(&["spec", "minReplicas"]) == Some(0));
        let lowest = if cx.features.is_enabled("HPAScaleToZero") || was_zero { 0 } else { 1 };
        if let Some(min) = spec.min_replicas.filter(|&min| min < lowest) {
            errors.invalid(&path.child("minReplicas"), min, format!("must be greater than or equal to {lowest}"));
        }
        let max_at = path.child("maxReplicas");
        if spec.max_replicas < 1 {
            errors.invalid(&max_at, spec.max_replicas, "must be greater than 0");
        }
        if spec.min_replicas.is_some_and(|min| spec.max_replicas < min) {
            errors.invalid(&max_at, spec.max_replicas, "must be greater than or equal to `minReplicas`");
        }
        let target = &spec.scale_target_ref;
        let group = target_group(text(&target.api_version), &target.kind, old);
        reference::check(target, group, &path.child("scaleTargetRef"), errors);
        let (metrics, metrics_at) = (list(&spec.metrics), path.child("metrics"));
        metrics::check(metrics, described_group(old), &metrics_at, errors);
        let needs_no_pod = |ty: &str| ty == "Object" || ty == "External";
        if spec.min_replicas == Some(0) && !metrics.iter().any(|metric| needs_no_pod(&metric.type_)) {
            errors.forbidden(
                &metrics_at,
                "must specify at least one Object or External metric to support scaling to zero replicas",
            );
        }
        if let Some(behavior) = &spec.behavior {
            behavior::check(behavior, &path.child("behavior"), errors);
        }
    })
}

/// What the version of the target has to be like. A target that stays is not asked again.
fn target_group(api_version: &str, kind: &str, old: Option<&Value>) -> Group {
    let is_same = old.is_some_and(|old| {
        let was = |field: &str| old.str_at(&["spec", "scaleTargetRef", field]).unwrap_or_default();
        (was("apiVersion"), was("kind")) == (api_version, kind)
    });
    match kind {
        _ if is_same => Group::Unchecked,
        // The only kind of the core group that can be scaled.
        "ReplicationController" => Group::Any,
        _ => Group::Named,
    }
}

/// The same for objects that metrics describe: one that is wrong already lets others be.
fn described_group(old: Option<&Value>) -> Group {
    let metrics = old.map(|old| old.items_at(&["spec", "metrics"])).unwrap_or_default();
    let is_wrong = |metric: &Value| {
        metric.str_at(&["type"]) == Some("Object")
            && metric.at(&["object", "describedObject"]).is_some_and(|described| {
                let version = described.str_at(&["apiVersion"]).unwrap_or_default();
                reference::version_problem(version, Group::Any).is_some()
            })
    };
    if metrics.iter().any(is_wrong) { Group::Unchecked } else { Group::Any }
}

pub(super) fn status(autoscaler: &Value) -> ErrorList {
    validate_counts(autoscaler.get("status"), &["currentReplicas", "desiredReplicas"], &[])
}
