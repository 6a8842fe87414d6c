//! Requests to a port of a pod, made by this server.
//!
//! Upstream: pkg/registry/core/pod/rest/subresources.go `ProxyREST`, pkg/registry/core/pod/strategy.go `ResourceLocation`
//! (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{field::quote, gvk::GroupResource, status::Status};
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
pub(crate) static HANDLER: Handler =
    Handler { group: "", plural: "pods", subresource: "proxy", build: |parts| Arc::new(Proxy(Connector::new(parts))) };

#[derive(Debug)]
struct Proxy(Connector);

#[async_trait]
impl Custom for Proxy {
    async fn handle(&self, _server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        connect::admit(endpoint, &request).await?;
        let given = request.info.name.clone();
        let target = Target::parse(&given)
            .ok_or_else(|| Status::bad_request(format!("invalid pod request {}", quote(&given))))?;
        let pod = self.0.caches.core("pods", &request.info.namespace, target.name).await?;
        let pod = tree(&*pod.ok_or_else(|| Status::not_found(&GroupResource::new("", "pods"), target.name))?)?;
        let first = || {
            let containers = pod.items_at(&["spec", "containers"]);
            let port = containers.iter().find_map(|container| container.items_at(&["ports"]).first());
            port.and_then(|port| port.i64_at(&["containerPort"])).map(|port| port.to_string())
        };
        let port = if target.port.is_empty() { first().unwrap_or_default() } else { target.port.to_owned() };
        let addresses = pod.items_at(&["status", "podIPs"]);
        let address = addresses.first().and_then(|address| address.str_at(&["ip"])).unwrap_or_default();
        proxy::to_address(&self.0.kubelets, target.scheme, address, &port, request).await
    }
}
