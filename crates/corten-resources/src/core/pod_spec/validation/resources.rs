//! Rules of requests and limits.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::{
    core::v1::{Container, PodSpec, ResourceRequirements},
    quantity::Quantity,
};
use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    quantity::Quantity as Exact,
    validation::{is_dns1123_label, is_qualified_name},
};

use crate::{
    quantity::Amount,
    report::{NEGATIVE, Report},
    view::{Seen, each, each_of, list, text},
};

/// How many bytes of the names of a pod's claims an error shows: many times what any pod has.
const CLAIM_NAMES_MAX_BYTES: usize = 4_096;

type ResourceList = BTreeMap<String, Quantity>;

/// Resource names that a container, and those that some object of the core group, can use without a domain.
const CONTAINER: &[&str] = &["cpu", "ephemeral-storage", "memory"];
const STANDARD: &[&str] = &[
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];
/// Counted things, of which there are whole ones only.
const INTEGERS: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.split_once('/').is_some_and(|(domain, _)| domain.ends_with("kubernetes.io"))
}

pub(crate) fn is_extended_resource(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// Extended resources and huge pages are never promised twice.
pub(crate) fn allows_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || is_huge_pages(name.strip_prefix("requests.").unwrap_or(name))
}

/// Whether quotas know a resource by this name alone: all that have such a name, but for `storage`.
pub(crate) fn is_standard_in_quota(name: &str) -> bool {
    is_standard(name) && name != "storage"
}

/// The name of any resource.
pub(crate) fn resource_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let messages = is_qualified_name(name);
    if !messages.is_empty() {
        errors.invalids(path, name, messages);
    } else if !name.contains('/') && !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
}

