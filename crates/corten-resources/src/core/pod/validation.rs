//! Rules of pods: new ones, updates, status updates and added ephemeral containers.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::core::v1::{PodSpec, PodStatus};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    resource::Context,
    validation::{in_range, inclusive_range, is_dns1123_subdomain, is_qualified_name, parse_ip_sloppy},
    value::{Map, Ordered, semantically_equal},
};

use super::{claims, container_status, restarts};
use crate::{
    core::pod_spec::validation::{
        Options, apparmor_matches, pod_annotations, pod_only, pod_spec, seccomp_matches, tolerations,
    },
    internal_form,
    older_addresses::OlderAddresses,
    report::{Report, with_view},
    rules::keep,
    view::{each, list, text},
};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                         `spec.tolerations` (only additions to existing tolerations),\
                         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const MIRROR: &str = "kubernetes.io/config.mirror";
const APPARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The rules that every write of a whole pod keeps.
pub(super) fn metadata_and_spec(cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
    with_spec(pod, |spec, errors| rules_of_every_write(cx, pod, spec, old.get("spec"), errors))
}

/// Looks at the pod's spec. The rest of a pod is read as a tree: a view of all copies it.
fn with_spec(pod: &Value, check: impl FnOnce(&PodSpec, &mut ErrorList)) -> ErrorList {
    match pod.get("spec").filter(|spec| !spec.is_null()) {
        Some(spec) => with_view(spec, check),
        None => {
            let mut errors = ErrorList::new();
            check(&PodSpec::default(), &mut errors);
            errors
        }
    }
}

fn rules_of_every_write(cx: &Context<'_>, pod: &Value, spec: &PodSpec, old: Option<&Value>, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let annotations = pod.annotations().cloned().unwrap_or_default();
    pod_annotations(&annotations, spec, &Path::new("metadata").child("annotations"), errors);
    let is_static = pod.annotation(MIRROR).is_some();
    let options = Options { is_pod: true, pod_name: pod.name(), is_static, features: cx.features, old };
    pod_spec(spec, &path, &options, errors);
    pod_only(spec, &path, errors);
}

/// The rules of a new pod. `look` sees the spec that they have read.
pub(super) fn create(cx: &Context<'_>, pod: &Value, look: impl FnOnce(&PodSpec)) -> ErrorList {
    let path = Path::new("spec");
    with_spec(pod, |spec, errors| {
        look(spec);
        rules_of_every_write(cx, pod, spec, None, errors);
        if !pod.items_at(&["spec", "ephemeralContainers"]).is_empty() {
            errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
        }
        let has_node = pod.str_at(&["spec", "nodeName"]).is_some_and(|name| !name.is_empty());
        if has_node && !pod.items_at(&["spec", "schedulingGates"]).is_empty() {
            errors.forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
        }
        if let Some(annotations) = pod.annotations() {
            seccomp_matches(annotations, spec, &path, errors);
            apparmor_matches(annotations, spec, &path, errors);
        }
    })
}

