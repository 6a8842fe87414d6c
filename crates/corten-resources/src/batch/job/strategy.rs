//! What clients may change of a job through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, GarbagePolicy, Strategy},
};

use super::{pod_labels, validation, warnings};
use crate::{
    core::pod_spec::{gates, warnings::name as name_warnings, workload::POD_SPEC},
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The job itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, job: &mut Value) {
        gates::drop_disabled(cx.features, job, None, POD_SPEC);
        pod_labels::generate(job);
        pod_labels::label_job(job);
        job.set(&["status"], Value::object());
        first_generation(job);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, job: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, job, Some(old), POD_SPEC);
        pod_labels::label_job(job);
        keep(job, old, &["status"]);
        next_generation(job, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, job: &Value) -> ErrorList {
        validation::create(cx, job)
    }

    fn validate_update(&self, cx: &Context<'_>, job: &Value, old: &Value) -> ErrorList {
        validation::update(cx, job, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, job: &Value) -> Vec<String> {
        let mut found = name_warnings(job);
        found.extend(spec_warnings(job));
        found
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, job: &Value, old: &Value) -> Vec<String> {
        if job.generation() == old.generation() { Vec::new() } else { spec_warnings(job) }
    }

    // As it was before there was a choice.
    fn garbage_policy(&self) -> GarbagePolicy {
        GarbagePolicy::Orphan
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

fn spec_warnings(job: &Value) -> Vec<String> {
    job.get("spec").map(|spec| warnings::spec(spec, &Path::new("spec"))).unwrap_or_default()
}

/// `status`.
pub(super) static STATUS: Status =
    Status::new(|_cx, job, old| validation::status(job, old)).preparing(|_cx, job, _old| pod_labels::label_job(job));
