//! The gate `StrictIPCIDRValidation` over all kinds with older fields.

use corten_apimachinery::resource::{Context, ResourceDefinition, Strategy, Subresource, SubresourceKind};
use serde_json::{Value as Json, json};

use crate::{
    apps::deployment,
    core::{endpoints, node, pod, service},
    discovery::endpoint_slice,
    testing::{context, defaulted, features, patched},
};

const ZEROS: &str = "must not have leading 0s";
const BITS: &str = "must not have bits set beyond the prefix length";

fn made(gates: &str, resource: &ResourceDefinition, object: &Json) -> Vec<String> {
    let features = features(gates);
    let cx = Context { features: &features, ..context(resource.versions[0].name) };
    let mut object = defaulted(resource, object.clone());
    resource.strategy.prepare_for_create(&cx, &mut object);
    resource.strategy.validate(&cx, &object).iter().map(ToString::to_string).collect()
}

fn changed(resource: &ResourceDefinition, strategy: &dyn Strategy, old: &Json, new: &Json) -> Vec<String> {
    let features = features("StrictIPCIDRValidation=true");
    let cx = Context { features: &features, ..context(resource.versions[0].name) };
    let (old, mut new) = (defaulted(resource, old.clone()), defaulted(resource, new.clone()));
    strategy.prepare_for_update(&cx, &mut new, &old);
    strategy.validate_update(&cx, &new, &old).iter().map(ToString::to_string).collect()
}

/// Only network policies and the status of ingresses asked the gate: everything else took both.
#[track_caller]
fn check(resource: &ResourceDefinition, object: &Json, want: &[(&str, &str, &str)]) {
    assert!(made("", resource, object).is_empty(), "without the gate: {:?}", made("", resource, object));
    let want: Vec<String> =
        want.iter().map(|(path, text, why)| format!("{path}: Invalid value: \"{text}\": {why}")).collect();
    assert_eq!(made("StrictIPCIDRValidation=true", resource, object), want);
}

/// The rules of a resource's status.
fn status(resource: &'static ResourceDefinition) -> &'static dyn Strategy {
    let is_status = |one: &&Subresource| &*one.name == "status";
    match resource.subresources.iter().find(is_status).map(|one| &one.kind) {
        Some(SubresourceKind::Object { strategy, .. }) => &**strategy,
        other => panic!("{other:?}"),
    }
}

fn service_with(spec: Json) -> Json {
    let service = json!({"metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}});
    patched(service, json!({"spec": spec}))
}

fn balanced(ranges: Json) -> Json {
    service_with(
        json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "loadBalancerSourceRanges": ranges}),
    )
}

fn pod_spec() -> Json {
    json!({
        "containers": [{"name": "c", "image": "i"}],
        "dnsConfig": {"nameservers": ["010.0.0.1"]},
        "hostAliases": [{"ip": "::ffff:10.0.0.1", "hostnames": ["a"]}],
    })
}

fn slice(address: &str) -> Json {
    json!({
        "metadata": {"name": "s", "namespace": "default"}, "addressType": "IPv4", "endpoints": [{"addresses": [address]}],
    })
}

fn subset(address: &str) -> Json {
    json!({
        "metadata": {"name": "e", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 80}]}],
    })
}

#[test]
fn services_name_addresses_and_networks_in_one_way() {
    check(
        &service::RESOURCE,
        &service_with(json!({"externalIPs": ["192.0.2.01"]})),
        &[("spec.externalIPs[0]", "192.0.2.01", ZEROS)],
    );
    check(
        &service::RESOURCE,
        &balanced(json!([" 10.0.0.1/8 "])),
        &[("spec.LoadBalancerSourceRanges[0]", "10.0.0.1/8", BITS)],
    );
    let annotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let annotated =
        |ranges: &str| patched(balanced(json!([])), json!({"metadata": {"annotations": {annotation: ranges}}}));
    let path = format!("metadata.annotations[{annotation}]");
    check(&service::RESOURCE, &annotated("10.0.0.1/8"), &[(&path, "10.0.0.1/8", BITS)]);
    let main = service::RESOURCE.strategy;
    let changed = |old: &Json, new: &Json| changed(&service::RESOURCE, main, old, new).len();
    assert_eq!(changed(&annotated("10.0.0.1/8"), &annotated("10.0.0.1/8")), 0);
    assert_eq!(changed(&annotated("10.0.0.0/8"), &annotated("10.0.0.1/8")), 1);
    assert_eq!(changed(&balanced(json!(["10.0.0.1/8"])), &balanced(json!(["10.1.0.0/16", "10.0.0.1/8"]))), 0);
    assert_eq!(changed(&balanced(json!(["10.0.0.0/8"])), &balanced(json!(["10.0.0.1/8"]))), 1);
}

