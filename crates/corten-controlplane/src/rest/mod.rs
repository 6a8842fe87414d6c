//! What is answered and not stored: reviews, and subresources with effects. `catalog` lists them.

pub(crate) mod catalog;

mod access_review;
mod binding;
pub(crate) mod component_status;
mod connect;
mod eviction;
mod forwarding;
pub(crate) mod kubelets;
mod local_subject_access_review;
mod location;
mod node_proxy;
mod pages;
mod pod_attach;
mod pod_connect;
mod pod_exec;
mod pod_log;
mod pod_portforward;
mod pod_proxy;
mod proxy;
mod self_subject_access_review;
mod self_subject_review;
mod self_subject_rules_review;
mod service_proxy;
mod subject_access_review;
mod token;
mod token_review;
mod user;

use corten_apimachinery::{
    gvk::GroupVersionKind, meta::ObjectMeta as _, resource::Context, status::Status, value::Value,
};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Endpoint, decode_review},
    registry::settle_namespace,
};
use http::StatusCode;

/// Reads a review and checks it by the rules of its kind.
///
/// Errors: `BadRequest`, `Invalid`.
async fn read_review(
    server: &Server,
    endpoint: &Endpoint,
    request: &mut Request,
) -> Result<(Value, Vec<String>), Status> {
    let kind = endpoint.kind();
    let (mut review, warnings) = decode_review(request, server.table(), &endpoint.version.type_name, &kind).await?;
    settle_metadata(&mut review, &request.info.namespace)?;
    let context = Context {
        user: &request.user,
        now: request.received,
        namespace: &request.info.namespace,
        features: server.features(),
        api_version: &endpoint.api_version,
    };
    let errors = endpoint.resource.strategy.validate(&context, &review);
    if errors.is_empty() {
        return Ok((review, warnings));
    }
    // Upstream asks the decoded object, which has forgotten its kind.
    Err(Status::invalid(&GroupVersionKind::new(kind.group, kind.version, ""), "", &errors))
}

/// What the server does to the metadata of everything that is sent to it: what clients cannot know goes, and the namespace is
/// the request's.
///
/// Upstream: `WipeObjectMetaSystemFields`, `EnsureObjectNamespaceMatchesRequestNamespace` in
/// k8s.io/apiserver/pkg/registry/rest/meta.go (v1.35).
///
/// Errors: `BadRequest` for an object of another namespace.
fn settle_metadata(object: &mut Value, namespace: &str) -> Result<(), Status> {
    for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        object.unset_meta(field);
    }
    settle_namespace(object, Some(namespace).filter(|namespace| !namespace.is_empty()))
}

/// The answered review.
fn created(review: Value, warnings: Vec<String>) -> Reply {
    Reply::tree(StatusCode::CREATED, review).with_warnings(warnings)
}

/// The answer of a subresource that has done what it is for.
fn succeeded() -> Reply {
    let status = Value::object_of([
        ("apiVersion", Value::from("v1")),
        ("kind", "Status".into()),
        ("metadata", Value::object()),
        ("status", "Success".into()),
        ("code", Value::Int(201)),
    ]);
    Reply::tree(StatusCode::CREATED, status)
}

#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;
