//! Taints of devices, and what tolerates them.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::format_time,
    resource::Context,
};

use super::{
    lists::{present, text},
    names,
};
use crate::{defaulting::fill_zero, report::Report};

/// What a taint does, in the order of upstream's messages.
const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];

/// A taint says since when it is there. A default of upstream's, which has no clock of its own here.
pub(crate) fn stamp(cx: &Context<'_>, taint: &mut Value) {
    if present(taint, "timeAdded").is_none() {
        taint.set(&["timeAdded"], format_time(cx.now));
    }
}

/// A taint. An effect that the old one had is not looked at again.
pub(crate) fn taint(taint: &Value, old: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    names::label_name(text(taint, "key"), &path.child("key"), errors);
    let value = text(taint, "value");
    if !value.is_empty() {
        names::label_value(value, &path.child("value"), errors);
    }
    let effect = text(taint, "effect");
    if old.is_none_or(|old| text(old, "effect") != effect) {
        errors.require_one_of(&path.child("effect"), effect, EFFECTS);
    }
}

/// Defaults of a toleration.
pub(crate) fn toleration_defaults(toleration: &mut Value) {
    fill_zero(toleration, "operator", "Equal");
}

/// A toleration.
pub(crate) fn toleration(toleration: &Value, path: &Path, errors: &mut ErrorList) {
    let field = |name: &str| text(toleration, name);
    if !field("key").is_empty() {
        names::label_name(field("key"), &path.child("key"), errors);
    }
    let (value, value_at) = (field("value"), path.child("value"));
    match field("operator") {
        "Exists" if value.is_empty() => {}
        "Exists" => errors.invalid(&value_at, value, "must be empty for operator `Exists`"),
        "Equal" => names::label_value(value, &value_at, errors),
        other => errors.require_one_of(&path.child("operator"), other, &["Equal", "Exists"]),
    }
    if !field("effect").is_empty() {
        errors.one_of(&path.child("effect"), field("effect"), EFFECTS);
    }
}
