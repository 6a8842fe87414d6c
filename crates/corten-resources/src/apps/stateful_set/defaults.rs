//! Defaults of stateful sets, and of the claims that are made from their templates.

use corten_apimachinery::Value;

use crate::{
    core::{persistent_volume_claim, pod_spec::workload},
    defaulting::{each, fill_absent, fill_zero, within},
};

pub(super) fn v1(set: &mut Value) {
    workload::defaults(set);
    within(set, &["spec"], |spec| {
        fill_zero(spec, "podManagementPolicy", "OrderedReady");
        if spec.str_at(&["updateStrategy", "type"]).unwrap_or_default().is_empty() {
            spec.set(&["updateStrategy", "type"], "RollingUpdate");
            fill_absent(spec.at_or_insert(&["updateStrategy"]), "rollingUpdate", Value::object());
        }
        if spec.str_at(&["updateStrategy", "type"]) == Some("RollingUpdate") {
            within(spec, &["updateStrategy", "rollingUpdate"], |update| fill_absent(update, "partition", 0_i64));
        }
        for field in ["whenDeleted", "whenScaled"] {
            let policy = spec.at_or_insert(&["persistentVolumeClaimRetentionPolicy"]);
            if policy.is_null() {
                *policy = Value::object();
            }
            fill_zero(policy, field, "Retain");
        }
        fill_absent(spec, "revisionHistoryLimit", 10_i64);
        each(spec, &["volumeClaimTemplates"], claim);
    });
}

/// A template shows what is made of it, whatever the client wrote.
fn claim(claim: &mut Value) {
    for (field, value) in [("apiVersion", "v1"), ("kind", "PersistentVolumeClaim")] {
        if claim.str_at(&[field]) != Some(value) {
            claim.set(&[field], value);
        }
    }
    persistent_volume_claim::set_defaults(claim);
}

/// How many pods may be missing during an update: a default that depends on a gate, so that it is filled in with the rules.
pub(super) fn max_unavailable(set: &mut Value) {
    let path = ["spec", "updateStrategy", "rollingUpdate"];
    if set.str_at(&["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
        within(set, &path, |update| fill_absent(update, "maxUnavailable", 1_i64));
    }
}
