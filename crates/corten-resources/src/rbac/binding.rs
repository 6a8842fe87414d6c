//! Defaults, rules and strategy of bindings, in a namespace or not.

use corten_api::rbac::v1::{RoleRef, Subject};
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::is_path_segment_name,
    value::semantically_equal,
};

use super::GROUP;
use crate::{
    defaulting::{each, fill_zero},
    report::Report,
    view::{each as each_item, text},
};

/// A binding.
#[derive(Debug)]
pub(super) struct Main {
    /// The rules of the kind.
    pub(super) validate: fn(&Value) -> ErrorList,
}

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, binding: &Value) -> ErrorList {
        (self.validate)(binding)
    }

    fn validate_update(&self, _cx: &Context<'_>, binding: &Value, old: &Value) -> ErrorList {
        let mut errors = (self.validate)(binding);
        if !semantically_equal(binding.get("roleRef"), old.get("roleRef")) {
            let name = "io.k8s.api.rbac.v1.RoleRef";
            errors.invalid_struct(&Path::new("roleRef"), name, binding.get("roleRef"), "cannot change roleRef");
        }
        errors
    }

    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}

/// Roles, users and groups are of this group unless said otherwise.
pub(super) fn defaults(binding: &mut Value) {
    fill_zero(binding.at_or_insert(&["roleRef"]), "apiGroup", GROUP);
    each(binding, &["subjects"], |subject| {
        if matches!(subject.str_at(&["kind"]), Some("User" | "Group")) {
            fill_zero(subject, "apiGroup", GROUP);
        }
    });
}

/// What a binding grants, and to whom.
pub(super) fn validate(
    role: &RoleRef,
    subjects: &Option<Vec<Subject>>,
    kinds: &[&str],
    is_namespaced: bool,
    errors: &mut ErrorList,
) {
    let path = Path::new("roleRef");
    errors.one_of(&path.child("apiGroup"), &role.api_group, &[GROUP]);
    errors.one_of(&path.child("kind"), &role.kind, kinds);
    if errors.require(&path.child("name"), &role.name) {
        errors.invalids(&path.child("name"), &role.name, is_path_segment_name(&role.name));
    }
    for (at, subject) in each_item(subjects, &Path::new("subjects")) {
        one_subject(subject, is_namespaced, &at, errors);
    }
}

fn one_subject(subject: &Subject, is_namespaced: bool, path: &Path, errors: &mut ErrorList) {
    let (name_at, group_at) = (path.child("name"), path.child("apiGroup"));
    let has_name = errors.require(&name_at, &subject.name);
    let group = text(&subject.api_group);
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if has_name {
                errors.object_name(&name_at, &subject.name);
            }
            errors.one_of(&group_at, group, &[""]);
            if !is_namespaced {
                errors.require(&path.child("namespace"), text(&subject.namespace));
            }
        }
        kind @ ("User" | "Group") => {
            if !has_name {
                errors.invalid(&name_at, "", format!("{} name cannot be empty", kind.to_lowercase()));
            }
            errors.one_of(&group_at, group, &[GROUP]);
        }
        other => errors.one_of(&path.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}
