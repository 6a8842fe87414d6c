//! How a job knows its pods: labels with its name and UID that the server puts on the template, and a selector of the UID.
//!
//! Invariant: unless the client brings a selector of its own (`manualSelector`), no other job's pods are selected.
//! Upstream: `generateSelector` in pkg/registry/batch/job/strategy.go, `validateGeneratedSelector` in
//! pkg/apis/batch/validation/validation.go (v1.35).

use std::collections::BTreeMap;

use corten_api::meta::v1::LabelSelector;
use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
};

use crate::{core::pod_spec::workload::selects, report::Report};

const NAME: &str = "batch.kubernetes.io/job-name";
const UID: &str = "batch.kubernetes.io/controller-uid";
/// The labels before they had a domain, which are still made.
const OLD_NAME: &str = "job-name";
const OLD_UID: &str = "controller-uid";

const TEMPLATE_LABELS: [&str; 4] = ["spec", "template", "metadata", "labels"];

fn is_manual(job: &Value) -> bool {
    job.bool_at(&["spec", "manualSelector"]).unwrap_or_default()
}

/// Labels the template and selects the label, unless the client does. What it has labelled stays, and is checked later.
pub(super) fn generate(job: &mut Value) {
    if is_manual(job) {
        return;
    }
    let (name, uid) = (job.name().to_owned(), job.uid().to_owned());
    for (label, value) in [(OLD_NAME, &name), (NAME, &name), (OLD_UID, &uid), (UID, &uid)] {
        fill(job.at_or_insert(&TEMPLATE_LABELS), label, value);
    }
    fill(job.at_or_insert(&["spec", "selector", "matchLabels"]), UID, &uid);
}

fn fill(labels: &mut Value, label: &str, value: &str) {
    if labels.is_null() {
        *labels = Value::object();
    }
    if labels.get(label).is_none() {
        labels.set(&[label], value);
    }
}

/// A job without labels has those of its template.
///
/// That is a default of upstream's, filled in when an object is read from a client or the store. The labels that are
/// generated in between are among them, so this comes after that.
pub(super) fn label_job(job: &mut Value) {
    let labels = job.at(&TEMPLATE_LABELS).and_then(Value::as_object).filter(|labels| !labels.is_empty()).cloned();
    if job.labels().is_none_or(Map::is_empty)
        && let Some(labels) = labels
    {
        job.set_meta("labels", labels);
    }
}

/// Whether a job was made when both new labels were.
pub(super) fn has_new_labels(job: &Value) -> bool {
    let labels = job.at(&TEMPLATE_LABELS);
    [NAME, UID].iter().all(|label| labels.is_some_and(|labels| labels.get(label).is_some()))
}

/// The labels and the selector are those that are generated, unless they are the client's business.
pub(super) fn validate(job: &Value, selector: Option<&LabelSelector>, new_labels: bool, errors: &mut ErrorList) {
    let Some(selector) = selector.filter(|_| !is_manual(job)) else { return };
    let (name, uid) = (job.name(), job.uid());
    if uid.is_empty() {
        errors.required(&Path::new("metadata").child("uid"), "");
    }
    let mut expected = vec![(OLD_UID, uid), (OLD_NAME, name)];
    if new_labels {
        expected.extend([(UID, uid), (NAME, name)]);
    }
    let path = Path::new("spec").child("template").child("metadata").child("labels");
    let labels = job.at(&TEMPLATE_LABELS);
    for (label, value) in &expected {
        let detail = format!("must be '{value}'");
        match labels.and_then(|labels| labels.str_at(&[label])) {
            None => errors.required(&path.key(label), &detail),
            Some(found) if found != *value => {
                errors.invalid(&path.key(label), labels.cloned().unwrap_or_default(), detail);
            }
            Some(_) => {}
        }
    }
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
    if !selects(selector, &expected) {
        let shown = job.at(&["spec", "selector"]).cloned().unwrap_or_default();
        errors.invalid(&Path::new("spec").child("selector"), shown, "`selector` not auto-generated");
    }
}
