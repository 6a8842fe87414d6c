//! Forwards connections to a pod's ports: the client's connection goes on to the kubelet.
//!
//! Upstream: pkg/registry/core/pod/rest/subresources.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint},
};

use super::{
    catalog::Handler,
    connect,
    pod_connect::{Connector, QueryText, escape},
};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "",
    plural: "pods",
    subresource: "portforward",
    build: |parts| Arc::new(PortForward(Connector::new(parts))),
};

#[derive(Debug)]
struct PortForward(Connector);

#[async_trait]
impl Custom for PortForward {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        connect::admit(endpoint, &request).await?;
        let pod = self.0.pod(&request).await?;
        let mut query = QueryText::default();
        for port in request.query.all("ports") {
            query.push("port", port);
        }
        let (namespace, name) = (escape(&request.info.namespace), escape(&request.info.name));
        let path = format!("/portForward/{namespace}/{name}{}", query.text());
        self.0.connect(server, request, &pod, path).await
    }
}
