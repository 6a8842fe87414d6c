//! Rules of a `PodSpec`, in upstream's order.

mod containers;
mod env;
mod mounts;
mod network;
mod old_tolerations;
mod probes;
mod projected;
mod resources;
mod scheduling;
mod security;
pub(crate) mod volume_sources;
mod volumes;
mod windows;

use std::collections::BTreeMap;

use corten_api::core::v1::{PodSpec, WorkloadReference};
use corten_apimachinery::{
    Features, Map, Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_label, is_label_value, is_qualified_name},
};

pub(crate) use env::port_number_or_name;
pub(crate) use resources::{
    allows_overcommit, container_resource, is_extended_resource, is_standard_in_quota, quantity as resource_quantity,
    requirements, resource_name,
};
pub(crate) use scheduling::{
    ExpressionValues, label_selector, label_selector_update, label_selector_with, node_selector, taint_effect,
    tolerations,
};
pub(crate) use security::{apparmor_matches, pod_annotations, seccomp_matches};
pub(crate) use volume_sources::csi_driver;

use crate::{
    internal_form,
    older_addresses::OlderAddresses,
    report::Report,
    view::{Seen, each, list, text},
};

/// What rules depend on besides the spec.
pub(crate) struct Options<'a> {
    /// Whether the spec is a pod's own, not a template's.
    pub(crate) is_pod: bool,
    /// The pod's name; empty for a template.
    pub(crate) pod_name: &'a str,
    /// Whether it stands for a pod that the kubelet has from a file.
    pub(crate) is_static: bool,
    /// Which feature gates are on.
    pub(crate) features: &'a Features,
    /// The stored spec, if there is one: it may break rules that came after it.
    pub(crate) old: Option<&'a Value>,
}

impl Options<'_> {
    /// Whether the gate is on, or what it allows is in the stored spec.
    fn allows(&self, gate: &str, is_used: impl FnOnce(&Value) -> bool) -> bool {
        self.features.is_enabled(gate) || self.old.is_some_and(is_used)
    }

    /// Whether tolerations may compare the values of taints.
    pub(crate) fn compares_taints(&self) -> bool {
        self.allows("TaintTolerationComparisonOperators", |old| {
            let all = old.items_at(&["tolerations"]).iter();
            all.filter_map(|one| one.str_at(&["operator"])).any(|operator| matches!(operator, "Lt" | "Gt"))
        })
    }
}

/// Upstream's words for a number that is not above zero.
pub(crate) const NOT_POSITIVE: &str = "must be greater than zero";

/// Labels that a node is to have.
pub(crate) fn node_labels(labels: Option<&BTreeMap<String, String>>, path: &Path, errors: &mut ErrorList) {
    for (key, value) in labels.into_iter().flatten() {
        errors.invalids(path, key, is_qualified_name(key));
        errors.invalids(path, value, is_label_value(value));
    }
}

