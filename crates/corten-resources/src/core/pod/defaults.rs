//! Defaults of pods: those of every `PodSpec`, and those that templates do not get.

use std::{collections::BTreeMap, convert::Infallible};

use corten_apimachinery::{Map, Value, quantity::Quantity, value::Str};

use crate::{
    core::pod_spec,
    defaulting::{each, fill_absent, within},
    quantity::Amount as _,
};

/// Fills in a pod.
pub(super) fn v1(pod: &mut Value) {
    within(pod, &["spec"], spec);
    within(pod, &["status"], addresses);
}

fn spec(spec: &mut Value) {
    pod_spec::defaults::pod_spec(spec);
    // Templates keep what they say, for which there is a warning.
    if spec.i64_at(&["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
        spec.set(&["terminationGracePeriodSeconds"], 1_i64);
    }
    for containers in ["containers", "initContainers"] {
        each(spec, &[containers], |container| {
            within(container, &["resources"], |resources| requests_from_limits(resources, |_| true));
        });
    }
    if spec.at(&["resources", "limits"]).and_then(Value::as_object).is_some_and(|limits| !limits.is_empty()) {
        // Where the pod says nothing, it asks for what its containers do, else for all that it may have.
        for (name, amount) in asked_by_containers(spec) {
            let is_there = spec.at(&["resources", "requests", &name]).is_some();
            if !is_there {
                spec.set(&["resources", "requests", &name], amount.to_string());
            }
        }
        let is_of_pods = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
        within(spec, &["resources"], |resources| requests_from_limits(resources, is_of_pods));
    }
    fill_absent(spec, "enableServiceLinks", true);
    if spec.bool_at(&["hostNetwork"]) == Some(true) {
        for containers in ["containers", "initContainers"] {
            each(spec, &[containers], |container| each(container, &["ports"], host_port));
        }
    }
}

/// What all containers of a pod ask for of `cpu` and `memory` at its most expensive time: the ordinary ones run together, init containers one after
/// the other, sidecars beside everything that comes after them.
///
/// Upstream: `AggregateContainerRequests` in k8s.io/component-helpers/resource (v1.35).
fn asked_by_containers(spec: &Value) -> BTreeMap<String, Quantity> {
    let (mut running, mut sidecars, mut init) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for container in spec.items_at(&["containers"]) {
        add(&mut running, &requests(container));
    }
    for container in spec.items_at(&["initContainers"]) {
        let mut own = requests(container);
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            add(&mut running, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut init, own);
    }
    raise(&mut running, init);
    running
}

fn requests(container: &Value) -> BTreeMap<String, Quantity> {
    let requests = container.at(&["resources", "requests"]).and_then(Value::as_object);
    let amounts = requests.into_iter().flat_map(|requests| requests.iter());
    // Those that are asked about: each container may name tens of thousands, and all are summed up again for each.
    let amounts = amounts.filter(|(name, _)| matches!(*name, "cpu" | "memory"));
    amounts.filter_map(|(name, amount)| Some((name.to_string(), Quantity::from_value(Some(amount)).ok()?))).collect()
}

fn add(to: &mut BTreeMap<String, Quantity>, more: &BTreeMap<String, Quantity>) {
    for (name, amount) in more {
        let sum = to.get(name).map_or(*amount, |known| known.plus(amount));
        to.insert(name.clone(), sum);
    }
}

fn raise(to: &mut BTreeMap<String, Quantity>, others: BTreeMap<String, Quantity>) {
    for (name, amount) in others {
        if to.get(&name).is_none_or(|known| *known < amount) {
            to.insert(name, amount);
        }
    }
}

/// A limit without a request asks for all of it.
fn requests_from_limits(resources: &mut Value, applies: impl Fn(&str) -> bool) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let asked = resources.at(&["requests"]).and_then(Value::as_object);
    let is_asked = |name: &str| asked.is_some_and(|asked| asked.contains_key(name));
    let missing: Vec<(Str, Value)> =
        limits.entries().iter().filter(|(name, _)| applies(name) && !is_asked(name)).cloned().collect();
    if missing.is_empty() {
        return;
    }
    let requests = match resources.unset(&["requests"]) {
        Some(Value::Object(requests)) => requests,
        _ => Map::new(),
    };
    // All at once: each that comes alone moves those behind it.
    let Ok(requests) = requests.edit(missing.into_iter(), |_, _, limit| Ok::<_, Infallible>(Some(limit)));
    resources.set(&["requests"], Value::Object(requests));
}

fn host_port(port: &mut Value) {
    if port.i64_at(&["hostPort"]).unwrap_or_default() == 0
        && let Some(number) = port.i64_at(&["containerPort"])
    {
        port.set(&["hostPort"], number);
    }
}

/// Keeps `podIP` equal to the first of `podIPs`; where both differ the older field is the authority.
pub(super) fn addresses(status: &mut Value) {
    let first = status.items_at(&["podIPs"]).first().and_then(|ip| ip.str_at(&["ip"])).map(ToOwned::to_owned);
    let single = status.str_at(&["podIP"]).filter(|ip| !ip.is_empty()).map(ToOwned::to_owned);
    match (single, first) {
        (Some(ip), first) if first.as_deref() != Some(&ip) => {
            status.set(&["podIPs"], vec![Value::object_of([("ip", ip.into())])]);
        }
        (None, Some(first)) => status.set(&["podIP"], first),
        _ => {}
    }
}
