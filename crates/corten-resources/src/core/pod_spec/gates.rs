//! Fields of pods and of templates of pods behind feature gates that are off.
//!
//! Upstream: `dropDisabledFields` and `dropDisabledPodStatusFields` in pkg/api/pod/util.go (v1.35); gates that v1.35 has locked
//! are not asked.

use std::collections::BTreeSet;

use corten_apimachinery::{Features, Value};

use crate::{
    defaulting::{each, within},
    gates::{Gated, is_set},
};

const SPEC: [Gated; 9] = [
    Gated::new(&["UserNamespacesSupport"], &["hostUsers"]),
    Gated::new(&["MatchLabelKeysInPodTopologySpread"], &["topologySpreadConstraints.*.matchLabelKeys"]),
    Gated::new(&["ClusterTrustBundleProjection"], &["volumes.*.projected.sources.*.clusterTrustBundle"]),
    Gated::new(&["PodCertificateRequest"], &["volumes.*.projected.sources.*.podCertificate"]),
    Gated::new(&["GenericWorkload"], &["workloadRef"]),
    Gated::new(&["HostnameOverride"], &["hostnameOverride"]),
    Gated::new(
        &["EnvFiles"],
        &[
            "containers.*.env.*.valueFrom.fileKeyRef",
            "initContainers.*.env.*.valueFrom.fileKeyRef",
            "ephemeralContainers.*.env.*.valueFrom.fileKeyRef",
        ],
    ),
    Gated::new(&["SELinuxChangePolicy"], &["securityContext.seLinuxChangePolicy"]),
    Gated::new(
        &["ContainerStopSignals"],
        &[
            "containers.*.lifecycle.stopSignal",
            "initContainers.*.lifecycle.stopSignal",
            "ephemeralContainers.*.lifecycle.stopSignal",
        ],
    ),
];

const STATUS: [Gated; 2] = [
    Gated::new(&["InPlacePodLevelResourcesVerticalScaling"], &["resources", "allocatedResources"]),
    Gated::new(&["DRAExtendedResource"], &["extendedResourceClaimStatus"]),
];

/// The health of devices is no promise: what is there already goes too.
const HEALTH: Gated = Gated::new(
    &["ResourceHealthStatus"],
    &[
        "containerStatuses.*.allocatedResourcesStatus",
        "initContainerStatuses.*.allocatedResourcesStatus",
        "ephemeralContainerStatuses.*.allocatedResourcesStatus",
    ],
);

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Takes out of the pod spec at `path` what the gates do not allow; `old` is the stored object.
pub(crate) fn drop_disabled(features: &Features, object: &mut Value, old: Option<&Value>, path: &[&str]) {
    let old = old.and_then(|old| old.at(path));
    within(object, path, |spec| drop_from_spec(features, spec, old));
}

/// Takes out of a pod's status what the gates do not allow.
pub(crate) fn drop_disabled_status(features: &Features, pod: &mut Value, old: &Value) {
    let old = old.get("status");
    within(pod, &["status"], |status| {
        STATUS.iter().for_each(|gated| gated.drop_from(features, status, old));
        HEALTH.drop_from(features, status, None);
    });
}

fn drop_from_spec(features: &Features, spec: &mut Value, old: Option<&Value>) {
    let had_signals =
        LISTS.iter().any(|list| spec.items_at(&[list]).iter().any(|it| is_set(it, "lifecycle.stopSignal")));
    SPEC.iter().for_each(|gated| gated.drop_from(features, spec, old));
    if had_signals {
        drop_empty_hooks(spec);
    }
    let is_off = |gate: &str| !features.is_enabled(gate);
    if is_off("PodLevelResources") && !old.is_some_and(has_pod_level_resources) {
        spec.unset(&["resources"]);
    }
    if is_off("ProcMountType") && !old.is_some_and(has_proc_mounts) {
        mask_proc_mounts(spec);
    }
    if is_off("ContainerRestartRules") && !old.is_some_and(has_restart_rules) {
        drop_restart_rules(spec);
    }
    if is_off("ImageVolume") && !old.is_some_and(|old| is_set(old, "volumes.*.image")) {
        drop_image_volumes(spec);
    }
}

