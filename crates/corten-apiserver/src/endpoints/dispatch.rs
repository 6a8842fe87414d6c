//! From a request to the function that answers it.

use std::sync::Arc;

use corten_apimachinery::{
    resource::{SubresourceKind, Verb},
    status::Status,
};
use http::Method;

use super::{
    patch, read,
    routes::{Endpoint, Routes},
    scale, watch, write,
};
use crate::{registry::check_name, request::Request, response::Reply, server::Server};

/// Answers an authorized request.
pub async fn dispatch(server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
    let routes = server.routes();
    if !request.info.is_resource {
        return match routes.non_resource(&request.info.path) {
            // Discovery is routed as resources are; other paths see to their methods themselves.
            Some(_) if is_discovery(&request) && !is_read(&request.method) => Ok(Reply::method_not_allowed()),
            Some(handler) => handler.handle(server, request).await,
            None => Ok(unknown(&routes, &request)),
        };
    }
    let info = &request.info;
    let Some(endpoint) = routes.endpoint(&info.group, &info.version, &info.resource) else {
        return Ok(unknown(&routes, &request));
    };
    // The old way of selecting one object reads as a name; a path's name is followed by what is wanted of it.
    let is_named = !info.name.is_empty() && !matches!(&*info.verb, "list" | "watch");
    let is_routed = is_served_here(&request)
        && if endpoint.definition.is_namespaced() {
            // Paths in all namespaces can only be listed and watched.
            !info.namespace.is_empty() || (!is_named && endpoint.definition.verbs.contains(&Verb::List))
        } else {
            info.namespace.is_empty() || info.resource == "namespaces"
        };
    if !is_routed {
        return Ok(unknown(&routes, &request));
    }
    if endpoint.definition.is_namespaced() && info.namespace.is_empty() && !matches!(&*info.verb, "list" | "watch") {
        return Ok(Reply::method_not_allowed());
    }
    let Some(advice) = endpoint.version.deprecation else {
        return resource(server, &routes, endpoint, request).await;
    };
    // Failures tell it, too.
    let mut reply = Reply::from(resource(server, &routes, endpoint, request).await);
    reply.warnings.insert(0, advice.to_owned());
    Ok(reply)
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn is_discovery(request: &Request) -> bool {
    let path = request.info.path.trim_end_matches('/');
    path == "/api" || path == "/apis" || path.starts_with("/api/") || path.starts_with("/apis/")
}

/// Whether a path begins as those of resources do: upstream's router compares the beginning letter by letter.
fn is_served_here(request: &Request) -> bool {
    let path = &request.info.path;
    // A component of this process names no path.
    path.is_empty() || path.starts_with("/api/") || path.starts_with("/apis/")
}

/// What upstream's router says about a path that it does not know: another thing within a group than outside of all.
///
/// Upstream: `director.ServeHTTP` in k8s.io/apiserver/pkg/server/handler.go (v1.35).
fn unknown(routes: &Routes, request: &Request) -> Reply {
    let path = request.info.path.as_str();
    let is_known_group = match path.strip_prefix("/apis/") {
        Some(rest) => {
            let group = rest.split('/').next().unwrap_or_default();
            !group.is_empty() && routes.resources().iter().any(|known| known.group == group)
        }
        None => path.starts_with("/api/"),
    };
    if is_known_group { Reply::no_such_route() } else { Reply::no_such_path() }
}

/// A request for a resource, whatever is asked of it.
async fn resource(
    server: &Arc<Server>,
    routes: &Routes,
    endpoint: &Endpoint,
    request: Request,
) -> Result<Reply, Status> {
    let info = &request.info;
    let is_proxy = info.subresource == "proxy";
    if !info.rest.is_empty() && !is_proxy {
        return Ok(Reply::no_such_route());
    }
    if !info.subresource.is_empty() && !matches!(&*info.verb, "list" | "watch") {
        check_name(&info.name)?;
    }
    if let Some(handler) = routes.custom(&info.group, &info.resource, &info.subresource) {
        return handler.handle(server, endpoint, request).await;
    }
    if info.subresource.is_empty() {
        return object(server, endpoint, request).await;
    }
    let Some(subresource) = endpoint.definition.subresource(&info.subresource) else {
        return Ok(Reply::no_such_route());
    };
    match &subresource.kind {
        SubresourceKind::Object { strategy, verbs } => match request.method {
            Method::GET | Method::HEAD if verbs.contains(&Verb::Get) => read::get(endpoint, &request).await,
            Method::PUT if verbs.contains(&Verb::Update) => {
                Box::pin(write::update(server, endpoint, request, *strategy)).await
            }
            Method::PATCH if verbs.contains(&Verb::Patch) => {
                Box::pin(patch::patch(server, endpoint, request, *strategy)).await
            }
            _ => Ok(Reply::method_not_allowed()),
        },
        SubresourceKind::Scale(paths) => Box::pin(scale::handle(server, endpoint, request, paths)).await,
        SubresourceKind::Custom { .. } => Ok(Reply::no_such_route()),
    }
}

/// What every request is moved through is as large as the largest branch: all but the cheapest are in boxes.
async fn object(server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
    let has = |verb: Verb| endpoint.definition.verbs.contains(&verb);
    let named = !request.info.name.is_empty();
    match &*request.info.verb {
        "get" if has(Verb::Get) => read::get(endpoint, &request).await,
        "list" if has(Verb::List) => Box::pin(read::list(server, endpoint, &request)).await,
        "watch" if has(Verb::Watch) => Box::pin(watch::watch(server, endpoint, request)).await,
        "create" if has(Verb::Create) && !named => Box::pin(write::create(server, endpoint, request)).await,
        "update" if has(Verb::Update) && named => {
            Box::pin(write::update(server, endpoint, request, endpoint.definition.strategy)).await
        }
        "patch" if has(Verb::Patch) && named => {
            Box::pin(patch::patch(server, endpoint, request, endpoint.definition.strategy)).await
        }
        "delete" if has(Verb::Delete) && named => Box::pin(write::delete(server, endpoint, request)).await,
        "deletecollection" if has(Verb::DeleteCollection) => {
            Box::pin(write::delete_collection(server, endpoint, request)).await
        }
        _ => Ok(Reply::method_not_allowed()),
    }
}
