//! The conditions of a custom resource definition.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apihelpers (v1.35).

use corten_apimachinery::{Value, meta::format_time};
use jiff::Timestamp;

/// Nobody else has its names.
pub(super) const NAMES_ACCEPTED: &str = "NamesAccepted";
/// Its objects are served.
pub(super) const ESTABLISHED: &str = "Established";
/// It is of the community's, and approved.
pub(super) const APPROVAL_CONFORMANT: &str = "KubernetesAPIApprovalPolicyConformant";
/// Its objects go, because it goes.
pub(super) const TERMINATING: &str = "Terminating";

/// A condition. Its time is set when it is written.
pub(super) fn condition(ty: &str, status: &str, reason: &str, message: &str) -> Value {
    Value::object_of([
        ("type", Value::from(ty)),
        ("status", status.into()),
        ("reason", reason.into()),
        ("message", message.into()),
    ])
}

/// The condition of a type.
pub(super) fn find<'a>(definition: &'a Value, ty: &str) -> Option<&'a Value> {
    let conditions = definition.at(&["status", "conditions"])?.as_array()?;
    conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ty))
}

/// Whether the condition of a type holds.
pub(super) fn is_true(definition: &Value, ty: &str) -> bool {
    find(definition, ty).and_then(|condition| condition.str_at(&["status"])) == Some("True")
}

/// Whether a definition says the same as `wanted`, whenever it began to.
pub(super) fn is_equivalent(definition: &Value, wanted: &Value) -> bool {
    let Some(known) = find(definition, wanted.str_at(&["type"]).unwrap_or_default()) else { return false };
    ["status", "reason", "message"].iter().all(|field| known.get(field) == wanted.get(field))
}

/// Puts a condition in the place of the one of its type. The time of its last change stays while its status does.
pub(super) fn set_condition(definition: &mut Value, mut wanted: Value) {
    let ty = wanted.str_at(&["type"]).unwrap_or_default().to_owned();
    let mut conditions: Vec<Value> =
        definition.at(&["status", "conditions"]).and_then(Value::as_array).map(<[Value]>::to_vec).unwrap_or_default();
    let known = conditions.iter_mut().find(|condition| condition.str_at(&["type"]) == Some(&ty));
    match known {
        Some(known) => {
            if known.get("status") == wanted.get("status")
                && let Some(since) = known.get("lastTransitionTime")
            {
                wanted.set(&["lastTransitionTime"], since.clone());
            }
            *known = wanted;
        }
        None => conditions.push(wanted),
    }
    definition.set(&["status", "conditions"], Value::from(conditions));
}

/// Gives conditions without a time the present one.
pub(super) fn stamp(definition: &mut Value, now: Timestamp) {
    let Some(conditions) = definition.at(&["status", "conditions"]).and_then(Value::as_array) else { return };
    let stamped: Vec<Value> = conditions
        .iter()
        .map(|condition| {
            let mut condition = condition.clone();
            if condition.get("lastTransitionTime").is_none() {
                condition.set(&["lastTransitionTime"], format_time(now));
            }
            condition
        })
        .collect();
    definition.set(&["status", "conditions"], Value::from(stamped));
}