/// The name of a resource that a container asks for.
pub(crate) fn container_resource(name: &str, path: &Path, errors: &mut ErrorList) {
    resource_name(name, path, errors);
    if !name.contains('/') {
        if !CONTAINER.contains(&name) && !is_huge_pages(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended_resource(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

/// The name of a resource that a pod as a whole asks for.
fn pod_resource(name: &str, path: &Path, errors: &mut ErrorList) {
    let before = errors.len();
    resource_name(name, path, errors);
    if errors.len() == before && !matches!(name, "cpu" | "memory") && !is_huge_pages(name) {
        errors.push(Error::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
    }
}

/// An amount of a resource: not negative, and whole if the resource is counted.
pub(crate) fn quantity(name: &str, quantity: &Quantity, path: &Path, errors: &mut ErrorList) {
    let amount = Exact::of(quantity);
    if amount.is_negative() {
        errors.invalid(path, quantity.0.as_str(), NEGATIVE);
    }
    if (INTEGERS.contains(&name) || is_extended_resource(name)) && !amount.is_whole_at(0) {
        errors.invalid(path, quantity.0.as_str(), "must be an integer");
    }
}

/// Requests and limits of a container.
pub(crate) fn requirements(requirements: &ResourceRequirements, path: &Path, errors: &mut ErrorList) {
    checked(requirements, container_resource, path, errors);
}

/// What the pod costs besides its containers.
pub(super) fn overhead(overhead: &ResourceList, path: &Path, errors: &mut ErrorList) {
    let limits = ResourceRequirements { limits: Some(overhead.clone()), ..ResourceRequirements::default() };
    requirements(&limits, path, errors);
}

fn checked(
    requirements: &ResourceRequirements,
    name_rule: fn(&str, &Path, &mut ErrorList),
    path: &Path,
    errors: &mut ErrorList,
) {
    let empty = ResourceList::new();
    let (limits, requests) =
        (requirements.limits.as_ref().unwrap_or(&empty), requirements.requests.as_ref().unwrap_or(&empty));
    let (limits_at, requests_at) = (path.child("limits"), path.child("requests"));
    let one = |name: &str, amount: &Quantity, at: &Path, errors: &mut ErrorList| {
        name_rule(name, at, errors);
        quantity(name, amount, at, errors);
    };
    let huge_pages = |name: &str, amount: &Quantity, at: &Path, errors: &mut ErrorList| {
        let Some(size) = name.strip_prefix("hugepages-") else { return };
        let (size, units) = (Exact::parse(size).unwrap_or_default().units(), Exact::of(amount).units());
        if size <= 0 || units % size != 0 {
            errors.invalid(at, amount.0.as_str(), format!("{} is not positive integer multiple of {name}", amount.0));
        }
    };
    for (name, amount) in limits {
        let at = limits_at.key(name);
        one(name, amount, &at, errors);
        huge_pages(name, amount, &at, errors);
    }
    for (name, amount) in requests {
        let at = requests_at.key(name);
        one(name, amount, &at, errors);
        match limits.get(name) {
            Some(limit) if Exact::of(amount) != Exact::of(limit) && !allows_overcommit(name) => {
                let detail = format!("must be equal to {name} limit of {}", limit.0);
                errors.invalid(&requests_at, amount.0.as_str(), detail);
            }
            Some(limit) if Exact::of(amount) > Exact::of(limit) => {
                let detail = format!("must be less than or equal to {name} limit of {}", limit.0);
                errors.invalid(&requests_at, amount.0.as_str(), detail);
            }
            None if !allows_overcommit(name) => {
                errors.required(&limits_at, "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
        huge_pages(name, amount, &at, errors);
    }
    let names = || limits.keys().chain(requests.keys());
    if names().any(|name| is_huge_pages(name)) && !names().any(|name| matches!(name.as_str(), "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}

/// Containers name claims that the pod has.
pub(super) fn claim_names(
    requirements: &ResourceRequirements,
    pod_claims: &BTreeSet<&str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    // Whole claims, single requests of claims, and how many requests of each claim.
    let (mut whole, mut parts, mut counts) = (Seen::default(), Seen::default(), BTreeMap::<&str, usize>::new());
    for (at, claim) in each(&requirements.claims, path) {
        let (name, request) = (claim.name.as_str(), text(&claim.request));
        if !errors.require(&at, name) {
            continue;
        }
        if whole.contains(name) {
            errors.push(Error::duplicate(&at, name));
        } else if request.is_empty() {
            // One error for each request of the claim that came before.
            let times = counts.get(name).copied().unwrap_or_default();
            errors.extend(std::iter::repeat_n(Error::duplicate(&at, name), times));
            whole.is_new(name);
        } else {
            errors.invalids(&at.child("request"), request, is_dns1123_label(request));
            let key = format!("{name}/{request}");
            if parts.is_new(key.as_str()) {
                *counts.entry(name).or_default() += 1;
            } else {
                errors.push(Error::duplicate(&at, key));
            }
        }
        if !pod_claims.contains(claim.name.as_str()) {
            errors.push_with(|| {
                let which = if pod_claims.is_empty() { " which is empty".to_owned() } else { names_of(pod_claims) };
                let detail = format!("must be one of the names in pod.spec.resourceClaims{which}");
                Error { detail, ..Error::not_found(&at, claim.name.as_str()) }
            });
        }
    }
}

/// The names that a claim could have had. Very many are cut short: each claim that is wrong shows them.
fn names_of(pod_claims: &BTreeSet<&str>) -> String {
    let mut shown = String::from(": ");
    for (index, name) in pod_claims.iter().enumerate() {
        if shown.len() > CLAIM_NAMES_MAX_BYTES {
            shown.push_str(", ...");
            break;
        }
        if index > 0 {
            shown.push_str(", ");
        }
        shown.push_str(name);
    }
    shown
}

/// Requests and limits of the pod as a whole, which contain those of its containers.
pub(super) fn pod_level(requirements: &ResourceRequirements, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        errors.forbidden(path, "may not be set for a windows pod");
        return;
    }
    if requirements.claims.is_some() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    checked(requirements, pod_resource, path, errors);
    let claims = list(&spec.resource_claims).iter().map(|claim| claim.name.as_str()).collect();
    claim_names(requirements, &claims, &path.child("claims"), errors);
    let empty = ResourceList::new();
    let requests = requirements.requests.as_ref().unwrap_or(&empty);
    let limits = requirements.limits.as_ref().unwrap_or(&empty);
    for (name, sum) in sums(spec, |resources| resources.requests.clone()) {
        // What the pod itself does not ask for is its containers' affair.
        if let Some(request) = requests.get(&name).filter(|request| sum > Exact::of(request)) {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.invalid(&path.child("requests").key(&name), request.0.as_str(), detail);
        }
    }
    for (name, sum) in sums(spec, |resources| resources.limits.clone()) {
        if let Some(limit) = limits.get(&name).filter(|limit| is_huge_pages(&name) && sum > Exact::of(limit)) {
            let detail = format!("must be greater than or equal to aggregate container limits of {sum}");
            errors.invalid(&path.child("limits").key(&name), limit.0.as_str(), detail);
        }
    }
    for (at, container) in each_of(&spec.containers, &path.child("containers")) {
        let own = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in own.into_iter().flatten() {
            if let Some(pod_limit) = limits.get(name).filter(|pod_limit| Exact::of(limit) > Exact::of(pod_limit)) {
                let detail = format!("must be less than or equal to pod limits of {}", pod_limit.0);
                errors.invalid(&at.key(name).child("limits"), limit.0.as_str(), detail);
            }
        }
    }
}

/// What the containers of a pod have at its busiest, of what `list` tells: all that run side by side, or an init container
/// that runs with the sidecars before it.
fn sums(spec: &PodSpec, list_of: fn(&ResourceRequirements) -> Option<ResourceList>) -> BTreeMap<String, Exact> {
    let add = |sums: &mut BTreeMap<String, Exact>, container: &Container| {
        for (name, amount) in container.resources.as_ref().and_then(list_of).unwrap_or_default() {
            let sum = sums.entry(name).or_default();
            *sum = sum.plus(&Exact::of(&amount));
        }
    };
    let mut sums = BTreeMap::new();
    spec.containers.iter().for_each(|container| add(&mut sums, container));
    let (mut sidecars, mut peaks) = (BTreeMap::new(), BTreeMap::<String, Exact>::new());
    for container in list(&spec.init_containers) {
        let mut own: BTreeMap<String, Exact> = BTreeMap::new();
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sums, container);
            add(&mut sidecars, container);
            own.clone_from(&sidecars);
        } else {
            own.clone_from(&sidecars);
            add(&mut own, container);
        }
        for (name, amount) in own {
            let peak = peaks.entry(name).or_default();
            *peak = (*peak).max(amount);
        }
    }
    for (name, peak) in peaks {
        let sum = sums.entry(name).or_default();
        *sum = (*sum).max(peak);
    }
    sums
}
