//! What a node's state asks for: conditions, taints, labels, and its pods' readiness.

use corten_apimachinery::{
    meta::{ObjectMeta as _, format_time},
    value::Value,
};
use jiff::Timestamp;

use super::taint_value;

/// Taint of nodes that say they are not ready.
pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Taint of nodes that say nothing.
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Conditions that keep pods away: type, the status that does, the taint.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The conditions that a silent node loses.
const LOST: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Labels that older clients look for, by the ones they stand for.
const OLD_LABELS: [(&str, &str); 2] =
    [("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch")];

/// A taint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taint {
    /// Its key.
    pub(super) key: &'static str,
    /// `NoSchedule` or `NoExecute`.
    pub(super) effect: &'static str,
}

/// What a node says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// It is ready.
    True,
    /// It is not.
    False,
    /// It says nothing, or has never said anything.
    Unknown,
}

impl Ready {
    /// Reads a node.
    pub(super) fn of(node: &Value) -> Self {
        match status_of(node, "Ready") {
            Some("True") => Self::True,
            Some("False") => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// Whether there is a condition `Ready`, from the node or, after its time, from us.
pub(super) fn has_reported(node: &Value) -> bool {
    status_of(node, "Ready").is_some()
}

fn status_of<'n>(node: &'n Value, ty: &str) -> Option<&'n str> {
    let conditions = node.items_at(&["status", "conditions"]);
    conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ty))?.str_at(&["status"])
}

/// Makes the conditions of a silent node unknown; whether that changed anything.
pub(super) fn lose(node: &mut Value, now: Timestamp) -> bool {
    let created = node.creation_timestamp().unwrap_or_default().to_owned();
    let mut conditions = node.items_at(&["status", "conditions"]).to_vec();
    let mut is_changed = false;
    for ty in LOST {
        match conditions.iter_mut().find(|condition| condition.str_at(&["type"]) == Some(ty)) {
            None => {
                conditions.push(Value::object_of([
                    ("type", Value::from(ty)),
                    ("status", "Unknown".into()),
                    ("lastHeartbeatTime", created.as_str().into()),
                    ("lastTransitionTime", Value::String(format_time(now))),
                    ("reason", "NodeStatusNeverUpdated".into()),
                    ("message", "Kubelet never posted node status.".into()),
                ]));
                is_changed = true;
            }
            Some(condition) if condition.str_at(&["status"]) != Some("Unknown") => {
                condition.set(&["status"], "Unknown");
                condition.set(&["reason"], "NodeStatusUnknown");
                condition.set(&["message"], "Kubelet stopped posting node status.");
                condition.set(&["lastTransitionTime"], format_time(now));
                is_changed = true;
            }
            Some(_) => {}
        }
    }
    if is_changed {
        node.set(&["status", "conditions"], conditions);
    }
    is_changed
}

/// The taints by which a node's conditions keep new pods away.
pub(super) fn no_schedule(node: &Value) -> Vec<Taint> {
    let by_condition = BY_CONDITION.iter().filter(|(ty, status, _)| status_of(node, ty) == Some(status));
    let by_hand = (node.bool_at(&["spec", "unschedulable"]) == Some(true)).then_some(UNSCHEDULABLE);
    by_condition.map(|(_, _, key)| *key).chain(by_hand).map(|key| Taint { key, effect: NO_SCHEDULE }).collect()
}

/// The taint that drives pods off a node that is not ready.
pub(super) fn no_execute(ready: Ready) -> Option<Taint> {
    let key = match ready {
        Ready::True => return None,
        Ready::False => NOT_READY,
        Ready::Unknown => UNREACHABLE,
    };
    Some(Taint { key, effect: NO_EXECUTE })
}

/// Whether a node drives its pods off already: going from one reason to the other needs no turn.
pub(super) fn has_no_execute(node: &Value) -> bool {
    let taints = node.items_at(&["spec", "taints"]).iter();
    taints.into_iter().any(|taint| is_ours(taint) && taint.str_at(&["effect"]) == Some(NO_EXECUTE))
}

fn is_ours(taint: &Value) -> bool {
    let (key, effect) = (taint.str_at(&["key"]).unwrap_or_default(), taint.str_at(&["effect"]).unwrap_or_default());
    let is_known = key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, known)| *known == key);
    match effect {
        NO_SCHEDULE => is_known,
        NO_EXECUTE => key == NOT_READY || key == UNREACHABLE,
        _ => false,
    }
}

