//! What the kinds that keep a number of pods alive have in common: deployments, replica sets, stateful sets.

use std::collections::BTreeMap;

use corten_api::{core::v1::PodTemplateSpec, intstr::IntOrString, meta::v1::LabelSelector};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::Context,
    validation::is_percent,
};

use super::template;
use crate::{
    defaulting::{fill_absent, within},
    gates::Gated,
    report::{LABEL_SELECTOR, Report},
    view::{int_or_string, list},
};

/// Where the pods of the template are described.
pub(crate) const POD_SPEC: &[&str] = &["spec", "template", "spec"];

/// Fills in the number of replicas and the template's spec.
pub(crate) fn defaults(object: &mut Value) {
    within(object, &["spec"], |spec| {
        fill_absent(spec, "replicas", 1_i64);
        within(spec, &["template", "spec"], super::defaults::pod_spec);
    });
}

/// Where a workload has the template of its pods.
pub(crate) const TEMPLATE: [&str; 2] = ["spec", "template"];

/// The template's pods are selected, and restarted for ever. `object` is the whole object, for showing parts of it, and
/// `old` the stored one.
pub(crate) fn validate_template(
    cx: &Context<'_>,
    template: Option<&PodTemplateSpec>,
    selects: impl Fn(&BTreeMap<String, String>) -> bool,
    (kind, object, old): (&str, &Value, Option<&Value>),
    errors: &mut ErrorList,
) {
    let path = Path::new("spec").child("template");
    let Some(template) = template else {
        errors.required(&path, "");
        return;
    };
    validate_selected(template, selects, object, errors);
    template::validate(cx, template, old.and_then(|old| old.at(&TEMPLATE)), &path, errors);
    validate_endless(template, kind, errors);
}

/// The template's pods are selected.
pub(crate) fn validate_selected(
    template: &PodTemplateSpec,
    selects: impl Fn(&BTreeMap<String, String>) -> bool,
    object: &Value,
    errors: &mut ErrorList,
) {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    if !selects(&labels) {
        let shown = object.at(&["spec", "template", "metadata", "labels"]).cloned().unwrap_or_default();
        let path = Path::new("spec").child("template").child("metadata").child("labels");
        errors.invalid(&path, shown, "`selector` does not match template `labels`");
    }
}

/// The template's pods are restarted for ever.
pub(crate) fn validate_endless(template: &PodTemplateSpec, kind: &str, errors: &mut ErrorList) {
    let path = Path::new("spec").child("template").child("spec");
    let spec = template.spec.as_ref();
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or_default();
    errors.one_of(&path.child("restartPolicy"), policy, &["Always"]);
    if spec.is_some_and(|spec| spec.active_deadline_seconds.is_some()) {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&path.child("activeDeadlineSeconds"), detail);
    }
}

/// A selector that is set, not empty and well-formed.
pub(crate) fn validate_selector(selector: &LabelSelector, object: &Value, errors: &mut ErrorList) {
    let path = Path::new("spec").child("selector");
    let shown = object.at(&["spec", "selector"]).filter(|selector| !selector.is_null());
    let Some(shown) = shown else {
        errors.required(&path, "");
        return;
    };
    super::validation::label_selector(Some(selector), &path, errors);
    if is_empty(selector) {
        errors.invalid(&path, shown.clone(), "empty selector is invalid for deployment");
    }
    if !is_well_formed(selector) {
        errors.invalid(&path, shown.clone(), "invalid label selector");
    }
}

/// The selector stays as it is: pods that it took would be nobody's.
pub(crate) fn validate_same_selector(object: &Value, old: &Value, errors: &mut ErrorList) {
    let selector = ["spec", "selector"];
    let path = Path::new("spec").child("selector");
    errors.immutable_struct(&path, LABEL_SELECTOR, object.at(&selector), old.at(&selector));
}

