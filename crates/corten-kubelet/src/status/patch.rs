//! The patch that turns the status which the API has into the one that is wanted.
//!
//! Pure. Only what differs is sent, so an unchanged status costs no request and others' conditions are left alone.

use corten_api::core::v1::{Pod, PodStatus};
use serde_json::{Map, Value, json};

use super::{
    Remains,
    conditions::{DISRUPTION_TARGET, OWNED, RESIZE_IN_PROGRESS, RESIZE_PENDING},
};

/// What the API may hear of a pod's status: not of an end that is decided while containers may still run. Controllers make
/// the next pod as soon as they hear of it, and what this one holds (ports, volumes of its own) is free only when they have
/// ended. Upstream: `mergePodStatus`.
#[must_use]
pub(super) fn shown(pod: &Pod, status: &PodStatus, remains: Remains) -> PodStatus {
    let mut shown = status.clone();
    let is_over = |phase: &Option<String>| matches!(phase.as_deref(), Some("Failed" | "Succeeded"));
    let known = pod.status.as_ref();
    let is_told = known.is_some_and(|known| is_over(&known.phase));
    if remains == Remains::Containers && !is_told && is_over(&shown.phase) {
        shown.phase = known.and_then(|known| known.phase.clone());
        shown.reason = known.and_then(|known| known.reason.clone());
        shown.message = known.and_then(|known| known.message.clone());
        shown.conditions.iter_mut().for_each(|list| list.retain(|one| one.type_ != DISRUPTION_TARGET));
    }
    shown
}

/// The strategic merge patch for `pod`, whose status is the API's; `None` if there is nothing to change.
#[must_use]
pub(super) fn patch(pod: &Pod, wanted: &PodStatus) -> Option<Value> {
    let before = fields(&pod.status.clone().unwrap_or_default());
    let after = fields(wanted);
    let mut status = Map::new();
    for key in before.keys().chain(after.keys()) {
        if status.contains_key(key) || key == "resize" {
            continue;
        }
        let (old, new) = (before.get(key), after.get(key));
        if old == new {
            continue;
        }
        let value = match (key.as_str(), new) {
            ("conditions", new) => conditions(old, new),
            // A list that merges by address: this one replaces what was there.
            ("podIPs", Some(Value::Array(items))) if old.is_some() => {
                let directive = std::iter::once(json!({"$patch": "replace"}));
                Some(Value::Array(directive.chain(items.iter().cloned()).collect()))
            }
            (_, Some(new)) => Some(new.clone()),
            (_, None) => Some(Value::Null),
        };
        if let Some(value) = value {
            status.insert(key.clone(), value);
        }
    }
    // The UID keeps another pod of the same name from getting this status.
    (!status.is_empty()).then(|| json!({"metadata": {"uid": pod.metadata.uid}, "status": status}))
}

fn fields(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => unreachable!("a status is written as an object"),
    }
}

/// The kubelet's conditions that differ. Those of others are merged by the API server and not named here.
fn conditions(old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (old, new) = (list(old), list(new));
    let changed = new.iter().filter(|condition| is_ours(condition) && !old.contains(condition)).cloned();
    let mut changed: Vec<_> = changed.map(|condition| without_what_was(&old, condition)).collect();
    let kind = |condition: &Value| condition.get("type").cloned().unwrap_or_default();
    // The others of ours never go, but for a pod that others know more of.
    let comes_and_goes = |old: &Value| kind(old) == RESIZE_PENDING || kind(old) == RESIZE_IN_PROGRESS;
    let is_gone = |old: &&Value| comes_and_goes(old) && !new.iter().any(|new| kind(new) == kind(old));
    let gone = old.iter().filter(is_gone).map(|old| json!({"type": kind(old), "$patch": "delete"}));
    changed.extend(gone);
    (!changed.is_empty()).then_some(Value::Array(changed))
}

/// Conditions merge field by field: what the old one of the same type says beyond the new one has to be taken back.
fn without_what_was(old: &[Value], mut condition: Value) -> Value {
    let before = old.iter().find(|old| old.get("type") == condition.get("type")).and_then(Value::as_object);
    if let Some(fields) = condition.as_object_mut() {
        for key in before.into_iter().flat_map(Map::keys) {
            fields.entry(key.clone()).or_insert(Value::Null);
        }
    }
    condition
}

fn is_ours(condition: &Value) -> bool {
    let kind = condition.get("type").and_then(Value::as_str).unwrap_or_default();
    OWNED.contains(&kind) || kind == DISRUPTION_TARGET
}
