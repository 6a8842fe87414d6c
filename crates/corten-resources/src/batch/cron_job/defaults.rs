//! Defaults of cron jobs. Those of their jobs are filled in when a job is made.

use corten_apimachinery::Value;

use crate::{
    core::pod_spec,
    defaulting::{fill_absent, fill_zero, within},
};

pub(super) fn v1(cron_job: &mut Value) {
    within(cron_job, &["spec"], |spec| {
        within(spec, &["jobTemplate", "spec", "template", "spec"], pod_spec::defaults::pod_spec);
        fill_zero(spec, "concurrencyPolicy", "Allow");
        fill_absent(spec, "suspend", false);
        fill_absent(spec, "successfulJobsHistoryLimit", 3_i64);
        fill_absent(spec, "failedJobsHistoryLimit", 1_i64);
    });
}