/// Whether every expression has the values that its operator needs.
pub(crate) fn is_well_formed(selector: &LabelSelector) -> bool {
    list(&selector.match_expressions).iter().all(is_usable)
}

fn is_usable(expression: &corten_api::meta::v1::LabelSelectorRequirement) -> bool {
    let has_values = !list(&expression.values).is_empty();
    match expression.operator.as_str() {
        "In" | "NotIn" => has_values,
        "Exists" | "DoesNotExist" => !has_values,
        _ => false,
    }
}

/// Whether a selector asks for nothing.
pub(crate) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty) && list(&selector.match_expressions).is_empty()
}

/// Whether the selector of `object` takes these labels. One that is not set takes none.
pub(crate) fn takes(object: &Value, selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    object.at(&["spec", "selector"]).is_some_and(|selector| !selector.is_null()) && selects(selector, labels)
}

/// Whether a selector takes these labels; an empty or malformed one is reported elsewhere, so it takes all.
pub(crate) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    if !is_well_formed(selector) {
        return true;
    }
    let matches_labels = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    matches_labels
        && list(&selector.match_expressions).iter().all(|expression| {
            let value = labels.get(&expression.key);
            let is_listed = value.is_some_and(|value| list(&expression.values).contains(value));
            match expression.operator.as_str() {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}

/// Numbers of a status that must not be negative, and those that must not exceed others: (field, limit, limit's name).
pub(crate) fn validate_counts(status: Option<&Value>, fields: &[&str], limits: &[(&str, &str, &str)]) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let number = |field: &str| status.and_then(|status| status.i64_at(&[field])).unwrap_or_default();
    for field in fields {
        errors.non_negative(&path.child(field), number(field));
    }
    for (field, limit, name) in limits {
        if number(field) > number(limit) {
            errors.invalid(&path.child(field), number(field), format!("cannot be greater than {name}"));
        }
    }
    errors
}

/// A number of pods, or a share of them.
pub(crate) fn validate_int_or_percent(value: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match value {
        IntOrString::Int(number) => errors.non_negative(path, (*number).into()),
        IntOrString::String(text) => {
            let shown = int_or_string(value);
            errors.extend(is_percent(text).into_iter().map(|message| Error::invalid(path, shown.clone(), message)));
        }
    }
}

/// The share of a percentage; `None` for a plain number.
pub(crate) fn percent(value: &IntOrString) -> Option<i64> {
    match value {
        IntOrString::Int(_) => None,
        IntOrString::String(text) => text.strip_suffix('%')?.parse().ok(),
    }
}

/// The number or the share, whichever it is; 0 for a text that is neither.
pub(crate) fn amount(value: &IntOrString) -> i64 {
    match value {
        IntOrString::Int(number) => (*number).into(),
        IntOrString::String(text) => percent(value).or_else(|| text.parse().ok()).unwrap_or_default(),
    }
}

/// A share is not more than all.
pub(crate) fn validate_at_most_all(value: &IntOrString, path: &Path, errors: &mut ErrorList) {
    if percent(value).is_some_and(|percent| percent > 100) {
        errors.invalid(path, int_or_string(value), "must not be greater than 100%");
    }
}

/// A count of collisions only grows, because the names made with it are taken.
pub(crate) fn validate_collisions(object: &Value, old: &Value, errors: &mut ErrorList) {
    let collisions = |object: &Value| object.i64_at(&["status", "collisionCount"]);
    let decremented = match (collisions(object), collisions(old)) {
        (None, Some(_)) => true,
        (Some(new), Some(old)) => new < old,
        (_, None) => false,
    };
    if decremented {
        let path = Path::new("status").child("collisionCount");
        errors.invalid(&path, collisions(object).unwrap_or_default(), "cannot be decremented");
    }
}

/// The count of pods that are about to end.
pub(crate) const TERMINATING: Gated =
    Gated::new(&["DeploymentReplicaSetTerminatingReplicas"], &["status.terminatingReplicas"]);
