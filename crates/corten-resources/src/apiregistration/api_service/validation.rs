//! Rules of API services.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path, quote},
    meta::ObjectMeta,
    validation::{is_dns1035_label, is_dns1123_subdomain, is_port_number},
};

use crate::{
    report::Report,
    tree::{each_at, present, text_at},
};

pub(super) fn api_service(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&null);
    let (group, version) = (text_at(spec, &["group"]), text_at(spec, &["version"]));
    let mut errors = ErrorList::new();
    let wanted = format!("{version}.{group}");
    for (field, name) in [("generateName", object.generate_name()), ("name", object.name())] {
        let is_required = field == "name" || !name.is_empty();
        if is_required && name != wanted {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {}", quote(&wanted));
            errors.invalid(&Path::new("metadata").child(field), name, detail);
        }
    }
    if group.is_empty() {
        if version != "v1" {
            errors.required(&path.child("group"), "only v1 may have an empty group and it better be legacy kube");
        }
    } else {
        errors.invalids(&path.child("group"), group, is_dns1123_subdomain(group));
    }
    errors.invalids(&path.child("version"), version, is_dns1035_label(version));
    for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let priority = spec.i64_at(&[field]).unwrap_or_default();
        if !(1..=max).contains(&priority) {
            errors.invalid(&path.child(field), priority, format!("must be positive and less than {max}"));
        }
    }
    reached(spec, &path, &mut errors);
    errors
}

/// How the server is reached, if it is another one.
fn reached(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let bundle_bytes = decoded_len(text_at(spec, &["caBundle"]));
    let is_insecure = spec.bool_at(&["insecureSkipTLSVerify"]).unwrap_or_default();
    let insecure_at = path.child("insecureSkipTLSVerify");
    let Some(service) = present(spec, &["service"]) else {
        if bundle_bytes > 0 {
            let detail = "local APIServices may not have a caBundle";
            errors.invalid(&path.child("caBundle"), format!("{bundle_bytes} bytes"), detail);
        }
        if is_insecure {
            errors.invalid(&insecure_at, true, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    };
    for field in ["namespace", "name"] {
        errors.require(&path.child("service").child(field), text_at(service, &[field]));
    }
    let port = service.i64_at(&["port"]).unwrap_or_default();
    let messages = is_port_number(port);
    if !messages.is_empty() {
        let detail = format!("port is not valid: {}", messages.join(", "));
        errors.invalid(&path.child("service").child("port"), port, detail);
    }
    if is_insecure && bundle_bytes > 0 {
        errors.invalid(&insecure_at, true, "may not be true if caBundle is present");
    }
}

/// How many bytes a text in base64 stands for.
fn decoded_len(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

pub(super) fn status(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("status"));
    let mut errors = ErrorList::new();
    for (at, condition) in each_at(object.get("status").unwrap_or(&null), "conditions", &path) {
        errors.one_of(&at.child("status"), text_at(condition, &["status"]), &["True", "False", "Unknown"]);
    }
    errors
}
