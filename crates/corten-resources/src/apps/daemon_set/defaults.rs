//! Defaults of daemon sets.

use corten_apimachinery::Value;

use super::generation;
use crate::{
    core::pod_spec,
    defaulting::{fill_absent, fill_zero, within},
};

pub(super) fn v1(set: &mut Value) {
    generation::fill_in(set);
    within(set, &["spec"], |spec| {
        within(spec, &["template", "spec"], pod_spec::defaults::pod_spec);
        if spec.str_at(&["updateStrategy", "type"]).unwrap_or_default().is_empty() {
            fill_zero(spec.at_or_insert(&["updateStrategy"]), "type", "RollingUpdate");
        }
        if spec.str_at(&["updateStrategy", "type"]) == Some("RollingUpdate") {
            let update = spec.at_or_insert(&["updateStrategy", "rollingUpdate"]);
            fill_absent(update, "maxUnavailable", 1_i64);
            fill_absent(update, "maxSurge", 0_i64);
        }
        fill_absent(spec, "revisionHistoryLimit", 10_i64);
    });
}
