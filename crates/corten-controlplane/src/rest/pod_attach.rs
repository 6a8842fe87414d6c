//! Joins the streams of a running container: the client's connection goes on to the kubelet.
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
pub(crate) static HANDLER: Handler = Handler {
    group: "",
    plural: "pods",
    subresource: "attach",
    build: |parts| Arc::new(Attach(Connector::new(parts))),
};

#[derive(Debug)]
struct Attach(Connector);

#[async_trait]
impl Custom for Attach {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        connect::admit(endpoint, &request).await?;
        let pod = self.0.pod(&request).await?;
        let container = container_of(&pod, &request.info.name, request.query.get("container"))?;
        let mut query = QueryText::default();
        stream_flags(&request.query, &mut query);
        let (namespace, name) = (escape(&request.info.namespace), escape(&request.info.name));
        let path = format!("/attach/{namespace}/{name}/{}{}", escape(&container), query.text());
        self.0.connect(server, request, &pod, path).await
    }
}