/// Hooks without anything in them are none.
fn drop_empty_hooks(spec: &mut Value) {
    for list in LISTS {
        each(spec, &[list], |container| {
            if container.get("lifecycle").and_then(Value::as_object).is_some_and(corten_apimachinery::Map::is_empty) {
                container.unset(&["lifecycle"]);
            }
        });
    }
}

fn has_pod_level_resources(spec: &Value) -> bool {
    let has = |list: &str| spec.at(&["resources", list]).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    has("requests") || has("limits")
}

const PROC_MOUNT: [&str; 2] = ["securityContext", "procMount"];

fn has_proc_mounts(spec: &Value) -> bool {
    let mut all = LISTS.iter().flat_map(|list| spec.items_at(&[list]));
    all.any(|container| container.str_at(&PROC_MOUNT).is_some_and(|mount| mount != "Default"))
}

/// The field stays, because stored objects have it, but with its default.
fn mask_proc_mounts(spec: &mut Value) {
    for list in LISTS {
        if !spec.items_at(&[list]).iter().any(|container| container.str_at(&PROC_MOUNT).is_some()) {
            continue;
        }
        each(spec, &[list], |container| {
            if container.str_at(&PROC_MOUNT).is_some() {
                container.set(&PROC_MOUNT, "Default");
            }
        });
    }
}

fn is_sidecar(container: &Value) -> bool {
    container.str_at(&["restartPolicy"]) == Some("Always")
}

/// Whether containers have restart policies or rules of their own, besides the policy of sidecars.
pub(crate) fn has_restart_rules(spec: &Value) -> bool {
    let has_policy = |container: &Value| is_set(container, "restartPolicy");
    let of_init = |container: &Value| {
        (has_policy(container) && !is_sidecar(container)) || is_set(container, "restartPolicyRules")
    };
    spec.items_at(&["initContainers"]).iter().any(of_init) || spec.items_at(&["containers"]).iter().any(has_policy)
}

fn drop_restart_rules(spec: &mut Value) {
    for list in LISTS {
        let has_any = |container: &Value| is_set(container, "restartPolicy") || is_set(container, "restartPolicyRules");
        if !spec.items_at(&[list]).iter().any(has_any) {
            continue;
        }
        each(spec, &[list], |container| {
            container.unset(&["restartPolicyRules"]);
            if list != "initContainers" || !is_sidecar(container) {
                container.unset(&["restartPolicy"]);
            }
        });
    }
}

