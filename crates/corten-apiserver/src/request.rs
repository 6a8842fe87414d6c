//! One request as the filter chain sees it, and what its path says.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/request RequestInfoFactory (v1.35) for the meaning of paths.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::{
    gvk::{GroupResource, GroupVersion, GroupVersionResource},
    resource::UserInfo,
    selector::field,
    validation::is_path_segment_name,
    value::{Str, Value},
};
use corten_client::call::{Body as CallBody, Call, PatchKind, Verb as CallVerb};
use http::{HeaderMap, HeaderValue, Method, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::{authentication::ClientCertificates, upgrade::Upgrade};

/// A request on its way through the chain.
#[derive(Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// The query, decoded, in the order sent.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: RequestBody,
    /// Where it comes from.
    pub origin: Origin,
    /// The connection, for requests that take it over.
    pub upgrade: Option<Upgrade>,
    /// When it was received.
    pub received: Timestamp,
    /// What path and method mean; filled in by the chain.
    pub info: RequestInfo,
    /// Who asks; filled in by the chain.
    pub user: UserInfo,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A connection.
    Connection {
        /// The peer.
        peer: SocketAddr,
        /// The certificates that the peer presented, if any.
        certificates: Arc<ClientCertificates>,
    },
    /// A component of this process, whose identity the assembly gave it.
    InProcess,
}

/// The body of a request.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes still to be read from the connection.
    Stream(Incoming),
    /// Bytes at hand.
    Bytes(Bytes),
    /// A tree from a component of this process.
    Tree(Value),
}

/// A decoded query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(Str, String)>,
    raw: String,
}

impl Query {
    /// Decodes a query string. Upstream drops pairs with a semicolon or with half an escape; so does this. Bytes that are no
    /// text are replaced and stay: without its selector, a request would mean everything.
    ///
    /// Upstream: `parseQuery` in net/url.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            is_escaped(&spaced).then(|| percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?.into(), decode(value)?))
        });
        Self { pairs: pairs.collect(), raw: text.to_owned() }
    }

    /// The query as sent; empty for what a component of this process asks.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The first value of `name`; empty if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The first value of `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// All pairs, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether `name` is given and says neither `0` nor `false`, in whatever case: an empty value means yes.
    ///
    /// Source: `Convert_Slice_string_To_bool` (`apimachinery/pkg/runtime/conversion.go`, v1.35).
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

/// Whether each percent sign begins a byte of two digits.
pub(crate) fn is_escaped(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        match &rest[at + 1..] {
            [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = after,
            _ => return false,
        }
    }
    true
}

/// What path and method of a request mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource; else only `path` and `verb` say anything.
    pub is_resource: bool,
    /// The path, decoded.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the lower-case method.
    pub verb: Str,
    /// The group; empty for the core group.
    pub group: Str,
    /// The version.
    pub version: Str,
    /// The namespace; empty for cluster-scoped requests and for all namespaces.
    pub namespace: Str,
    /// The plural resource name.
    pub resource: Str,
    /// The subresource.
    pub subresource: Str,
    /// The object's name: what the path says, or else what the field selector of a list or watch pins down.
    pub name: Str,
    /// How the path leads to the resource.
    pub form: PathForm,
    /// What follows the subresource, for proxies: without leading slash.
    pub rest: String,
    /// The field selector of a list, watch or delete of many, for those who decide by it; empty for the old form of a
    /// watch, and for one that cannot be read, which is refused later.
    pub field_selector: field::Selector,
}

/// How a path leads to its resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathForm {
    /// It has the old form of a watch, `/api/v1/watch/pods`, which is one whatever the method.
    pub is_watch: bool,
    /// The resource stands behind a namespace: `/api/v1/namespaces/x/pods`.
    pub is_in_namespace: bool,
    /// A name stands behind the resource.
    pub is_named: bool,
}

