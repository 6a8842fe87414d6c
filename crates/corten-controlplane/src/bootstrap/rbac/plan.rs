//! What has to be done so that an object holds at least what it is to hold. Pure.

use corten_apimachinery::{
    meta::ObjectMeta as _,
    value::{Value, semantically_equal},
};

use crate::authorization::rbac::{Rule, missing};

/// Set to `false`, an object is left alone.
pub(super) const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What has to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make it.
    Create(Value),
    /// Put this in its place.
    Update(Value),
    /// Delete it and make it anew: a binding's role cannot be changed.
    Replace(Value),
}

/// What has to be done so that `current` holds what `wanted` holds. What is there beyond that stays.
pub(super) fn plan(wanted: Value, current: Option<&Value>) -> Option<Action> {
    let Some(current) = current else { return Some(Action::Create(wanted)) };
    if current.annotation(AUTOUPDATE) == Some("false") {
        return None;
    }
    let mut result = current.clone();
    for field in ["labels", "annotations"] {
        let wanted = wanted.at(&["metadata", field]).and_then(Value::as_object);
        for (key, value) in wanted.into_iter().flat_map(|map| map.iter()) {
            if current.at(&["metadata", field, key]).is_none() {
                result.set(&["metadata", field, key], value.clone());
            }
        }
    }
    if wanted.get("roleRef").is_some() {
        if !semantically_equal(wanted.get("roleRef"), current.get("roleRef")) {
            result = wanted;
            return Some(Action::Replace(result));
        }
        add_missing(&mut result, &["subjects"], wanted.items_at(&["subjects"]));
    } else if let selectors @ [_, ..] = wanted.items_at(&["aggregationRule", "clusterRoleSelectors"]) {
        // The rules of an aggregated role are somebody else's.
        add_missing(&mut result, &["aggregationRule", "clusterRoleSelectors"], selectors);
    } else {
        let rules = |role: &Value| role.items_at(&["rules"]).iter().map(Rule::from_value).collect::<Vec<_>>();
        let lacking = missing(&rules(current), &rules(&wanted));
        if !lacking.is_empty() {
            push(&mut result, &["rules"], lacking.iter().map(Rule::to_value));
        }
    }
    (result != *current).then_some(Action::Update(result))
}

fn add_missing(object: &mut Value, path: &[&str], wanted: &[Value]) {
    let there = object.items_at(path).to_vec();
    let is_there = |item: &Value| there.iter().any(|other| semantically_equal(Some(item), Some(other)));
    let lacking: Vec<Value> = wanted.iter().filter(|item| !is_there(item)).cloned().collect();
    if !lacking.is_empty() {
        push(object, path, lacking);
    }
}

fn push(object: &mut Value, path: &[&str], items: impl IntoIterator<Item = Value>) {
    let all: Vec<Value> = object.items_at(path).iter().cloned().chain(items).collect();
    object.set(path, all);
}
