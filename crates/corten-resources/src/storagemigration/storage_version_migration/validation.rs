//! Rules of storage version migrations.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::{is_dns1035_label, is_dns1123_subdomain},
};

use crate::{conditions, report::Report, tree::text_at};

pub(super) fn migration(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("resource");
    let text = |field: &str| text_at(object, &["spec", "resource", field]);
    let (resource, at) = (text("resource"), path.child("resource"));
    if resource.is_empty() {
        errors.required(&at, "resource is required to be set");
    } else {
        joined(resource, is_dns1035_label(resource), &at, &mut errors);
    }
    let group = text("group");
    if !group.is_empty() {
        joined(group, is_dns1123_subdomain(group), &path.child("group"), &mut errors);
    }
    errors
}

fn joined(value: &str, faults: Vec<String>, path: &Path, errors: &mut ErrorList) {
    if !faults.is_empty() {
        errors.invalid(path, value, faults.join(","));
    }
}

pub(super) fn update(object: &Value, old: &Value) -> ErrorList {
    let mut errors = migration(object);
    errors.immutable_struct(
        &Path::new("spec"),
        "io.k8s.api.storagemigration.v1beta1.StorageVersionMigrationSpec",
        object.get("spec"),
        old.get("spec"),
    );
    errors
}

pub(super) fn status(object: &Value, old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let (version, before) = (resource_version(object), resource_version(old));
    let at = path.child("resourceVersion");
    if !is_well_formed(version) {
        errors.invalid(&at, version, format!("resource version is not well formed: {version}"));
    }
    let all = object.items_at(&["status", "conditions"]);
    let at_conditions = path.child("conditions");
    conditions::validate(all, &at_conditions, &mut errors);
    if !before.is_empty() && before != version {
        errors.invalid(&at, version, "field is immutable");
    }
    let now = Progress::of(object);
    let was = Progress::of(old);
    for (is_broken, detail) in [
        (now.succeeded && now.failed, "Both success and failed conditions cannot be true at the same time"),
        (now.succeeded && now.running, "Running condition cannot be true when success condition is true"),
        (now.failed && now.running, "Running condition cannot be true when failed condition is true"),
        (was.succeeded && !now.succeeded, "Success condition cannot be set to false once it is true"),
        (was.failed && !now.failed, "Failed condition cannot be set to false once it is true"),
    ] {
        if is_broken {
            errors.invalid(&at_conditions, Value::array(all.iter().cloned()), detail);
        }
    }
    errors
}

fn resource_version(object: &Value) -> &str {
    text_at(object, &["status", "resourceVersion"])
}

/// A positive whole number of any size, as clients compare them.
///
/// Upstream: k8s.io/apimachinery/pkg/util/resourceversion (v1.35).
fn is_well_formed(version: &str) -> bool {
    !version.is_empty() && !version.starts_with('0') && version.bytes().all(|byte| byte.is_ascii_digit())
}

/// How far a migration is.
struct Progress {
    succeeded: bool,
    failed: bool,
    running: bool,
}

impl Progress {
    fn of(object: &Value) -> Self {
        let is_true = |ty: &str| conditions::is_true(object.items_at(&["status", "conditions"]), ty);
        Self { succeeded: is_true("Succeeded"), failed: is_true("Failed"), running: is_true("Running") }
    }
}
