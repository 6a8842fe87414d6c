//! Rules of requests for devices.

use corten_apimachinery::{
    Features, Value,
    field::{ErrorList, Path},
};

use super::requests::{REQUESTS_MAX, Requests};
use crate::{
    report::Report,
    resource::rules::{
        lists::{each_item, each_unique, present, text},
        names, opaque, selectors, taints,
    },
};

/// How many alternatives a request has.
const ALTERNATIVES_MAX: usize = 8;
/// How many constraints there are.
const CONSTRAINTS_MAX: usize = 32;
/// How many configurations a claim or class has.
pub(crate) const CONFIG_MAX: usize = 32;

/// Every rule that a new `devices` of a spec breaks.
pub(crate) fn devices(devices: &Value, features: &Features, path: &Path, errors: &mut ErrorList) {
    let names = Requests::of(devices);
    let list = |field: &str| devices.items_at(&[field]);
    let check = |item: &Value, at: &Path, errors: &mut ErrorList| request(item, features, at, errors);
    each_unique(list("requests"), REQUESTS_MAX, &path.child("requests"), errors, check, |item| text(item, "name"));
    each_item(list("constraints"), CONSTRAINTS_MAX, &path.child("constraints"), errors, |item, at, errors| {
        names.references(item, at, errors);
        constraint(item, features, at, errors);
    });
    each_item(list("config"), CONFIG_MAX, &path.child("config"), errors, |config, at, errors| {
        names.references(config, at, errors);
        opaque::configuration(config, false, at, errors);
    });
}

fn request(request: &Value, features: &Features, path: &Path, errors: &mut ErrorList) {
    names::label(text(request, "name"), &path.child("name"), errors);
    let alternatives = request.items_at(&["firstAvailable"]);
    match (present(request, "exactly"), alternatives) {
        (None, []) => errors.required(path, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(exactly), []) => asked(exactly, features, &path.child("exactly"), errors),
        (None, alternatives) => {
            let check = |alternative: &Value, at: &Path, errors: &mut ErrorList| {
                names::label(text(alternative, "name"), &at.child("name"), errors);
                asked(alternative, features, at, errors);
            };
            let at = path.child("firstAvailable");
            each_unique(alternatives, ALTERNATIVES_MAX, &at, errors, check, |item| text(item, "name"));
        }
        (Some(_), _) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.invalid(path, Value::Null, detail);
        }
    }
}

/// What a request or alternative asks for.
fn asked(request: &Value, features: &Features, path: &Path, errors: &mut ErrorList) {
    let class_at = path.child("deviceClassName");
    if errors.require(&class_at, text(request, "deviceClassName")) {
        errors.object_name(&class_at, text(request, "deviceClassName"));
    }
    selectors::validate(request.items_at(&["selectors"]), features, &path.child("selectors"), errors);
    let (count, count_at) = (request.i64_at(&["count"]).unwrap_or_default(), path.child("count"));
    match text(request, "allocationMode") {
        "All" if count != 0 => {
            errors.invalid(&count_at, count, "must not be specified when allocationMode is 'All'");
        }
        "ExactCount" if count <= 0 => errors.invalid(&count_at, count, "must be greater than zero"),
        "All" | "ExactCount" => {}
        other => errors.one_of(&path.child("allocationMode"), other, &["All", "ExactCount"]),
    }
    let at = path.child("tolerations");
    each_item(request.items_at(&["tolerations"]), usize::MAX, &at, errors, taints::toleration);
}

fn constraint(constraint: &Value, features: &Features, path: &Path, errors: &mut ErrorList) {
    for field in ["matchAttribute", "distinctAttribute"] {
        if let Some(name) = constraint.str_at(&[field]) {
            names::fully_qualified_name(name, &path.child(field), errors);
            return;
        }
    }
    if features.is_enabled("DRAConsumableCapacity") {
        let detail =
            "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
        errors.required(path, detail);
    } else {
        errors.required(&path.child("matchAttribute"), "");
    }
}
