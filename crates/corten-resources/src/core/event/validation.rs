//! Rules of events: lenient for old clients, strict for those of `events.k8s.io/v1`.

use std::borrow::Cow;

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    validation::{is_dns1123_subdomain, is_qualified_name},
    value::semantically_equal,
};

use crate::report::Report;

/// Longest action, reason, and reporting instance.
const WORD_MAX_BYTES: usize = 128;
/// Longest message.
const NOTE_MAX_BYTES: usize = 1_024;

/// What a client of `events.k8s.io/v1` cannot change, by the names of the internal type.
const IMMUTABLE: [(&str, &str); 14] = [
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    // Upstream asks twice.
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

fn is_strict(api_version: &str) -> bool {
    !matches!(api_version, "v1" | "events.k8s.io/v1beta1")
}

fn text<'o>(object: &'o Value, path: &[&str]) -> &'o str {
    object.str_at(path).unwrap_or_default()
}

pub(super) fn create(object: &Value, api_version: &str) -> ErrorList {
    let mut errors = lenient(object, api_version);
    if !is_strict(api_version) {
        return errors;
    }
    errors.extend(series(object));
    if text(object, &["eventTime"]).is_empty() {
        errors.required(&Path::new("eventTime"), "");
    }
    let ty = text(object, &["type"]);
    if !matches!(ty, "Normal" | "Warning") {
        errors.invalid(&Path::new("type"), "", format!("has invalid value: {ty}"));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        let is_set = match object.get(field) {
            Some(Value::Int(count)) => *count != 0,
            // The source is a struct, which is always written.
            Some(Value::Object(source)) => !source.is_empty(),
            value => !semantically_equal(value, None),
        };
        if is_set {
            errors.invalid(&Path::new(field), "", "needs to be unset");
        }
    }
    errors
}

pub(super) fn update(object: &Value, old: &Value, api_version: &str) -> ErrorList {
    let mut errors = lenient(object, api_version);
    if !is_strict(api_version) {
        return errors;
    }
    if !semantically_equal(object.get("series"), old.get("series")) {
        errors.extend(series(object));
    }
    for (field, shown) in IMMUTABLE {
        let (at, new, was) = (Path::new(shown), value_of(object, field), value_of(old, field));
        let (new, was) = (new.as_deref(), was.as_deref());
        match field {
            "related" | "involvedObject" => {
                errors.immutable_struct(&at, "io.k8s.api.core.v1.ObjectReference", new, was);
            }
            "source" => errors.immutable_struct(&at, "io.k8s.api.core.v1.EventSource", new, was),
            _ => errors.immutable(&at, new, was),
        }
    }
    errors
}

/// A field as it is compared: a text that is not there is an empty one, and the events of the core group write it as such.
fn value_of<'o>(object: &'o Value, field: &str) -> Option<Cow<'o, Value>> {
    let is_text =
        matches!(field, "reason" | "message" | "type" | "action" | "reportingComponent" | "reportingInstance");
    match object.get(field).filter(|value| !value.is_null()) {
        Some(value) => Some(Cow::Borrowed(value)),
        None if is_text => Some(Cow::Owned(Value::from(""))),
        None => None,
    }
}

fn series(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(series) = object.get("series").filter(|series| !series.is_null()) else { return errors };
    if series.i64_at(&["count"]).unwrap_or_default() < 2 {
        errors.invalid(&Path::new("series").child("count"), "", "should be at least 2");
    }
    if text(series, &["lastObservedTime"]).is_empty() {
        errors.required(&Path::new("series").child("lastObservedTime"), "");
    }
    errors
}

fn lenient(object: &Value, api_version: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    let (namespace, involved) = (object.namespace(), text(object, &["involvedObject", "namespace"]));
    let is_new = !text(object, &["eventTime"]).is_empty();
    let matches = match (involved.is_empty(), is_new) {
        (true, false) => matches!(namespace, "" | "default"),
        (true, true) => matches!(namespace, "default" | "kube-system"),
        (false, false) => namespace == involved,
        (false, true) => true,
    };
    if !matches {
        let path = Path::new("involvedObject").child("namespace");
        errors.invalid(&path, involved, "does not match event.namespace");
    }
    if is_new {
        let controller = text(object, &["reportingComponent"]);
        let path = Path::new(if api_version == "v1" { "reportingComponent" } else { "reportingController" });
        errors.require(&path, controller);
        errors.invalids(&path, controller, is_qualified_name(controller));
        for field in ["reportingInstance", "action", "reason"] {
            let (value, path) = (text(object, &[field]), Path::new(field));
            if errors.require(&path, value) && value.len() > WORD_MAX_BYTES {
                errors.invalid(&path, "", format!("can have at most {WORD_MAX_BYTES} characters"));
            }
        }
        if text(object, &["message"]).len() > NOTE_MAX_BYTES {
            errors.invalid(&Path::new("message"), "", format!("can have at most {NOTE_MAX_BYTES} characters"));
        }
    }
    errors.invalids(&Path::new("namespace"), namespace, is_dns1123_subdomain(namespace));
    errors
}
