//! The conditions of a custom resource definition.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apihelpers (v1.35).

use corten_apimachinery::{Value, meta::format_time};
use jiff::Timestamp;

pub(super) use crate::conditions::{find_condition, set_condition};

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

/// Whether the condition of a type holds.
pub(super) fn is_true(definition: &Value, ty: &str) -> bool {
    find_condition(definition, ty).and_then(|condition| condition.str_at(&["status"])) == Some("True")
}

/// Whether a definition says the same as `wanted`, whenever it began to.
pub(super) fn is_equivalent(definition: &Value, wanted: &Value) -> bool {
    let Some(known) = find_condition(definition, wanted.str_at(&["type"]).unwrap_or_default()) else { return false };
    ["status", "reason", "message"].iter().all(|field| known.get(field) == wanted.get(field))
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
