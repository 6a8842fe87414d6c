//! What of a job's spec can still be changed.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
    value::{Map, semantically_equal},
};

use super::{super::is_true, INDEXED};
use crate::{
    report::{LABEL_SELECTOR, Report},
    rules::keep,
};

pub(super) fn spec(cx: &Context<'_>, job: &Value, old: &Value, errors: &mut ErrorList) {
    let path = Path::new("spec");
    completions(job, old, &path.child("completions"), errors);
    immutable("selector", Some(LABEL_SELECTOR), job, old, errors);
    template(cx, job, old, errors);
    immutable("completionMode", None, job, old, errors);
    immutable("podFailurePolicy", Some("io.k8s.api.batch.v1.PodFailurePolicy"), job, old, errors);
    immutable("backoffLimitPerIndex", None, job, old, errors);
    immutable("managedBy", None, job, old, errors);
    immutable("successPolicy", Some("io.k8s.api.batch.v1.SuccessPolicy"), job, old, errors);
}

/// `ty` is the name of the field's struct, if it has one.
fn immutable(field: &str, ty: Option<&str>, job: &Value, old: &Value, errors: &mut ErrorList) {
    let (at, path) = (["spec", field], Path::new("spec").child(field));
    match ty {
        Some(ty) => errors.immutable_struct(&path, ty, job.at(&at), old.at(&at)),
        None => errors.immutable(&path, job.at(&at), old.at(&at)),
    }
}

/// An indexed job can get more indexes or fewer, as long as all of them run at once.
fn completions(job: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let at = ["spec", "completions"];
    let (new, old) = (job.at(&at), old.at(&at));
    if job.str_at(&["spec", "completionMode"]) != Some(INDEXED) {
        errors.immutable(path, new, old);
    } else if !semantically_equal(new, old)
        && let Some(completions) = new.and_then(Value::as_i64)
        && Some(completions) != job.i64_at(&["spec", "parallelism"])
    {
        errors.invalid(path, completions, "can only be modified in tandem with spec.parallelism");
    }
}

const TEMPLATE: [&str; 2] = ["spec", "template"];

/// The template stays, but while the job is suspended somebody may decide where its pods are to run, and with how much.
fn template(cx: &Context<'_>, job: &Value, old: &Value, errors: &mut ErrorList) {
    let path = Path::new("spec").child("template");
    let suspended = old.bool_at(&["spec", "suspend"]).unwrap_or_default();
    let new = job.at(&TEMPLATE);
    let mut was = old.at(&TEMPLATE).cloned().unwrap_or_default();
    if may_move(cx, old, suspended) {
        take_scheduling(new.unwrap_or(&Value::Null), &mut was);
    }
    if suspended && cx.features.is_enabled("MutablePodResourcesForSuspendedJobs") && is_idle(old) {
        take_resources(new.unwrap_or(&Value::Null), &mut was);
        let new = new.and_then(|template| template.get("spec"));
        errors.immutable_struct(&path.child("spec"), "io.k8s.api.core.v1.PodSpec", new, was.get("spec"));
    } else {
        errors.immutable_struct(&path, "io.k8s.api.core.v1.PodTemplateSpec", new, Some(&was));
    }
}

fn has_started(old: &Value) -> bool {
    old.at(&["status", "startTime"]).is_some_and(|time| !time.is_null())
}

/// Whether no pod can have been made from the template that is still there.
fn is_idle(old: &Value) -> bool {
    let active = old.i64_at(&["status", "active"]).unwrap_or_default();
    active == 0 && (!has_started(old) || is_true(old, "Suspended"))
}

fn may_move(cx: &Context<'_>, old: &Value, suspended: bool) -> bool {
    let again = cx.features.is_enabled("MutableSchedulingDirectivesForSuspendedJobs");
    suspended && if again { is_idle(old) } else { !has_started(old) }
}

/// Takes over from `new` what says where pods run.
fn take_scheduling(new: &Value, was: &mut Value) {
    let affinity = ["spec", "affinity"];
    let node = ["spec", "affinity", "nodeAffinity"];
    match (new.at(&affinity), was.at(&affinity)) {
        (None, Some(_)) => {
            was.unset(&node);
            if was.at(&affinity).and_then(Value::as_object).is_some_and(Map::is_empty) {
                was.unset(&affinity);
            }
        }
        (Some(_), None) => {
            was.set(&affinity, Map::new());
            keep(was, new, &node);
        }
        (Some(_), Some(_)) => keep(was, new, &node),
        (None, None) => {}
    }
    for path in [
        &["spec", "nodeSelector"] as &[&str],
        &["spec", "tolerations"],
        &["spec", "schedulingGates"],
        &["metadata", "annotations"],
        &["metadata", "labels"],
    ] {
        keep(was, new, path);
    }
}

/// Takes over from `new` how much its containers need, where they are the same containers.
fn take_resources(new: &Value, was: &mut Value) {
    for list in ["containers", "initContainers"] {
        let path = ["spec", list];
        let new = new.items_at(&path);
        if new.is_empty() || new.len() != was.items_at(&path).len() {
            continue;
        }
        let Some(containers) = was.at_mut(&path).and_then(Value::as_array_mut) else { continue };
        for (container, new) in containers.iter_mut().zip(new) {
            if container.get("name") == new.get("name") {
                keep(container, new, &["resources"]);
            }
        }
    }
}
