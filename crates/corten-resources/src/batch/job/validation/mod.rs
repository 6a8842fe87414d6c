//! Rules of jobs.

mod failure_policy;
mod indexes;
mod spec;
mod status;
mod success_policy;
mod update;

use corten_api::batch::v1::{Job, JobSpec};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, ErrorType, Path},
    meta::ObjectMeta,
    resource::Context,
    validation::is_dns1123_label,
};

pub(in crate::batch) use spec::common;
pub(super) use status::status;

use super::pod_labels;
use crate::{
    core::pod_spec::{validation::label_selector, workload::selects},
    report::{Report, with_view},
    view::{or_default, text},
};

pub(super) fn create(cx: &Context<'_>, job: &Value) -> ErrorList {
    check(cx, job, None, true)
}

pub(super) fn update(cx: &Context<'_>, job: &Value, old: &Value) -> ErrorList {
    let mut errors = check(cx, job, Some(old), pod_labels::has_new_labels(old));
    // Upstream asks the rules of the spec again where it looks at the change.
    errors.extend(with_view(job, |view: &Job, errors| {
        spec_rules(cx, (job, Some(old)), &or_default(&view.spec), errors);
    }));
    update::spec(cx, job, old, &mut errors);
    errors
}

fn check(cx: &Context<'_>, job: &Value, old: Option<&Value>, new_labels: bool) -> ErrorList {
    with_view(job, |view: &Job, errors| {
        let spec = or_default(&view.spec);
        pod_labels::validate(job, spec.selector.as_ref(), new_labels, errors);
        spec_rules(cx, (job, old), &spec, errors);
        // The pods of indexes have the index in their host names.
        let last = spec.completions.filter(|&completions| completions > 0).map(|completions| completions - 1);
        if let Some(last) = last.filter(|_| text(&spec.completion_mode) == INDEXED) {
            let host = format!("{}-{last}", job.name());
            if !is_dns1123_label(&host).is_empty() {
                let detail = format!("will not able to create pod with invalid DNS label: {host}");
                errors.invalid(&Path::new("metadata").child("name"), job.name(), detail);
            }
        }
    })
}

fn spec_rules(cx: &Context<'_>, (job, old): (&Value, Option<&Value>), spec: &JobSpec, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let raw = job.get("spec").unwrap_or(&Value::Null);
    common(cx, spec, (raw, old.and_then(|old| old.get("spec"))), &path, errors);
    let selector_at = path.child("selector");
    match &spec.selector {
        None => errors.required(&selector_at, ""),
        Some(selector) => label_selector(Some(selector), &selector_at, errors),
    }
    let metadata = or_default(&spec.template.metadata);
    let labels = metadata.labels.clone().unwrap_or_default();
    if !spec.selector.as_ref().is_some_and(|selector| selects(selector, &labels)) {
        let shown = job.at(&["spec", "template", "metadata", "labels"]).cloned().unwrap_or_default();
        let path = path.child("template").child("metadata").child("labels");
        errors.invalid(&path, shown, "`selector` does not match template `labels`");
    }
}

/// Pods have numbers, and each number has to succeed.
const INDEXED: &str = "Indexed";

/// An error about a field whose value is not shown.
fn invalid_unshown(path: &Path, detail: impl Into<String>) -> Error {
    Error { kind: ErrorType::Invalid, field: path.to_string(), bad_value: None, detail: detail.into() }
}
