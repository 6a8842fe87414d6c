//! Requests to a port of a service, made by this server to one of its endpoints.
//!
//! Upstream: pkg/registry/core/service/storage/storage.go `ResourceLocation`, pkg/registry/core/service/proxy.go (v1.35).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use corten_apimachinery::{field::quote, gvk::GroupResource, status::Status, value::Value};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint},
};

use super::{
    catalog::Handler,
    connect,
    pod_connect::Connector,
    proxy::{self, Target},
};
use crate::caches::tree;

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "",
    plural: "services",
    subresource: "proxy",
    build: |parts| Arc::new(Proxy { connector: Connector::new(parts), turn: AtomicUsize::new(0) }),
};

#[derive(Debug)]
struct Proxy {
    connector: Connector,
    /// Endpoints take turns.
    turn: AtomicUsize,
}

#[async_trait]
impl Custom for Proxy {
    async fn handle(&self, _server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        connect::admit(endpoint, &request).await?;
        let given = request.info.name.clone();
        let target = Target::parse(&given)
            .ok_or_else(|| Status::bad_request(format!("invalid service request {}", quote(&given))))?;
        let (namespace, caches) = (&request.info.namespace, &self.connector.caches);
        let missing = |plural: &str| Status::not_found(&GroupResource::new("", plural), target.name);
        let port = match target.port.parse::<i64>() {
            Ok(number) => {
                let service = caches.core("services", namespace, target.name).await?;
                let service = tree(&*service.ok_or_else(|| missing("services"))?)?;
                port_name(&service, number).ok_or_else(|| {
                    let name = quote(target.name);
                    Status::service_unavailable(format!("no service port {number} found for service {name}"))
                })?
            }
            Err(_) => target.port.to_owned(),
        };
        // Endpoints follow the service: what the cache has at hand may be older than the newest address.
        let endpoints = caches.newest("", "endpoints", namespace, target.name).await?;
        let places = places(&tree(&*endpoints.ok_or_else(|| missing("endpoints"))?)?, &port);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for n in 0..places.len() {
            let place = &places[turn.wrapping_add(n) % places.len()];
            if self.is_of_pod(namespace, place).await? {
                let kubelets = &self.connector.kubelets;
                return proxy::to_address(kubelets, target.scheme, &place.address, &place.port, request).await;
            }
        }
        Err(Status::service_unavailable(format!("no endpoints available for service {}", quote(&given))))
    }
}

impl Proxy {
    /// Whether an address is that of the pod which the endpoints name for it, in their own namespace. Whoever may write
    /// endpoints must not reach any address from here.
    ///
    /// Upstream: `isValidAddress`.
    async fn is_of_pod(&self, namespace: &str, place: &Place) -> Result<bool, Status> {
        let Some(pod) = &place.pod else { return Ok(false) };
        let Some(pod) = self.connector.caches.core("pods", namespace, pod).await? else { return Ok(false) };
        let pod = tree(&pod)?;
        let own = pod.items_at(&["status", "podIPs"]);
        Ok(own.iter().any(|own| own.str_at(&["ip"]) == Some(&place.address)))
    }
}

/// The name of the service's port of that number: endpoints know their ports by it.
fn port_name(service: &Value, number: i64) -> Option<String> {
    let ports = service.items_at(&["spec", "ports"]);
    let port = ports.iter().find(|port| port.i64_at(&["port"]) == Some(number))?;
    Some(port.str_at(&["name"]).unwrap_or_default().to_owned())
}

/// One address behind a service.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    address: String,
    port: String,
    /// The pod in the endpoints' namespace that it is said to be of.
    pod: Option<String>,
}

/// The addresses and ports behind the port of that name.
fn places(endpoints: &Value, port_name: &str) -> Vec<Place> {
    let namespace = endpoints.str_at(&["metadata", "namespace"]).unwrap_or_default();
    let mut places = Vec::new();
    for subset in endpoints.items_at(&["subsets"]) {
        let ports = subset.items_at(&["ports"]);
        let port = ports.iter().find(|port| port.str_at(&["name"]).unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|port| port.i64_at(&["port"])) else { continue };
        for address in subset.items_at(&["addresses"]) {
            let Some(ip) = address.str_at(&["ip"]) else { continue };
            let is_own = address.str_at(&["targetRef", "namespace"]) == Some(namespace);
            let pod = address.str_at(&["targetRef", "name"]).filter(|_| is_own).map(str::to_owned);
            places.push(Place { address: ip.to_owned(), port: port.to_string(), pod });
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn a_number_means_the_services_own_port() {
        let ports = json!([{"name": "http", "port": 80}, {"name": "admin", "port": 9000}]);
        let service = testing::tree(json!({"spec": {"ports": ports}}));
        assert_eq!(port_name(&service, 9_000).as_deref(), Some("admin"));
        assert_eq!(port_name(&service, 81), None);
        let service = testing::tree(json!({"spec": {"ports": [{"port": 80}]}}));
        assert_eq!(port_name(&service, 80).as_deref(), Some(""));
    }

    #[test]
    fn only_ready_addresses_of_own_pods_are_asked() {
        let own = json!({"kind": "Pod", "namespace": "n", "name": "p"});
        let foreign = json!({"kind": "Pod", "namespace": "other", "name": "p"});
        let endpoints = testing::tree(json!({"metadata": {"namespace": "n"}, "subsets": [
            {"addresses": [{"ip": "10.0.0.1", "targetRef": own}, {"ip": "10.0.0.4", "targetRef": foreign}],
             "notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "http", "port": 8080}]},
            {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "other", "port": 1}]},
        ]}));
        let place = |address: &str, pod: Option<&str>| Place {
            address: address.to_owned(),
            port: "8080".to_owned(),
            pod: pod.map(str::to_owned),
        };
        assert_eq!(places(&endpoints, "http"), [place("10.0.0.1", Some("p")), place("10.0.0.4", None)]);
    }
}
