//! Users as reviews write them.

use corten_apimachinery::{
    resource::UserInfo,
    value::{Str, Value},
};

/// `user` as `authentication.k8s.io` writes it; empty fields are left out.
pub(super) fn to_value(user: &UserInfo) -> Value {
    let mut value = Value::object();
    if !user.name.is_empty() {
        value.set(&["username"], user.name.clone());
    }
    if !user.uid.is_empty() {
        value.set(&["uid"], user.uid.clone());
    }
    let texts = |texts: &[Str]| Value::array(texts.iter().cloned().map(Value::from));
    if !user.groups.is_empty() {
        value.set(&["groups"], texts(&user.groups));
    }
    if !user.extra.is_empty() {
        value.set(&["extra"], Value::object_of(user.extra.iter().map(|(key, values)| (key.clone(), texts(values)))));
    }
    value
}

/// The subject of an access review's `spec`.
pub(super) fn subject(spec: &Value) -> UserInfo {
    let text = |key: &str| Str::from(spec.str_at(&[key]).unwrap_or_default());
    let texts =
        |value: &Value| value.as_array().unwrap_or_default().iter().filter_map(Value::as_str).map(Str::from).collect();
    let extra = spec.get("extra").and_then(Value::as_object);
    UserInfo {
        name: text("user"),
        uid: text("uid"),
        groups: spec.get("groups").map(texts).unwrap_or_default(),
        extra: extra.into_iter().flat_map(|map| map.iter()).map(|(key, values)| (key.into(), texts(values))).collect(),
    }
}
