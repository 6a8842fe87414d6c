//! From a request to the function that answers it.

use std::sync::Arc;

use corten_apimachinery::{
    resource::{Resource, Strategy, SubresourceKind, Verb},
    status::{Details, Reason, Status},
};
use http::Method;

use super::{
    asked::Asked,
    patch, read,
    routes::{Endpoint, Routes},
    scale, watch, write,
};
use crate::{
    request::{Request, RequestInfo},
    response::Reply,
    server::{Server, expect_document, expect_form},
};

/// Answers an authorized request.
pub async fn dispatch(server: &Arc<Server>, request: Box<Request>) -> Result<Reply, Status> {
    let routes = server.routes();
    if !request.info.is_resource {
        return match routes.non_resource(&request.info.path) {
            // Discovery and the version are routed as resources are; other paths see to their methods themselves.
            Some(_) if is_routed_by_method(&request) && !is_read(&request) => Ok(Reply::method_not_allowed()),
            Some(handler) if is_routed_by_method(&request) => {
                expect_document(server, &request)?;
                handler.handle(server, *request).await
            }
            Some(handler) => handler.handle(server, *request).await,
            None => Ok(unknown(server, &routes, &request)),
        };
    }
    let info = &request.info;
    let Some(endpoint) = routes.endpoint(&info.group, &info.version, &info.resource) else {
        return Ok(unknown(server, &routes, &request));
    };
    if !is_served_here(&request) || (endpoint.version.schema.is_some() && !is_in_custom_scope(endpoint, info)) {
        return Ok(unknown(server, &routes, &request));
    }
    let asked = match Asked::of((&endpoint.resource, &endpoint.version), &request.method, info) {
        Ok(asked) => asked,
        // This is within a group that is served.
        Err(refusal) => return refusal.into(),
    };
    let Some(advice) = &endpoint.version.deprecation else {
        return resource(server, &routes, endpoint, request, asked).await;
    };
    // Failures tell it, too.
    let mut reply = Reply::from(resource(server, &routes, endpoint, request, asked).await);
    reply.warnings.insert(0, advice.to_string());
    Ok(reply)
}

/// Whether a document may be read by the request's method: routes are for `GET`, but groups and the list of them have
/// handlers that look at no method, whose other methods change nothing.
///
/// Upstream: `apisHandler` and `apiGroupHandler` in k8s.io/kube-aggregator/pkg/apiserver/handler_apis.go (v1.35).
fn is_read(request: &Request) -> bool {
    let path = request.info.path.trim_end_matches('/');
    let is_of_groups = path == "/apis" || path.strip_prefix("/apis/").is_some_and(|group| !group.contains('/'));
    request.method == Method::GET || (request.method == Method::HEAD && is_of_groups)
}

fn is_routed_by_method(request: &Request) -> bool {
    let path = request.info.path.trim_end_matches('/');
    path == "/api" || path == "/apis" || path.starts_with("/api/") || path.starts_with("/apis/") || path == "/version"
}

/// Whether a path begins as those of resources do: upstream's router compares the beginning letter by letter.
fn is_served_here(request: &Request) -> bool {
    let path = &request.info.path;
    // A component of this process names no path.
    path.is_empty() || path.starts_with("/api/") || path.starts_with("/apis/")
}

/// Whether a path leads to a custom resource where that is. Upstream has no route for each, but one for all, which sends
/// what is elsewhere on to where nothing is known.
///
/// Upstream: `crdHandler.ServeHTTP` in k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).
fn is_in_custom_scope(endpoint: &Endpoint, info: &RequestInfo) -> bool {
    if info.namespace.is_empty() {
        !endpoint.resource.is_namespaced() || matches!(&*info.verb, "list" | "watch")
    } else {
        endpoint.resource.is_namespaced()
    }
}

/// What upstream's router says about a path that it does not know: another thing within a built-in group than outside of all.
///
/// Upstream: `director.ServeHTTP` in k8s.io/apiserver/pkg/server/handler.go, and k8s.io/apiserver/pkg/util/notfoundhandler (v1.35).
fn unknown(server: &Server, routes: &Routes, request: &Request) -> Reply {
    let path = request.info.path.as_str();
    let is_known_group = match path.strip_prefix("/apis/") {
        Some(rest) => {
            let group = rest.split('/').next().unwrap_or_default();
            let is_built_in = |resource: &Resource| resource.versions.iter().all(|version| version.schema.is_none());
            !group.is_empty() && routes.resources().iter().any(|known| known.group == group && is_built_in(known))
        }
        None => path.starts_with("/api/"),
    };
    if is_known_group {
        Reply::no_such_route()
    } else if server.has_all_routes() {
        Reply::no_such_path()
    } else {
        let why = "the request has been made before all known HTTP paths have been installed, please try again";
        let details = Details { retry_after_seconds: 5, ..Details::default() };
        Reply::failure(&Status { details: Some(details.into()), ..Status::service_unavailable(why) })
    }
}

/// A request for a resource, whatever is asked of it.
async fn resource(
    server: &Arc<Server>,
    routes: &Routes,
    endpoint: &Endpoint,
    request: Box<Request>,
    asked: Asked<'_>,
) -> Result<Reply, Status> {
    expect_form(server, &request, asked.verb, endpoint.version.schema.is_some())?;
    let info = &request.info;
    let handler = routes.custom(&info.group, &info.resource, &info.subresource);
    // A custom resource may have the name of a built-in one, in a version that is not built in.
    if let Some(handler) = handler.filter(|_| endpoint.version.schema.is_none()) {
        return handler.handle(server, endpoint, *request).await;
    }
    if endpoint.version.needs_webhook {
        let why = endpoint.resource.webhook_failure(&endpoint.resource.hub_api_version());
        return Err(Status::new(Reason::Unknown, why));
    }
    // Only proxies, which have their handlers, know methods without a verb.
    let Some(verb) = asked.verb else { return Ok(Reply::method_not_allowed()) };
    match asked.subresource.map(|subresource| &subresource.kind) {
        None => object(server, endpoint, request, verb, &*endpoint.resource.strategy).await,
        Some(SubresourceKind::Object { strategy, .. }) => object(server, endpoint, request, verb, &**strategy).await,
        Some(SubresourceKind::Scale(paths)) => Box::pin(scale::handle(server, endpoint, request, verb, paths)).await,
        Some(SubresourceKind::Custom { .. }) => Ok(Reply::no_such_route()),
    }
}

/// What every request is moved through is as large as the largest branch: all but the cheapest are in boxes.
async fn object(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    request: Box<Request>,
    verb: Verb,
    strategy: &dyn Strategy,
) -> Result<Reply, Status> {
    match verb {
        Verb::Get => read::get(endpoint, &request).await,
        Verb::List => Box::pin(read::list(server, endpoint, &request)).await,
        Verb::Watch => Box::pin(watch::watch(server, endpoint, request)).await,
        Verb::Create => Box::pin(write::create(endpoint, request)).await,
        Verb::Update => Box::pin(write::update(server, endpoint, request, strategy)).await,
        Verb::Patch => Box::pin(patch::patch(server, endpoint, request, strategy)).await,
        Verb::Delete => Box::pin(write::delete(server, endpoint, request)).await,
        Verb::DeleteCollection => Box::pin(write::delete_collection(server, endpoint, request)).await,
    }
}
