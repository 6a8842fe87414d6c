//! The method, path and query of a call.

use corten_apimachinery::value::Str;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::call::{Call, Verb};

/// What stays as it is in a segment or a query value: RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => Method::GET,
        Verb::Create => Method::POST,
        Verb::Update => Method::PUT,
        Verb::Patch(_) => Method::PATCH,
        Verb::Delete | Verb::DeleteCollection => Method::DELETE,
    }
}

/// `/api/v1/namespaces/ns/pods/web/status?fieldManager=x`.
pub(super) fn path_and_query(call: &Call) -> String {
    let resource = &call.resource;
    if resource.resource.is_empty() {
        return call.name.to_string();
    }
    let mut path = String::with_capacity(96);
    path.push_str(if resource.group.is_empty() { "/api" } else { "/apis" });
    let in_namespace = if call.namespace.is_empty() { "" } else { "namespaces" };
    let segments: [&Str; 7] = [
        &resource.group,
        &resource.version,
        &Str::const_new(in_namespace),
        &call.namespace,
        &resource.resource,
        &call.name,
        &call.subresource,
    ];
    for segment in segments.into_iter().filter(|segment| !segment.is_empty()) {
        path.push('/');
        // A subresource may have segments of its own: `proxy/metrics`.
        let parts: Vec<_> = segment.split('/').map(|part| utf8_percent_encode(part, ENCODED).to_string()).collect();
        path.push_str(&parts.join("/"));
    }
    let watch = (call.verb == Verb::Watch).then_some(("watch", "true"));
    let query = watch.into_iter().chain(call.query.iter().map(|(name, value)| (*name, value.as_str())));
    for (index, (name, value)) in query.enumerate() {
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        path.extend(utf8_percent_encode(value, ENCODED));
    }
    path
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::gvk::GroupVersionResource;

    use super::*;
    use crate::call::Body;

    #[track_caller]
    fn check(verb: Verb, group: &str, target: [&str; 3], query: &[(&'static str, &str)], want: &str) {
        let [namespace, name, subresource] = target.map(Str::from);
        let call = Call {
            verb,
            resource: GroupVersionResource::new(group, "v1", "things"),
            namespace,
            name,
            subresource,
            query: query.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
            body: Body::Empty,
        };
        assert_eq!(path_and_query(&call), want);
    }

    #[test]
    fn paths_are_upstreams() {
        check(Verb::Get, "", ["ns", "web", "status"], &[], "/api/v1/namespaces/ns/things/web/status");
        check(Verb::Get, "apps", ["ns", "web", ""], &[], "/apis/apps/v1/namespaces/ns/things/web");
        check(Verb::Get, "", ["", "n1", "proxy/metrics"], &[], "/api/v1/things/n1/proxy/metrics");
        check(
            Verb::Watch,
            "",
            ["", "", ""],
            &[("labelSelector", "app in (a,b)"), ("resourceVersion", "7")],
            "/api/v1/things?watch=true&labelSelector=app%20in%20%28a%2Cb%29&resourceVersion=7",
        );
        check(Verb::Get, "rbac", ["", "system:a/b", ""], &[], "/apis/rbac/v1/things/system%3Aa/b");
    }
}
