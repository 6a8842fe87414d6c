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

/// The API service of a version.
pub(super) fn api_service(place: &Place) -> Value {
    let mut object =
        Value::object_of([("apiVersion", Value::from(format!("{GROUP}/v1"))), ("kind", "APIService".into())]);
    object.set(&["metadata", "name"], format!("{}.{}", place.version, place.group));
    object.set(&["metadata", "labels", AUTOMANAGED], ON_START);
    if !place.group.is_empty() {
        object.set(&["spec", "group"], place.group);
    }
    object.set(&["spec", "version"], place.version);
    object.set(&["spec", "groupPriorityMinimum"], place.group_priority);
    object.set(&["spec", "versionPriority"], place.version_priority);
    object
}

fn is_ours(object: &Value) -> bool {
    object.label(AUTOMANAGED) == Some(ON_START)
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