/// The volumes go, and with them where they are mounted.
fn drop_image_volumes(spec: &mut Value) {
    let (images, others): (Vec<Value>, Vec<Value>) =
        spec.items_at(&["volumes"]).iter().cloned().partition(|volume| is_set(volume, "image"));
    if images.is_empty() {
        return;
    }
    let names: BTreeSet<&str> = images.iter().filter_map(|volume| volume.str_at(&["name"])).collect();
    spec.set(&["volumes"], others);
    for list in LISTS {
        each(spec, &[list], |container| {
            if let Some(mounts) = container.at_mut(&["volumeMounts"]).and_then(Value::as_array_mut) {
                mounts.retain(|mount| !mount.str_at(&["name"]).is_some_and(|name| names.contains(name)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{drop_disabled, drop_disabled_status};
    use crate::testing::{features, value};

    #[track_caller]
    fn check(gates: &str, old: Option<serde_json::Value>, given: serde_json::Value, want: serde_json::Value) {
        let mut object = value(json!({"spec": given}));
        let old = old.map(|old| value(json!({"spec": old})));
        drop_disabled(&features(gates), &mut object, old.as_ref(), &["spec"]);
        assert_eq!(object, value(json!({"spec": want})), "{gates}");
    }

    #[test]
    fn projections_that_are_off_are_dropped() {
        let both = json!({"volumes": [{"name": "v", "projected": {"sources": [
            {"clusterTrustBundle": {"name": "b"}}, {"podCertificate": {"signerName": "s"}}, {"secret": {"name": "s"}},
        ]}}]});
        let none = json!({"volumes": [{"name": "v", "projected": {"sources": [{}, {}, {"secret": {"name": "s"}}]}}]});
        check("", None, both.clone(), none.clone());
        check(
            "ClusterTrustBundle=true,ClusterTrustBundleProjection=true,PodCertificateRequest=true",
            None,
            both.clone(),
            both.clone(),
        );
        check("", Some(both.clone()), both.clone(), both.clone());
        check("", Some(none.clone()), both, none);
    }

    #[test]
    fn a_signal_that_is_off_takes_hooks_with_nothing_else_along() {
        let given = json!({"containers": [
            {"name": "a", "lifecycle": {"stopSignal": "SIGUSR1"}},
            {"name": "b", "lifecycle": {"stopSignal": "SIGUSR1", "preStop": {"sleep": {"seconds": 1}}}},
        ]});
        let want =
            json!({"containers": [{"name": "a"}, {"name": "b", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]});
        check("", None, given, want);
    }

    #[test]
    fn restart_rules_that_are_off_leave_sidecars() {
        let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
        let given = json!({
            "initContainers": [
                {"name": "s", "restartPolicy": "Always", "restartPolicyRules": rules}, {"name": "i", "restartPolicy": "Never"},
            ],
            "containers": [{"name": "c", "restartPolicy": "Never", "restartPolicyRules": rules}],
        });
        let want = json!({
            "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}], "containers": [{"name": "c"}],
        });
        check("ContainerRestartRules=false", None, given.clone(), want);
        check("ContainerRestartRules=false", Some(given.clone()), given.clone(), given.clone());
        check("", None, given.clone(), given);
    }

    #[test]
    fn image_volumes_that_are_off_go_with_their_mounts() {
        let given = json!({
            "volumes": [{"name": "i", "image": {"reference": "r"}}, {"name": "e", "emptyDir": {}}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "i"}, {"name": "e"}]}],
        });
        let want = json!({
            "volumes": [{"name": "e", "emptyDir": {}}], "containers": [{"name": "c", "volumeMounts": [{"name": "e"}]}],
        });
        check("ImageVolume=false", None, given.clone(), want);
        check("", None, given.clone(), given);
    }

    #[test]
    fn resources_of_pods_and_unmasked_proc_mounts_depend_on_their_gates() {
        let given = json!({
            "resources": {"requests": {"cpu": "1"}}, "workloadRef": {"name": "w"},
            "containers": [{"name": "c", "securityContext": {"procMount": "Unmasked"}}],
        });
        let want = json!({"containers": [{"name": "c", "securityContext": {"procMount": "Default"}}]});
        check("PodLevelResources=false,ProcMountType=false", None, given.clone(), want);
        let kept = json!({"resources": given["resources"], "containers": given["containers"]});
        check("", None, given, kept);
    }

    #[test]
    fn the_status_says_nothing_of_what_is_off() {
        let health = json!([{"name": "r", "resources": []}]);
        let given = json!({"status": {
            "resources": {}, "extendedResourceClaimStatus": {}, "phase": "Running",
            "containerStatuses": [{"name": "c", "allocatedResourcesStatus": health}],
        }});
        let mut pod = value(given.clone());
        drop_disabled_status(&features(""), &mut pod, &value(json!({})));
        assert_eq!(pod, value(json!({"status": {"phase": "Running", "containerStatuses": [{"name": "c"}]}})));
        let mut pod = value(given.clone());
        drop_disabled_status(&features(""), &mut pod, &value(given.clone()));
        let mut kept = given;
        kept["status"]["containerStatuses"] = json!([{"name": "c"}]);
        assert_eq!(pod, value(kept), "only the health of devices goes from what was there");
    }
}
