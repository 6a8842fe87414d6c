//! Requests to a node, made by this server: to its kubelet, or to another port.
//!
//! Upstream: pkg/registry/core/node/rest/proxy.go, pkg/registry/core/node/strategy.go `ResourceLocation` (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{field::quote, status::Status};
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

/// The handler.
pub(crate) static HANDLER: Handler =
    Handler { group: "", plural: "nodes", subresource: "proxy", build: |parts| Arc::new(Proxy(Connector::new(parts))) };

#[derive(Debug)]
struct Proxy(Connector);

#[async_trait]
impl Custom for Proxy {
    async fn handle(&self, _server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        connect::admit(endpoint, &request).await?;
        let given = request.info.name.clone();
        let target = Target::parse(&given)
            .ok_or_else(|| Status::bad_request(format!("invalid node request {}", quote(&given))))?;
        let kubelets = &self.0.kubelets;
        let location = kubelets.locate(target.name, proxy::path_of(&request)).await?;
        if target.port.is_empty() || target.port == location.port.to_string() {
            return proxy::to_location(kubelets, location, request).await;
        }
        proxy::to_address(kubelets, target.scheme, &location.host, target.port, request).await
    }
}
