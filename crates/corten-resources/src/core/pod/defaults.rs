//! Defaults of pods: those of every `PodSpec`, and those that templates do not get.

use corten_apimachinery::Value;

use crate::{
    core::pod_spec,
    defaulting::{each, fill_absent, within},
};

/// Fills in a pod.
pub(super) fn v1(pod: &mut Value) {
    within(pod, &["spec"], spec);
    within(pod, &["status"], addresses);
}

fn spec(spec: &mut Value) {
    pod_spec::defaults::pod_spec(spec);
    for containers in ["containers", "initContainers"] {
        each(spec, &[containers], |container| {
            within(container, &["resources"], |resources| requests_from_limits(resources, |_| true));
        });
    }
    if spec.at(&["resources", "limits"]).and_then(Value::as_object).is_some_and(|limits| !limits.is_empty()) {
        // What the containers ask for already counts for the pod; only the rest comes from its limits.
        let asked: Vec<String> = ["containers", "initContainers"]
            .iter()
            .flat_map(|containers| spec.items_at(&[containers]))
            .filter_map(|container| container.at(&["resources", "requests"])?.as_object())
            .flat_map(|requests| requests.keys().map(ToOwned::to_owned).collect::<Vec<_>>())
            .collect();
        within(spec, &["resources"], |resources| {
            requests_from_limits(resources, |name| !asked.iter().any(|asked| asked == name));
        });
    }
    fill_absent(spec, "enableServiceLinks", true);
    if spec.bool_at(&["hostNetwork"]) == Some(true) {
        for containers in ["containers", "initContainers"] {
            each(spec, &[containers], |container| each(container, &["ports"], host_port));
        }
    }
}

/// A limit without a request asks for all of it.
fn requests_from_limits(resources: &mut Value, applies: impl Fn(&str) -> bool) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    for (name, limit) in limits.iter().filter(|(name, _)| applies(name)) {
        if resources.at(&["requests", name]).is_none() {
            resources.set(&["requests", name], limit.clone());
        }
    }
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