impl RequestInfo {
    /// Reads a request line.
    ///
    /// `path` is decoded before it is cut into segments, so that an encoded slash is one. Only slashes at its ends do not
    /// count: between two others there is an empty segment.
    #[must_use]
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let path = percent_decode_str(path).decode_utf8_lossy();
        let mut info =
            Self { path: path.to_string(), verb: method.as_str().to_ascii_lowercase().into(), ..Self::default() };
        let segments: Vec<Str> = path.trim_matches('/').split('/').map(Str::from).collect();
        let mut rest = match segments.split_first() {
            Some((first, rest)) if first == "api" && !rest.is_empty() => rest,
            Some((first, rest)) if first == "apis" && rest.len() > 1 => {
                info.group = rest[0].clone();
                &rest[1..]
            }
            _ => return info,
        };
        info.version = rest[0].clone();
        rest = &rest[1..];
        if rest.is_empty() {
            info.group = Str::default();
            info.version = Str::default();
            return info;
        }
        info.is_resource = true;
        info.verb = match *method {
            Method::POST => "create",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "",
        }
        .into();
        // The old form of a watch: /api/v1/watch/namespaces/x/pods.
        info.form.is_watch = rest.first().is_some_and(|segment| segment == "watch") && rest.len() > 1;
        if info.form.is_watch {
            info.verb = "watch".into();
            rest = &rest[1..];
        }
        if rest[0] == "namespaces" && rest.len() > 1 {
            info.namespace = rest[1].clone();
            // What follows is a resource in the namespace, unless it is a part of the namespace itself.
            if rest.len() > 2 && !matches!(rest[2].as_str(), "status" | "finalize") {
                info.form.is_in_namespace = true;
                rest = &rest[2..];
            }
        }
        info.resource = rest[0].clone();
        info.name = rest.get(1).cloned().unwrap_or_default();
        info.form.is_named = !info.name.is_empty();
        info.subresource = rest.get(2).cloned().unwrap_or_default();
        info.rest = rest.get(3..).unwrap_or_default().join("/");
        if !info.form.is_named {
            match info.verb.as_str() {
                "get" => {
                    info.verb = if query.flag("watch") { "watch" } else { "list" }.into();
                    info.name = single_name(&selector(query));
                }
                "delete" => info.verb = "deletecollection".into(),
                _ => {}
            }
        }
        // The old form of a watch has no rights by selector.
        if !info.form.is_watch && matches!(info.verb.as_str(), "list" | "watch" | "deletecollection") {
            info.field_selector = selector(query);
        }
        info
    }

    /// The group and version.
    #[must_use]
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(self.group.clone(), self.version.clone())
    }

    /// The resource whatever its version.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.group.clone(), self.resource.clone())
    }

    /// The resource.
    #[must_use]
    pub fn group_version_resource(&self) -> GroupVersionResource {
        self.group_version().with_resource(self.resource.clone())
    }
}

/// Which fields are asked for. A selector that cannot be read gives no rights; the endpoint says what is wrong with it.
fn selector(query: &Query) -> field::Selector {
    field::Selector::parse(query.get("fieldSelector")).unwrap_or_default()
}

/// The name that a field selector pins down, so that a right to one named object covers lists and watches of it; empty for
/// none.
fn single_name(selector: &field::Selector) -> Str {
    let name = selector.required_value("metadata.name").unwrap_or_default();
    if is_path_segment_name(name).is_empty() { name.into() } else { Str::default() }
}

impl Request {
    /// Whether the request may last: a watch, or a stream to a container. It has no deadline and takes no place.
    ///
    /// Upstream: `BasicLongRunningRequestCheck` as kube-apiserver sets it up.
    #[must_use]
    pub fn is_long_running(&self) -> bool {
        self.info.verb == "watch"
            || matches!(&*self.info.subresource, "log" | "exec" | "attach" | "portforward" | "proxy")
    }

