//! Rules of replication controllers.

use corten_api::core::v1::ReplicationController;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
};

use crate::{
    core::pod_spec::workload,
    report::{Report, with_view},
    view::or_default,
};

/// The rules of a new object, or of one that takes the place of `old`.
pub(super) fn main(cx: &Context<'_>, controller: &Value, old: Option<&Value>) -> ErrorList {
    with_view(controller, |view: &ReplicationController, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&view.spec));
        errors.non_negative(&path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default().into());
        let selector = or_default(&spec.selector);
        if selector.is_empty() {
            errors.required(&path.child("selector"), "");
        }
        errors.non_negative(&path.child("replicas"), spec.replicas.unwrap_or_default().into());
        workload::validate_template(
            cx,
            spec.template.as_ref(),
            |labels| selector.iter().all(|(key, value)| labels.get(key) == Some(value)),
            ("ReplicationController", controller, old),
            errors,
        );
    })
}

pub(super) fn status(controller: &Value) -> ErrorList {
    workload::validate_counts(
        controller.get("status"),
        &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"],
        &[
            ("fullyLabeledReplicas", "replicas", "status.replicas"),
            ("readyReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "replicas", "status.replicas"),
            ("availableReplicas", "readyReplicas", "readyReplicas"),
        ],
    )
}
