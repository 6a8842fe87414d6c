//! What clients may change of a pod through each of its endpoints.

use std::collections::BTreeMap;

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::{ObjectMeta, format_time},
    resource::{Context, DeleteOptions, Deletion, Strategy},
    validation::{ip_warnings, is_dns1123_label},
    value::Ordered,
};

use super::{apparmor, defaults, qos, resize, validation};
use crate::{
    core::pod_spec::{
        defaults::service_account,
        gates,
        warnings::{is_plain, of_pod},
    },
    defaulting::{each, within},
    rules::{first_generation, keep, keep_metadata, next_generation},
};

/// The pod itself.
#[derive(Debug)]
pub(super) struct Main;

const SPEC: &[&str] = &["spec"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, pod: &mut Value) {
        first_generation(pod);
        gates::drop_disabled(cx.features, pod, None, SPEC);
        within(pod, &["spec"], service_account);
        let class = pod.get("spec").map_or("BestEffort", qos::class);
        pod.set(&["status"], Value::object_of([("phase", "Pending".into()), ("qosClass", class.into())]));
        if !pod.items_at(&["spec", "schedulingGates"]).is_empty() {
            let gated = Value::object_of([
                ("type", "PodScheduled".into()),
                ("status", "False".into()),
                ("reason", "SchedulingGated".into()),
                ("message", "Scheduling is blocked due to non-empty scheduling gates".into()),
                ("lastProbeTime", Value::Null),
                ("lastTransitionTime", format_time(cx.now).into()),
            ]);
            pod.set(&["status", "conditions"], vec![gated]);
        }
        select_by_own_labels(pod);
        apparmor::fields_from_annotations(pod);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, pod: &mut Value, old: &Value) {
        within(pod, &["spec"], service_account);
        keep(pod, old, &["status"]);
        gates::drop_disabled(cx.features, pod, Some(old), SPEC);
        next_generation(pod, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, pod: &Value) -> ErrorList {
        validation::create(cx, pod, |_| {})
    }

    fn validate_with_warnings(&self, cx: &Context<'_>, pod: &Value, warnings: &mut Vec<String>) -> ErrorList {
        let mut may_surprise = false;
        let errors = validation::create(cx, pod, |spec| may_surprise = !is_plain(pod, spec));
        if errors.is_empty() && may_surprise {
            warnings.extend(self.warnings_on_create(cx, pod));
        }
        errors
    }

    fn validate_update(&self, cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
        validation::update(cx, pod, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, pod: &Value) -> Vec<String> {
        let mut warnings = Vec::new();
        let messages = is_dns1123_label(pod.name());
        if !messages.is_empty() {
            warnings.push(format!(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label \
                 is recommended: [{}]",
                messages.join(" ")
            ));
        }
        warnings.extend(apparmor::warnings(pod));
        warnings.extend(of_pod(pod));
        warnings
    }

    fn begin_deletion(&self, _cx: &Context<'_>, pod: &Value, options: &DeleteOptions) -> Deletion {
        let own = pod.i64_at(&["spec", "terminationGracePeriodSeconds"]);
        let asked = options.grace_period_seconds.or(own).unwrap_or_default();
        let is_scheduled = pod.str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty());
        let has_ended = matches!(pod.str_at(&["status", "phase"]), Some("Failed" | "Succeeded"));
        let grace_period_seconds = match asked {
            _ if !is_scheduled || has_ended => 0,
            // Below zero means "as fast as possible, but through the kubelet".
            asked if asked < 0 => 1,
            asked => asked,
        };
        Deletion::Graceful { grace_period_seconds }
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// Turns `matchLabelKeys` and `mismatchLabelKeys` into expressions over the pod's own labels.
fn select_by_own_labels(pod: &mut Value) {
    let Some(labels) = pod.labels().cloned() else { return };
    let extend = |term: &mut Value| {
        for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
            let keys = term.items_at(&[field]).to_vec();
            if keys.is_empty() || term.get("labelSelector").is_none_or(Value::is_null) {
                continue;
            }
            let mut expressions = term.items_at(&["labelSelector", "matchExpressions"]).to_vec();
            for key in keys.iter().filter_map(Value::as_str) {
                let Some(value) = labels.get(key) else { continue };
                expressions.push(Value::object_of([
                    ("key", key.into()),
                    ("operator", operator.into()),
                    ("values", Value::array([value.clone()])),
                ]));
            }
            if !expressions.is_empty() {
                term.set(&["labelSelector", "matchExpressions"], expressions);
            }
        }
    };
    for affinity in ["podAffinity", "podAntiAffinity"] {
        each(pod, &["spec", "affinity", affinity, "requiredDuringSchedulingIgnoredDuringExecution"], extend);
        each(pod, &["spec", "affinity", affinity, "preferredDuringSchedulingIgnoredDuringExecution"], |weighted| {
            within(weighted, &["podAffinityTerm"], extend);
        });
    }
    each(pod, &["spec", "topologySpreadConstraints"], extend);
}

/// `status`: what the kubelet reports.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, cx: &Context<'_>, pod: &mut Value, old: &Value) {
        gates::drop_disabled_status(cx.features, pod, old);
        keep(pod, old, SPEC);
        // Old kubelets send broken owner references.
        for field in ["deletionTimestamp", "ownerReferences"] {
            keep(pod, old, &["metadata", field]);
        }
        if pod.str_at(&["status", "qosClass"]).unwrap_or_default().is_empty() {
            keep(pod, old, &["status", "qosClass"]);
        }
        if pod.i64_at(&["status", "observedGeneration"]).unwrap_or_default() == 0 {
            keep_if_set(pod, old);
        }
        let mut by_type: BTreeMap<Option<Ordered<&Value>>, &Value> = BTreeMap::new();
        for condition in old.items_at(&["status", "conditions"]) {
            by_type.entry(condition.get("type").map(Ordered)).or_insert(condition);
        }
        each(pod, &["status", "conditions"], |condition| {
            if condition.i64_at(&["observedGeneration"]).unwrap_or_default() != 0 {
                return;
            }
            let same = by_type.get(&condition.get("type").map(Ordered)).copied();
            if let Some(generation) = same.and_then(|old| old.i64_at(&["observedGeneration"])).filter(|at| *at != 0) {
                condition.set(&["observedGeneration"], generation);
            }
        });
        within(pod, &["status"], defaults::addresses);
    }

    fn validate(&self, _cx: &Context<'_>, _pod: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
        validation::status(cx, pod, old)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, pod: &Value, _old: &Value) -> Vec<String> {
        let status = Path::new("status");
        ["podIPs", "hostIPs"]
            .iter()
            .flat_map(|field| {
                let path = status.child(field);
                pod.items_at(&["status", field]).iter().enumerate().flat_map(move |(index, item)| {
                    ip_warnings(&path.index(index).child("ip"), item.str_at(&["ip"]).unwrap_or_default())
                })
            })
            .collect()
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
    }
}

