//! From a request to the function that answers it.

use std::sync::Arc;

use corten_apimachinery::{
    resource::{SubresourceKind, Verb},
    status::Status,
};
use http::{Method, StatusCode};

use super::{
    patch, read,
    routes::{Endpoint, Routes},
    scale, watch, write,
};
use crate::{request::Request, response::Reply, server::Server};

/// Answers an authorized request.
pub async fn dispatch(server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
    let routes = server.routes();
    if !request.info.is_resource {
        return match routes.non_resource(&request.info.path) {
            Some(handler) => handler.handle(server, request).await,
            None => Ok(no_such_path()),
        };
    }
    let info = &request.info;
    let Some(endpoint) = routes.endpoint(&info.group, &info.version, &info.resource) else {
        return Ok(no_such_path());
    };
    if !info.namespace.is_empty() && !endpoint.definition.is_namespaced() && info.resource != "namespaces" {
        return Ok(no_such_path());
    }
    // Paths in all namespaces can only be listed and watched.
    if endpoint.definition.is_namespaced()
        && info.namespace.is_empty()
        && !matches!(&*info.verb, "list" | "watch")
        && endpoint.store.is_some()
    {
        return Ok(method_not_allowed());
    }
    let Some(advice) = endpoint.version.deprecation else {
        return resource(server, &routes, endpoint, request).await;
    };
    // Failures tell it, too.
    let mut reply = Reply::from(resource(server, &routes, endpoint, request).await);
    reply.warnings.insert(0, advice.to_owned());
    Ok(reply)
}

/// A request for a resource, whatever is asked of it.
async fn resource(
    server: &Arc<Server>,
    routes: &Routes,
    endpoint: &Endpoint,
    request: Request,
) -> Result<Reply, Status> {
    let info = &request.info;
    if let Some(handler) = routes.custom(&info.group, &info.resource, &info.subresource) {
        return handler.handle(server, endpoint, request).await;
    }
    if info.subresource.is_empty() {
        return object(server, endpoint, request).await;
    }
    let Some(subresource) = endpoint.definition.subresource(&info.subresource) else {
        return Ok(no_such_path());
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
            _ => Ok(method_not_allowed()),
        },
        SubresourceKind::Scale(paths) => Box::pin(scale::handle(server, endpoint, request, paths)).await,
        SubresourceKind::Custom { .. } => Ok(no_such_path()),
    }
}

/// What every request is moved through is as large as the largest branch: all but the cheapest are in boxes.
async fn object(server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
    let has = |verb: Verb| endpoint.definition.verbs.contains(&verb);
    let named = !request.info.name.is_empty();
    match &*request.info.verb {
        "get" if has(Verb::Get) => read::get(endpoint, &request).await,
        "list" if has(Verb::List) => Box::pin(read::list(server, endpoint, &request)).await,
        "watch" if has(Verb::Watch) => Box::pin(watch::watch(server, endpoint, &request)).await,
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
        _ => Ok(method_not_allowed()),
    }
}

/// What upstream's router says about a path that it does not know: plain text, which clients turn into their own words.
fn no_such_path() -> Reply {
    Reply::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn method_not_allowed() -> Reply {
    Reply::text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed")
}
