//! What has to be done so that there is an API service for each version. Pure.

use std::collections::BTreeMap;

use corten_apimachinery::{
    meta::ObjectMeta as _,
    value::{Str, Value, semantically_equal},
};

use super::{GROUP, priorities::Place};

/// Whose an API service is.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// The server's that starts; with another value, those of custom resources.
const ON_START: &str = "onstart";

/// Those of custom resources, as long as there are any of the version.
const BY_DEFINITIONS: &str = "true";
/// The place of the versions of custom resources: behind all others.
const CUSTOM_GROUP_PRIORITY: i64 = 1_000;
const CUSTOM_VERSION_PRIORITY: i64 = 100;

/// What has to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Make it.
    Create(Value),
    /// Put this in its place.
    Update(Value),
    /// Take it away, if it is still this one.
    Delete {
        /// Its name.
        name: Str,
        /// Which one.
        uid: Str,
    },
}

/// The API service of a version of this server.
pub(super) fn api_service(place: &Place) -> Value {
    make(place.group, place.version, ON_START, (place.group_priority, place.version_priority))
}

/// The API service of a version of custom resources.
pub(super) fn custom_api_service(group: &str, version: &str) -> Value {
    make(group, version, BY_DEFINITIONS, (CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY))
}

fn make(group: &str, version: &str, whose: &str, (group_priority, version_priority): (i64, i64)) -> Value {
    let mut object =
        Value::object_of([("apiVersion", Value::from(format!("{GROUP}/v1"))), ("kind", "APIService".into())]);
    object.set(&["metadata", "name"], format!("{version}.{group}"));
    object.set(&["metadata", "labels", AUTOMANAGED], whose);
    if !group.is_empty() {
        object.set(&["spec", "group"], group);
    }
    object.set(&["spec", "version"], version);
    object.set(&["spec", "groupPriorityMinimum"], group_priority);
    object.set(&["spec", "versionPriority"], version_priority);
    object
}

fn is_ours(object: &Value) -> bool {
    object.label(AUTOMANAGED) == Some(ON_START)
}

/// What has to be done about the API service of one version, of which there are custom resources if it is `wanted`.
pub(super) fn plan_custom(wanted: Option<Value>, found: Option<&Value>) -> Option<Action> {
    let is_ours = |found: &Value| found.label(AUTOMANAGED) == Some(BY_DEFINITIONS);
    match (wanted, found) {
        (Some(wanted), None) => Some(Action::Create(wanted)),
        (Some(wanted), Some(found)) if is_ours(found) && !semantically_equal(found.get("spec"), wanted.get("spec")) => {
            let mut found = found.clone();
            found.set(&["spec"], wanted.get("spec").cloned().unwrap_or_default());
            Some(Action::Update(found))
        }
        (None, Some(found)) if is_ours(found) => {
            Some(Action::Delete { name: found.name().into(), uid: found.uid().into() })
        }
        _ => None,
    }
}

/// What has to be done so that what is wanted is there. What an administrator has taken out of the server's hands stays.
pub(super) fn plan(wanted: impl Iterator<Item = Value>, mut found: BTreeMap<Str, Value>) -> Vec<Action> {
    let mut actions = Vec::new();
    for wanted in wanted {
        match found.remove(wanted.name()) {
            None => actions.push(Action::Create(wanted)),
            Some(mut current) if is_ours(&current) && !semantically_equal(current.get("spec"), wanted.get("spec")) => {
                current.set(&["spec"], wanted.get("spec").cloned().unwrap_or_default());
                actions.push(Action::Update(current));
            }
            Some(_) => {}
        }
    }
    let gone = found.into_values().filter(is_ours);
    actions.extend(gone.map(|object| Action::Delete { name: object.name().into(), uid: object.uid().into() }));
    actions
}
