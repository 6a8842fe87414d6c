//! Rules of ingress classes.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_label, validate_domain_prefixed_path},
};

use crate::{networking::ingress, report::Report};

const CONTROLLER_MAX_BYTES: usize = 250;

pub(super) fn create(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let (controller, at) = (class.str_at(&["spec", "controller"]).unwrap_or_default(), path.child("controller"));
    if controller.len() > CONTROLLER_MAX_BYTES {
        errors.push(Error::too_long(&at, CONTROLLER_MAX_BYTES));
    }
    errors.extend(validate_domain_prefixed_path(controller, &at));
    if let Some(parameters) = class.at(&["spec", "parameters"]).filter(|parameters| !parameters.is_null()) {
        self::parameters(parameters, &path.child("parameters"), &mut errors);
    }
    errors
}

fn parameters(parameters: &Value, path: &Path, errors: &mut ErrorList) {
    ingress::reference(parameters, path, errors);
    let Some(scope) = parameters.str_at(&["scope"]) else {
        errors.required(&path.child("scope"), "");
        return;
    };
    errors.one_of(&path.child("scope"), scope, &["Cluster", "Namespace"]);
    let at = path.child("namespace");
    match (scope, parameters.str_at(&["namespace"])) {
        ("Namespace", None) => errors.required(&at, "`parameters.scope` is set to 'Namespace'"),
        ("Namespace", Some(namespace)) => errors.invalids(&at, namespace, is_dns1123_label(namespace)),
        ("Cluster", Some(_)) => errors.forbidden(&at, "`parameters.scope` is set to 'Cluster'"),
        _ => {}
    }
}

pub(super) fn update(class: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let controller = ["spec", "controller"];
    errors.immutable(&Path::new("spec").child("controller"), class.at(&controller), old.at(&controller));
    errors.extend(create(class));
    errors
}