/// The list of taints with ours as `wanted`, if that is another list. Those of others stay where they are.
pub(super) fn taints(node: &Value, wanted: &[Taint], now: &str) -> Option<Value> {
    let current = node.items_at(&["spec", "taints"]);
    let is = |value: &Value, taint: &Taint| {
        value.str_at(&["key"]) == Some(taint.key) && value.str_at(&["effect"]) == Some(taint.effect)
    };
    let keeps = |value: &&Value| !is_ours(value) || wanted.iter().any(|taint| is(value, taint));
    let kept: Vec<Value> = current.iter().filter(keeps).cloned().collect();
    let missing: Vec<Value> = wanted
        .iter()
        .filter(|taint| !current.iter().any(|value| is(value, taint)))
        .map(|taint| taint_value(taint, now))
        .collect();
    let is_same = kept.len() == current.len() && missing.is_empty();
    (!is_same).then(|| Value::array(kept.into_iter().chain(missing)))
}

/// The labels that have to be set.
pub(super) fn labels(node: &Value) -> Option<Value> {
    let missing = OLD_LABELS.into_iter().filter_map(|(label, old)| {
        let value = node.label(label)?;
        (node.label(old) != Some(value)).then(|| (old, Value::from(value)))
    });
    let missing: Vec<(&str, Value)> = missing.collect();
    (!missing.is_empty()).then(|| Value::object_of(missing))
}

/// Which zone a node is in; empty if it does not say.
pub(super) fn zone_of(node: &Value) -> String {
    let label = |stable: &str, old: &str| node.label(stable).or_else(|| node.label(old)).unwrap_or_default().to_owned();
    let region = label("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region");
    let zone = label("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone");
    if region.is_empty() && zone.is_empty() { String::new() } else { format!("{region}:\0:{zone}") }
}

/// The patch that takes a pod's readiness; `None` if it has none.
pub(super) fn unready(pod: &Value, now: &str) -> Option<Value> {
    let conditions = pod.items_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"))?;
    if ready.str_at(&["status"]) != Some("True") {
        return None;
    }
    let condition = Value::object_of([
        ("type", Value::from("Ready")),
        ("status", "False".into()),
        ("lastTransitionTime", now.into()),
    ]);
    let mut patch = Value::object();
    patch.set(&["metadata", "uid"], pod.uid().to_owned());
    patch.set(&["status", "conditions"], Value::array([condition]));
    Some(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    fn node(ready: &str, taints: serde_json::Value) -> Value {
        from_json(&json!({
            "metadata": {"labels": {"kubernetes.io/os": "linux"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
    }

    #[track_caller]
    fn check(ready: &str, current: &[(&str, &str)], want: Option<&[(&str, &str)]>) {
        let list = current.iter().map(|(key, effect)| json!({"key": key, "effect": effect})).collect::<Vec<_>>();
        let node = node(ready, list.into());
        let mut wanted = no_schedule(&node);
        wanted.extend(no_execute(Ready::of(&node)));
        let got = taints(&node, &wanted, "now");
        let got: Option<Vec<(String, String)>> = got.map(|got| {
            let text = |taint: &Value, field: &str| taint.str_at(&[field]).unwrap().to_owned();
            got.as_array().unwrap().iter().map(|taint| (text(taint, "key"), text(taint, "effect"))).collect()
        });
        let want = want.map(|want| want.iter().map(|(key, effect)| (key.to_string(), effect.to_string())).collect());
        assert_eq!(got, want);
    }

    #[test]
    fn taints_follow_readiness_and_leave_those_of_others() {
        let unreachable: &[_] = &[(UNREACHABLE, NO_SCHEDULE), (UNREACHABLE, NO_EXECUTE)];
        let not_ready: &[_] = &[(NOT_READY, NO_SCHEDULE), (NOT_READY, NO_EXECUTE)];
        check("True", &[], None);
        check("Unknown", &[], Some(unreachable));
        check("Unknown", unreachable, None);
        check("False", unreachable, Some(not_ready));
        check("True", not_ready, Some(&[]));
        check("True", &[("dedicated", NO_EXECUTE), (NOT_READY, NO_SCHEDULE)], Some(&[("dedicated", NO_EXECUTE)]));
    }

    #[test]
    fn silent_nodes_lose_their_conditions_once() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut node = node("True", json!([]));
        assert!(lose(&mut node, now));
        assert!(!lose(&mut node, now));
        let conditions = node.items_at(&["status", "conditions"]);
        let text = |at: usize, field: &str| conditions[at].str_at(&[field]).unwrap_or_default().to_owned();
        assert_eq!(conditions.len(), 4);
        assert_eq!((text(0, "status"), text(0, "reason")), ("Unknown".to_owned(), "NodeStatusUnknown".to_owned()));
        assert_eq!(
            (text(1, "type"), text(1, "reason")),
            ("MemoryPressure".to_owned(), "NodeStatusNeverUpdated".to_owned())
        );
    }

    #[test]
    fn old_labels_are_added() {
        assert_eq!(labels(&node("True", json!([]))), Some(from_json(&json!({"beta.kubernetes.io/os": "linux"}))));
    }
}
