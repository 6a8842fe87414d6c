//! Defaults of deployments.

use corten_apimachinery::Value;

use crate::{
    core::pod_spec::workload,
    defaulting::{fill_absent, fill_zero, within},
};

pub(super) fn v1(deployment: &mut Value) {
    workload::defaults(deployment);
    within(deployment, &["spec"], |spec| {
        if spec.str_at(&["strategy", "type"]).unwrap_or_default().is_empty() {
            let strategy = spec.at_or_insert(&["strategy"]);
            fill_zero(strategy, "type", "RollingUpdate");
        }
        if spec.str_at(&["strategy", "type"]) == Some("RollingUpdate") {
            let update = spec.at_or_insert(&["strategy", "rollingUpdate"]);
            fill_absent(update, "maxUnavailable", "25%");
            fill_absent(update, "maxSurge", "25%");
        }
        fill_absent(spec, "revisionHistoryLimit", 10_i64);
        fill_absent(spec, "progressDeadlineSeconds", 600_i64);
    });
}
