//! What clients may change of a cron job through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    batch::job::spec_warnings,
    core::pod_spec::{gates, warnings},
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The cron job itself.
#[derive(Debug)]
pub(super) struct Main;

/// Where the pods of the template are described.
const TEMPLATE: &[&str] = &["spec", "jobTemplate", "spec", "template", "spec"];

fn job_warnings(cron_job: &Value) -> Vec<String> {
    let path = Path::new("spec").child("jobTemplate").child("spec");
    cron_job.at(&["spec", "jobTemplate", "spec"]).map(|spec| spec_warnings(spec, &path)).unwrap_or_default()
}

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, cron_job: &mut Value) {
        gates::drop_disabled(cx.features, cron_job, None, TEMPLATE);
        cron_job.set(&["status"], Value::object());
        first_generation(cron_job);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, cron_job: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, cron_job, Some(old), TEMPLATE);
        keep(cron_job, old, &["status"]);
        next_generation(cron_job, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, cron_job: &Value) -> ErrorList {
        validation::create(cx, cron_job)
    }

    fn validate_update(&self, cx: &Context<'_>, cron_job: &Value, old: &Value) -> ErrorList {
        validation::update(cx, cron_job, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, cron_job: &Value) -> Vec<String> {
        let mut found = warnings::name(cron_job);
        found.extend(job_warnings(cron_job));
        found
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, cron_job: &Value, old: &Value) -> Vec<String> {
        let mut found = if cron_job.generation() == old.generation() { Vec::new() } else { job_warnings(cron_job) };
        if cron_job.str_at(&["spec", "schedule"]).unwrap_or_default().contains("TZ") {
            // The path is upstream's.
            found.push(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                    .to_owned(),
            );
        }
        found
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
///
/// Upstream has no rules for it.
pub(super) static STATUS: Status = Status::new(|_cx, _cron_job, _old| ErrorList::new());
