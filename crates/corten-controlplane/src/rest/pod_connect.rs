//! What exec, attach, port forwarding and logs of pods have in common: the pod, its container, its node.
//!
//! Upstream: pkg/registry/core/pod/strategy.go, pkg/registry/core/pod/rest/subresources.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::{gvk::GroupResource, status::Status, value::Value};
use corten_apiserver::{
    Reply, Request, Server,
    authorization::{Attributes, Decision, forbidden},
    request::Query,
};

use super::kubelets::Kubelets;
use crate::caches::{Caches, tree};

/// What handlers of pods' connections are made of.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) caches: Arc<Caches>,
    pub(super) kubelets: Arc<Kubelets>,
}

impl Connector {
    /// The handler's parts.
    pub(super) fn new(parts: &super::catalog::Parts) -> Self {
        Self { caches: Arc::clone(&parts.caches), kubelets: Arc::clone(&parts.kubelets) }
    }

    /// The pod that a request names.
    pub(super) async fn pod(&self, request: &Request) -> Result<Value, Status> {
        let name = request.info.name.as_str();
        let pod = self.caches.core("pods", &request.info.namespace, name).await?;
        tree(&*pod.ok_or_else(|| Status::not_found(&GroupResource::new("", "pods"), name))?)
    }

    /// Hands the client's connection on to the kubelet of `pod`.
    pub(super) async fn connect(
        &self,
        server: &Server,
        mut request: Request,
        pod: &Value,
        path: String,
    ) -> Result<Reply, Status> {
        may_create(server, &request).await?;
        let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
        if node.is_empty() {
            let name = &request.info.name;
            return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
        }
        let location = self.kubelets.locate(node, path).await?;
        self.kubelets.upgrade(&location, &mut request).await
    }
}

/// WebSockets begin with a GET, but what they do is no reading: the right to create is asked for, too.
///
/// Upstream: feature gate `AuthorizePodWebsocketUpgradeCreatePermission` (beta in v1.35).
async fn may_create(server: &Server, request: &Request) -> Result<(), Status> {
    if request.info.verb == "create" || !server.features().is_enabled("AuthorizePodWebsocketUpgradeCreatePermission") {
        return Ok(());
    }
    let mut info = request.info.clone();
    info.verb = "create".into();
    let attributes = Attributes { user: &request.user, request: &info };
    match server.authorizer().authorize(attributes).await {
        Decision::Allow { .. } => Ok(()),
        Decision::Deny { reason } | Decision::NoOpinion { reason } => Err(forbidden(attributes, &reason)),
    }
}

/// The container that a request names, or the pod's only one.
///
/// Errors: `BadRequest` in upstream's words.
pub(super) fn container_of(pod: &Value, name: &str, given: &str) -> Result<String, Status> {
    let names = |list: &'static str| -> Vec<String> {
        let containers = pod.items_at(&["spec", list]);
        containers.iter().filter_map(|container| container.str_at(&["name"])).map(str::to_owned).collect()
    };
    let ordinary = names("containers");
    let all = || [names("initContainers"), ordinary.clone(), names("ephemeralContainers")].concat();
    if !given.is_empty() {
        return if all().iter().any(|known| known == given) {
            Ok(given.to_owned())
        } else {
            Err(Status::bad_request(format!("container {given} is not valid for pod {name}")))
        };
    }
    match ordinary.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => Err(Status::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all().join(" ")
        ))),
    }
}

/// Builds a query.
#[derive(Debug, Default)]
pub(super) struct QueryText(String);

impl QueryText {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { '?' } else { '&' };
        self.0.push(separator);
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&escape(value));
    }

    /// The query with its question mark; empty for none.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The streams that a client wants, in the kubelet's words.
pub(super) fn stream_flags(query: &Query, out: &mut QueryText) {
    for (theirs, ours) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(theirs) {
            out.push(ours, "1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[track_caller]
    fn check(spec: serde_json::Value, given: &str, want: Result<&str, &str>) {
        let pod = testing::tree(serde_json::json!({"spec": spec}));
        let got = container_of(&pod, "p", given);
        assert_eq!(got.as_deref().map_err(|status| status.message.as_str()), want);
    }

    #[test]
    fn a_container_must_be_named_where_there_are_several() {
        let two = serde_json::json!({
            "initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}],
        });
        check(two.clone(), "i", Ok("i"));
        check(two.clone(), "", Err("a container name must be specified for pod p, choose one of: [i a b]"));
        check(two, "x", Err("container x is not valid for pod p"));
        check(serde_json::json!({"containers": [{"name": "a"}]}), "", Ok("a"));
    }

    #[test]
    fn queries_are_escaped() {
        let mut query = QueryText::default();
        query.push("command", "sh -c 'a&b'");
        query.push("tty", "1");
        assert_eq!(query.text(), "?command=sh%20-c%20%27a%26b%27&tty=1");
    }
}