fn keep_if_set(pod: &mut Value, old: &Value) {
    if let Some(generation) = old.i64_at(&["status", "observedGeneration"]).filter(|at| *at != 0) {
        pod.set(&["status", "observedGeneration"], generation);
    }
}

/// `ephemeralcontainers`: adds containers for debugging.
#[derive(Debug)]
pub(super) struct EphemeralContainers;

impl Strategy for EphemeralContainers {
    fn prepare_for_update(&self, cx: &Context<'_>, pod: &mut Value, old: &Value) {
        let wanted = pod.at(&["spec", "ephemeralContainers"]).cloned();
        keep(pod, old, &["spec"]);
        keep(pod, old, &["status"]);
        keep_metadata(pod, old);
        match wanted {
            Some(wanted) => pod.set(&["spec", "ephemeralContainers"], wanted),
            None => {
                pod.unset(&["spec", "ephemeralContainers"]);
            }
        }
        gates::drop_disabled(cx.features, pod, Some(old), SPEC);
        next_generation(pod, old, &[SPEC]);
    }

    fn validate(&self, _cx: &Context<'_>, _pod: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
        validation::ephemeral_containers(cx, pod, old)
    }

    fn owned_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec", "ephemeralContainers"]]
    }
}

/// `resize`: changes the resources of running containers.
#[derive(Debug)]
pub(super) struct Resize;

impl Strategy for Resize {
    fn prepare_for_update(&self, cx: &Context<'_>, pod: &mut Value, old: &Value) {
        resize::keep_all_but_resources(cx.features, pod, old);
        gates::drop_disabled(cx.features, pod, Some(old), SPEC);
        next_generation(pod, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, _pod: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
        resize::validate(cx, pod, old)
    }

    fn owned_fields(&self) -> &'static [&'static [&'static str]] {
        &[
            &["spec", "containers", "*", "resources"],
            &["spec", "containers", "*", "resizePolicy"],
            &["spec", "initContainers", "*", "resources"],
            &["spec", "initContainers", "*", "resizePolicy"],
        ]
    }
}
