//! Rules of deployments.

use corten_api::{
    apps::v1::{Deployment, RollingUpdateDeployment},
    intstr::IntOrString,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::Context,
};

use crate::{
    core::pod_spec::workload::{
        amount, takes, validate_at_most_all, validate_collisions, validate_counts, validate_int_or_percent,
        validate_selector, validate_template,
    },
    internal_form,
    report::{Report, with_view},
    view::{int_or_string, or_default, text},
};

/// The rules of a new object, or of one that takes the place of `old`.
pub(super) fn main(cx: &Context<'_>, deployment: &Value, old: Option<&Value>) -> ErrorList {
    with_view(deployment, |view: &Deployment, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        errors.non_negative(&path.child("replicas"), spec.replicas.unwrap_or_default().into());
        validate_selector(&spec.selector, deployment, errors);
        let takes = |labels: &_| takes(deployment, &spec.selector, labels);
        validate_template(cx, Some(&spec.template), takes, ("ReplicaSet", deployment, old), errors);
        strategy(deployment, view, errors);
        let min_ready = spec.min_ready_seconds.unwrap_or_default();
        errors.non_negative(&path.child("minReadySeconds"), min_ready.into());
        if let Some(limit) = spec.revision_history_limit {
            errors.non_negative(&path.child("revisionHistoryLimit"), limit.into());
        }
        if let Some(deadline) = spec.progress_deadline_seconds {
            let path = path.child("progressDeadlineSeconds");
            errors.non_negative(&path, deadline.into());
            if deadline <= min_ready {
                errors.invalid(&path, deadline, "must be greater than minReadySeconds");
            }
        }
    })
}

fn strategy(deployment: &Value, view: &Deployment, errors: &mut ErrorList) {
    let path = Path::new("spec").child("strategy");
    let strategy = view.spec.as_ref().and_then(|spec| spec.strategy.clone()).unwrap_or_default();
    let update_at = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            errors.forbidden(&update_at, "may not be specified when strategy `type` is 'Recreate'");
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => errors.required(&update_at, "this should be defaulted and never be nil"),
        ("RollingUpdate", Some(update)) => rolling_update(update, &update_at, errors),
        _ => {
            let shown = || {
                let name = "io.k8s.api.apps.v1.DeploymentStrategy";
                internal_form::pointer(name, deployment.at(&["spec", "strategy"]))
            };
            let supported = &["Recreate", "RollingUpdate"];
            errors.push_with(|| Error::not_supported(&path, Value::Null, supported).showing(shown()));
        }
    }
}

fn rolling_update(update: &RollingUpdateDeployment, path: &Path, errors: &mut ErrorList) {
    let zero = IntOrString::Int(0);
    let unavailable = update.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = update.max_surge.as_ref().unwrap_or(&zero);
    let at = path.child("maxUnavailable");
    validate_int_or_percent(unavailable, &at, errors);
    validate_int_or_percent(surge, &path.child("maxSurge"), errors);
    if amount(unavailable) == 0 && amount(surge) == 0 {
        errors.invalid(&at, int_or_string(unavailable), "may not be 0 when `maxSurge` is 0");
    }
    validate_at_most_all(unavailable, &at, errors);
}

pub(super) fn status(deployment: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_counts(
        deployment.get("status"),
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ],
        &[
            ("updatedReplicas", "replicas", "status.replicas"),
            ("readyReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "readyReplicas", "readyReplicas"),
        ],
    );
    validate_collisions(deployment, old, &mut errors);
    errors
}
