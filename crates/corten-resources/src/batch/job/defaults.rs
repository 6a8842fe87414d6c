//! Defaults of jobs. Those of labels depend on what the strategy adds to the template, so they are filled in there.

use corten_apimachinery::Value;

use crate::{
    core::pod_spec,
    defaulting::{each, fill_absent, fill_zero, within},
};

/// How often pods may fail.
const BACKOFF_LIMIT: i64 = 6;

pub(super) fn v1(job: &mut Value) {
    within(job, &["spec"], |spec| {
        within(spec, &["template", "spec"], pod_spec::defaults::pod_spec);
        let is_set = |spec: &Value, field: &str| spec.get(field).is_some_and(|value| !value.is_null());
        if !is_set(spec, "completions") && !is_set(spec, "parallelism") {
            spec.set(&["completions"], 1_i64);
        }
        fill_absent(spec, "parallelism", 1_i64);
        // With a limit of each index, there is none of all.
        let limit = if is_set(spec, "backoffLimitPerIndex") { i32::MAX.into() } else { BACKOFF_LIMIT };
        fill_absent(spec, "backoffLimit", limit);
        fill_absent(spec, "completionMode", "NonIndexed");
        fill_absent(spec, "suspend", false);
        each(spec, &["podFailurePolicy", "rules"], |rule| {
            each(rule, &["onPodConditions"], |pattern| fill_zero(pattern, "status", "True"));
        });
        fill_absent(spec, "manualSelector", false);
        // A pod that is about to end has not failed yet, and a policy for failures wants to know how it ends.
        let replaced = if is_set(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        fill_absent(spec, "podReplacementPolicy", replaced);
    });
}