    /// Whether it changes nothing and is over soon.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(&*self.info.verb, "get" | "list")
    }

    /// The request that a component of this process makes.
    #[must_use]
    pub fn from_call(call: Call, user: UserInfo, received: Timestamp) -> Self {
        let (method, verb, content_type) = match call.verb {
            CallVerb::Get => (Method::GET, "get", None),
            CallVerb::List => (Method::GET, "list", None),
            CallVerb::Watch => (Method::GET, "watch", None),
            CallVerb::Create => (Method::POST, "create", None),
            CallVerb::Update => (Method::PUT, "update", None),
            CallVerb::Patch(kind) => (Method::PATCH, "patch", Some(kind)),
            CallVerb::Delete => (Method::DELETE, "delete", None),
            CallVerb::DeleteCollection => (Method::DELETE, "deletecollection", None),
        };
        let mut headers = HeaderMap::new();
        if let Some(kind) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PatchKind::content_type(kind)));
        }
        let pairs = call.query.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let query = Query { pairs, raw: String::new() };
        // A call without a resource is about a path, which is in its place for the name.
        let path = if call.resource.resource.is_empty() { call.name.to_string() } else { String::new() };
        let form = PathForm {
            is_watch: false,
            is_in_namespace: !call.namespace.is_empty() && call.resource.resource != "namespaces",
            is_named: !call.name.is_empty(),
        };
        let mut info = RequestInfo {
            is_resource: true,
            form,
            path: String::new(),
            verb: verb.into(),
            group: call.resource.group,
            version: call.resource.version,
            namespace: call.namespace,
            resource: call.resource.resource,
            subresource: call.subresource,
            name: call.name,
            rest: String::new(),
            field_selector: selector(&query),
        };
        if !path.is_empty() {
            info = RequestInfo::parse(&method, &path, &query);
        }
        if info.resource == "namespaces" && !info.name.is_empty() {
            info.namespace = info.name.clone();
        }
        if matches!(verb, "list" | "watch") && !info.form.is_named {
            info.name = single_name(&info.field_selector);
        }
        let body = match call.body {
            CallBody::Empty => RequestBody::Empty,
            CallBody::Tree(tree) => RequestBody::Tree(tree),
            CallBody::Json(json) => RequestBody::Bytes(json),
        };
        Self { method, path, query, headers, body, origin: Origin::InProcess, upgrade: None, received, info, user }
    }

    /// A header as text; empty if it is absent or no text.
    #[must_use]
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, path: &str, query: &str, want: [&str; 7]) {
        let info = RequestInfo::parse(method, path, &Query::parse(query));
        let got = [
            &*info.verb,
            &*info.group,
            &*info.version,
            &*info.namespace,
            &*info.resource,
            &*info.name,
            &*info.subresource,
        ];
        assert_eq!(got, want, "{path}?{query}");
    }

    #[test]
    fn paths_of_resources_mean_what_they_mean_upstream() {
        let get = &Method::GET;
        check(get, "/api/v1/pods", "", ["list", "", "v1", "", "pods", "", ""]);
        check(get, "/api/v1/pods", "watch=true", ["watch", "", "v1", "", "pods", "", ""]);
        check(get, "/api/v1/watch/pods", "", ["watch", "", "v1", "", "pods", "", ""]);
        check(get, "/api/v1/namespaces/a/pods/b/log", "", ["get", "", "v1", "a", "pods", "b", "log"]);
        check(get, "/api/v1/namespaces/a", "", ["get", "", "v1", "a", "namespaces", "a", ""]);
        check(get, "/api/v1/namespaces/a/status", "", ["get", "", "v1", "a", "namespaces", "a", "status"]);
        check(get, "/apis/apps/v1/namespaces/a/deployments/", "", ["list", "apps", "v1", "a", "deployments", "", ""]);
        // The old form is a watch whatever the method, and of what its path says whatever is selected.
        let named = "fieldSelector=metadata.name%3Dx";
        check(&Method::PUT, "/api/v1/watch/pods", named, ["watch", "", "v1", "", "pods", "", ""]);
        check(get, "/api/v1/watch/namespaces/a/pods/b", named, ["watch", "", "v1", "a", "pods", "b", ""]);
        // A name between two slashes is none, and what is selected is no object of a path.
        check(get, "/api/v1/namespaces/a/pods//log", named, ["list", "", "v1", "a", "pods", "x", "log"]);
        check(
            get,
            "/api/v1/pods",
            "fieldSelector=spec.nodeName%3Dn,metadata.name%3Dx",
            ["list", "", "v1", "", "pods", "x", ""],
        );
        check(&Method::DELETE, "/api/v1/namespaces/a/pods", "", ["deletecollection", "", "v1", "a", "pods", "", ""]);
        check(&Method::DELETE, "/api/v1/namespaces/a/pods/b", "", ["delete", "", "v1", "a", "pods", "b", ""]);
        check(
            get,
            "/api/v1/nodes",
            "fieldSelector=metadata.name%3Dn1&watch=1",
            ["watch", "", "v1", "", "nodes", "n1", ""],
        );
    }

    #[test]
    fn the_form_of_a_path_is_told() {
        #[track_caller]
        fn check(path: &str, is_watch: bool, is_in_namespace: bool, is_named: bool) {
            let query = Query::parse("fieldSelector=metadata.name%3Dx");
            let got = RequestInfo::parse(&Method::GET, path, &query).form;
            assert_eq!(got, PathForm { is_watch, is_in_namespace, is_named }, "{path}");
        }
        check("/api/v1/pods", false, false, false);
        check("/api/v1/nodes/a", false, false, true);
        check("/api/v1/namespaces/a", false, false, true);
        check("/api/v1/namespaces/a/status", false, false, true);
        check("/api/v1/namespaces/a/namespaces/a", false, true, true);
        check("/api/v1/namespaces/a/pods//log", false, true, false);
        check("/api/v1/watch/namespaces/a/pods/b", true, true, true);
    }

    #[test]
    fn other_paths_are_no_resources() {
        for path in ["/", "/healthz", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version"] {
            let info = RequestInfo::parse(&Method::GET, path, &Query::default());
            assert!(!info.is_resource, "{path}");
            assert_eq!((&*info.verb, &*info.path), ("get", path));
        }
    }

    #[test]
    fn encoded_slashes_and_doubled_ones_are_what_they_are_upstream() {
        let get = &Method::GET;
        check(get, "/api/v1/namespaces/a/pods/b%2Flog", "", ["get", "", "v1", "a", "pods", "b", "log"]);
        check(get, "/api/v1/namespaces/a/pods/b%25c", "", ["get", "", "v1", "a", "pods", "b%c", ""]);
        check(get, "//api/v1/pods//", "", ["list", "", "v1", "", "pods", "", ""]);
        check(get, "/api//v1", "", ["list", "", "", "", "v1", "", ""]);
        check(get, "/api/v1//pods", "", ["get", "", "v1", "", "", "pods", ""]);
        check(get, "/api/v1/nodes", "fieldSelector=metadata.name%3D..", ["list", "", "v1", "", "nodes", "", ""]);
    }

    #[test]
    fn a_query_is_decoded_in_order() {
        let query = Query::parse("dryRun=All&labelSelector=a%3Db%2Cc&x=1+2&watch=false&dryRun=b");
        assert_eq!((query.get("labelSelector"), query.get("x"), query.flag("watch")), ("a=b,c", "1 2", false));
        assert_eq!(query.all("dryRun").collect::<Vec<_>>(), ["All", "b"]);
    }

    #[test]
    fn what_is_not_said_to_be_false_is_true() {
        let query = Query::parse("a=false&b=False&c=fALSE&d=0&e=&f=f&g=true&h=1&i=00&j");
        let set: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"].map(|name| query.flag(name)).into();
        assert_eq!(set, [false, false, false, false, true, true, true, true, true, true, false]);
    }
}