#[test]
fn a_load_balancer_keeps_the_addresses_that_it_has() {
    let reported = |ip: &str| {
        patched(balanced(json!([])), json!({"status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}}}))
    };
    let status = status(&service::RESOURCE);
    let changed = |old: &str, new: &str| changed(&service::RESOURCE, status, &reported(old), &reported(new));
    assert_eq!(
        changed("192.0.2.1", "192.0.2.01"),
        [format!("status.loadBalancer.ingress[0].ip: Invalid value: \"192.0.2.01\": {ZEROS}")]
    );
    assert!(changed("192.0.2.01", "192.0.2.01").is_empty());
}

#[test]
fn pods_and_their_templates_name_addresses_in_one_way() {
    let pod = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": pod_spec()});
    let mapped = "must not be an IPv4-mapped IPv6 address";
    check(
        &pod::RESOURCE,
        &pod,
        &[("spec.dnsConfig.nameservers[0]", "010.0.0.1", ZEROS), ("spec.hostAliases[0].ip", "::ffff:10.0.0.1", mapped)],
    );
    let labels = json!({"a": "b"});
    let deployment = json!({"metadata": {"name": "d", "namespace": "default"}, "spec": {
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
    }});
    check(
        &deployment::RESOURCE,
        &deployment,
        &[
            ("spec.template.spec.dnsConfig.nameservers[0]", "010.0.0.1", ZEROS),
            ("spec.template.spec.hostAliases[0].ip", "::ffff:10.0.0.1", mapped),
        ],
    );
}

#[test]
fn a_pod_keeps_the_addresses_that_it_has() {
    let running = |pod_ip: &str, host_ip: &str| {
        let status = json!({
            "podIP": pod_ip, "podIPs": [{"ip": pod_ip}], "hostIP": host_ip, "hostIPs": [{"ip": host_ip}],
            "qosClass": "BestEffort",
        });
        let spec = json!({"containers": [{"name": "c", "image": "i"}]});
        json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec, "status": status})
    };
    let status = status(&pod::RESOURCE);
    let changed = |old: &Json, new: &Json| changed(&pod::RESOURCE, status, old, new);
    let (good, odd) = (running("10.0.0.1", "192.0.2.1"), running("010.0.0.1", "192.0.2.01"));
    let wrong = |path: &str, text: &str| format!("status.{path}[0]: Invalid value: \"{text}\": {ZEROS}");
    assert_eq!(changed(&good, &odd), [wrong("podIPs", "010.0.0.1"), wrong("hostIPs", "192.0.2.01")]);
    assert!(changed(&odd, &odd).is_empty());
}

#[test]
fn networks_of_nodes_are_named_in_one_way() {
    let node = json!({"metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.0.0.1/24"]}});
    check(&node::RESOURCE, &node, &[("spec.podCIDRs[0]", "10.0.0.1/24", BITS)]);
}

#[test]
fn endpoints_that_do_not_change_stay() {
    check(&endpoint_slice::RESOURCE, &slice("192.0.2.01"), &[("endpoints[0].addresses[0]", "192.0.2.01", ZEROS)]);
    check(&endpoints::RESOURCE, &subset("192.0.2.01"), &[("subsets[0].addresses[0].ip", "192.0.2.01", ZEROS)]);
    for (resource, old, good, other) in [
        (&endpoint_slice::RESOURCE, slice("192.0.2.01"), slice("192.0.2.1"), slice("192.0.2.02")),
        (&endpoints::RESOURCE, subset("192.0.2.01"), subset("192.0.2.1"), subset("192.0.2.02")),
    ] {
        let labelled = patched(old.clone(), json!({"metadata": {"labels": {"a": "b"}}}));
        let changed = |new: &Json| changed(resource, resource.strategy, &old, new).len();
        assert_eq!((changed(&labelled), changed(&good), changed(&other)), (0, 0, 1), "{}", resource.kind);
    }
}
