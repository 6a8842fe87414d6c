//! Rules of workloads.

use corten_api::scheduling::v1alpha1::{PodGroup, PodGroupPolicy, TypedLocalObjectReference, Workload};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_label, is_dns1123_subdomain, is_path_segment_name},
    value::semantically_equal,
};

use crate::{
    core::pod_spec::validation::NOT_POSITIVE,
    internal_form,
    report::{Report, with_view},
    view::{Seen, each_of, text},
};

const GROUP: &str = "io.k8s.api.scheduling.v1alpha1.PodGroup";
const REFERENCE: &str = "io.k8s.api.scheduling.v1alpha1.TypedLocalObjectReference";
/// As many groups as a workload can have.
const GROUPS_MAX: usize = 8;

pub(super) fn create(workload: &Value) -> ErrorList {
    with_view(workload, |workload: &Workload, errors| {
        let path = Path::new("spec");
        if let Some(controller) = &workload.spec.controller_ref {
            reference(controller, &path.child("controllerRef"), errors);
        }
        groups(&workload.spec.pod_groups, &path.child("podGroups"), errors);
    })
}

fn reference(reference: &TypedLocalObjectReference, path: &Path, errors: &mut ErrorList) {
    let group = text(&reference.api_group);
    if !group.is_empty() {
        errors.invalids(&path.child("apiGroup"), group, is_dns1123_subdomain(group));
    }
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        let at = path.child(field);
        if errors.require(&at, value) {
            errors.invalids(&at, value, is_path_segment_name(value));
        }
    }
}

fn groups(groups: &[PodGroup], path: &Path, errors: &mut ErrorList) {
    if groups.is_empty() {
        errors.required(path, "must have at least one item");
    } else if groups.len() > GROUPS_MAX {
        errors.push(Error::too_many(path, groups.len(), GROUPS_MAX));
        return;
    }
    let mut names = Seen::default();
    for (at, group) in each_of(groups, path) {
        let name_at = at.child("name");
        errors.invalids(&name_at, &group.name, is_dns1123_label(&group.name));
        if !names.is_new(&group.name) {
            errors.push(Error::duplicate(&name_at, group.name.as_str()));
        }
        policy(&group.policy, &at.child("policy"), errors);
    }
}

fn policy(policy: &PodGroupPolicy, path: &Path, errors: &mut ErrorList) {
    match (&policy.basic, &policy.gang) {
        (None, None) => errors.required(path, "exactly one of `basic`, `gang` is required"),
        (Some(_), Some(_)) => {
            let detail = "exactly one of `basic`, `gang` is required, but multiple fields are set";
            errors.invalid(path, "{`basic`, `gang`}", detail);
        }
        (Some(_), None) => {}
        (None, Some(gang)) => {
            if gang.min_count <= 0 {
                errors.invalid(&path.child("gang").child("minCount"), gang.min_count, NOT_POSITIVE);
            }
        }
    }
}

pub(super) fn update(workload: &Value, old: &Value) -> ErrorList {
    let mut errors = create(workload);
    // Upstream names these fields without the spec that they are in.
    for field in ["controllerRef", "podGroups"] {
        let path = ["spec", field];
        let may_come = field == "controllerRef" && old.at(&path).is_none_or(Value::is_null);
        if !may_come && !semantically_equal(workload.at(&path), old.at(&path)) {
            let value = workload.at(&path);
            let shown = || match value {
                Some(Value::Array(groups)) => {
                    let groups: Vec<String> = groups.iter().map(|group| internal_form::of_type(GROUP, group)).collect();
                    format!("[{}]", groups.join(","))
                }
                value => internal_form::pointer(REFERENCE, value),
            };
            errors.invalid_shown(&Path::new(field), shown, "field is immutable");
        }
    }
    errors
}