/// Every rule that a spec breaks.
pub(crate) fn pod_spec(spec: &PodSpec, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let at = |field: &str| path.child(field);
    if spec.termination_grace_period_seconds.is_none() {
        errors.required(&at("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::volumes(spec, &at("volumes"), options, errors);
    resource_claims(spec, &at("resourceClaims"), options, errors);
    let scope = containers::Scope::new(spec, volumes, options);
    scope.containers(&at("containers"), errors);
    scope.init_containers(&at("initContainers"), errors);
    scope.ephemeral_containers(&at("ephemeralContainers"), errors);
    if let Some(pod_level) = spec.resources.as_ref().filter(|_| options.features.is_enabled("PodLevelResources")) {
        resources::pod_level(pod_level, spec, &at("resources"), errors);
    }
    network::host_ports(spec, path, options, errors);
    errors.require_one_of(&at("restartPolicy"), text(&spec.restart_policy), &["Always", "OnFailure", "Never"]);
    errors.require_one_of(
        &at("dnsPolicy"),
        text(&spec.dns_policy),
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    node_labels(spec.node_selector.as_ref(), &at("nodeSelector"), errors);
    security::pod(spec, path, options, errors);
    scheduling::affinity(spec.affinity.as_ref(), &at("affinity"), errors);
    let older = OlderAddresses::new(options.features);
    network::dns_config(spec, &at("dnsConfig"), &older, errors);
    for (path, gate) in each(&spec.readiness_gates, &at("readinessGates")) {
        errors.invalids(&path.child("conditionType"), &gate.condition_type, is_qualified_name(&gate.condition_type));
    }
    let mut seen = Seen::default();
    for (path, gate) in each(&spec.scheduling_gates, &at("schedulingGates")) {
        errors.invalids(&path, &gate.name, is_qualified_name(&gate.name));
        if !seen.is_new(&gate.name) {
            errors.push(Error::duplicate(&path, gate.name.as_str()));
        }
    }
    let constraints = &spec.topology_spread_constraints;
    scheduling::topology_spread(constraints, options, &at("topologySpreadConstraints"), errors);
    windows::host_process(spec, path, errors);
    security::host_users(spec, path, options, errors);
    network::hostname_override(spec, &at("hostnameOverride"), errors);
    let names = |fields: [(&str, &Option<String>); 2], errors: &mut ErrorList| {
        for (field, name) in fields {
            if let Some(name) = name.as_deref().filter(|name| !name.is_empty() || field == "runtimeClassName") {
                errors.object_name(&at(field), name);
            }
        }
    };
    names([("serviceAccountName", &spec.service_account_name), ("nodeName", &spec.node_name)], errors);
    if let Some(seconds) = spec.active_deadline_seconds {
        let range = corten_apimachinery::validation::in_range(seconds, 1, i64::from(i32::MAX));
        errors.invalid_number(&at("activeDeadlineSeconds"), seconds, range);
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            errors.invalids(&at(field), name, is_dns1123_label(name));
        }
    }
    tolerations(list(&spec.tolerations), options.compares_taints(), &at("tolerations"), errors);
    network::host_aliases(spec, &at("hostAliases"), &older, errors);
    names([("priorityClassName", &spec.priority_class_name), ("runtimeClassName", &spec.runtime_class_name)], errors);
    if let Some(policy) = &spec.preemption_policy {
        errors.require_one_of(&at("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
    if let Some(overhead) = &spec.overhead {
        resources::overhead(overhead, &at("overhead"), errors);
    }
    if let Some(os) = &spec.os {
        windows::operating_system(os, spec, path, errors);
    }
    if let Some(workload) = &spec.workload_ref {
        workload_reference(workload, &at("workloadRef"), errors);
    }
    env::files(spec, path, errors);
}

/// The group of pods that the pod is scheduled with.
fn workload_reference(workload: &WorkloadReference, path: &Path, errors: &mut ErrorList) {
    errors.object_name(&path.child("name"), &workload.name);
    errors.invalids(&path.child("podGroup"), &workload.pod_group, is_dns1123_label(&workload.pod_group));
    let key = text(&workload.pod_group_replica_key);
    if !key.is_empty() {
        errors.invalids(&path.child("podGroupReplicaKey"), key, is_dns1123_label(key));
    }
}

/// What only a pod's own spec has to keep: templates made before these rules stay valid.
pub(crate) fn pod_only(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if text(&spec.service_account_name).is_empty() {
        for (path, volume) in each(&spec.volumes, &path.child("volumes")) {
            let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
            for (index, source) in sources.unwrap_or_default().iter().enumerate() {
                if source.service_account_token.is_some() {
                    let path = path.child("projected").child("sources").index(index).child("serviceAccountToken");
                    errors.forbidden(&path, "must not be specified when serviceAccountName is not set");
                }
            }
        }
    }
    let named = [("containers", spec.containers.as_slice()), ("initContainers", list(&spec.init_containers))];
    for (field, containers) in named {
        for (index, container) in containers.iter().enumerate() {
            containers::image_without_padding(text(&container.image), &path.child(field).index(index), errors);
        }
    }
}

fn resource_claims(spec: &PodSpec, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let mut seen = Seen::default();
    for (path, claim) in each(&spec.resource_claims, path) {
        if options.is_static {
            // Upstream names no field, which is shown like this.
            errors.forbidden(&Path::new("[]"), "static pods do not support resource claims");
            continue;
        }
        let name = path.child("name");
        if errors.require(&name, &claim.name) {
            if seen.is_new(&claim.name) {
                errors.invalids(&name, &claim.name, is_dns1123_label(&claim.name));
            } else {
                errors.push(Error::duplicate(&name, claim.name.as_str()));
            }
        }
        let shown = || internal_form::core_view("PodResourceClaim", claim);
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.invalid_shown(&path, shown, detail);
            }
            (None, None) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.invalid_shown(&path, shown, detail);
            }
            _ => {}
        }
        if let Some(name) = &claim.resource_claim_name {
            errors.object_name(&path.child("resourceClaimName"), name);
        }
        if let Some(name) = &claim.resource_claim_template_name {
            errors.object_name(&path.child("resourceClaimTemplateName"), name);
        }
    }
}

/// An annotation of a map of texts.
fn annotation<'m>(annotations: &'m Map, key: &str) -> Option<&'m str> {
    annotations.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
