//! What a request asks of the resource that its path leads to.
//!
//! Authorization goes by the verb that a request was read as, so handlers may do what that verb says and nothing else. This
//! is the one place where verb, method and path are held against what the resource serves: handlers get the verb and look at
//! no method.
//!
//! Upstream: the routes that k8s.io/apiserver/pkg/endpoints/installer.go makes of a storage's interfaces (v1.35).

use corten_apimachinery::{
    resource::{Resource, ResourceVersion, Subresource, SubresourceKind, Verb},
    status::Status,
};
use http::Method;

use crate::{registry::check_name, request::RequestInfo, response::Reply};

/// What an authorized request may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The verb that the request was authorized for. `None` for a method without one, which only proxies know.
    pub(super) verb: Option<Verb>,
    /// The subresource, if it is about one.
    pub(super) subresource: Option<&'a Subresource>,
}

/// Why a request gets nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No such path.
    NoRoute,
    /// The path knows other methods.
    Method,
    /// The path has no name where one must be, or one that cannot be.
    Name(Status),
    /// A subresource that this version of a custom resource does not have.
    ///
    /// Upstream: `ServeHTTP` in k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).
    NotFound(Status),
}

impl From<Refusal> for Result<Reply, Status> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoRoute => Ok(Reply::no_such_route()),
            Refusal::Method => Ok(Reply::method_not_allowed()),
            Refusal::Name(status) | Refusal::NotFound(status) => Err(status),
        }
    }
}

impl<'a> Asked<'a> {
    /// Reads what `info`, which came by `method`, asks of the resource.
    pub(super) fn of(
        (resource, version): (&Resource, &'a ResourceVersion),
        method: &Method,
        info: &RequestInfo,
    ) -> Result<Self, Refusal> {
        if !is_in_scope(resource, info) {
            return Err(Refusal::NoRoute);
        }
        let serves = |verbs: &[Verb]| verbs.iter().any(|verb| resource.verbs.contains(verb));
        // The old form of a watch leads to what can be watched, and to no part of it.
        if info.form.is_watch && (!info.subresource.is_empty() || !serves(&[Verb::Watch])) {
            return Err(Refusal::NoRoute);
        }
        let verb = verb_of(method, info);
        // Built-in resources are routed by method, and a read of a head is another one; whoever answers for custom ones goes
        // by the verb.
        let takes_head = version.schema.is_some();
        if !info.subresource.is_empty() {
            let Some(subresource) = version.subresource(&info.subresource) else {
                // Custom resources have one route for all subresources, on which the object is not found then.
                return Err(match &version.schema {
                    Some(_) => Refusal::NotFound(Status::not_found(&info.group_resource(), &info.name)),
                    None => Refusal::NoRoute,
                });
            };
            return Self::of_subresource(subresource, verb, (method, takes_head), info);
        }
        let is_named = info.form.is_named;
        if !info.rest.is_empty() {
            return Err(Refusal::NoRoute);
        }
        if is_named && !serves(&[Verb::Get, Verb::Update, Verb::Patch, Verb::Delete]) {
            return Err(Refusal::NoRoute);
        }
        let is_taken = takes_head || *method != Method::HEAD;
        let verb = verb.filter(|verb| is_taken && serves(&[*verb])).ok_or(Refusal::Method)?;
        let is_fitting = match verb {
            Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => is_named,
            Verb::Create | Verb::DeleteCollection => !is_named,
            // By name only in the old form.
            Verb::List | Verb::Watch => true,
        };
        let is_across = resource.is_namespaced() && info.namespace.is_empty();
        if !is_fitting || (is_across && !matches!(verb, Verb::List | Verb::Watch)) {
            return Err(Refusal::Method);
        }
        Ok(Self { verb: Some(verb), subresource: None })
    }

    /// A subresource is of one object, which the path names: there is nothing to list, to watch or to delete many of.
    fn of_subresource(
        subresource: &'a Subresource,
        verb: Option<Verb>,
        (method, takes_head): (&Method, bool),
        info: &RequestInfo,
    ) -> Result<Self, Refusal> {
        let (verbs, is_proxy): (&[Verb], bool) = match &subresource.kind {
            SubresourceKind::Object { verbs, .. } => (verbs, false),
            SubresourceKind::Scale(_) => (&[Verb::Get, Verb::Patch, Verb::Update], false),
            // What can be deleted without being an object hands everything on.
            SubresourceKind::Custom { verbs, .. } => (verbs, verbs.contains(&Verb::Delete)),
        };
        if !info.rest.is_empty() && !is_proxy {
            return Err(Refusal::NoRoute);
        }
        // A path without the name, for which a request was read as one of many.
        let single = verb.map(|verb| match verb {
            Verb::List | Verb::Watch => Verb::Get,
            Verb::DeleteCollection => Verb::Delete,
            verb => verb,
        });
        let is_served = match single {
            Some(_) if *method == Method::HEAD && !takes_head && !is_proxy => false,
            Some(verb) => verbs.contains(&verb),
            None => is_proxy && *method == Method::OPTIONS,
        };
        if !is_served {
            return Err(Refusal::Method);
        }
        if !info.form.is_named || single != verb {
            return Err(Refusal::Name(Status::bad_request("name must be provided")));
        }
        check_name(&info.name).map_err(Refusal::Name)?;
        Ok(Self { verb, subresource: Some(subresource) })
    }
}

/// Whether the resource is where the path has it.
fn is_in_scope(resource: &Resource, info: &RequestInfo) -> bool {
    if resource.is_namespaced() {
        // Paths in all namespaces can only be listed and watched.
        return !info.namespace.is_empty() || (!info.form.is_named && resource.verbs.contains(&Verb::List));
    }
    // Else a right within a namespace would be one to what is in none: a namespace is not in itself either.
    !info.form.is_in_namespace && (info.namespace.is_empty() || info.namespace == info.name)
}

/// The verb that was authorized, if the method is one of those that ask for it.
fn verb_of(method: &Method, info: &RequestInfo) -> Option<Verb> {
    let verb = Verb::ALL.iter().copied().find(|verb| verb.as_str() == info.verb)?;
    let is_asked = match verb {
        Verb::Get | Verb::List | Verb::Watch => matches!(*method, Method::GET | Method::HEAD),
        Verb::Create => *method == Method::POST,
        Verb::Update => *method == Method::PUT,
        Verb::Patch => *method == Method::PATCH,
        Verb::Delete | Verb::DeleteCollection => *method == Method::DELETE,
    };
    is_asked.then_some(verb)
}
