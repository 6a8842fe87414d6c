//! Runs a command in a container: the client's connection goes on to the kubelet.
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
    pod_connect::{Connector, QueryText, container_of, escape, stream_flags},
};

/// The handler.
pub(crate) static HANDLER: Handler =
    Handler { group: "", plural: "pods", subresource: "exec", build: |parts| Arc::new(Exec(Connector::new(parts))) };

#[derive(Debug)]
struct Exec(Connector);

#[async_trait]
impl Custom for Exec {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        connect::admit(endpoint, &request).await?;
        let pod = self.0.pod(&request).await?;
        let container = container_of(&pod, &request.info.name, request.query.get("container"))?;
        let mut query = QueryText::default();
        stream_flags(&request.query, &mut query);
        for part in request.query.all("command") {
            query.push("command", part);
        }
        let (namespace, name) = (escape(&request.info.namespace), escape(&request.info.name));
        let path = format!("/exec/{namespace}/{name}/{}{}", escape(&container), query.text());
        self.0.connect(server, request, &pod, path).await
    }
}
