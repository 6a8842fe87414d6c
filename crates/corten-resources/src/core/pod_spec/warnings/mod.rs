//! Advice about pods and templates that are valid but will surprise somebody, in upstream's order.
//!
//! Upstream: pkg/api/pod/warnings.go, pkg/api/node/util.go (v1.35).

mod paths;
mod plain;
mod ports;

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::{
    Value,
    field::{Path, quote},
    meta::ObjectMeta as _,
    quantity::Quantity,
    validation::{ip_warnings, is_dns1123_label, is_label_value},
};

pub(crate) use plain::is_plain;

use crate::{
    core::persistent_volume_claim::spec_warnings,
    quantity::Amount,
    tree::{each_at, present, text_at},
};

/// Labels of nodes that are no longer what they were.
const OLD_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// Annotations that mean nothing any more.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Sources of volumes that are going away or gone: (field, the name that is shown, what there is to say).
const OLD_VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_PREFIX: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
const NO_SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// What is wrong with a label of nodes, if something is.
pub(crate) fn old_label(label: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(old, _)| *old == label).map(|(_, advice)| *advice)
}

/// Advice about one term of a selector of nodes; `values_too` says whether the values are looked at, too.
pub(crate) fn node_selector_term(term: &Value, values_too: bool, path: &Path, warnings: &mut Vec<String>) {
    for (at, expression) in each_at(term, "matchExpressions", path) {
        let key = text_at(expression, &["key"]);
        if let Some(advice) = old_label(key) {
            warnings.push(format!("{}: {key} is {advice}", at.child("key")));
        }
        if !values_too {
            continue;
        }
        for (at, value) in each_at(expression, "values", &at) {
            let value = value.as_str().unwrap_or_default();
            warnings.extend(is_label_value(value).iter().map(|why| format!("{at}: {value} is invalid, {why}")));
        }
    }
}

/// Advice about a pod.
pub(crate) fn of_pod(pod: &Value) -> Vec<String> {
    let annotations = Path::new("metadata").child("annotations");
    Subject { object: pod, spec_at: Path::new("spec"), annotations_at: annotations, is_template: false }.warnings()
}

/// Advice about the template of pods at `path`.
pub(crate) fn of_template(template: &Value, path: &Path) -> Vec<String> {
    let annotations = path.child("metadata").child("annotations");
    Subject { object: template, spec_at: path.child("spec"), annotations_at: annotations, is_template: true }.warnings()
}

/// Advice about a new object whose pods are named after it.
pub(crate) fn workload(object: &Value) -> Vec<String> {
    let mut warnings = name(object);
    warnings.extend(template(object));
    warnings
}

/// Advice about a name that pods will begin with.
pub(crate) fn name(object: &Value) -> Vec<String> {
    let problems = is_dns1123_label(object.name());
    if problems.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
         recommended: [{}]",
        problems.join(" ")
    )]
}

/// Advice about the template of an object.
pub(crate) fn template(object: &Value) -> Vec<String> {
    let path = Path::new("spec").child("template");
    object.at(&["spec", "template"]).map(|template| of_template(template, &path)).unwrap_or_default()
}

/// Advice about the template of an object that is changed: worth repeating only if it is another template.
pub(crate) fn changed_template(object: &Value, old: &Value) -> Vec<String> {
    if object.generation() == old.generation() { Vec::new() } else { template(object) }
}

/// What is looked at: a pod or a template, and where its parts are.
struct Subject<'o> {
    object: &'o Value,
    spec_at: Path,
    annotations_at: Path,
    is_template: bool,
}

