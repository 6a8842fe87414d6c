//! Defaults of services.

use corten_apimachinery::Value;

use super::allocation::is_externally_accessible;
use crate::defaulting::{each, fill_absent, fill_zero, within};

/// Three hours.
const AFFINITY_SECONDS: i64 = 10_800;

pub(super) fn v1(service: &mut Value) {
    within(service, &["spec"], spec);
    if is_externally_accessible(service) {
        within(service, &["spec"], |spec| fill_zero(spec, "externalTrafficPolicy", "Cluster"));
    }
    if service.str_at(&["spec", "type"]) == Some("LoadBalancer") {
        each(service, &["status", "loadBalancer", "ingress"], |ingress| {
            if ingress.str_at(&["ip"]).is_some_and(|ip| !ip.is_empty()) {
                fill_absent(ingress, "ipMode", "VIP");
            }
        });
    }
}

fn spec(spec: &mut Value) {
    fill_zero(spec, "sessionAffinity", "None");
    match spec.str_at(&["sessionAffinity"]) {
        Some("None") => {
            spec.unset(&["sessionAffinityConfig"]);
        }
        Some("ClientIP") if spec.i64_at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).is_none() => {
            spec.set(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"], AFFINITY_SECONDS);
        }
        _ => {}
    }
    fill_zero(spec, "type", "ClusterIP");
    each(spec, &["ports"], |port| {
        fill_zero(port, "protocol", "TCP");
        if crate::defaulting::is_unset(port, "targetPort") {
            let number = port.i64_at(&["port"]).unwrap_or_default();
            port.set(&["targetPort"], number);
        }
    });
    let ty = spec.str_at(&["type"]).unwrap_or_default().to_owned();
    if matches!(ty.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        fill_absent(spec, "internalTrafficPolicy", "Cluster");
    }
    if ty == "LoadBalancer" {
        fill_absent(spec, "allocateLoadBalancerNodePorts", true);
    }
}
