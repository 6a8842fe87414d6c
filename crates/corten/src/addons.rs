//! What a cluster of corten has beside what every API server makes itself: the roles that kubeadm binds, and DNS.
//!
//! Applied server-side at every start under the field manager `corten`, so that fields which others set stay theirs.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use corten_apimachinery::{
    codec::{FieldValidation, json},
    gvk::GroupVersionResource,
    status::Status,
};
use corten_client::Target;
use serde_json::{Value, json};

use crate::{
    config::Config,
    pki::ADMINISTRATORS,
    readiness::{Waiter, until_taken},
};

/// The service account whose rights DNS has. Upstream: the manifest of `CoreDNS`.
pub(crate) const DNS_ACCOUNT: &str = "coredns";

const RBAC: &str = "rbac.authorization.k8s.io";

/// An object and where it goes.
struct Addon {
    target: Target,
    object: Value,
}

/// Applies the roles that components need and no API server makes. One that serves no roles goes without.
pub(crate) async fn ensure_roles(waiter: &Waiter) -> anyhow::Result<()> {
    for addon in roles() {
        let name = addon.target.name.clone();
        if let Err(error) = apply(waiter, addon).await {
            // Roles are in no namespace, and what is applied need not be there: what is not found is the kind.
            let is_served = !error.downcast_ref::<Status>().is_some_and(Status::is_not_found);
            if is_served {
                return Err(error);
            }
            tracing::warn!(%name, "Did not apply a role: the API server serves none");
        }
    }
    Ok(())
}

/// Applies the service of DNS and this node's part of its endpoints.
pub(crate) async fn ensure_dns(waiter: &Waiter, config: &Config, gateway: Ipv4Addr) -> anyhow::Result<()> {
    for addon in dns(config.dns_service_address(), &config.node_name, gateway) {
        apply(waiter, addon).await?;
    }
    Ok(())
}

async fn apply(waiter: &Waiter, addon: Addon) -> anyhow::Result<()> {
    let Addon { target, object } = addon;
    let what = format!("{} {}", target.resource.resource, target.name);
    let text = serde_json::to_vec(&object).context("write an object")?;
    let tree = json::decode(&text, None, FieldValidation::Ignore).with_context(|| format!("form {what}"))?.value;
    let applied =
        until_taken(&*waiter.clock, &*waiter.rng, || waiter.client.apply(target.clone(), tree.clone(), true)).await;
    applied.map(drop).with_context(|| format!("apply {what}"))
}

fn roles() -> Vec<Addon> {
    let target =
        |resource: &str, name: &str| Target::object(&GroupVersionResource::new(RBAC, "v1", resource), "", name);
    let version = format!("{RBAC}/v1");
    let role = |name: &str| json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": name});
    let dns_role = "system:coredns";
    vec![
        Addon {
            target: target("clusterrolebindings", ADMINISTRATORS),
            object: json!({
                "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": ADMINISTRATORS},
                "roleRef": role("cluster-admin"),
                "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": ADMINISTRATORS}],
            }),
        },
        Addon {
            target: target("clusterroles", dns_role),
            object: json!({
                "apiVersion": version, "kind": "ClusterRole", "metadata": {"name": dns_role},
                "rules": [
                    {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
                    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
                ],
            }),
        },
        Addon {
            target: target("clusterrolebindings", dns_role),
            object: json!({
                "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": dns_role},
                "roleRef": role(dns_role),
                "subjects": [{"kind": "ServiceAccount", "name": DNS_ACCOUNT, "namespace": "kube-system"}],
            }),
        },
    ]
}

fn dns(service_address: Ipv4Addr, node: &str, gateway: Ipv4Addr) -> Vec<Addon> {
    let (namespace, name) = ("kube-system", "kube-dns");
    let slice = format!("{name}-{node}");
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol});
    let ports = json!([port("dns", "UDP"), port("dns-tcp", "TCP")]);
    let labels = json!({
        "k8s-app": name, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
    });
    vec![
        Addon {
            target: Target::object(&GroupVersionResource::new("", "v1", "services"), namespace, name),
            object: json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {
                    "clusterIP": service_address.to_string(), "clusterIPs": [service_address.to_string()],
                    "ports": [
                        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                    ],
                },
            }),
        },
        Addon {
            target: Target::object(
                &GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices"),
                namespace,
                slice.as_str(),
            ),
            object: json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": slice, "namespace": namespace, "labels": {
                    "endpointslice.kubernetes.io/managed-by": "corten", "kubernetes.io/service-name": name,
                }},
                "addressType": "IPv4",
                "endpoints": [{
                    "addresses": [gateway.to_string()], "conditions": {"ready": true}, "nodeName": node,
                }],
                "ports": ports,
            }),
        },
        // The API server's proxy finds a service's addresses here. The slice is written above, not mirrored from this.
        Addon {
            target: Target::object(&GroupVersionResource::new("", "v1", "endpoints"), namespace, name),
            object: json!({
                "apiVersion": "v1", "kind": "Endpoints",
                "metadata": {"name": name, "namespace": namespace, "labels": {
                    "endpointslice.kubernetes.io/skip-mirror": "true", "k8s-app": name,
                    "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
                }},
                "subsets": [{"addresses": [{"ip": gateway.to_string(), "nodeName": node}], "ports": ports}],
            }),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_where_its_metadata_says() {
        let mut addons = roles();
        addons.extend(dns(Ipv4Addr::new(10, 96, 0, 10), "node-1", Ipv4Addr::new(10, 244, 0, 1)));
        assert_eq!(addons.len(), 6);
        for Addon { target, object } in addons {
            assert_eq!(object["metadata"]["name"], target.name.as_str());
            assert_eq!(object["metadata"]["namespace"].as_str().unwrap_or_default(), target.namespace.as_str());
        }
    }

    #[test]
    fn dns_answers_over_udp_and_tcp_at_the_gateway() {
        let addons = dns(Ipv4Addr::new(10, 96, 0, 10), "node-1", Ipv4Addr::new(10, 244, 0, 1));
        let [service, slice, endpoints] = &addons[..] else { panic!("three objects") };
        assert_eq!(service.object["spec"]["clusterIP"], "10.96.0.10");
        assert_eq!(slice.object["endpoints"][0]["addresses"], json!(["10.244.0.1"]));
        assert_eq!(slice.object["metadata"]["name"], "kube-dns-node-1");
        assert_eq!(endpoints.object["subsets"][0]["ports"], slice.object["ports"]);
        for (at, protocol) in ["UDP", "TCP"].iter().enumerate() {
            assert_eq!(service.object["spec"]["ports"][at]["protocol"], *protocol);
            assert_eq!(slice.object["ports"][at]["protocol"], *protocol);
        }
    }
}
