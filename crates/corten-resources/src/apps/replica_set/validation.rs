//! Rules of replica sets.

use corten_api::apps::v1::ReplicaSet;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
};

use crate::{
    core::pod_spec::workload::{takes, validate_counts, validate_selector, validate_template},
    report::{Report, with_view},
    view::or_default,
};

/// The rules of a new object, or of one that takes the place of `old`.
pub(super) fn main(cx: &Context<'_>, set: &Value, old: Option<&Value>) -> ErrorList {
    with_view(set, |view: &ReplicaSet, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        errors.non_negative(&path.child("replicas"), spec.replicas.unwrap_or_default().into());
        errors.non_negative(&path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default().into());
        validate_selector(&spec.selector, set, errors);
        // The template is a value upstream: one that is not there is empty.
        let template = or_default(&spec.template);
        let takes = |labels: &_| takes(set, &spec.selector, labels);
        validate_template(cx, Some(&template), takes, ("ReplicaSet", set, old), errors);
    })
}

pub(super) fn status(set: &Value) -> ErrorList {
    validate_counts(
        set.get("status"),
        &[
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "terminatingReplicas",
            "observedGeneration",
        ],
        &[
            ("fullyLabeledReplicas", "replicas", "status.replicas"),
            ("readyReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "readyReplicas", "readyReplicas"),
        ],
    )
}
