//! Who uses a claim, and what that means for its finalizer. Pure.

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};

use crate::protection::{Step, step};

/// What keeps a claim until no pod uses it any more.
pub(super) const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// What is to be done about a claim. Whether it is used is only asked when that decides.
#[must_use]
pub(super) fn plan(claim: &Value, is_used: impl FnOnce() -> bool) -> Step {
    step(claim, FINALIZER, is_used)
}

/// Whether `pod` uses `claim`, which is in its namespace.
///
/// A pod without a node does not: no kubelet starts one whose claim is being deleted. One that has ended does until it is
/// deleted, but for a claim that was made for it.
#[must_use]
pub(super) fn uses(pod: &Value, claim: &Value) -> bool {
    if pod.str_at(&["spec", "nodeName"]).unwrap_or_default().is_empty() {
        return false;
    }
    pod.items_at(&["spec", "volumes"]).iter().any(|volume| {
        let is_named = volume.str_at(&["persistentVolumeClaim", "claimName"]) == Some(claim.name());
        is_named || (is_ephemeral(pod, volume, claim) && !is_shut_down(pod))
    })
}

/// Whether a volume of `pod` is a claim of its own, and that is `claim`.
fn is_ephemeral(pod: &Value, volume: &Value, claim: &Value) -> bool {
    let name = format!("{}-{}", pod.name(), volume.str_at(&["name"]).unwrap_or_default());
    let is_owner = || claim.controller_owner().is_some_and(|owner| owner.str_at(&["uid"]) == Some(pod.uid()));
    volume.get("ephemeral").is_some() && name == claim.name() && is_owner()
}

/// Whether nothing of a pod runs any more, and nothing will.
fn is_shut_down(pod: &Value) -> bool {
    let status = |list: &str| pod.items_at(&["status", list]).iter().any(|one| one.at(&["state", "running"]).is_some());
    let runs = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"].into_iter().any(status);
    let has_ended = matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
    has_ended && !runs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    #[track_caller]
    fn check(pod: serde_json::Value, want: bool) {
        let claim = from_json(&json!({"metadata": {"name": "p-data", "namespace": "default",
            "ownerReferences": [{"uid": "u", "controller": true}]}}));
        assert_eq!(uses(&from_json(&pod), &claim), want, "{pod}");
    }

    #[test]
    fn a_pod_on_a_node_uses_the_claims_that_it_names() {
        let pod = |node: &str, volume: serde_json::Value, phase: &str| {
            json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": node, "volumes": [volume]},
                "status": {"phase": phase}})
        };
        let named = json!({"name": "v", "persistentVolumeClaim": {"claimName": "p-data"}});
        check(pod("n", named.clone(), "Running"), true);
        check(pod("n", named.clone(), "Succeeded"), true);
        check(pod("", named, "Pending"), false);
        check(pod("n", json!({"name": "v", "persistentVolumeClaim": {"claimName": "other"}}), "Running"), false);
        let own = json!({"name": "data", "ephemeral": {}});
        check(pod("n", own.clone(), "Running"), true);
        check(pod("n", own.clone(), "Succeeded"), false);
        let mut stranger = pod("n", own, "Running");
        stranger["metadata"]["uid"] = json!("other");
        check(stranger, false);
    }
}