pub(super) fn update(cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
    let mut errors = metadata_and_spec(cx, pod, old);
    annotations_update(pod, old, &mut errors);
    let spec = Path::new("spec");
    for field in ["containers", "initContainers"] {
        let (path, containers) = (spec.child(field), pod.items_at(&["spec", field]));
        if containers.len() != old.items_at(&["spec", field]).len() {
            errors.forbidden(&path, "pod updates may not add or remove containers");
            return errors;
        }
        for (index, container) in containers.iter().enumerate() {
            let (image, at) = (container.str_at(&["image"]).unwrap_or_default(), path.index(index).child("image"));
            errors.require(&at, image);
            if image.trim() != image {
                errors.invalid(&at, image, "must not have leading or trailing whitespace");
            }
        }
    }
    let deadline = |pod: &Value| pod.i64_at(&["spec", "activeDeadlineSeconds"]);
    let at = spec.child("activeDeadlineSeconds");
    match (deadline(pod), deadline(old)) {
        (Some(new), _) if !in_range(new, 0, i64::from(i32::MAX)).is_empty() => {
            errors.invalid(&at, new, inclusive_range(0, i64::from(i32::MAX)));
            return errors;
        }
        (Some(new), Some(old)) if old < new => {
            errors.invalid(&at, new, "must be less than or equal to previous value");
            return errors;
        }
        (None, Some(_)) => errors.invalid(&at, Value::Null, "must not update from a positive integer to nil value"),
        _ => {}
    }
    only_added_tolerations(cx, pod, old, &spec.child("tolerations"), &mut errors);
    only_removed_gates(pod, old, &spec.child("schedulingGates"), &mut errors);
    if semantically_equal(pod.get("spec"), old.get("spec")) {
        return errors;
    }
    let mut munged = pod.clone();
    for field in ["containers", "initContainers"] {
        for (index, was) in old.items_at(&["spec", field]).iter().enumerate() {
            if let Some(container) =
                munged.at_mut(&["spec", field]).and_then(Value::as_array_mut).and_then(|items| items.get_mut(index))
            {
                keep(container, was, &["image"]);
            }
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        keep(&mut munged, old, &["spec", field]);
    }
    let grace = |pod: &Value| pod.i64_at(&["spec", "terminationGracePeriodSeconds"]);
    if grace(old).is_some_and(|seconds| seconds < 0) && grace(&munged) == Some(1) {
        keep(&mut munged, old, &["spec", "terminationGracePeriodSeconds"]);
    }
    if !old.items_at(&["spec", "schedulingGates"]).is_empty() {
        gated_update(&mut munged, old, &mut errors);
    }
    if !semantically_equal(munged.get("spec"), old.get("spec")) {
        let difference = internal_form::core_difference("PodSpec", old.get("spec"), munged.get("spec"));
        let detail = format!("pod updates may not change fields other than {UPDATABLE}\n{difference}");
        errors.forbidden(&spec, detail);
    }
    errors
}

/// A pod that is still gated may become pickier about its node.
fn gated_update(munged: &mut Value, old: &Value, errors: &mut ErrorList) {
    let spec = Path::new("spec");
    let (selector, affinity) = (["spec", "nodeSelector"], ["spec", "affinity", "nodeAffinity"]);
    if !semantically_equal(munged.at(&selector), old.at(&selector)) {
        let was = old.at(&selector).and_then(Value::as_object).cloned().unwrap_or_default();
        let kept = was.iter().all(|(key, value)| munged.at(&["spec", "nodeSelector", key]) == Some(value));
        if !kept {
            let shown = munged.at(&selector).cloned().unwrap_or_default();
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.invalid(&spec.child("nodeSelector"), shown, detail);
        }
        keep(munged, old, &selector);
    }
    if !semantically_equal(munged.at(&affinity), old.at(&affinity)) {
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let terms =
            |pod: &Value| pod.items_at(&["spec", "affinity", "nodeAffinity", required, "nodeSelectorTerms"]).to_vec();
        let (new_terms, old_terms) = (terms(munged), terms(old));
        let path = spec.child("affinity").child("nodeAffinity").child(required).child("nodeSelectorTerms");
        if !old_terms.is_empty() && new_terms.len() != old_terms.len() {
            let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
            let shown = || internal_form::core_list("NodeSelectorTerm", &new_terms);
            errors.invalid_shown(&path, shown, detail);
        } else {
            for (index, (new, old)) in new_terms.iter().zip(&old_terms).enumerate() {
                const LISTS: [&str; 2] = ["matchExpressions", "matchFields"];
                // A term without any requirement matches no node, so one more would match more.
                let is_empty = |term: &Value| LISTS.iter().all(|field| term.items_at(&[field]).is_empty());
                let kept = LISTS.iter().all(|field| {
                    let (new, old) = (new.items_at(&[field]), old.items_at(&[field]));
                    new.len() >= old.len() && new.iter().zip(old).all(|(new, old)| new == old)
                }) && (!is_empty(old) || is_empty(new));
                if !kept {
                    let detail = "only additions are allowed (no mutations or deletions)";
                    let shown = || internal_form::core("NodeSelectorTerm", new);
                    errors.invalid_shown(&path.index(index), shown, detail);
                }
            }
        }
        keep(munged, old, &affinity);
        // An affinity that is there for the node's alone came with it.
        let parent = ["spec", "affinity"];
        if old.at(&parent).is_none() && munged.at(&parent).and_then(Value::as_object).is_some_and(Map::is_empty) {
            munged.unset(&parent);
        }
    }
}

fn annotations_update(pod: &Value, old: &Value, errors: &mut ErrorList) {
    let path = Path::new("metadata").child("annotations");
    let empty = corten_apimachinery::Map::new();
    let (new, old) = (pod.annotations().unwrap_or(&empty), old.annotations().unwrap_or(&empty));
    for (key, _) in old.iter().filter(|(key, value)| new.get(key) != Some(value)) {
        if key.starts_with(APPARMOR_PREFIX) {
            errors.forbidden(&path.key(key), "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&path.key(key), "may not remove or update mirror pod annotation");
        }
    }
    for (key, _) in new.iter().filter(|(key, _)| !old.contains_key(key)) {
        if key.starts_with(APPARMOR_PREFIX) {
            errors.forbidden(&path.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&path.key(key), "may not add mirror pod annotation");
        }
    }
}

fn only_added_tolerations(cx: &Context<'_>, pod: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let compares =
        Options { is_pod: true, pod_name: "", is_static: false, features: cx.features, old: old.get("spec") }
            .compares_taints();
    let of = |pod: &Value| pod.items_at(&["spec", "tolerations"]).to_vec();
    let (new, old) = (of(pod), of(old));
    if new == old {
        return;
    }
    // Only how long a taint is tolerated may change.
    let timeless = |tolerations: Vec<Value>| -> BTreeSet<Ordered<Value>> {
        let timeless = tolerations.into_iter().map(|mut toleration| {
            toleration.unset(&["tolerationSeconds"]);
            Ordered(toleration)
        });
        timeless.collect()
    };
    if !timeless(old).is_subset(&timeless(new)) {
        errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
        return;
    }
    errors.extend(with_spec(pod, |spec, errors| tolerations(list(&spec.tolerations), compares, path, errors)));
}

fn only_removed_gates(pod: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let had: BTreeSet<_> =
        old.items_at(&["spec", "schedulingGates"]).iter().map(|gate| gate.get("name").map(Ordered)).collect();
    for (index, gate) in pod.items_at(&["spec", "schedulingGates"]).iter().enumerate() {
        if !had.contains(&gate.get("name").map(Ordered)) {
            let name = gate.str_at(&["name"]).unwrap_or_default();
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(&path.index(index).child("name"), detail);
        }
    }
}

pub(super) fn ephemeral_containers(cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
    if old.annotation(MIRROR).is_some() {
        return Error::forbidden(&Path::new("[]"), "static pods do not support ephemeral containers").into();
    }
    let mut errors = metadata_and_spec(cx, pod, old);
    annotations_update(pod, old, &mut errors);
    let path = Path::new("spec").child("ephemeralContainers");
    let mut by_name: BTreeMap<_, &Value> = BTreeMap::new();
    for new in pod.items_at(&["spec", "ephemeralContainers"]) {
        by_name.entry(new.get("name").map(Ordered)).or_insert(new);
    }
    for old in old.items_at(&["spec", "ephemeralContainers"]) {
        let name = corten_apimachinery::field::quote(old.str_at(&["name"]).unwrap_or_default());
        match by_name.get(&old.get("name").map(Ordered)).copied() {
            None => errors.forbidden(&path, format!("existing ephemeral containers {name} may not be removed\n")),
            Some(new) if !semantically_equal(Some(new), Some(old)) => {
                let difference = internal_form::core_difference("EphemeralContainer", Some(old), Some(new));
                errors
                    .forbidden(&path, format!("existing ephemeral containers {name} may not be changed\n{difference}"));
            }
            Some(_) => {}
        }
    }
    errors
}

pub(super) fn status(cx: &Context<'_>, pod: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    annotations_update(pod, old, &mut errors);
    let is_bound = !old.str_at(&["spec", "nodeName"]).unwrap_or_default().is_empty();
    let may_nominate = !is_bound || !cx.features.is_enabled("ClearingNominatedNodeNameAfterBinding");
    // The kubelet writes this often, so only the part that may change is read.
    let empty = Value::object();
    let (new_status, old_status) = (pod.get("status").unwrap_or(&empty), old.get("status").unwrap_or(&empty));
    errors.extend(with_view(new_status, |new: &PodStatus, errors| {
        errors.extend(with_view(old_status, |was: &PodStatus, errors| {
            conditions_and_node(new, was, may_nominate, errors);
            let class = ["status", "qosClass"];
            errors.immutable(&Path::new("status").child("qosClass"), pod.at(&class), old.at(&class));
            restarts::validate(cx, new, was, old.get("spec").unwrap_or(&empty), errors);
            claims::validate(pod, errors);
            all_addresses(new, was, &OlderAddresses::new(cx.features), errors);
            container_status::validate(new, pod, errors);
        }));
    }));
    errors
}

fn conditions_and_node(new: &PodStatus, old: &PodStatus, may_nominate: bool, errors: &mut ErrorList) {
    const NEGATIVE: &str = "must be a non-negative integer";
    let path = Path::new("status");
    for (at, condition) in each(&new.conditions, &path.child("conditions")) {
        if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
            errors.invalid(&at.child("observedGeneration"), generation, NEGATIVE);
        }
        if !matches!(condition.type_.as_str(), "PodScheduled" | "Ready" | "Initialized") {
            errors.invalids(&at.child("Type"), &condition.type_, is_qualified_name(&condition.type_));
        }
    }
    let nominated = text(&new.nominated_node_name);
    if !nominated.is_empty() && nominated != text(&old.nominated_node_name) {
        let at = path.child("nominatedNodeName");
        errors.invalids(&at, nominated, is_dns1123_subdomain(nominated));
        if !may_nominate {
            errors.forbidden(&at, "may not be set on pods that are already bound to a node");
        }
    }
    if let Some(generation) = new.observed_generation.filter(|generation| *generation < 0) {
        errors.invalid(&path.child("observedGeneration"), generation, NEGATIVE);
    }
}

fn all_addresses(new: &PodStatus, old: &PodStatus, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    let path = Path::new("status");
    for (field, ips, known) in [("podIPs", pod_ips(new), pod_ips(old)), ("hostIPs", host_ips(new), host_ips(old))] {
        let older = older.knowing(known.into_iter());
        let at = path.child(field);
        if field == "hostIPs"
            && let Some(first) = ips.first().filter(|first| **first != text(&new.host_ip))
        {
            errors.invalid(&at.index(0).child("ip"), *first, "must be equal to `hostIP`");
        }
        addresses(&ips, &at, &older, errors);
    }
}

fn pod_ips(status: &PodStatus) -> Vec<&str> {
    list(&status.pod_ips).iter().map(|ip| ip.ip.as_str()).collect()
}

fn host_ips(status: &PodStatus) -> Vec<&str> {
    list(&status.host_ips).iter().map(|ip| ip.ip.as_str()).collect()
}

/// Addresses of a pod or its host: at most one of each family.
fn addresses(ips: &[&str], path: &Path, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    for (index, ip) in ips.iter().enumerate() {
        errors.extend(older.ip(&path.index(index), ip));
    }
    if ips.len() < 2 {
        return;
    }
    let parsed: Vec<_> = ips.iter().map(|ip| parse_ip_sloppy(ip)).collect();
    let unreadable = parsed.iter().position(Option::is_none);
    if let Some(index) = unreadable {
        let why = format!("failed to check for dual stack with error:invalid IP[{index}]: {}", ips[index]);
        errors.push(Error::internal(path, why));
    }
    let has = |v4: bool| parsed.iter().flatten().any(|ip| ip.is_ipv4() == v4);
    if unreadable.is_some() || !has(true) || !has(false) || ips.len() > 2 {
        let all: Vec<Value> = ips.iter().map(|ip| Value::object_of([("ip", Value::from(*ip))])).collect();
        let shown = || internal_form::core_list("PodIP", &all);
        errors.invalid_shown(path, shown, "may specify no more than one IP for each IP family");
    }
}