impl<'o> Subject<'o> {
    fn warnings(&self) -> Vec<String> {
        let Some(spec) = self.object.get("spec") else { return Vec::new() };
        let mut warnings = Vec::new();
        self.nodes(spec, &mut warnings);
        for (key, advice) in OLD_ANNOTATIONS {
            if self.object.annotation(key).is_some() {
                warnings.push(format!("{}: {advice}", self.annotations_at.key(key)));
            }
        }
        self.volumes(spec, &mut warnings);
        warnings.extend(paths::overlapping(spec.items_at(&["volumes"])));
        self.repeated(spec, &mut warnings);
        for name in ["memory", "ephemeral-storage"] {
            let at = || self.spec_at.child("overhead").key(name);
            fraction(spec.str_at(&["overhead", name]), at, &mut warnings);
        }
        if present(spec, &["securityContext", "seccompProfile"]).is_none()
            && self.object.annotation(SECCOMP_POD).is_some()
        {
            warnings.push(format!("{}: {NO_SECCOMP}", self.annotations_at.key(SECCOMP_POD)));
        }
        for (at, container) in self.containers(spec) {
            self.profiles(spec, container, &mut warnings);
            amounts(container, &at, &mut warnings);
            environment(container, &at, &mut warnings);
        }
        let mut ports = ports::Ports::default();
        for (at, container) in self.containers(spec) {
            for (at, port) in each_at(container, "ports", &at) {
                ports.add(port, at, &mut warnings);
            }
        }
        self.port_names(spec, &mut warnings);
        if spec.i64_at(&["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
            let at = self.spec_at.child("terminationGracePeriodSeconds");
            warnings.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
        }
        self.pod_affinity(spec, &mut warnings);
        if let Some(dns) = present(spec, &["dnsConfig"]) {
            for (at, server) in each_at(dns, "nameservers", &self.spec_at.child("dnsConfig")) {
                warnings.extend(ip_warnings(&at, server.as_str().unwrap_or_default()));
            }
        }
        warnings
    }

    fn containers(&self, spec: &'o Value) -> impl Iterator<Item = (Path, &'o Value)> {
        LISTS.into_iter().flat_map(move |list| each_at(spec, list, &self.spec_at))
    }

    /// Which nodes the pods go to.
    fn nodes(&self, spec: &Value, warnings: &mut Vec<String>) {
        let selector = spec.get("nodeSelector").and_then(Value::as_object);
        for (label, _) in selector.into_iter().flat_map(|selector| selector.iter()) {
            if let Some(advice) = old_label(label) {
                warnings.push(format!("{}: {advice}", self.spec_at.child("nodeSelector").key(label)));
            }
        }
        if let Some(affinity) = spec.at(&["affinity", "nodeAffinity"]) {
            let path = self.spec_at.child("affinity").child("nodeAffinity");
            if let Some(required) = present(affinity, &[REQUIRED]) {
                for (at, term) in each_at(required, "nodeSelectorTerms", &path.child(REQUIRED)) {
                    node_selector_term(term, false, &at, warnings);
                }
            }
            for (at, weighted) in each_at(affinity, PREFERRED, &path) {
                if let Some(term) = present(weighted, &["preference"]) {
                    node_selector_term(term, true, &at.child("preference"), warnings);
                }
            }
        }
        for (at, constraint) in each_at(spec, "topologySpreadConstraints", &self.spec_at) {
            let key = text_at(constraint, &["topologyKey"]);
            if let Some(advice) = old_label(key) {
                warnings.push(format!("{}: {key} is {advice}", at.child("topologyKey")));
            }
            if present(constraint, &["labelSelector"]).is_none() {
                warnings.push(format!("{}: {NO_SELECTOR}", at.child("labelSelector")));
            }
        }
    }

    fn volumes(&self, spec: &Value, warnings: &mut Vec<String>) {
        for (at, volume) in each_at(spec, "volumes", &self.spec_at) {
            for (field, shown, advice) in OLD_VOLUMES {
                if present(volume, &[field]).is_some() {
                    warnings.push(format!("{}: {advice}", at.child(shown)));
                }
            }
            if let Some(claim) = present(volume, &["ephemeral", "volumeClaimTemplate", "spec"]) {
                let at = at.child("ephemeral").child("volumeClaimTemplate").child("spec");
                warnings.extend(spec_warnings(claim, &at));
            }
        }
    }

    /// What is said twice, or is no name at all.
    fn repeated(&self, spec: &Value, warnings: &mut Vec<String>) {
        for (list, field, word) in [("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")] {
            let mut earlier = BTreeSet::new();
            for (at, item) in each_at(spec, list, &self.spec_at) {
                let text = text_at(item, &[field]);
                if !earlier.insert(text) {
                    warnings.push(format!("{}: duplicate {word} {}", at.child(field), quote(text)));
                }
            }
            for (at, item) in each_at(spec, list, &self.spec_at) {
                let (at, text) = (at.child(field), text_at(item, &[field]));
                if list == "hostAliases" {
                    warnings.extend(ip_warnings(&at, text));
                } else if text.is_empty() {
                    warnings.push(format!("{at}: invalid empty name {}", quote(text)));
                }
            }
        }
    }

    /// Profiles that only an annotation names. Those of AppArmor in a pod are read all the same, and told of there.
    fn profiles(&self, spec: &Value, container: &Value, warnings: &mut Vec<String>) {
        let is_of_container = |key: &str| key.starts_with(SECCOMP_PREFIX) || key.starts_with(APPARMOR_PREFIX);
        if !self.object.annotations().is_some_and(|annotations| annotations.keys().any(is_of_container)) {
            return;
        }
        let key = format!("{SECCOMP_PREFIX}{}", text_at(container, &["name"]));
        if present(container, &["securityContext", "seccompProfile"]).is_none()
            && self.object.annotation(&key).is_some()
        {
            warnings.push(format!("{}: {NO_SECCOMP}", self.annotations_at.key(&key)));
        }
        let key = format!("{APPARMOR_PREFIX}{}", text_at(container, &["name"]));
        let path = ["securityContext", "appArmorProfile"];
        let has_field = [spec, container].iter().any(|holder| present(holder, &path).is_some());
        if self.is_template && !has_field && self.object.annotation(&key).is_some() {
            let at = self.annotations_at.key(&key);
            warnings.push(format!("{at}: deprecated since v1.30; use the \"appArmorProfile\" field instead"));
        }
    }

    /// Names that two ports have, of containers that run side by side. Upstream looks at none if there is an init container
    /// that ends.
    fn port_names(&self, spec: &Value, warnings: &mut Vec<String>) {
        let is_sidecar = |container: &Value| container.str_at(&["restartPolicy"]) == Some("Always");
        let mut known: BTreeMap<&str, Path> = BTreeMap::new();
        let init = each_at(spec, "initContainers", &self.spec_at);
        let ends = spec.items_at(&["initContainers"]).iter().position(|container| !is_sidecar(container));
        let regular = each_at(spec, "containers", &self.spec_at).filter(|_| ends.is_none());
        for (at, container) in init.take(ends.unwrap_or(usize::MAX)).chain(regular) {
            for (at, port) in each_at(container, "ports", &at) {
                let (name, at) = (text_at(port, &["name"]), at.child("name"));
                if name.is_empty() {
                    continue;
                }
                if let Some(other) = known.get(name) {
                    if warnings.len() < ports::PORT_WARNINGS_MAX {
                        let name = quote(name);
                        warnings.push(format!(
                            "{at}: duplicate port name {name} with {other}, services and probes that select ports by name \
                             will use {other}"
                        ));
                    }
                } else {
                    known.insert(name, at);
                }
            }
        }
    }

    fn pod_affinity(&self, spec: &Value, warnings: &mut Vec<String>) {
        for kind in ["podAffinity", "podAntiAffinity"] {
            let Some(affinity) = spec.at(&["affinity", kind]) else { continue };
            let path = self.spec_at.child("affinity").child(kind);
            for (at, term) in each_at(affinity, REQUIRED, &path) {
                if present(term, &["labelSelector"]).is_none() {
                    warnings.push(format!("{}: {NO_SELECTOR}", at.child("labelSelector")));
                }
            }
            for (at, term) in each_at(affinity, PREFERRED, &path) {
                if present(term, &["podAffinityTerm", "labelSelector"]).is_none() {
                    let at = at.child("podAffinityTerm").child("labelSelector");
                    warnings.push(format!("{at}: {NO_SELECTOR}"));
                }
            }
        }
    }
}

/// There are no parts of a byte: `100m` of memory is most likely a slip for `100M`.
fn fraction(amount: Option<&str>, at: impl FnOnce() -> Path, warnings: &mut Vec<String>) {
    if let Some(text) = amount.filter(|text| Quantity::parse(text).is_some_and(|amount| !amount.is_whole_at(0))) {
        let at = at();
        warnings.push(format!("{at}: fractional byte value {} is invalid, must be an integer", quote(text)));
    }
}

fn amounts(container: &Value, path: &Path, warnings: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            let at = || path.child("resources").child(list).key(name);
            fraction(container.str_at(&["resources", list, name]), at, warnings);
        }
    }
}

fn environment(container: &Value, path: &Path, warnings: &mut Vec<String>) {
    let mut earlier = BTreeSet::new();
    for (at, var) in each_at(container, "env", path) {
        let name = text_at(var, &["name"]);
        // A value that is built on the one before it is meant so: `X=$(X):more`.
        let (value, before) = (text_at(var, &["value"]), format!("$({name})"));
        let extends = present(var, &["valueFrom"]).is_none() && value != before && value.contains(&before);
        if !earlier.insert(name) && !extends {
            let name = quote(name);
            warnings.push(format!("{at}: hides previous definition of {name}, which may be dropped when using apply"));
        }
    }
}

#[cfg(test)]
mod tests;
